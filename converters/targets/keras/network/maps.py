"""Windows over maps without weights, as layers of Keras 3: pooling, padding, cropping, upsampling; channels last."""

from __future__ import annotations

from converters.model import operations as op
from converters.model.graph import Node
from converters.targets.keras.network.sketch import Config, Held
from converters.targets.keras.network.work import Work

Inputs = list[Held]


def last(w: Work, node: Node, x: Held, class_name: str, config: Config, count: int, channels_last: bool) -> Held:
    """A layer over a map of so many axes, between transpositions where its channels come first."""
    if channels_last:
        return w.layer(node, x, class_name, config)
    found = w.layer(node, w.channels(node, x, count, last=True), class_name, config)
    return w.channels(node, found, count, last=False)


def pool(w: Work, node: Node, settings: op.Pool, inputs: Inputs) -> Held:
    if settings.padding not in ("valid", "same") and any(settings.pads):
        w.sketch.refuse(node, f"pooling with padding {settings.padding} has no layer in Keras 3")
    kind, count = {"max": "Max", "average": "Average"}[settings.how], len(settings.size)
    padding = settings.padding if settings.padding in ("valid", "same") else "valid"
    config = {"pool_size": list(settings.size), "strides": list(settings.strides), "padding": padding}
    return last(w, node, inputs[0], f"{kind}Pooling{count}D", config, count, settings.channels_last)


def global_pool(w: Work, node: Node, settings: op.GlobalPool, inputs: Inputs) -> Held:
    kind = {"max": "Max", "average": "Average"}[settings.how]
    own = [rank for rank in (3, 4, 5) if node.class_name == f"Global{kind}Pooling{rank - 2}D"]
    rank = len(inputs[0].shape) if inputs[0].shape is not None else next(iter(own), 0)
    if rank not in (3, 4, 5):
        w.sketch.refuse(node, "a pool over all of a value whose axes are not known")
        return inputs[0]
    told = "channels_last" if settings.channels_last else "channels_first"
    config = {"keepdims": settings.keep_axes, "data_format": told}
    return w.layer(node, inputs[0], f"Global{kind}Pooling{rank - 2}D", config)


def _pairs(amounts: tuple[tuple[int, int], ...]) -> list[int] | list[list[int]]:
    """(before, after) of each axis; of one axis alone a plain pair."""
    return list(amounts[0]) if len(amounts) == 1 else [list(pair) for pair in amounts]


def pad(w: Work, node: Node, settings: op.Pad, inputs: Inputs) -> Held:
    if settings.how != "constant":
        w.sketch.refuse(node, f"padding by {settings.how} has no layer in Keras 3")
    if settings.value:
        w.sketch.refuse(node, f"padding by {settings.value} has no layer in Keras 3")
    count = len(settings.amounts)
    config = {"padding": _pairs(settings.amounts)}
    return last(w, node, inputs[0], f"ZeroPadding{count}D", config, count, settings.channels_last)


def crop(w: Work, node: Node, settings: op.Crop, inputs: Inputs) -> Held:
    count = len(settings.amounts)
    config = {"cropping": _pairs(settings.amounts)}
    return last(w, node, inputs[0], f"Cropping{count}D", config, count, settings.channels_last)


def up_sample(w: Work, node: Node, settings: op.UpSample, inputs: Inputs) -> Held:
    count = len(settings.factors)
    if settings.interpolation != "nearest" and count != 2:
        w.sketch.refuse(node, f"upsampling of {count} axes by {settings.interpolation} has no layer in Keras 3")
    config: Config = {"size": settings.factors[0] if count == 1 else list(settings.factors)}
    if count == 2:
        config["interpolation"] = settings.interpolation
    return last(w, node, inputs[0], f"UpSampling{count}D", config, count, settings.channels_last)
