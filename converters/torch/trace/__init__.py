"""`trace`: the network of a PyTorch module, as far as it is made of layers and operations that are known here.

The forward code is walked by torch.fx and runs on the inputs that the caller gives. What comes out is proved: the
reference evaluator has to give the module's own outputs, or nothing is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from converters.model.checkpoint import Checkpoint
from converters.torch.trace.drawing import drawn
from converters.torch.trace.leaves import layers_of
from converters.torch.trace.runs import Runs
from converters.verification.evaluate import evaluate
from layouts.errors import NotRepresentable, VerificationFailed, printable

_EXACT = 1e-4
"""The most by which float32 may differ from float64, relative to the largest output."""


class _Tracer(fx.Tracer):
    """Goes into every module but those of torch.nn and converters.nn."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = type(m).__module__.startswith("converters.torch.nn")
        return own or super().is_leaf_module(m, module_qualified_name)


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
    tracer = _Tracer()
    try:
        graph = tracer.trace(_whole(module))
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError) as error:
        why = printable(" ".join(str(error).split()))
        raise NotRepresentable(f"{name}: its forward code cannot be followed: {why}", path=name) from None
    walked = fx.GraphModule(tracer.root, graph)
    runs = Runs(walked, inputs)
    layers = layers_of(walked)
    found = Checkpoint(name, "pytorch", "", "module, traced", tuple(layers.values()), graph=drawn(walked, runs, layers))
    _prove(found, runs, inputs)
    return found


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


def _prove(found: Checkpoint, runs: Runs, inputs: Sequence[torch.Tensor]) -> None:
    """Raise `VerificationFailed` where the graph does not give what the module gave."""
    assert found.graph is not None
    values = evaluate(found.graph, [_exact(x) for x in inputs])
    for name, tensor in zip(found.graph.outputs, runs.outputs(), strict=True):
        wanted, given = _exact(tensor), values[name]
        most = _EXACT * max(1.0, float(np.abs(wanted).max(initial=0.0)))
        if given.shape != wanted.shape or float(np.abs(given - wanted).max(initial=0.0)) > most:
            text = f"{found.path}: the network that was traced does not give the output {printable(name)}"
            raise VerificationFailed(text, path=found.path)


def _exact(x: torch.Tensor) -> np.ndarray[Any, Any]:
    """A tensor's numbers, those with a fraction as float64."""
    return np.asarray((x.double() if x.is_floating_point() else x).detach().cpu())
