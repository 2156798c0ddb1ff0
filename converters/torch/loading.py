"""`load_into`: weights from any source into an existing module, in place, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer, Part
from converters.planning.execution import execute
from converters.planning.plan import Plan
from converters.planning.report import announce
from converters.readers import read
from converters.targets import PYTORCH
from converters.targets.pytorch.padding import per_axis
from converters.torch import nn as drop_in
from converters.torch.matching import Match, explain_shape, find_places, match
from converters.writers.pytorch import StateDict
from layouts.errors import CoverageError, NotRepresentable, ShapeError, printable
from layouts.options import Convolution, Recurrence
from layouts.records import dataclass, replace


@dataclass(frozen=True)
class LoadReport:
    """What went where, what was left alone, and which settings of the module differ from the source's."""

    loaded: tuple[str, ...]
    left_alone: tuple[str, ...]
    differences: tuple[str, ...]
    adjusted: tuple[str, ...]

    def __str__(self) -> str:
        marks = (("·", self.loaded), ("–", self.left_alone), ("!", self.differences), ("=", self.adjusted))
        return "\n".join(f"{mark} {text}" for mark, texts in marks for text in texts)


def load_into(
    module: nn.Module,
    source: Any,
    *,
    layer: str | None = None,
    rename: Mapping[str, str] | None = None,
    strict: bool = True,
    adjust: bool = False,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
) -> LoadReport:
    """Fill a module's parameters from a file, a Keras model in memory, or a mapping of arrays.

    A mapping without `framework=` holds arrays under the module's own parameter names, in PyTorch's layout:
    ``load_into(nn.LSTM(3, 5, 2), {"weight_ih_l0": array, …})``. Anything else is matched by name, then by type, shapes
    and order; consecutive source layers fill ``num_layers``. Copies happen in place, to the parameter's dtype and
    device; an error leaves the module untouched.

    layer: one layer of the source alone: ``load_into(nn.LSTM(3, 5), path, layer="lstm")``.
    rename: source layer -> module name, where names differ and structure does not settle it.
    strict: every module is filled and every layer used; False loads what matches and says what it left alone, and loads
        weights of layers that the module computes otherwise.
    adjust: sets what can be set on the module (eps, batch_first, activations) to the source's values; without it each
        difference is reported, and warned of.

    Raises `ShapeError`, `CoverageError`, `NotRepresentable`; all are `ConversionError`.
    """
    if isinstance(source, Mapping) and framework is None:
        return _load_named(module, source, rename or {}, strict)
    checkpoint = read(source, framework=framework, assume=assume)
    if layer is not None:
        checkpoint = replace(checkpoint, layers=(checkpoint.layer(layer),))
    matches, left = match(module, checkpoint, rename)
    if left and strict:
        raise CoverageError("; ".join(left), path=checkpoint.path)
    problems = [why for found in matches for why in _computed_otherwise(found)]
    if problems and strict:
        raise NotRepresentable("; ".join(problems), path=checkpoint.path)
    _write(module, dict(_tensors(matches, checkpoint)))
    changes = [change for found in matches for change in _differences(found)]
    adjusted = tuple(change.apply() for change in changes if adjust)
    differences = () if adjust else tuple(change.text for change in changes)
    report = LoadReport(tuple(map(_said, matches)), tuple(left), (*problems, *differences), adjusted)
    announce((*report.left_alone, *report.differences))
    return report


def _said(found: Match) -> str:
    zeros = f"; {', '.join(found.zeros)} zero, for it has no bias" if found.zeros else ""
    return f"{printable(found.source.path) or 'the arrays'} → {found.place.said}, {found.how}{zeros}"


def _load_named(module: nn.Module, arrays: Mapping[str, Any], rename: Mapping[str, str], strict: bool) -> LoadReport:
    """Arrays under the names of the module's own state_dict."""
    list(find_places(module))
    state = module.state_dict()
    named = {_renamed(key, rename): torch.as_tensor(np.asarray(value)) for key, value in _flat(arrays)}
    unknown = [key for key in named if key not in state]
    missing = [key for key in state if key not in named and not key.endswith("num_batches_tracked")]
    wrong = [
        explain_shape(module, key, tuple(value.shape), tuple(state[key].shape))
        for key, value in named.items()
        if key in state and value.shape != state[key].shape
    ]
    if wrong:
        raise ShapeError("; ".join(wrong))
    left = [f"{printable(key)}: the module has no such parameter" for key in unknown]
    left += [f"nothing fills {key} {tuple(state[key].shape)}" for key in missing]
    if left and strict:
        raise CoverageError("; ".join(left))
    for key, value in named.items():
        if not value.dtype.is_floating_point and state.get(key, value).dtype.is_floating_point:
            raise ShapeError(f"{printable(key)} holds {value.dtype}; weights are floating point")
    _write(module, {key: value for key, value in named.items() if key in state})
    loaded = tuple(f"{key} {tuple(value.shape)}" for key, value in named.items() if key in state)
    report = LoadReport(loaded, tuple(left), (), ())
    announce(report.left_alone)
    return report


def _flat(arrays: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in arrays.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _renamed(key: str, rename: Mapping[str, str]) -> str:
    for old, new in sorted(rename.items(), key=lambda pair: -len(pair[0])):
        if key == old or key.startswith(f"{old}."):
            return new + key[len(old) :]
    return key


def _tensors(matches: list[Match], checkpoint: Checkpoint) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of the matched modules under the target's own key."""
    for found in matches:
        sink = StateDict()
        plan = Plan(checkpoint, PYTORCH, (found.source,), strict=False)
        for _ in execute(plan, sink):
            pass
        filled = sink.tensors()
        for tensor in found.source.tensors:
            yield PYTORCH.key(found.place.name, tensor.name), filled[tensor.key]
        for name in found.zeros:
            yield PYTORCH.key(found.place.name, name), torch.zeros(found.place.shapes[name])


def _write(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy into the parameters and buffers; on any failure every one is put back."""
    state = module.state_dict(keep_vars=True)
    before = {key: state[key].detach().clone() for key in tensors}
    try:
        with torch.no_grad():
            for key, tensor in tensors.items():
                state[key].copy_(tensor)
    except BaseException:
        with torch.no_grad():
            for key, old in before.items():
                state[key].copy_(old)
        raise


_DROP_INS = (drop_in.LSTM, drop_in.GRU, drop_in.RNN)


def _computed_otherwise(found: Match) -> Iterator[str]:
    """Reasons for which the module gives other outputs whatever its settings."""
    computed = found.source.drop_in and isinstance(found.place.module, _DROP_INS)
    if not computed and found.source.parts[0].cell.recurrent:
        yield from (" ".join(str(problem).split()) for problem in found.source.problems)


@dataclass(frozen=True)
class Change:
    """A setting of a module that differs from the source's."""

    owner: Any
    name: str
    value: Any
    text: str

    def apply(self) -> str:
        """Set it, and say so."""
        setattr(self.owner, self.name, self.value)
        if self.name == "nonlinearity":
            self.owner.mode = f"RNN_{self.value.upper()}"
        return f"{self.text}: set"


def _differences(found: Match) -> Iterator[Change]:
    """Settings that change the outputs and that the source states: eps, activations, batch_first, and the like."""
    module = found.place.module
    for name, value in _wanted(module, found.source.layers[0], found.source.parts[0]).items():
        present = getattr(module, name)
        if present != value:
            text = f"{found.place.said}: {name} is {present!r}, and the source has {value!r}"
            yield Change(module, name, value, text)


def _wanted(module: nn.Module, layer: Layer, part: Part) -> dict[str, Any]:
    """The settings of a module that computes what a layer does, as far as the source tells them."""
    wanted: dict[str, Any] = {}
    norm = part.normalization
    if norm.epsilon is not None:
        wanted["eps"] = norm.epsilon
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and norm.momentum is not None:
        wanted["momentum"] = round(1.0 - norm.momentum, 12)
    if isinstance(module, nn.GroupNorm) and norm.groups > 0:
        wanted["num_groups"] = norm.groups
    if isinstance(module, nn.Embedding):
        wanted["padding_idx"] = None
    if isinstance(module, nn.RNNBase):
        wanted |= _activations(module, part.recurrence)
        if not layer.wiring.is_node:  # in a graph the transpositions around a node are the caller's
            wanted["batch_first"] = layer.call.time_axis == 1
    if isinstance(module, drop_in.GRU):
        wanted["reset_after"] = part.cell.name != "gru_reset_before"
    if isinstance(module, nn.modules.conv._ConvNd):
        wanted |= _convolution(module, part.convolution)
    if isinstance(module, drop_in.LocallyConnected1D | drop_in.LocallyConnected2D):
        told, count = part.convolution, len(module.kernel_size)
        wanted["stride"] = list(per_axis(told.strides, count))
        wanted["padding"] = list(told.pads) or [0] * 2 * count
    return wanted


def _activations(module: nn.RNNBase, options: Recurrence) -> dict[str, Any]:
    if isinstance(module, _DROP_INS):
        names = ("activation",) if isinstance(module, drop_in.RNN) else ("activation", "recurrent_activation")
        wanted: dict[str, Any] = {name: getattr(options, name) for name in names} | {"clip": options.clip or 0.0}
        if isinstance(module, drop_in.LSTM):
            wanted["output_activation"] = options.output_activation or options.activation
            wanted["input_forget"] = options.input_forget
            wanted |= {name: getattr(options, name) or 0.0 for name in ("cell_clip", "projection_clip")}
        return wanted
    if isinstance(module, nn.RNN):
        return {"nonlinearity": options.activation}
    return {}


def _convolution(module: nn.modules.conv._ConvNd, options: Convolution) -> dict[str, Any]:
    """Stride and dilation, one number an axis, where they are told; padding is the forward code's."""
    count = len(module.kernel_size)
    told = {"stride": options.strides, "dilation": options.dilation}
    return {name: per_axis(values, count) for name, values in told.items() if values}
