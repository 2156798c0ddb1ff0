"""Which options no array tells, for every class of layer, and what is assumed where the user states nothing.

Defaults are those of the constructors of Keras. An option without one says how a layer is called, which its module does
not depend on: nothing is assumed, and it can be stated. Data, and the readers of values as a person writes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from converters.readers.keras.config import Config
from converters.readers.keras.semantics import EPSILON, GRUS, LOCALLY_CONNECTED, RECURRENT, Version, activation
from layouts.errors import ConversionError
from layouts.reference import ACTIVATIONS


class Value(NamedTuple):
    """How the value of an option is written: `read` raises `ValueError` for any other text."""

    read: Callable[[str, Version], Any]
    words: str


def _choice(*texts: str) -> Value:
    def read(text: str, _: Version) -> str:
        if text not in texts:
            raise ValueError
        return text

    return Value(read, f"one of {', '.join(texts)}")


def _flag(text: str, _: Version) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _positive(text: str, _: Version) -> float:
    value = float(text)
    if not 0.0 < value < math.inf:
        raise ValueError
    return value


def _whole(least: int, most: int) -> Callable[[str, Version], int]:
    def read(text: str, _: Version) -> int:
        if not re.fullmatch(r"-?\d{1,9}", text) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return read


def _several(least: int, most: int) -> Callable[[str, Version], list[int]]:
    one = _whole(least, most)
    return lambda text, version: [one(word.strip(), version) for word in text.split(",")]


def _sizes(text: str, version: Version) -> tuple[int, ...]:
    """The sizes of a map, channels last; none where no map was flattened."""
    sizes = () if text == "no" else tuple(_several(1, _MOST)(text, version))
    if len(sizes) not in (0, 2, 3, 4):
        raise ValueError
    return sizes


def _function(text: str, version: Version) -> str:
    if text == "hard_sigmoid" and not version.number:
        raise ConversionError(
            "hard_sigmoid is two functions, and the file stores no version: state hard_sigmoid_0.2 (Keras 1 and 2) or "
            "hard_sigmoid_1/6 (Keras 3)"
        )
    name = activation(text, version)
    if name not in FUNCTIONS:
        raise ValueError
    return name


_MOST = 10**9
_MORE = "softmax relu6 mish log_softmax hard_silu hard_tanh leaky_relu celu glu log_sigmoid tanh_shrink soft_shrink "
FUNCTIONS = {*ACTIVATIONS, *_MORE.split(), "hard_shrink", "squareplus", "threshold", "sparsemax", "sparse_plus"}
"""The activations of any Keras by their names here."""

_TRUTH = Value(_flag, "true or false")
_COUNTS = Value(_several(1, _MOST), "a number, or one for each axis: 2 or 2,1")
_ACTIVATION = Value(_function, "the name of an activation: tanh, relu, softmax, …")
VALUES: Mapping[str, Value] = {
    "activation": _ACTIVATION,
    "recurrent_activation": _ACTIVATION,
    "reset_after": _TRUTH,
    "merge_mode": _choice("concat", "sum", "mul", "ave"),
    "return_sequences": _TRUTH,
    "return_state": _TRUTH,
    "go_backwards": _TRUTH,
    "stateful": _TRUTH,
    "zero_output_for_mask": _TRUTH,
    "mask_zero": _TRUTH,
    "kernel_size": _COUNTS,
    "padding": _choice("valid", "same", "causal"),
    "strides": _COUNTS,
    "dilation_rate": _COUNTS,
    "groups": Value(_whole(1, _MOST), "a number of groups"),
    "data_format": _choice("channels_last", "channels_first"),
    "epsilon": Value(_positive, "a positive number"),
    "momentum": Value(_positive, "a positive number"),
    "axis": Value(_several(-8, 8), "an axis, or several: -1 or 1,2"),
    "rank": Value(_whole(2, 5), "the number of axes of the input, batch included: 2 to 5"),
    "flattened": Value(_sizes, "the sizes of the map that was flattened, channels last: H,W,C; or no"),
}

_CALLED = ("return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask")
_BY_CLASS: Mapping[str, Config] = {
    "Dense": {"activation": "linear"},
    "Embedding": {"mask_zero": False},
    "BatchNormalization": {"axis": [-1], "rank": 2, "momentum": None},
    "LayerNormalization": {"axis": None},
    "GroupNormalization": {"axis": [-1], "groups": 32},
}
_ALSO = {"TimeDistributedDense": "Dense", "SyncBatchNormalization": "BatchNormalization"}
_WINDOW: Config = {
    "activation": "linear",
    "padding": "valid",
    "strides": [1],
    "dilation_rate": [1],
    "data_format": "channels_last",
}


def assumable(class_name: str, config: Config, version: Version, *, both: bool) -> dict[str, Any]:
    """The options of a layer that no array tells, each with what is assumed of it; None where nothing is.

    `config` is what the arrays imply; `both`: the layer runs in two directions.
    """
    if class_name in RECURRENT:
        return _recurrent(class_name, config, version, both=both)
    found = dict(_BY_CLASS.get(_ALSO.get(class_name, class_name), {}))
    if class_name in LOCALLY_CONNECTED:
        return {"kernel_size": None, "activation": "linear", "strides": [1], "data_format": "channels_last"}
    if "Conv" in class_name or class_name == "Deconvolution2D":
        found |= {key: value for key, value in _WINDOW.items() if key != "data_format" or "dim_ordering" not in config}
        found |= {"groups": 1} if class_name in ("Conv1D", "Conv2D", "Conv3D") else {}
    epsilon = EPSILON.get(class_name.removeprefix("Sync"))
    return {"epsilon": epsilon, **found} if epsilon else found


def _recurrent(class_name: str, config: Config, version: Version, *, both: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not class_name.startswith("CuDNN"):
        found["activation"] = "tanh"
    if class_name in {"LSTM", "LSTMCell", "PeepholeLSTMCell", *GRUS}:
        found["recurrent_activation"] = version.recurrent_activation
    if class_name in GRUS and config.get("use_bias") is False:
        found["reset_after"] = config.get("reset_after", False)
    if both:
        found["merge_mode"] = "concat"
    return found | {name: None for name in _CALLED if not (both and name == "go_backwards")}
