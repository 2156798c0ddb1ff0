"""`trace`: the network of a PyTorch module, as far as it is made of layers and operations that are known here.

The forward code is walked by torch.fx and runs on the inputs that the caller gives. What comes out is proved: the
reference evaluator has to give the module's own outputs, or nothing is returned.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from converters.model.checkpoint import Checkpoint
from converters.model.graph import Value, as_drawn
from converters.torch.trace.drawing import drawn
from converters.torch.trace.following import Follower
from converters.torch.trace.leaves import layers_of
from converters.torch.trace.runs import Runs
from converters.verification.evaluate import evaluate
from layouts.errors import ConversionError, NotRepresentable, VerificationFailed, printable

_EXACT = 1e-4
"""The most by which float32 may differ from float64, relative to the largest output."""


def trace(module: nn.Module, *inputs: torch.Tensor) -> Checkpoint:
    """A module with its network, as a source for `convert_file`: to ONNX, to Keras, to wherever its layers can go.

    inputs: tensors as `forward` takes them; the batch, and the time where the module takes any length, stay open. The
    module is walked in eval mode. Its forward code may hold no branches on the numbers of tensors, and no packed
    sequences.

    Raises `NotRepresentable` with the operation that is not known, and `VerificationFailed` where the reference
    evaluator of what was traced does not give the module's outputs.
    """
    was = module.training
    module.eval()
    try:
        with torch.no_grad():
            return _traced(module, inputs)
    finally:
        module.train(was)


def _traced(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Checkpoint:
    name = f"{type(module).__name__} in memory"
    whole = _whole(module)
    _check_count(whole, inputs)
    follower = Follower(inputs)
    try:
        graph = follower.follow(whole)
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError, AttributeError, IndexError) as error:
        why = printable(" ".join(str(error).split()))
        raise NotRepresentable(f"{name}: its forward code cannot be followed: {why}", path=name) from None
    walked = fx.GraphModule(follower.root, graph)
    runs = Runs(whole, walked, inputs)
    found = _first_sound(name, walked, runs)
    assert found.graph is not None
    return replace(found, remarks=tuple(_remarks(runs, found.graph.inputs, inputs)))


def _first_sound(name: str, walked: fx.GraphModule, runs: Runs) -> Checkpoint:
    """The network with as many open sizes as can be told. Raises what stands in the way of all of them."""
    errors: list[ConversionError] = []
    for some in runs.choices():
        layers = layers_of(walked)
        try:
            graph = drawn(walked, some, layers)
            found = Checkpoint(name, "pytorch", "", "module, traced", tuple(layers.values()), network=as_drawn(graph))
            _prove(found, some)
        except (NotRepresentable, VerificationFailed) as error:
            errors.append(error)
        else:
            return found
    raise errors[0]


def _check_count(module: nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """Raise `ConversionError` for more tensors, or fewer, than forward takes."""
    own = list(inspect.signature(module.forward).parameters.values())
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in own):
        return
    needed = sum(each.default is inspect.Parameter.empty and each.kind is not each.VAR_KEYWORD for each in own)
    if not needed <= len(inputs) <= len(own):
        raise ConversionError(f"trace: forward takes {needed} tensors, and {len(inputs)} are given")


def _remarks(runs: Runs, values: Sequence[Value], inputs: Sequence[torch.Tensor]) -> Iterator[str]:
    """Sizes that the module takes as they come, and what was traced does not."""
    for number, axis in runs.counted:
        size = inputs[number].shape[axis]
        yield (
            f"the forward code counts by sizes: what was traced is for {printable(values[number].name)} with {size} "
            f"along axis {axis} alone. Trace it with the size that is wanted"
        )


class _Around(nn.Module):
    """A single layer as a module that calls it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x)


def _whole(module: nn.Module) -> nn.Module:
    """The module; a layer of torch.nn by itself within one that calls it."""
    known = type(module).__module__.startswith(("torch.nn.modules", "converters.torch.nn"))
    return _Around(module) if known and not isinstance(module, nn.Sequential) else module


def _prove(found: Checkpoint, runs: Runs) -> None:
    """Raise `VerificationFailed` where the graph does not give what the module gave."""
    assert found.graph is not None
    for inputs, outputs in runs.cases():
        values = evaluate(found.graph, [_exact(x) for x in inputs])
        for name, tensor in zip(found.graph.outputs, outputs, strict=True):
            if not _alike(_exact(tensor), values[name]):
                text = f"{found.path}: the network that was traced does not give the output {printable(name)}"
                raise VerificationFailed(text, path=found.path)


def _alike(wanted: np.ndarray[Any, Any], given: np.ndarray[Any, Any]) -> bool:
    most = _EXACT * max(1.0, float(np.abs(wanted).max(initial=0.0)))
    return given.shape == wanted.shape and float(np.abs(given - wanted).max(initial=0.0)) <= most


def _exact(x: torch.Tensor) -> np.ndarray[Any, Any]:
    """A tensor's numbers, those with a fraction as float64."""
    return np.asarray((x.double() if x.is_floating_point() else x).detach().cpu())
