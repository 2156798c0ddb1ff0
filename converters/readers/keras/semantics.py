"""What a Keras configuration means, by the version that wrote it.

The same word meant different things: `hard_sigmoid` is clip(0.2 x + 0.5) until Keras 2 and clip(x / 6 + 0.5) in
Keras 3; defaults of recurrent_activation, reset_after and epsilon changed too. Sources: the constructors of each
version, outputs compared in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from converters.model.layers import Layer
from converters.model.settings import Call
from converters.readers.keras.config import Config, Leaf
from layouts.errors import NotRepresentable, printable
from layouts.layout import Layout
from layouts.options import Convolution, ConvolutionalRecurrence, Normalization, Options, Product, Recurrence
from layouts.records import dataclass, replace

GRUS = {"GRU", "GRUCell"}
RECURRENT = {"LSTM", "LSTMCell", "PeepholeLSTMCell", "GRU", "GRUCell"} | {
    "SimpleRNN",
    "SimpleRNNCell",
    "CuDNNLSTM",
    "CuDNNGRU",
}
LOCALLY_CONNECTED = {"LocallyConnected1D", "LocallyConnected2D"}
CONV_LSTMS = {"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}

_ALIASES = {"swish": "silu", "hard_swish": "hard_silu", None: "linear"}


@dataclass(frozen=True)
class Version:
    """The version of Keras that wrote a file; `text` is empty where the file does not say."""

    text: str
    number: tuple[int, ...]
    tensorflow: bool = False

    @property
    def major(self) -> int:
        return self.number[0] if self.number else 0

    @property
    def zeroes_masked(self) -> bool:
        """Whether Bidirectional gives zeros at masked steps of its sequences: not so in multi-backend Keras 2."""
        return self.tensorflow or self.number >= (2, 4)

    @property
    def hard_sigmoid(self) -> str:
        """Which of the two functions this version calls hard_sigmoid."""
        return "hard_sigmoid_1/6" if self.major >= 3 else "hard_sigmoid_0.2"

    @property
    def recurrent_activation(self) -> str:
        """The default of LSTM and GRU: hard_sigmoid until Keras 2.2 and in Keras 1."""
        old = 0 < self.major < 2 or (self.major == 2 and self.number < (2, 3) and not self.tensorflow)
        return "hard_sigmoid_0.2" if old else "sigmoid"


KERAS1 = Version("1, by the names of its arrays", (1,))
"""A weights-only file of Keras 1 tells no version, but only Keras 1 named its arrays `lstm_1_W_i`."""


def parse_version(text: object) -> Version:
    """Read '2.2.4-tf' or '3.9.2'; anything else is a version that is not known."""
    text = text if isinstance(text, str) else ""
    match = re.match(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", text)
    number = tuple(int(part) for part in match.groups() if part) if match else ()
    return Version(printable(text), number, "-tf" in text)


def activation(value: Any, version: Version) -> str:
    """The neutral name of an activation as a configuration spells it: a name, or a serialised function or layer."""
    if isinstance(value, dict):
        inner = value.get("config")
        function = value.get("class_name") in ("function", None)
        value = inner if function and isinstance(inner, str) else _described(value)
    if value is not None and not isinstance(value, str):
        return printable(repr(value))
    value = value.rpartition(">")[2] if value else value
    if value == "hard_sigmoid":
        return version.hard_sigmoid
    return printable(_ALIASES.get(value, value))


def _described(value: Config) -> str:
    """A layer or an unknown object used as an activation, by its class name."""
    return f"{value.get('class_name') or value.get('registered_name')} object"


def conditions(class_name: str, config: Config) -> dict[str, Any]:
    """What decides between the layouts of a class: how a GRU resets, and in which order the axes of a kernel are."""
    found: dict[str, Any] = {"dim_ordering": config.get("dim_ordering", "tf")}
    if class_name in LOCALLY_CONNECTED:
        found["channels_last"] = is_channels_last(config)
    if class_name in GRUS:
        found["reset_after"] = bool(config.get("reset_after", False))
    return found


def options(class_name: str, config: Config, version: Version, layout: Layout) -> Options:
    """What a layer computes, with this version's defaults for what is not written."""
    usual = layout.options
    if isinstance(usual, Recurrence):
        return replace(usual, **{k: v for k, v in _recurrence(config, version).items() if k in _open(layout)})
    if isinstance(usual, ConvolutionalRecurrence):
        told = {**_recurrence(config, version), **_convolution(config)}
        return replace(usual, **{name: value for name, value in told.items() if name in layout.cell.chooses})
    if isinstance(usual, Convolution):
        return replace(usual, **_convolution(config))
    if isinstance(usual, Product):
        return replace(usual, equation=_equation(config.get("equation")))
    if isinstance(usual, Normalization):
        return replace(usual, **_normalization(class_name.removeprefix("Sync"), config))
    return usual


_LETTERS = re.compile(r"(\.\.\.)?[a-zA-Z]*(\.\.\.)?,[a-zA-Z]+->(\.\.\.)?[a-zA-Z]*(\.\.\.)?")


def _equation(value: Any) -> str:
    """An equation of letters as einsum reads them. Raises `NotRepresentable` for anything else."""
    text = value.replace(" ", "") if isinstance(value, str) and len(value) < 100 else ""
    if not _LETTERS.fullmatch(text):
        raise NotRepresentable(f"its equation {printable(repr(value))} is none of an input and a kernel")
    return text


def _open(layout: Layout) -> set[str]:
    """The options that a cell has and its layout leaves open."""
    return set(layout.cell.chooses) - set(layout.implies)


def _recurrence(config: Config, version: Version) -> dict[str, Any]:
    gate = config.get("recurrent_activation", config.get("inner_activation"))
    return {
        "activation": activation(config.get("activation", "tanh"), version),
        "recurrent_activation": activation(gate, version) if gate else version.recurrent_activation,
    }


def _convolution(config: Config) -> dict[str, Any]:
    strides = _first(config, "strides", "subsample", "subsample_length")
    return {
        "strides": _numbers(strides),
        "dilation": _numbers(_first(config, "dilation_rate", "atrous_rate")),
        "groups": _whole(config.get("groups"), 1),
        "padding": str(_first(config, "padding", "border_mode") or "valid"),
        "output_padding": _numbers(config.get("output_padding")),
        "channels_last": is_channels_last(config),
    }


def is_channels_last(config: Config) -> bool:
    """Whether a layer over maps has their channels on the last axis."""
    return config.get("data_format") != "channels_first" and config.get("dim_ordering") != "th"


EPSILON = {
    "BatchNormalization": 1e-3,
    "LayerNormalization": 1e-3,
    "GroupNormalization": 1e-3,
    "RMSNormalization": 1e-6,
}


def _normalization(class_name: str, config: Config) -> dict[str, Any]:
    axis = config.get("axis", -1)
    return {
        "epsilon": _number("epsilon", config.get("epsilon", EPSILON.get(class_name))),
        "momentum": _number("momentum", config.get("momentum")),
        "axes": _numbers(axis),
        "groups": _whole(config.get("groups"), 0),
        "rms_scaling": config.get("rms_scaling") is True,
        "invert": config.get("invert") is True,
    }


def _number(name: str, value: Any) -> float | None:
    """An option that is a number, or not told. Raises `NotRepresentable` for anything else."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise NotRepresentable(f"its {name} is {printable(repr(value))}, and no number")
    return value


def _first(config: Config, *keys: str) -> Any:
    """The value under the first of these names: later versions renamed them."""
    return next((config[key] for key in keys if config.get(key) is not None), None)


def _numbers(value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(n for n in values if isinstance(n, int) and not isinstance(n, bool))


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def call(leaf: Leaf, version: Version) -> Call:
    """How a model calls a layer, from the configurations of its cells, of the first where several tell it."""
    told: dict[str, Any] = {}
    for cell in leaf.cells[::-1]:
        told |= {key: cell.config[key] for key in _CALLED if key in cell.config}
    told |= {key: leaf.config[key] for key in ("merge_mode", "zero_output_for_mask") if key in leaf.config}
    recurrent = leaf.cells[0].class_name in RECURRENT | CONV_LSTMS
    repeats = leaf.cells[0].class_name in CONV_LSTMS and version.major < 3  # its `call` passes no zero_output_for_mask
    sequences = bool(told.get("return_sequences")) if "return_sequences" in told else None
    both = leaf.class_name == "Bidirectional"
    forced = both and version.zeroes_masked and sequences is not None  # Bidirectional sets it in both of its layers
    return Call(
        sequences=sequences if recurrent else None,
        states=bool(told.get("return_state")),
        direction="backward" if told.get("go_backwards") else "forward",
        merge=str(told.get("merge_mode", "concat") or "pair") if both else "",
        time_axis=0 if told.get("time_major") else 1,
        zeros_where_masked=not repeats and bool(sequences if forced else told.get("zero_output_for_mask")),
        stateful=bool(told.get("stateful")),
        recurrent_dropout=_rate(told.get("recurrent_dropout")),
        each_step="TimeDistributed" in leaf.wrappers,
        padding_index=told.get("mask_zero") is True,
        activation="linear" if recurrent else activation(told.get("activation", "linear"), version),
    )


def not_saved(layers: Iterable[Layer], version: Version) -> Iterator[str]:
    """What a version never writes of its layers: Keras 1 saves no `subsample` of a ConvLSTM2D, and loads it as 1."""
    for layer in layers:
        if version.major == 1 and any(part.cell.name.startswith("conv_lstm") for part in layer.parts):
            yield (
                f"{printable(layer.path)}: Keras 1 saves no strides of a ConvLSTM2D; they are 1, as Keras 1 loads the "
                "file: a model that was trained with others does not compute what its file tells"
            )


def _rate(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else 0.0


_CALLED = (
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "zero_output_for_mask",
    "time_major",
    "recurrent_dropout",
    "mask_zero",
    "activation",
)
"""The keys of a configuration that tell how a layer is called."""
