"""How shapes and maps flow through the layers between a convolution and what reads its map flattened.

A map is channels last in Keras and channels first in PyTorch. Shapes are propagated as far as they are certain; where a
map is reshaped in a way that is not followed, that is kept as a doubt and told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from converters.readers.keras.config import Config, Leaf
from layouts.records import dataclass

Shape = tuple[int | None, ...]

_SAME_SHAPE = {
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "LayerNormalization",
    "LeakyReLU",
    "PReLU",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ThresholdedReLU",
    "ReLU",
    "GroupNormalization",
    "RMSNormalization",
    "Softmax",
    "Masking",
    "InputLayer",
}
_ELEMENTWISE = {"Activation", "Dropout", "ReLU", "LeakyReLU", "ELU", "GaussianNoise", "GaussianDropout", "AlphaDropout"}
_CONVOLUTIONS = {"Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "SeparableConv1D", "SeparableConv2D"}
_LOCAL = {"LocallyConnected1D", "LocallyConnected2D"}
_SAME_RANK = {"AtrousConvolution1D", "AtrousConvolution2D", "Convolution3D", "Concatenate", "Add", "Multiply"}
"""Other layers whose output has as many axes as their input."""
_TRANSPOSED = {"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Deconvolution2D"}
_DEPTHWISE = {"DepthwiseConv1D", "DepthwiseConv2D"}
_POOLING = {f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)}
_WINDOWS = _CONVOLUTIONS | _DEPTHWISE | _POOLING | _LOCAL


RECURRENT_LAYERS = {"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "CuDNNLSTM", "CuDNNGRU"}


def returns_sequences(leaf: Leaf) -> bool:
    """Whether a recurrent layer gives its output at every step."""
    return any(cell.config.get("return_sequences") for cell in leaf.cells) or bool(leaf.config.get("return_sequences"))


@dataclass(frozen=True)
class Value:
    """What leaves a layer: its shape where certain, whether a mask goes with it, and the map it was flattened from.

    `spatial`: a map of a convolution, channels last. `flattened`: the sizes (…, channel) of a map that was flattened.
    `lost`: a map was reshaped in a way that is not followed.
    """

    shape: Shape | None = None
    mask: bool = False
    spatial: bool = False
    flattened: tuple[int, ...] | None = None
    lost: bool = False


def after(leaf: Leaf, value: Value, inputs: Sequence[Value]) -> Value:
    """What a layer makes of its (first) input."""
    kind, config, shape = leaf.class_name, leaf.config, value.shape
    if leaf.cells[0].class_name in _MAP_SEQUENCES:
        return _after_maps(leaf, shape)
    if _is_first(config):
        return Value(_after_first(leaf, shape))
    if kind == "Flatten":
        return _flatten(value)
    if kind in _ELEMENTWISE or (kind in _SAME_SHAPE and value.flattened is None):
        return value
    if kind in _WINDOWS:
        return Value(_window(kind, config, shape), spatial=True)
    if kind in ("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D") and value.spatial:
        sign = 1 if kind.startswith("Zero") else -1
        return Value(_padded(config.get("padding", config.get("cropping")), shape, sign), spatial=True)
    if kind in ("UpSampling1D", "UpSampling2D") and value.spatial and shape:
        factors = _tuple(config.get("size", config.get("length")), len(shape) - 2)
        sizes = [n * f if n else None for n, f in zip(shape[1:-1], factors, strict=False)]
        return Value((shape[0], *sizes, shape[-1]), spatial=True)
    if kind in ("Add", "Multiply", "Average", "Maximum") and all(v.spatial for v in inputs):
        return value
    lost = (value.spatial or value.flattened is not None or value.lost) and kind in _REORDERS
    return Value(_features(leaf, shape), lost=lost)


def _is_first(config: Config) -> bool:
    return config.get("data_format") == "channels_first" or config.get("dim_ordering") == "th"


def _after_first(leaf: Leaf, shape: Shape | None) -> Shape | None:
    """The shape behind a layer that has its channels first."""
    kind = leaf.class_name
    if shape is None or kind in _SAME_SHAPE:
        return shape
    if kind in _WINDOWS:
        last = _window(kind, leaf.config, (shape[0], *shape[2:], shape[1]))
        return (last[0], last[-1], *last[1:-1]) if last else (None,) * len(shape)
    return (None,) * len(shape) if kind in _TRANSPOSED else None


_MAP_SEQUENCES = {"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}


def _after_maps(leaf: Leaf, shape: Shape | None) -> Value:
    """The last map of a sequence of maps; a whole sequence has an axis more, and no flattened form in PyTorch."""
    cell = leaf.cells[0]
    if _is_first(cell.config):
        return Value()
    if returns_sequences(leaf) or "TimeDistributed" in leaf.wrappers:
        return Value(lost=True)
    found = _window(cell.class_name, cell.config, (shape[0], *shape[2:]) if shape else None)
    beside = leaf.class_name == "Bidirectional" and leaf.config.get("merge_mode", "concat") == "concat"
    if found and beside:
        found = (*found[:-1], found[-1] and 2 * found[-1])
    return Value(found, spatial=True)


def _features(leaf: Leaf, shape: Shape | None) -> Shape | None:
    """The shape behind a layer that makes features out of the last axis; their number does not matter here."""
    if shape is None:
        return None
    if leaf.class_name == "Embedding":
        return (*shape, None)
    if leaf.class_name in ("Dense", "TimeDistributedDense"):
        return (*shape[:-1], None)
    if leaf.class_name in _TRANSPOSED | _SAME_RANK:
        return (None,) * len(shape)
    if leaf.class_name in RECURRENT_LAYERS and len(shape) == 3:
        return (shape[0], shape[1], None) if returns_sequences(leaf) else (shape[0], None)
    return None


_REORDERS = {"Reshape", "Concatenate", "Merge", "BatchNormalization", "LayerNormalization", "Permute"}
"""Layers behind which a map that was not followed makes the order of features doubtful."""


def _flatten(value: Value) -> Value:
    sizes = value.shape[1:] if value.shape else ()
    if not value.spatial:
        return Value(lost=value.lost)
    if len(sizes) not in (2, 3, 4) or any(size is None for size in sizes):
        return Value(lost=True)
    whole = tuple(int(size) for size in sizes if size is not None)
    return Value((value.shape[0] if value.shape else None, math.prod(whole)), flattened=whole)


def _tuple(value: Any, count: int) -> list[int]:
    sizes = value if isinstance(value, list | tuple) else [value] * count
    return [n if isinstance(n, int) and n > 0 else 1 for n in sizes]


def _window(kind: str, config: Config, shape: Shape | None) -> Shape | None:
    """The output shape of a convolution or a pooling; None where the configuration does not tell."""
    if not shape or len(shape) < 3:
        return None
    count = len(shape) - 2
    size = config.get("kernel_size", config.get("pool_size", config.get("pool_length", config.get("filter_length"))))
    if size is None and "nb_row" in config:
        size = [config["nb_row"], config["nb_col"]]
    strides = config.get("strides", config.get("subsample", config.get("subsample_length", config.get("stride"))))
    padding = config.get("padding", config.get("border_mode", "valid"))
    if size is None or not isinstance(padding, str):
        return None
    steps = _tuple(strides if strides is not None else size if kind in _POOLING else 1, count)
    dilation = _tuple(config.get("dilation_rate", config.get("atrous_rate", 1)), count)
    widths = [(k - 1) * d + 1 for k, d in zip(_tuple(size, count), dilation, strict=False)]
    spatial = [_length(n, k, s, padding) for n, k, s in zip(shape[1:-1], widths, steps, strict=False)]
    return (shape[0], *spatial, _channels(kind, config, shape[-1]))


def _channels(kind: str, config: Config, channels: int | None) -> int | None:
    if kind in _POOLING:
        return channels
    if kind in _DEPTHWISE:
        times = config.get("depth_multiplier", 1)
        return channels * times if channels and isinstance(times, int) else None
    filters = config.get("filters", config.get("nb_filter"))
    return filters if isinstance(filters, int) else None


def _length(size: int | None, width: int, step: int, padding: str) -> int | None:
    if size is None:
        return None
    return -(-size // step) if padding in ("same", "causal") else (size - width) // step + 1


def _padded(value: Any, shape: Shape | None, sign: int) -> Shape | None:
    if not shape or not isinstance(value, list | int):
        return None
    pairs = value if isinstance(value, list) else [value] * (len(shape) - 2)
    if len(shape) == 3 and len(pairs) == 2 and all(isinstance(n, int) for n in pairs):
        pairs = [pairs]
    totals = [sum(p) if isinstance(p, list) else 2 * p for p in pairs]
    if len(totals) != len(shape) - 2:
        return None
    return (
        shape[0],
        *(n + sign * t if n is not None else None for n, t in zip(shape[1:-1], totals, strict=True)),
        shape[-1],
    )
