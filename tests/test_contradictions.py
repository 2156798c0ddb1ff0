"""A configuration that states one thing, and arrays that say another: refused, and never one of the two believed."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hostile.cases import archive
from keras_files import Made, bidirectional, dense, numbers, other, recurrent, stacked, write

import converters
from converters import ConversionError
from converters.readers.keras.config import snake_case


def legacy(folder: Path, made: Made) -> Path:
    return write(folder / "model.h5", made)


def numbered(folder: Path, made: Made) -> Path:
    """The same layer in a `.keras` archive: its arrays under numbers."""
    buffer = BytesIO()
    cells = {"forward": "/forward_layer/cell", "backward": "/backward_layer/cell"}
    with h5py.File(buffer, "w") as file:
        counts: dict[str, int] = {}
        for name, array in made.arrays.items():
            way = next((below for side, below in cells.items() if f"/{side}_" in name), None)
            below = way or ("/cell" if made.class_name in ("LSTM", "GRU", "SimpleRNN") else _role(name))
            folder_name = f"layers/{snake_case(made.class_name)}{below}/vars"
            number = counts[folder_name] = counts.get(folder_name, -1) + 1
            file[f"{folder_name}/{number}"] = array
    layers = [{"class_name": made.class_name, "config": made.config}]
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    members = {"metadata.json": b'{"keras_version": "3.9.0"}', "config.json": json.dumps(config).encode()}
    return archive(folder / "model.keras", members | {"model.weights.h5": buffer.getvalue()})


def _role(name: str) -> str:
    words = name.split("/")
    return f"/{words[1].removeprefix('attention_')}_dense" if len(words) == 3 else ""


def without(made: Made, *names: str) -> Made:
    arrays = {name: array for name, array in made.arrays.items() if name.rpartition("/")[2] not in names}
    return made._replace(arrays=arrays)


def saying(made: Made, **config: Any) -> Made:
    """The same arrays under another configuration; None removes an option."""
    told = {key: value for key, value in (made.config | config).items() if value is not None or key not in config}
    return made._replace(config=told)


def inner(made: Made, **config: Any) -> Made:
    layer = made.config["layer"]
    return saying(made, layer=layer | {"config": layer["config"] | config})


def gru(**config: Any) -> Made:
    return recurrent("GRU", "x", 3, 5, **config)


def lstm(**config: Any) -> Made:
    return recurrent("LSTM", "x", 3, 5, **config)


BOTH = bidirectional("GRU", "x", 3, 5)
NORM = {"gamma": numbers(5), "beta": numbers(5)}
MOVING = {"moving_mean": numbers(5), "moving_variance": np.abs(numbers(5))}
BATCH = other("BatchNormalization", "x", NORM | MOVING)
LAYER = other("LayerNormalization", "x", NORM, axis=[-1])
GROUP = other("GroupNormalization", "x", NORM, groups=5)
CONV = other(
    "Conv2D", "x", {"kernel": numbers(2, 3, 5, 7), "bias": numbers(7)}, filters=7, kernel_size=[2, 3], groups=1
)
DEPTHWISE = other(
    "DepthwiseConv2D",
    "x",
    {"kernel": numbers(2, 3, 5, 7), "bias": numbers(35)},
    depth_multiplier=7,
    kernel_size=[2, 3],
)
SEPARABLE = other(
    "SeparableConv1D",
    "x",
    {"depthwise_kernel": numbers(2, 3, 5), "pointwise_kernel": numbers(1, 15, 7), "bias": numbers(7)},
    filters=7,
    kernel_size=[2],
    depth_multiplier=5,
)
EMBEDDING = other("Embedding", "x", {"embeddings": numbers(11, 3)}, input_dim=11, output_dim=3)
PRELU = other("PReLU", "x", {"alpha": numbers(1, 1, 5)}, shared_axes=[1, 2])
ATTENTION = other(
    "MultiHeadAttention",
    "x",
    {
        f"{role}/{name}": array
        for role in ("query", "key", "value")
        for name, array in {"kernel": numbers(6, 2, 3), "bias": numbers(2, 3)}.items()
    }
    | {"attention_output/kernel": numbers(2, 3, 6), "attention_output/bias": numbers(6)},
    num_heads=2,
    key_dim=3,
    value_dim=3,
)
SOUND = [
    gru(), lstm(), BOTH, dense("x", 3, 5), BATCH, LAYER, GROUP, CONV, DEPTHWISE, SEPARABLE, EMBEDDING, ATTENTION, PRELU,
    saying(gru(), reset_after=None), saying(lstm(), use_bias=None), lstm(use_bias=False), gru(use_bias=False),
    saying(without(LAYER, "beta"), center=False), saying(without(BATCH, "gamma"), scale=False),
    saying(CONV, groups=7), saying(dense("x", 3, 5), units=5.0),
]  # fmt: skip


@pytest.mark.parametrize("build", [legacy, numbered])
@pytest.mark.parametrize("made", SOUND, ids=lambda made: made.class_name)
def test_what_agrees_is_read(made: Made, build: Any, tmp_path: Path) -> None:
    (layer,) = converters.read(build(tmp_path, made)).layers
    assert layer.unknown is None, str(layer.unknown)


CONTRADICTIONS = {
    "reset-before-with-two-rows": (saying(gru(), reset_after=False), "reset_after=False"),
    "reset-after-with-one-row": (saying(gru(reset_after=False), reset_after=True), "reset_after=True"),
    "both-directions": (inner(BOTH, reset_after=False), "reset_after=False"),
    "bias-switched-off": (saying(lstm(), use_bias=False), "use_bias=False"),
    "bias-missing": (without(lstm(), "bias"), "bias|2 arrays"),
    "bias-missing-and-stated": (saying(without(lstm(), "bias"), use_bias=True), "bias|2 arrays"),
    "bias-missing-where-nothing-is-stated": (without(dense("x", 3, 5), "bias"), "bias|1 arrays"),
    "dense-bias-switched-off": (saying(dense("x", 3, 5), use_bias=False), "use_bias=False"),
    "conv-bias-switched-off": (saying(CONV, use_bias=False), "use_bias=False"),
    "attention-bias-switched-off": (saying(ATTENTION, use_bias=False), "use_bias=False"),
    "attention-without-a-bias": (without(ATTENTION, "bias"), "bias"),
    "scale-off": (saying(BATCH, scale=False), "scale=False"),
    "center-off": (saying(LAYER, center=False), "center=False"),
    "group-center-off": (saying(GROUP, center=False), "center=False"),
    "gamma-missing": (without(BATCH, "gamma"), "gamma|3 arrays"),
    "units": (saying(lstm(), units=7), "units=7"),
    "units-true": (saying(dense("x", 3, 1), units=True), "units=True"),
    "filters": (saying(CONV, filters=5), "filters=5"),
    "kernel-size": (saying(CONV, kernel_size=[3, 2]), "kernel_size"),
    "kernel-size-for-all": (saying(CONV, kernel_size=3), "kernel_size"),
    "kernel-size-of-one-axis": (saying(CONV, kernel_size=[2]), "kernel_size"),
    "separable-kernel-size": (saying(SEPARABLE, kernel_size=[3]), "kernel_size"),
    "depth-multiplier": (saying(DEPTHWISE, depth_multiplier=5), "depth_multiplier=5"),
    "separable-multiplier": (saying(SEPARABLE, depth_multiplier=3), "depth_multiplier=3"),
    "groups": (saying(CONV, groups=3), "groups=3"),
    "groups-of-none": (saying(CONV, groups=0), "groups=0"),
    "norm-groups": (saying(GROUP, groups=2), "groups=2"),
    "embedding-input": (saying(EMBEDDING, input_dim=13), "input_dim=13"),
    "embedding-output": (saying(EMBEDDING, output_dim=5), "output_dim=5"),
    "heads": (saying(ATTENTION, num_heads=3), "num_heads=3"),
    "key-width": (saying(ATTENTION, key_dim=2), "key_dim=2"),
    "value-width": (saying(ATTENTION, value_dim=5), "value_dim=5"),
    "attention-output": (saying(ATTENTION, output_shape=[7]), "output_shape"),
    "norm-axes": (saying(LAYER, axis=[1, 2]), "axis"),
    "slopes": (saying(PRELU, shared_axes=[1, 3]), "shared_axes"),
    "features": (saying(lstm(), batch_input_shape=[None, 7, 5]), "batch_input_shape"),
    "channels-of-groups": (saying(CONV, groups=7, batch_input_shape=[None, 9, 9, 5]), "batch_input_shape"),
}  # fmt: skip


@pytest.mark.parametrize("build", [legacy, numbered])
@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_refused_in_every_mode(case: str, build: Any, tmp_path: Path) -> None:
    made, said = CONTRADICTIONS[case]
    file = build(tmp_path, made)
    for strict in (True, False):
        with pytest.raises(ConversionError) as caught:
            converters.convert(file, strict=strict)
        assert re.search(said, str(caught.value)), str(caught.value)
        assert "x (" in str(caught.value) and caught.value.path


def test_the_cells_of_a_stack_are_checked_too(tmp_path: Path) -> None:
    made = stacked("rnn", "GRU", 3, 5, 5)
    made.config["cell"]["config"]["cells"][1]["config"]["reset_after"] = False
    with pytest.raises(ConversionError, match="reset_after=False"):
        converters.convert(write(tmp_path / "m.h5", made))


KERAS1: dict[str, tuple[Made, str]] = {
    "bias": (other("Dense", "x", {"W": numbers(3, 5), "b": numbers(5)}, output_dim=5, bias=False), "bias=False"),
    "output-dim": (other("Dense", "x", {"W": numbers(3, 5), "b": numbers(5)}, output_dim=7), "output_dim=7"),
    "input-dim": (other("Dense", "x", {"W": numbers(3, 5), "b": numbers(5)}, output_dim=5, input_dim=7), "input_dim=7"),
    "rows": (
        other("Convolution2D", "x", {"W": numbers(2, 3, 5, 7), "b": numbers(7)}, nb_filter=7, nb_row=3, nb_col=3),
        "nb_row=3",
    ),
    "length": (
        other("Convolution1D", "x", {"W": numbers(2, 1, 5, 7), "b": numbers(7)}, nb_filter=7, filter_length=3),
        "filter_length=3",
    ),
}


@pytest.mark.parametrize("case", KERAS1)
def test_the_words_of_keras_1_are_checked_too(case: str, tmp_path: Path) -> None:
    made, said = KERAS1[case]
    with pytest.raises(ConversionError, match=re.escape(said)):
        converters.convert(write(tmp_path / "m.h5", made, version="1.2.2"))
