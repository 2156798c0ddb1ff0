"""What a Keras configuration means, by the version that wrote it.

The same word meant different things: `hard_sigmoid` is clip(0.2 x + 0.5) until Keras 2 and clip(x / 6 + 0.5) in
Keras 3; defaults of recurrent_activation, reset_after and epsilon changed too. Sources: the constructors of each
version, outputs compared in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from layouts.errors import printable

Config = Mapping[str, Any]

GATED = {"LSTM", "LSTMCell", "GRU", "GRUCell", "PeepholeLSTMCell"}
GRUS = {"GRU", "GRUCell"}
RECURRENT = GATED | {"SimpleRNN", "SimpleRNNCell", "CuDNNLSTM", "CuDNNGRU"}

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


def cell_options(class_name: str, config: Config, version: Version) -> dict[str, Any]:
    """The options of a cell that decide what it computes, with this version's defaults for what is not written."""
    options: dict[str, Any] = {}
    if class_name in RECURRENT:
        options["activation"] = activation(config.get("activation", "tanh"), version)
    if class_name in GATED:
        gate = config.get("recurrent_activation", config.get("inner_activation"))
        options["recurrent_activation"] = activation(gate, version) if gate else version.recurrent_activation
    if class_name in GRUS:
        options["reset_after"] = bool(config.get("reset_after", False))
    return options


_EPSILON = {
    "BatchNormalization": 1e-3,
    "LayerNormalization": 1e-3,
    "GroupNormalization": 1e-3,
    "RMSNormalization": 1e-6,
}
_FACTS = (
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "zero_output_for_mask",
    "time_major",
    "strides",
    "padding",
    "dilation_rate",
    "groups",
    "data_format",
    "mask_zero",
    "axis",
    "momentum",
    "shared_axes",
    "num_heads",
    "unroll",
    "dropout",
    "recurrent_dropout",
    "use_causal_mask",
    "rms_scaling",
)
_KERAS1_FACTS = {
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
}


def facts(class_name: str, config: Config, version: Version) -> dict[str, Any]:
    """What a configuration says about a layer that its weights do not: for constructor arguments and forward code."""
    found = {name: config[name] for name in _FACTS if name in config}
    found |= {new: config[old] for old, new in _KERAS1_FACTS.items() if old in config}
    if config.get("dim_ordering") == "th":
        found["data_format"] = "channels_first"
    kind = class_name.removeprefix("Sync")
    if kind in _EPSILON:
        found["epsilon"] = config.get("epsilon", _EPSILON[kind])
    if class_name not in RECURRENT and "activation" in config:
        found["activation"] = activation(config["activation"], version)
    return found
