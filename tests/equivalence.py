"""Runs a converted layer as a person would by the plan: the printed constructor, a strict load, the noted forward code.

Keras's conventions (channels last, merge modes, masks, 'same' padding) are reproduced here around the plain module, so
that its output can be compared with what Keras recorded. Comparisons raise.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import converters.nn
from converters.model.layers import Layer
from converters.model.settings import Call
from converters.planning.modules import Module
from converters.planning.plan import Plan
from layouts import reference
from layouts.options import Convolution

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, torch.Tensor]

EXACT = 1e-6
"""The largest absolute difference that passes for a recurrent layer in float32."""


class Run(NamedTuple):
    """Outputs and final states of both directions of a recurrent layer, backward ones in input order."""

    outputs: list[Array]
    states: list[tuple[Array, ...]]


Runner = Callable[[Array, Sequence[Array]], Run]


@cache
def described(case: Path) -> dict[str, Any]:
    """What stands in the case.json of a fixture."""
    return json.loads(case.read_text())


@cache
def planned(file: Path) -> Plan:
    """The plan of a file, nothing refused."""
    return converters.plan(file, strict=False)


@cache
def converted(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, nothing refused and nothing said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(file, strict=False)


def refusals(plan: Plan, path: str) -> str:
    """All that a strict conversion has against a layer, on one line; "" where it gives the layer."""
    return " ".join(" ".join(str(problem) for problem in plan.problems if problem.layer == path).split())


def is_compared(case: Path, plan: Plan, path: str) -> bool:
    """Whether a layer of a fixture has to be compared. Raises where its refusal is not as its case.json says.

    `refused` and `refused_but_compared` map layers to parts of their messages, `unrecorded` to the reason.
    """
    known = described(case)
    listed = known.get("refused", {}) | known.get("refused_but_compared", {})
    said = refusals(plan, path)
    if said and path not in listed:
        raise AssertionError(f"{path} is refused: {said}")
    if path in listed and not said:
        raise AssertionError(f"{path} is not refused, and case.json lists it as such")
    missing = [part for part in listed.get(path, ()) if part not in said]
    if missing:
        raise AssertionError(f"{path} is refused without a word of {missing}: {said}")
    return path not in known.get("refused", {}) and path not in known.get("unrecorded", {})


def assert_nothing_else_is_listed(case: Path, paths: Collection[str]) -> None:
    """Raise when case.json tells of refusals of layers that are not there."""
    known = described(case)
    listed = {path for key in ("refused", "refused_but_compared", "unrecorded") for path in known.get(key, ())}
    if listed - set(paths):
        raise AssertionError(f"no layers of {case.parent.name}, but listed in its case.json: {listed - set(paths)}")


def assert_close(found: Array, expected: Array, tolerance: float, what: str) -> float:
    """The largest absolute difference; raises when it is above the tolerance, or shapes differ."""
    if found.shape != expected.shape:
        raise AssertionError(f"{what}: shape {found.shape}, expected {expected.shape}")
    if not np.isfinite(expected).all():
        raise AssertionError(f"{what}: the expected output is not finite")
    error = float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
    if not error <= tolerance:
        raise AssertionError(f"{what}: max abs error {error:.3g} > {tolerance:.3g}")
    return error


def load(module: Module, tensors: Tensors, dtype: torch.dtype) -> nn.Module:
    """The module that the plan's constructor call makes, loaded strictly."""
    call = f"dict({module.constructor})" if "depthwise=" in module.constructor else module.constructor
    built = eval(call, {"nn": nn, "converters": converters})
    built = nn.ModuleDict(built) if isinstance(built, dict) else built
    prefix = f"{module.name}." if module.name else ""
    own = {tensor.key.removeprefix(prefix): tensors[tensor.key] for tensor in module.tensors}
    built.to(dtype).load_state_dict(own, strict=True)
    return built.eval()


def torch_runner(built: nn.Module, flattened: Sequence[int] = ()) -> Runner:
    """Runs nn.LSTM, nn.GRU or nn.RNN on (batch, time, input); `flattened` sizes (…, channel) go channels first."""

    def run(x: Array, initial: Sequence[Array]) -> Run:
        kind = next(built.parameters()).dtype
        states = [torch.from_numpy(np.ascontiguousarray(s)).to(kind)[None] for s in initial]
        given = (tuple(states) if isinstance(built, nn.LSTM | converters.nn.LSTM) else states[0]) if states else None
        with torch.no_grad():
            y, final = built(torch.from_numpy(_channels_first(x, flattened)).to(kind), given)
        finals = final if isinstance(final, tuple) else (final,)
        ways = 2 if built.bidirectional else 1
        outputs = [half.numpy() for half in y.chunk(ways, dim=-1)]
        return Run(outputs, [tuple(s[len(s) - ways + way].numpy() for s in finals) for way in range(ways)])

    return run


def _channels_first(x: Array, flattened: Sequence[int]) -> Array:
    if not flattened:
        return np.ascontiguousarray(x)
    return np.ascontiguousarray(np.moveaxis(x.reshape(*x.shape[:2], *flattened), -1, 2).reshape(x.shape))


def reference_runner(layer: Layer) -> Runner:
    """Runs the NumPy float64 definition of the layer's own cells, from its own pieces."""

    def run(x: Array, initial: Sequence[Array]) -> Run:
        ways: dict[str, tuple[Array, tuple[Array, ...]]] = {}
        for part in sorted(layer.parts, key=lambda part: part.layer):
            unpacked = replace(part, flattened=()).unpack()
            pieces = {p._replace(direction=part.direction, layer=0): v for p, v in unpacked.items()}
            before = ways[part.direction][0] if part.direction in ways else x
            ways[part.direction] = reference.forward(
                part.cell,
                pieces,
                before,
                options=part.recurrence,
                direction=part.direction,
                initial=tuple(initial) or None,
            )
        return Run([y for y, _ in ways.values()], [states for _, states in ways.values()])

    return run


def cells_runner(layer: Layer, built: Sequence[nn.Module]) -> Runner:
    """Runs a layer that became one module for each cell: each direction by itself, each cell on the one below."""

    def run(x: Array, _: Sequence[Array]) -> Run:
        ways: dict[str, Run] = {}
        for part, module in sorted(zip(layer.parts, built, strict=True), key=lambda pair: pair[0].layer):
            before = ways.get(part.direction)
            given = before.outputs[0] if before else _turned(x, part.direction)
            ways[part.direction] = torch_runner(module, part.flattened)(given, ())
        outputs = [_turned(ran.outputs[0], way) for way, ran in ways.items()]
        return Run(outputs, [ran.states[0] for ran in ways.values()])

    return run


def _turned(x: Array, direction: str) -> Array:
    return x[:, ::-1] if direction == "backward" else x


def masked(run: Runner, mask: Array | None, zeros: bool) -> Runner:
    """Keras's masks: a masked step keeps the state and repeats the output, or gives zeros if `zeros`."""
    if mask is None:
        return run

    def one(x: Array, valid: Array) -> Run:
        short = run(x[None, valid], ())
        outputs = []
        for way, y in enumerate(short.outputs):
            whole = np.zeros((len(valid), y.shape[-1]), y.dtype)
            order = range(len(valid)) if way == 0 else range(len(valid) - 1, -1, -1)
            last, steps = whole[0] * 0, iter(y[0] if way == 0 else y[0][::-1])
            for t in order:
                last = next(steps) if valid[t] else last
                whole[t] = last if valid[t] or not zeros else 0
            outputs.append(whole)
        return Run(outputs, [tuple(s[0] for s in states) for states in short.states])

    def every(x: Array, _: Sequence[Array]) -> Run:
        runs = [one(row, valid) for row, valid in zip(x, mask, strict=True)]
        outputs = [np.stack(ys) for ys in zip(*(r.outputs for r in runs), strict=True)]
        states = [
            tuple(np.stack(s) for s in zip(*way, strict=True)) for way in zip(*(r.states for r in runs), strict=True)
        ]
        return Run(outputs, states)

    return every


_MERGE: dict[Any, Callable[[Array, Array], Array]] = {
    "concat": lambda f, b: np.concatenate([f, b], -1),
    "sum": lambda f, b: f + b,
    "mul": lambda f, b: f * b,
    "ave": lambda f, b: (f + b) / 2,
}


def recurrent_outputs(
    run: Runner, call: Call, x: Array, mask: Array | None, initial: Sequence[Array]
) -> tuple[list[Array], list[Array]]:
    """What the Keras layer returns: its outputs (two with merge_mode=None), and its states where it returns them."""
    if call.each_step:
        outputs, states = recurrent_outputs(run, replace(call, each_step=False), x.reshape(-1, *x.shape[2:]), None, ())
        return [y.reshape(*x.shape[:2], *y.shape[1:]) for y in outputs], states
    if call.direction == "backward":
        x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
    ran = masked(run, mask, call.zeros_where_masked)(x, initial)
    last = [states[0] for states in ran.states]
    if call.zeros_where_masked:
        last = [y[:, step] for y, step in zip(ran.outputs, (-1, 0), strict=False)]
    if not call.merge:
        outputs = [ran.outputs[0] if call.sequences else last[0]]
    else:
        pair = ran.outputs if call.sequences else last
        merge = _MERGE.get(call.merge)
        outputs = [merge(*pair)] if merge else list(pair)
    states = [state for way in ran.states for state in way] if call.states else []
    return outputs, states


_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: torch.softmax(x, -1),
    "elu": functional.elu,
    "gelu": functional.gelu,
}


def surrounding_output(layer: Layer, built: nn.Module, x: Sequence[Array]) -> Array:
    """What a layer that is not recurrent gives for Keras's own input."""
    kind = next((t.dtype for t in built.state_dict().values() if t.is_floating_point()), torch.float32)
    inputs = [torch.from_numpy(a).to(kind) if a.dtype.kind == "f" else torch.from_numpy(a).long() for a in x]
    if layer.call.each_step:
        first = inputs[0]
        y = _other(layer, built, [first.reshape(-1, *first.shape[2:])])
        y = y.reshape(*first.shape[:2], *y.shape[1:])
    else:
        y = _other(layer, built, inputs)
    return _ACTIVATIONS[layer.call.activation](y).detach().numpy()


def _other(layer: Layer, built: nn.Module, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    x, part = inputs[0], layer.parts[0]
    cell, axes = part.cell.name, part.normalization.axes
    if cell == "linear" and part.flattened:
        rank = len(part.flattened)
        maps = x.reshape(-1, *part.flattened).permute(0, rank, *range(1, rank))
        return built(maps.flatten(1)).reshape(*x.shape[:-1], -1)
    if cell.startswith("attention"):
        key = inputs[2] if len(inputs) > 2 else inputs[min(1, len(inputs) - 1)]
        return built(x, key, inputs[min(1, len(inputs) - 1)], need_weights=False)[0]
    if cell.startswith(("conv", "depthwise", "separable")):
        return _convolved(cell, part.convolution, built, x)
    if cell.startswith("locally"):
        return built(x.movedim(-1, 1)).movedim(1, -1) if part.convolution.channels_last else built(x)
    if cell == "batch_norm":
        return built(x.movedim(axes[0], 1)).movedim(1, axes[0])
    if cell.startswith("layer_norm") and axes:
        last = tuple(range(-len(axes), 0))
        return built(x.movedim(axes, last)).movedim(last, axes)
    if cell == "group_norm":
        return built(x.movedim(-1, 1)).movedim(1, -1)
    if cell == "prelu" and x.ndim > 2:
        return built(x.movedim(-1, 1)).movedim(1, -1)
    return built(x)


def _convolved(cell: str, options: Convolution, built: nn.Module, x: torch.Tensor) -> torch.Tensor:
    first = not options.channels_last
    x = x if first else x.movedim(-1, 1)
    modules = list(built.values()) if isinstance(built, nn.ModuleDict) else [built]
    leading = modules[0]
    if options.padding == "explicit":
        y = _explicitly(leading, options, x, -1 if "transpose" in cell else 1)
        for module in modules[1:]:
            y = module(y)
        return y if first else y.movedim(1, -1)
    padding, stride = options.padding, leading.stride
    reach = [(k - 1) * d + 1 for k, d in zip(leading.kernel_size, leading.dilation, strict=True)]
    if "transpose" in cell:
        y = _cropped(leading(x), padding, x.shape[2:], leading.kernel_size, stride, leading.bias)
    else:
        sizes = x.shape[2:]
        pads = [_pads(padding, n, k, s) for n, k, s in zip(sizes, reach, stride, strict=True)]
        leading.padding = (0,) * len(reach)
        x = functional.pad(x, [n for pair in reversed(pads) for n in pair])
        y = functional_convolution(leading, x)
        for module in modules[1:]:
            y = module(y)
    return y if first else y.movedim(1, -1)


def _explicitly(module: nn.Module, options: Convolution, x: torch.Tensor, sign: int) -> torch.Tensor:
    """The module as the plan prints it; pads that differ stand before it, or are cropped behind it, as it notes."""
    half = len(options.pads) // 2
    begins, ends = options.pads[:half], options.pads[half:]
    if begins == ends:
        return module(x)
    pads = [sign * n for pair in reversed(list(zip(begins, ends, strict=True))) for n in pair]
    return module(functional.pad(x, pads)) if sign > 0 else functional.pad(module(x), pads)


def functional_convolution(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The module's convolution without its own padding: the input is padded already."""
    run = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[x.ndim - 2]
    return run(x, module.weight, module.bias, module.stride, 0, module.dilation, module.groups)


def _pads(padding: str, size: int, reach: int, stride: int) -> tuple[int, int]:
    if padding == "causal":
        return reach - 1, 0
    if padding != "same":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _cropped(
    y: torch.Tensor,
    padding: str,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """Keras's output of a transposed convolution: the full result padded to its length, or cropped for 'same'.

    Beyond the reach of the last kernel stands the bias.
    """
    for axis, (n, k, s) in enumerate(zip(sizes, kernel, stride, strict=True), start=2):
        start = 0 if padding != "same" else max(k - s, 0) // 2
        length = n * s if padding == "same" else n * s + max(k - s, 0)
        y = y.narrow(axis, start, min(length, y.shape[axis] - start))
        missing = length - y.shape[axis]
        if missing:
            ground = torch.zeros(y.shape[1]) if bias is None else bias
            filler = ground.reshape(1, -1, *[1] * (y.ndim - 2)).expand([*y.shape[:axis], missing, *y.shape[axis + 1 :]])
            y = torch.cat([y, filler], axis)
    return y
