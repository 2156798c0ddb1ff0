"""Configs that are no config, too deep, too large, or ask for code to be run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .cases import (
    archive,
    full,
    h5_model,
    keras3_config,
    keras3_layer,
    keras3_members,
    lstm_config,
    table,
)

DEEP = 10_000


def _config(folder: Path, content: bytes | str | object) -> Path:
    """A `.keras` archive with this config: bytes or text as they are, else as JSON."""
    if not isinstance(content, (bytes, str)):
        content = json.dumps(content)
    raw = content.encode() if isinstance(content, str) else content
    return archive(folder / "model.keras", keras3_members() | {"config.json": raw})


def _layers(folder: Path, *layers: Any) -> Path:
    """A Sequential model of these layers."""
    config = keras3_config()
    config["config"]["layers"] = list(layers)
    return _config(folder, config)


def _units(folder: Path, units: Any) -> Path:
    return _config(folder, keras3_config(units=units))


def config_empty(folder: Path) -> Path:
    """A config of no bytes."""
    return _config(folder, b"")


def config_a_list(folder: Path) -> Path:
    """A config that is a list."""
    return _config(folder, [])


def config_a_number(folder: Path) -> Path:
    """A config that is a number."""
    return _config(folder, "5")


def config_not_a_number(folder: Path) -> Path:
    """A config that is NaN, which Python reads and JSON has not."""
    return _config(folder, "NaN")


def config_truncated(folder: Path) -> Path:
    """A config that ends in its middle."""
    return _config(folder, json.dumps(keras3_config())[:100])


def config_10000_deep(folder: Path) -> Path:
    """Lists 10,000 deep: a parser's stack ends (rule 1)."""
    return _config(folder, "[" * DEEP + "]" * DEEP)


def config_of_objects_10000_deep(folder: Path) -> Path:
    """Models in models, 10,000 deep (rule 1)."""
    head = '{"class_name": "Sequential", "config": {"layers": ['
    return _config(folder, head * DEEP + "]}}" * DEEP)


def config_of_objects_by_the_million(folder: Path) -> Path:
    """Two million empty objects in 6 MB: a hundred times that in memory (rules 1 and 5)."""
    return _config(folder, "[" + "{}," * 2_000_000 + "{}]")


def config_with_keys_twice_in_a_crowd(folder: Path) -> Path:
    """The last of 300,000 keys stands there already (rule 5)."""
    return _config(folder, "{" + "".join(f'"{n}":0,' for n in range(300_000)) + '"299999":0}')


def config_of_60_megabytes(folder: Path) -> Path:
    """A config of sound JSON in 60 MB (rule 1: 40 MB)."""
    return _config(folder, keras3_config() | {"padding": "x" * full(60_000_000)})


def config_with_keys_twice(folder: Path) -> Path:
    """An object has the key `units` twice: readers take the first or the last."""
    text = json.dumps(keras3_config())
    return _config(folder, text.replace('"units": 5', '"units": 7, "units": 5'))


def config_of_bad_utf8(folder: Path) -> Path:
    """A config that is no UTF-8."""
    return _config(folder, json.dumps(keras3_config()).encode().replace(b"lstm", b"ls\xff\xfe"))


def config_with_half_a_character(folder: Path) -> Path:
    """A layer's name is half a surrogate pair: printing it fails (rule 8)."""
    return _config(folder, keras3_config(name="lstm\ud800"))


def config_with_control_characters(folder: Path) -> Path:
    """A layer's name clears the terminal and forges a line (rule 8)."""
    return _config(folder, keras3_config(name="lstm\x1b[2J\r\nOK: converted"))


def config_with_a_path(folder: Path) -> Path:
    """A layer's name climbs out of its group (rule 2)."""
    return _config(folder, keras3_config(name="../../vars"))


def config_with_a_huge_integer(folder: Path) -> Path:
    """A number of a million digits, slow to parse and over Python's own limit (rule 1)."""
    text = json.dumps(keras3_config())
    return _config(folder, text.replace('"units": 5', '"units": ' + "9" * 1_000_000))


def config_class_of_os(folder: Path) -> Path:
    """A layer whose class is `os.system`, never to be imported (rule 1)."""
    return _layers(folder, keras3_layer("system", module="os", command="true"))


def config_class_by_path(folder: Path) -> Path:
    """A custom class under the registered name of another module (rule 1)."""
    custom = keras3_layer("LSTM", module="builtins", **lstm_config())
    return _layers(folder, custom | {"registered_name": "evil>LSTM"})


def config_function_activation(folder: Path) -> Path:
    """An activation that is a function to import (rule 1)."""
    function = {"module": "os", "class_name": "function", "config": "abort", "registered_name": "abort"}
    return _config(folder, keras3_config(activation=function))


def config_unknown_activation(folder: Path) -> Path:
    """An activation of no known name: the outputs would be others (rule 7)."""
    return _config(folder, keras3_config(activation="tanh_ish"))


def config_layers_a_number(folder: Path) -> Path:
    """A model whose layers are a number."""
    return _config(folder, {"class_name": "Sequential", "config": {"layers": 3}})


def config_of_6000_layers(folder: Path) -> Path:
    """A model of 6,000 layers, each looked up in all that follows (rule 5: bounded counts)."""
    return _layers(folder, *(keras3_layer("Dense", name=f"d{n}", units=5) for n in range(6_000)))


def config_layer_a_string(folder: Path) -> Path:
    """A model one of whose layers is a string."""
    return _layers(folder, "LSTM")


def config_without_layers(folder: Path) -> Path:
    """A model of no layers, its weights there (rule 6)."""
    return _layers(folder)


def config_layer_name_twice(folder: Path) -> Path:
    """Two layers of one name: which has the weights? (rule 6)"""
    return _layers(folder, *[keras3_layer("LSTM", **lstm_config())] * 2)


def units_negative(folder: Path) -> Path:
    """An LSTM of -1 units (rule 1: integers range-checked)."""
    return _units(folder, -1)


def units_zero(folder: Path) -> Path:
    """An LSTM of no units (rule 1)."""
    return _units(folder, 0)


def units_huge(folder: Path) -> Path:
    """An LSTM of 2**40 units: sizes come from stored data only (row 7, rule 1)."""
    return _units(folder, 2**40)


def units_a_string(folder: Path) -> Path:
    """An LSTM of "5" units (rule 1)."""
    return _units(folder, "5")


def units_true(folder: Path) -> Path:
    """An LSTM of `true` units, which Python counts as one (rule 1)."""
    return _units(folder, True)


def units_a_fraction(folder: Path) -> Path:
    """An LSTM of 5.5 units (rule 1)."""
    return _units(folder, 5.5)


def units_infinite(folder: Path) -> Path:
    """An LSTM of Infinity units, which Python reads and JSON has not (rule 1)."""
    return _units(folder, float("inf"))


def units_not_of_the_weights(folder: Path) -> Path:
    """The config says 7 units, the weights say 5 (rule 7)."""
    return _units(folder, 7)


def h5_config_10000_deep(folder: Path) -> Path:
    """The config attribute of an HDF5 model is 10,000 deep (rule 1)."""
    return _attribute(folder, "[" * DEEP + "]" * DEEP)


def h5_config_malformed(folder: Path) -> Path:
    """The config attribute of an HDF5 model is no JSON."""
    return _attribute(folder, "{'units': 5}")


def h5_config_of_60_megabytes(folder: Path) -> Path:
    """The config attribute of an HDF5 model has 60 MB (rule 1: 40 MB)."""
    return _attribute(folder, " " * full(60_000_000) + "{}")


def h5_config_a_number(folder: Path) -> Path:
    """The config attribute of an HDF5 model is a number."""
    return _attribute(folder, 5)


def _attribute(folder: Path, value: object) -> Path:
    return h5_model(folder / "model.h5", lambda file: file.attrs.__setitem__("model_config", value))


CASES = table(
    "json",
    {
        config_empty: "JSON",
        config_a_list: "config.json",
        config_a_number: "config.json",
        config_not_a_number: "JSON",
        config_truncated: "JSON",
        config_10000_deep: "deep",
        config_of_objects_10000_deep: "deep",
        config_of_objects_by_the_million: "values",
        config_with_keys_twice_in_a_crowd: "twice",
        config_of_60_megabytes: "too large",
        config_with_keys_twice: "twice",
        config_of_bad_utf8: "UTF-8",
        config_with_half_a_character: "name",
        config_with_control_characters: "name",
        config_with_a_path: "name",
        config_with_a_huge_integer: "JSON",
        config_class_of_os: "system",
        config_class_by_path: "evil>LSTM",
        config_function_activation: "activation",
        config_unknown_activation: "activation",
        config_layers_a_number: "layers",
        config_of_6000_layers: "5000 layers",
        config_layer_a_string: "layers",
        config_without_layers: "layers/lstm",
        config_layer_name_twice: "layers/lstm_1",
        units_negative: "units",
        units_zero: "units",
        units_huge: "units",
        units_a_string: "units",
        units_true: "units",
        units_a_fraction: "units",
        units_infinite: "JSON",
        units_not_of_the_weights: "units",
        h5_config_10000_deep: "deep",
        h5_config_malformed: "JSON",
        h5_config_of_60_megabytes: "too large",
        h5_config_a_number: "model_config",
    },
)
