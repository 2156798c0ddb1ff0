"""Operations without weights that compute with every element: activations, sums, means, masks, products."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from converters.model.graph import Node
from converters.model.operations import (
    Activation,
    BothMasks,
    Choose,
    Combine,
    Dot,
    Einsum,
    EitherMask,
    EveryStep,
    Masked,
    MaskOf,
    MaskOfLengths,
    MatrixProduct,
    Reduce,
    Scale,
    Standardize,
    StandardizeGroups,
    UnitLength,
)
from converters.targets.pytorch.source.activations import applied, is_elementwise, is_known
from converters.targets.pytorch.source.held import Held, together
from converters.targets.pytorch.source.words import number, quoted
from converters.targets.pytorch.source.writing import Writing
from layouts.errors import printable


def activated(w: Writing, node: Node, x: Held, activation: Activation) -> Held:
    """A value behind an activation; an unknown one is refused by name."""
    if not is_known(activation.function):
        w.refuse(node, f"its activation {printable(activation.function)!r} is not known here")
        return x
    if is_elementwise(activation.function):
        return replace(x, text=applied(x.text, activation))
    x = x.as_source()
    return replace(x, text=applied(x.text, activation))


def activation(w: Writing, node: Node, op: Activation, values: list[Held]) -> Held:
    if is_elementwise(op.function):
        return activated(w, node, values[0], op)
    return activated(w, node, values[0].joined(), op)


_BETWEEN = {"add": " + ", "subtract": " - ", "multiply": " * ", "divide": " / "}
_PAIRWISE = {"maximum": "torch.maximum", "minimum": "torch.minimum", "power": "torch.pow"}


def combine(w: Writing, node: Node, op: Combine, values: list[Held]) -> Held:
    values = together(values)
    texts = [value.text for value in values]
    if op.how == "average":
        found = f"({' + '.join(texts)}) / {len(texts)}"
    elif op.how in _PAIRWISE:
        found = texts[0]
        for text in texts[1:]:
            found = f"{_PAIRWISE[op.how]}({found}, {text})"
    else:
        found = _BETWEEN[op.how].join(texts)
    return replace(values[0], text=found, shape=w.shape(node.outputs[0]))


def scale(w: Writing, node: Node, op: Scale, values: list[Held]) -> Held:
    text = values[0].text
    text = text if op.factor == 1.0 else f"{text} * {number(op.factor)}"
    return replace(values[0], text=text if op.offset == 0.0 else f"{text} + {number(op.offset)}")


def unit_length(w: Writing, node: Node, op: UnitLength, values: list[Held]) -> Held:
    x = values[0].as_source()
    return replace(x, text=_unit(x.text, op.axis, op.least))


def _unit(x: str, axis: int, least: float) -> str:
    """Vectors divided by their lengths; the least length is 1e-12 in PyTorch."""
    told = "" if least == 1e-12 else f", eps={number(least)}"
    return f"functional.normalize({x}, dim={axis}{told})"


def standardize(w: Writing, node: Node, op: Standardize, values: list[Held]) -> Held:
    """Over the last axes, where PyTorch has them."""
    x = values[0].as_source()
    rank = x.rank
    if rank is None:
        _refuse_axes(w, node)
        return x
    axes = sorted(axis % rank for axis in op.axes)
    last = list(range(rank - len(axes), rank))
    if axes == last:
        sizes = f"{x.text}.shape[-{len(axes)}:]"
        return replace(x, text=f"functional.layer_norm({x.text}, {sizes}, eps={number(op.epsilon)})")
    w.put(f"moved = {x.text}.movedim({tuple(axes)}, {tuple(last)})")
    text = f"functional.layer_norm(moved, moved.shape[-{len(axes)}:], eps={number(op.epsilon)})"
    return replace(x, text=f"{text}.movedim({tuple(last)}, {tuple(axes)})")


def standardize_groups(w: Writing, node: Node, op: StandardizeGroups, values: list[Held]) -> Held:
    x = values[0].joined()
    rank = x.rank or 0
    if not rank or op.axis % rank not in (1, rank - 1):
        w.refuse(node, "groups of an axis that is neither the first nor the last are not written yet")
        return x
    x = x.as_source() if op.axis % rank == 1 and rank > 2 else x.channels_at(1)
    groups = f"{x.text}.size(1)" if op.groups == -1 else str(op.groups)
    return replace(x, text=f"functional.group_norm({x.text}, {groups}, eps={number(op.epsilon)})")


def product(w: Writing, node: Node, op: MatrixProduct, values: list[Held]) -> Held:
    one, other = (value.as_source() for value in values)
    return Held(f"{one.text} @ {other.text}", w.shape(node.outputs[0]))


def einsum(w: Writing, node: Node, op: Einsum, values: list[Held]) -> Held:
    texts = ", ".join(value.as_source().text for value in values)
    return Held(f"torch.einsum({quoted(op.equation)}, {texts})", w.shape(node.outputs[0]))


def dot(w: Writing, node: Node, op: Dot, values: list[Held]) -> Held:
    """Letters for the axes: the batch is b, the summed axis s; the rest of both follows in order."""
    one, other = (value.as_source() for value in values)
    if one.rank is None or other.rank is None:
        _refuse_axes(w, node)
        return one
    texts = [_unit(v.text, a, op.least) if op.normalize else v.text for v, a in zip((one, other), op.axes, strict=True)]
    letters = ["b" + letters[: rank - 1] for letters, rank in (("ijkl", one.rank), ("mnop", other.rank))]
    for k, axis in enumerate(op.axes):
        place = axis % len(letters[k])
        letters[k] = letters[k][:place] + "s" + letters[k][place + 1 :]
    rest = "".join(letter for word in letters for letter in word[1:] if letter != "s")
    text = f'torch.einsum("{letters[0]},{letters[1]}->b{rest}", {texts[0]}, {texts[1]})'
    return Held(text if rest else f"{text}.unsqueeze(1)", w.shape(node.outputs[0]))


def _refuse_axes(w: Writing, node: Node) -> None:
    """Axes have to be known; behind what is refused already they are not, and that has been said."""
    if not w.problems:
        w.refuse(node, "the number of axes of what it reads is not known")


_REDUCED = {"sum": "sum", "mean": "mean", "max": "amax", "min": "amin"}


def reduce(w: Writing, node: Node, op: Reduce, values: list[Held]) -> Held:
    x = values[0].as_source()
    axes = op.axes if len(op.axes) != 1 else op.axes[0]
    keep = ", keepdim=True" if op.keep_axes else ""
    text = x.text
    if op.how == "prod":
        for axis in sorted(op.axes, key=lambda axis: axis % (x.rank or 8), reverse=True):
            text = f"{text}.prod({axis}{keep})"
    else:
        text = f"{text}.{_REDUCED[op.how]}({axes}{keep})"
    return Held(text, w.shape(node.outputs[0]))


def mask_of(w: Writing, node: Node, op: MaskOf, values: list[Held]) -> Held:
    x = values[0].as_source()
    value = number(op.value) if not op.indices else number(int(op.value))
    text = f"{x.text} != {value}" if op.indices else f"({x.text} != {value}).any(-1)"
    return Held(text, w.shape(node.outputs[0]))


def mask_of_lengths(w: Writing, node: Node, op: MaskOfLengths, values: list[Held]) -> Held:
    x, lengths = (value.as_source() for value in values)
    steps = f"torch.arange({x.text}.size(1), device={x.text}.device)"
    return Held(f"{steps} < {lengths.text}.unsqueeze(1)", w.shape(node.outputs[0]))


def both_masks(w: Writing, node: Node, op: BothMasks, values: list[Held]) -> Held:
    return Held(" & ".join(value.as_source().text for value in values), w.shape(node.outputs[0]))


def either_mask(w: Writing, node: Node, op: EitherMask, values: list[Held]) -> Held:
    return Held(" | ".join(value.as_source().text for value in values), w.shape(node.outputs[0]))


def every_step(w: Writing, node: Node, op: EveryStep, values: list[Held]) -> Held:
    x = values[0].as_source().text
    return Held(f"torch.ones({x}.shape[:2], dtype=torch.bool, device={x}.device)", w.shape(node.outputs[0]))


def _over(mask: Held, x: Held) -> str:
    """A mask, most often (batch, time), with axes of one for those that x has behind."""
    return mask.text + ".unsqueeze(-1)" * ((x.rank or 3) - (mask.rank or 2))


def masked(w: Writing, node: Node, op: Masked, values: list[Held]) -> Held:
    x, mask = (value.as_source() for value in values)
    if not op.value:
        return replace(x, text=f"{x.text} * {_over(mask, x)}")
    return replace(x, text=f"{x.text}.masked_fill(~{_over(mask, x)}, {number(op.value)})")


def choose(w: Writing, node: Node, op: Choose, values: list[Held]) -> Held:
    x, other, mask = (value.as_source() for value in values)
    return replace(x, text=f"torch.where({_over(mask, x)}, {x.text}, {other.text})")


LOWER: Mapping[type, Callable[..., Held]] = {
    Activation: activation,
    BothMasks: both_masks,
    Choose: choose,
    EitherMask: either_mask,
    EveryStep: every_step,
    Combine: combine,
    Dot: dot,
    Einsum: einsum,
    MaskOf: mask_of,
    MaskOfLengths: mask_of_lengths,
    Masked: masked,
    MatrixProduct: product,
    Reduce: reduce,
    Scale: scale,
    Standardize: standardize,
    StandardizeGroups: standardize_groups,
    UnitLength: unit_length,
}
