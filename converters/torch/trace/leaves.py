"""The modules that a trace does not go into, as layers: those of torch.nn, and the drop-ins."""

from __future__ import annotations

from dataclasses import replace

from torch import fx, nn

from converters.model.layers import Layer
from converters.model.settings import Call
from converters.readers.pytorch.memory import read_module
from converters.torch.module_layout import part_of
from converters.torch.trace.packing import reads_packed

_OWN = "converters.torch.nn"
_CELLS = (nn.RNNCellBase,)


def layers_of(walked: fx.GraphModule) -> dict[str, Layer]:
    """The layers with weights of all modules that are called, by path."""
    known = {layer.path: layer for layer in read_module(walked, {}).layers} if _holds(walked) else {}
    found = {}
    for node in walked.graph.nodes:
        if node.op == "call_module" and node.target not in found:
            module = walked.get_submodule(node.target)
            layer = _drop_in(node.target, module) if _is_own(module) else known.get(node.target)
            if layer is not None:
                found[node.target] = _called(layer, module, reads_packed(node))
    return found


def _holds(walked: fx.GraphModule) -> bool:
    return any(True for _ in walked.parameters()) or any(True for _ in walked.buffers())


def _is_own(module: nn.Module) -> bool:
    return type(module).__module__.startswith(_OWN)


def _drop_in(path: str, module: nn.Module) -> Layer:
    return Layer(path, type(module).__name__, (part_of(module),))


def _called(layer: Layer, module: nn.Module, packed: bool) -> Layer:
    """The layer as PyTorch calls it: all outputs and the states, the directions side by side."""
    if not layer.recurrent:
        return layer
    both = bool(getattr(module, "bidirectional", False))
    single = isinstance(module, _CELLS)
    axis = 1 if getattr(module, "batch_first", single) else 0
    call = Call(
        states=True,
        merge="concat" if both else "",
        time_axis=axis,
        cell=single,
        single_step=single,
        zeros_where_masked=packed,
    )
    return replace(layer, call=call)
