"""Layers with weights as calls of their modules, the axes moved to where a module has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from converters.model.graph import Node
from converters.model.layers import Part
from converters.model.operations import Activation
from converters.targets.pytorch.source import windows
from converters.targets.pytorch.source.elementwise import activated
from converters.targets.pytorch.source.held import Held
from converters.targets.pytorch.source.writing import Planned, Writing

Lower = Callable[[Writing, Node, Part, Sequence[str], list[Held]], Held]


def weighted(w: Writing, node: Node, planned: Sequence[Planned], values: list[Held]) -> Held:
    """The output of a layer that is not recurrent, its fused activation included."""
    part = planned[0].parts[0]
    lower = _LOWER.get(part.cell.name)
    if lower is None or node.layer is None:
        w.refuse(node, f"no code is known here for {part.cell.name.replace('_', ' ')}")
        return values[0]
    modules = [w.attributes[name] for name in _names(planned[0])]
    found = lower(w, node, part, modules, values)
    return activated(w, node, found, Activation(node.layer.call.activation or "linear"))


def _names(planned: Planned) -> list[str]:
    both = planned.parts[0].cell.name.startswith("separable")
    labels = ("depthwise", "pointwise") if both else ("",)
    return [".".join(filter(None, (planned.name, label))) for label in labels]


def _linear(w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held]) -> Held:
    x, shape = values[0], w.shape(node.outputs[0])
    if part.flattened:
        x = x.flattened(part.flattened)
    elif x.channel or x.flat:
        x = x.as_source()
    return Held(f"{modules[0]}({x.text})", shape, apart=x.apart, steps=x.steps)


def _embedding(w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held]) -> Held:
    x = values[0].as_source()
    return Held(f"{modules[0]}({x.text}.long())", w.shape(node.outputs[0]))


def _convolution(w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held]) -> Held:
    sizes = part.solved()
    kernel = tuple(sizes[word] for word in ("depth", "height", "width") if word in sizes)
    transposed = "transpose" in part.cell.name
    return windows.convolution(w, node, values[0], modules, part.convolution, kernel, transposed)


def _locally_connected(w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held]) -> Held:
    """The module pads by itself."""
    rank = 2 + sum(word in part.solved() for word in ("height", "width"))
    x = windows.maps(values[0], part.convolution.channels_last, rank)
    return windows.made(w, node, x, f"{modules[0]}({x.text})")


def _along_channels(
    w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held], usual: int = 1
) -> Held:
    """A norm or a slope for each channel, which PyTorch has on axis 1."""
    x = values[0].joined()
    rank = x.rank or 2
    axis = (part.normalization.axes or (usual,))[0] % rank
    if x.flat and axis == rank - 1 == 1:
        x = x.as_source()
    if axis == 1 and (rank == 2 or not x.channel):
        return replace(x, text=f"{modules[0]}({x.text})")
    if axis == rank - 1:
        x = x.channels_at(1)
        return replace(x, text=f"{modules[0]}({x.text})")
    x = x.as_source()
    return replace(x, text=f"{modules[0]}({x.text}.movedim({axis}, 1)).movedim(1, {axis})")


def _slopes(w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held]) -> Held:
    if part.solved().get("channel") == 1:
        return replace(values[0], text=f"{modules[0]}({values[0].text})")
    (stored,) = part.shapes.values()
    axis = next((k for k, size in enumerate(stored) if size > 1), len(stored) - 1) - len(stored)
    return _along_channels(w, node, part, modules, values, axis)


def _along_features(w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held]) -> Held:
    """A norm over the last axes, where PyTorch has them."""
    x = values[0].as_source()
    rank = x.rank or 2
    axes = sorted(axis % rank for axis in part.normalization.axes or (-1,))
    last = list(range(rank - len(axes), rank))
    if axes == last:
        return replace(x, text=f"{modules[0]}({x.text})")
    moved = f"{x.text}.movedim({tuple(axes)}, {tuple(last)})"
    return replace(x, text=f"{modules[0]}({moved}).movedim({tuple(last)}, {tuple(axes)})")


def _as_it_is(w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held]) -> Held:
    """A layer whose axes are those of the source."""
    return Held(f"{modules[0]}({values[0].as_source().text})", w.shape(node.outputs[0]))


def _normalization(w: Writing, node: Node, part: Part, modules: Sequence[str], values: list[Held]) -> Held:
    """Statistics of each feature, which the module has on the last axis."""
    x, axis = values[0].as_source(), (part.normalization.axes or (-1,))[0]
    if axis == -1 or (x.rank and axis == x.rank - 1):
        return replace(x, text=f"{modules[0]}({x.text})")
    return replace(x, text=f"{modules[0]}({x.text}.movedim({axis}, -1)).movedim(-1, {axis})")


_LOWER: Mapping[str, Lower] = {
    "linear": _linear,
    "embedding": _embedding,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "depthwise_conv1d", "depthwise_conv2d"), _convolution),
    **dict.fromkeys(("separable_conv1d", "separable_conv2d"), _convolution),
    **dict.fromkeys((f"conv_transpose{n}d{kind}" for n in (1, 2, 3) for kind in ("", "_grouped")), _convolution),
    **dict.fromkeys(("locally_connected1d", "locally_connected2d"), _locally_connected),
    "batch_norm": _along_channels,
    "group_norm": _along_channels,
    "prelu": _slopes,
    **dict.fromkeys(("prelu_by_element", "prelu_by_element_2d"), _as_it_is),
    **dict.fromkeys(("einsum_2_1", "einsum_2_2", "einsum_3_1", "einsum_3_2"), _as_it_is),
    **dict.fromkeys(("normalization", "normalization_of_all"), _normalization),
    **dict.fromkeys(("layer_norm", "layer_norm_2d", "layer_norm_3d", "rms_norm"), _along_features),
}
