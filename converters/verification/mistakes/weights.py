"""What goes wrong with layers that are not recurrent: kernels, norms, embeddings, attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from converters.verification.arrangement import flattened
from converters.verification.mistakes.mistake import Mistake, changed, has, with_pieces, without
from converters.verification.modules import Given, Own
from layouts.cells import Piece
from layouts.options import Convolution, Normalization

Array = np.ndarray[Any, Any]


def weight_mistakes(own: Own) -> Iterator[Mistake]:
    """Every known mistake of this kind of layer, the usual ones first."""
    cell = own.cell.name
    if cell == "linear":
        yield from _linear(own)
    elif cell == "embedding":
        yield from _embedding(own)
    elif cell.startswith(("conv", "depthwise", "separable")):
        yield from _convolution(own)
    elif "norm" in cell:
        yield from _norm(own)
    elif cell.startswith("attention"):
        yield from _attention(own)
    yield from _bias(own)


def _bias(own: Own) -> Iterator[Mistake]:
    if has(own, "bias"):
        yield Mistake("the bias is missing", "load the bias", without(own, "bias"))
        yield Mistake("the bias is doubled", "add the bias once", changed(own, lambda _, x: 2.0 * x, ("bias",)))
        yield Mistake("the bias is halved", "load the bias as it is", changed(own, lambda _, x: x / 2.0, ("bias",)))


def _weight(own: Own) -> Array:
    return np.asarray(next(x for p, x in own.pieces.items() if p.slot == "weight"), np.float64)


def _with_weight(own: Own, array: Array) -> Own:
    return with_pieces(own, {Piece("weight"): array})


def _linear(own: Own) -> Iterator[Mistake]:
    weight = _weight(own)
    if weight.shape[0] == weight.shape[1]:
        yield Mistake(
            "the kernel was not transposed", "weight = kernel.T, (in, out) to (out, in)", _with_weight(own, weight.T)
        )
    yield Mistake(
        "the kernel was reshaped where it has to be transposed",
        "weight = kernel.T, and not kernel.reshape(…)",
        _with_weight(own, weight.T.reshape(weight.shape)),
    )
    if own.part.flattened:
        way = flattened(own.part.flattened)
        sizes = own.part.flattened
        fix = (
            f"y.movedim(1, -1).flatten(1) before it, or its weights for channels first: "
            f"kernel.reshape({', '.join(map(str, sizes))}, -1) with the channels moved in front"
        )
        for move in (way.back, way.there):
            yield Mistake(
                "the weights and the flattened map are in different orders: one has the channels first, one last",
                fix,
                _with_weight(own, move(weight)),
            )


def _embedding(own: Own) -> Iterator[Mistake]:
    weight = _weight(own)
    zeroed = weight.copy()
    zeroed[0] = 0.0
    yield Mistake(
        "row 0 is zero: padding_idx=0 zeroed it",
        "nn.Embedding without padding_idx; load row 0 as it is",
        _with_weight(own, zeroed),
    )
    for shift, what in ((-1, "one too high"), (1, "one too low")):
        yield Mistake(
            f"the indices are {what}",
            "feed the indices as the source does",
            _with_weight(own, np.roll(weight, shift, axis=0)),
        )


_RULES = ("valid", "same", "same_lower", "causal")


def _convolution(own: Own) -> Iterator[Mistake]:
    options = own.options
    kernels = tuple(slot for slot in ("weight", "depthwise_weight") if has(own, slot))

    def flipped(_: Piece, x: Array) -> Array:
        return np.flip(x, tuple(range(2, x.ndim)))

    yield Mistake(
        "the kernel is flipped in space",
        "do not flip it: PyTorch correlates, as Keras does",
        changed(own, flipped, kernels),
    )
    for slot in kernels:
        array = next(np.asarray(x) for p, x in own.pieces.items() if p.slot == slot)
        if array.ndim == 4 and array.shape[2] == array.shape[3]:
            yield Mistake(
                "height and width of the kernel are exchanged",
                "kernel.permute(3, 2, 0, 1), (height, width, in, out) to (out, in, height, width)",
                changed(own, lambda _, x: x.swapaxes(2, 3), (slot,)),
            )
        if array.shape[0] == array.shape[1]:
            yield Mistake(
                "inputs and outputs of the kernel are exchanged",
                "the output channels come first: (…, in, out) to (out, in, …)",
                changed(own, lambda _, x: x.swapaxes(0, 1), (slot,)),
            )
        yield Mistake(
            "the kernel was reshaped where its axes have to be permuted",
            "kernel.permute(…), (…, in, out) to (out, in, …), and not a reshape",
            changed(own, lambda _, x: np.moveaxis(x, (0, 1), (-1, -2)).reshape(x.shape), (slot,)),
        )
    if isinstance(options, Convolution):
        yield from _padding(own, options)


def _padding(own: Own, options: Convolution) -> Iterator[Mistake]:
    for rule in _RULES:
        if rule != options.padding:
            yield Mistake(
                f"the padding is {rule!r}, and the source's {options.padding!r}",
                "functional.pad in front of the convolution, as the plan says, and padding=0 in it",
                replace(own, options=replace(options, padding=rule)),
            )
    sizes = own.part.solved()
    half = [sizes[word] // 2 for word in ("depth", "height", "width") if word in sizes]
    yield Mistake(
        "k // 2 zeros stand at both ends, and the source pads otherwise",
        "functional.pad in front of the convolution with the amounts that the plan says",
        replace(own, options=replace(options, padding="explicit", pads=(*half, *half))),
    )
    if options.dilation:
        yield Mistake(
            "the dilation is missing",
            f"dilation={options.dilation}",
            replace(own, options=replace(options, dilation=())),
        )


_EPSILONS = (1e-5, 1e-3, 1e-6, 1e-7, 1e-8, 1e-12, 1e-4, 1e-2, 2e-5, 0.0)


def _norm(own: Own) -> Iterator[Mistake]:
    options = own.options
    if isinstance(options, Normalization):
        for epsilon in _EPSILONS:
            if epsilon != options.epsilon:
                yield Mistake(
                    f"eps is {epsilon:g}, and the source's epsilon is {options.epsilon:g}"
                    if options.epsilon is not None
                    else f"eps is {epsilon:g}",
                    f"eps={options.epsilon:g}" if options.epsilon is not None else "the eps of the source",
                    replace(own, options=replace(options, epsilon=epsilon)),
                )
    if has(own, "running_var"):
        yield from _statistics(own)
    if has(own, "weight", "bias"):
        pair = {Piece("weight"): own.pieces[Piece("bias")], Piece("bias"): own.pieces[Piece("weight")]}
        yield Mistake("gamma and beta are exchanged", "weight = gamma; bias = beta", with_pieces(own, pair))
    if has(own, "weight"):
        yield Mistake("gamma is missing", "weight = gamma", without(own, "weight"))


def _statistics(own: Own) -> Iterator[Mistake]:
    mean, var = (np.asarray(own.pieces[Piece(slot)], np.float64) for slot in ("running_mean", "running_var"))
    right = "running_mean = moving_mean; running_var = moving_variance"

    def other(mean: Array, var: Array) -> Own:
        return with_pieces(own, {Piece("running_mean"): mean, Piece("running_var"): var})

    yield Mistake("the running statistics are not loaded", right, other(np.zeros_like(mean), np.ones_like(var)))
    yield Mistake("mean and variance are exchanged", right, other(var, mean))
    yield Mistake(
        "running_var holds the deviation, and has to hold the variance", right, other(mean, np.sqrt(np.abs(var)))
    )
    yield Mistake("the variance was squared, as though it were a deviation", right, other(mean, np.square(var)))
    yield Mistake(
        "the statistics of the batch are used, and not the stored ones",
        "model.eval(), and track_running_stats=True",
        own,
        fitted=_batch_statistics,
    )


def _batch_statistics(own: Own, given: Given) -> Own:
    """A batch norm with the statistics of the inputs that it got."""
    x, axes = given.inputs[0], own.part.normalization.axes
    axis = (axes[0] if axes else 1) % x.ndim
    over = tuple(k for k in range(x.ndim) if k != axis)
    return with_pieces(own, {Piece("running_mean"): x.mean(axis=over), Piece("running_var"): x.var(axis=over)})


def _attention(own: Own) -> Iterator[Mistake]:
    roles = ("query", "key", "value")
    for one, other in (("query", "key"), ("key", "value"), ("query", "value")):
        swap = {one: other, other: one}
        if all(piece.role in (*roles, "") for piece in own.pieces) and has(own, "input_weight"):
            pieces = {p: own.pieces[p._replace(role=swap.get(p.role, p.role))] for p in own.pieces}
            yield Mistake(
                f"{one} and {other} are exchanged", "in_proj_weight = query, key, value", replace(own, pieces=pieces)
            )
    yield Mistake(
        "key and value are given in the other order", "module(query, key, value): PyTorch has the key before the value",
        own, lambda given: replace(given, inputs=(given.inputs[0], *given.inputs[:0:-1])),
    )  # fmt: skip
