"""Masks as values of a model of Keras 3, made by functions of `keras.ops`."""

from __future__ import annotations

from typing import Any

from converters.model import operations as op
from converters.model.graph import Node
from converters.targets.keras.network.sketch import Held, Tensor
from converters.targets.keras.network.work import Work


def made(w: Work, name: str) -> None:
    """Write the functions that make a mask, and those that make the masks that it is made of."""
    waiting = [name]
    while waiting:
        node = w.makers.get(waiting[-1])
        missing = [each for each in node.inputs if each not in w.held] if node is not None else []
        if missing:
            waiting += missing[:1]
            continue
        waiting.pop()
        if node is not None and node.outputs[0] not in w.held:
            _make(w, node)


def _make(w: Work, node: Node) -> None:
    inputs, settings = [w.held[name] for name in node.inputs], node.operation
    timed = inputs[0].timed
    if isinstance(settings, op.MergeTime):
        timed += 1
        tensor = inputs[0].tensor
    elif isinstance(settings, op.SplitTime):
        timed -= 1
        tensor = inputs[0].tensor
    elif isinstance(settings, op.MaskOf):
        tensor = _differs(w, node, inputs[0], settings)
    elif isinstance(settings, op.MaskOfLengths):
        tensor = _of_lengths(w, node, *inputs)
    elif isinstance(settings, op.BothMasks | op.EitherMask):
        tensor = _joined(w, node, inputs, "LogicalAnd" if isinstance(settings, op.BothMasks) else "LogicalOr")
    elif isinstance(settings, op.EveryStep):
        tensor = _every(w, node, inputs[0])
    elif isinstance(settings, op.AddAxis):
        axis = inputs[0].axis(settings.axis)
        tensor = w.sketch.function(f"{node.name}_mask", "ExpandDims", [inputs[0].tensor], axis=axis)
    elif isinstance(settings, op.Concatenate):
        axis = inputs[0].axis(settings.axis)
        tensor = w.sketch.function(f"{node.name}_mask", "Concatenate", [[each.tensor for each in inputs]], axis=axis)
    else:
        w.sketch.refuse(node, f"a mask by {type(settings).__name__} has no form in Keras 3 here")
        tensor = inputs[0].tensor
    w.held[node.outputs[0]] = Held(tensor, w.shape(node.outputs[0]), timed)


def _differs(w: Work, node: Node, x: Held, settings: op.MaskOf) -> Tensor:
    value = int(settings.value) if settings.indices else settings.value
    tensor = w.sketch.function(f"{node.name}_differs", "NotEqual", [x.tensor, value])
    if settings.indices:
        return tensor
    return w.sketch.function(f"{node.name}_mask", "Any", [tensor], axis=-1, keepdims=False)


def _of_lengths(w: Work, node: Node, x: Held, lengths: Held) -> Tensor:
    """Steps are counted from 1, and compared."""
    key = [slice(None), slice(None), *[0] * (len(x.shape or ()) - 2)]
    one = w.sketch.function(f"{node.name}_step", "GetItem", [x.tensor, key])
    ones = w.sketch.function(f"{node.name}_ones", "OnesLike", [one], dtype="int32")
    numbers = w.sketch.function(f"{node.name}_number", "Cumsum", [ones], axis=1)
    most = w.sketch.function(f"{node.name}_lengths", "ExpandDims", [lengths.tensor], axis=1)
    return w.sketch.function(f"{node.name}_mask", "LessEqual", [numbers, most])


def _joined(w: Work, node: Node, inputs: list[Held], how: str) -> Tensor:
    tensor = inputs[0].tensor
    for other in inputs[1:]:
        tensor = w.sketch.function(f"{node.name}_mask", how, [tensor, other.tensor])
    return tensor


def _every(w: Work, node: Node, x: Held) -> Tensor:
    """A mask or its contrary: always true."""
    rank = len(x.shape or ()) or 2
    mask = w.sketch.function(f"{node.name}_differs", "NotEqual", [x.tensor, 0])
    for _ in range(rank - 2):
        mask = w.sketch.function(f"{node.name}_any", "Any", [mask], axis=-1, keepdims=False)
    contrary = w.sketch.function(f"{node.name}_not", "LogicalNot", [mask])
    return w.sketch.function(f"{node.name}_mask", "LogicalOr", [mask, contrary])


def beside(w: Work, node: Node, mask: str, x: Held) -> Tensor | None:
    """A mask with as many axes as x, to stand beside it; None where these are not known."""
    tensor, held = w.mask(mask), w.held[mask]
    if x.shape is None or held.shape is None:
        w.sketch.refuse(node, "the number of axes that it masks is not known")
        return None
    for _ in range(len(x.shape) - len(held.shape)):
        tensor = w.sketch.function(f"{node.name}_mask", "ExpandDims", [tensor], axis=-1)
    return tensor


def masked(w: Work, node: Node, settings: op.Masked, inputs: list[Held]) -> Held:
    """Numbers in the steps that a mask leaves out: a Masking layer where the mask is that of its own input."""
    x, maker = inputs[0], w.makers.get(node.inputs[1])
    own = maker is not None and isinstance(maker.operation, op.MaskOf) and maker.inputs == node.inputs[:1]
    if own and maker is not None and not x.timed and settings.value == 0.0 and not _indices(maker):
        value: Any = getattr(maker.operation, "value", 0.0)
        tensor = w.sketch.layer(node.name, "Masking", {"mask_value": value}, [x.tensor])
        return Held(tensor, x.shape, 0, node.inputs[1])
    mask = beside(w, node, node.inputs[1], x)
    tensor = w.sketch.function(node.name, "Where", [mask, x.tensor, settings.value])
    return Held(tensor, x.shape, x.timed)


def _indices(maker: Node) -> bool:
    return bool(getattr(maker.operation, "indices", False))


def choose(w: Work, node: Node, settings: op.Choose, inputs: list[Held]) -> Held:
    """One of two values, step by step."""
    mask = beside(w, node, node.inputs[2], inputs[0])
    tensor = w.sketch.function(node.name, "Where", [mask, inputs[0].tensor, inputs[1].tensor])
    return Held(tensor, inputs[0].shape, inputs[0].timed)
