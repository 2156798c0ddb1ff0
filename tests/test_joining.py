"""Files without a configuration: which blocks of arrays are one layer, above all both directions of a Bidirectional."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from equivalence import converted
from keras_files import Made, cell_arrays, numbers, write

import converters

FIXTURES = (
    "keras1/bidirectional_last",
    "keras1/bidirectional_lstm",
    "keras1/bidirectional_nested",
    "keras2/bidirectional_gru",
    "keras2/bidirectional_last",
    "keras2/stacked_cells",
    "tf_keras/backward_layer",
    "tf_keras/stacked_cells",
)


def outline(file: Path) -> list[tuple[str, list[tuple[str, str, int]]]]:
    """The innermost model of every layer, and its cells, in the order of the file."""
    layers = converters.read(file).layers
    return [(one.path.rpartition("/")[0], [(p.cell.name, p.direction, p.layer) for p in one.parts]) for one in layers]


@pytest.mark.parametrize("case", FIXTURES)
def test_weights_alone_are_the_layers_of_the_whole_model(case: str) -> None:
    folder = ROOT / "fixtures" / case
    assert outline(folder / "weights.h5") == outline(folder / "model.h5")


def test_the_tensors_stand_under_the_name_of_the_layer() -> None:
    folder = ROOT / "fixtures/keras1/bidirectional_lstm"
    alone, whole = converted(folder / "weights.h5"), converted(folder / "model.h5")
    assert alone.keys() == whole.keys() and all(key.startswith("bidirectional_1.") for key in alone)
    assert all(torch.equal(alone[key], whole[key]) for key in alone)


def keras1(kind: str, name: str, inputs: int, units: int, *, packed: bool) -> dict[str, np.ndarray]:
    """The arrays of a layer as Keras 1 names them, in its order."""
    gates = {"LSTM": "icfo", "GRU": "zrh", "SimpleRNN": " "}[kind]
    sizes = {"W": (inputs, units), "U": (units, units), "b": (units,)}
    if packed or kind == "SimpleRNN":
        return {f"{name}_{key}": numbers(*size[:-1], size[-1] * len(gates)) for key, size in sizes.items()}
    return {f"{name}_{key}_{gate}": numbers(*size) for gate in gates for key, size in sizes.items()}


def both(kind: str, inner: str, *, packed: bool = False) -> dict[str, np.ndarray]:
    forward, backward = (keras1(kind, f"{way}_{inner}", 3, 5, packed=packed) for way in ("forward", "backward"))
    return forward | {name: -array for name, array in backward.items()}


def weights_file(path: Path, **groups: Mapping[str, np.ndarray]) -> Path:
    layers = [Made("", {"name": name}, dict(arrays)) for name, arrays in groups.items()]
    return write(path / "weights.h5", *layers, whole=False, version="")


INNER = ["lstm_4", "gru", "enc_W_2", "enc_b", "forward_b", "lstm_b_W", "a_W_i", "2", "U"]


@pytest.mark.parametrize("packed", [False, True], ids=["apart", "packed"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("inner", INNER)
def test_keras_1_names_the_directions_before_the_inner_layer(
    inner: str, kind: str, packed: bool, tmp_path: Path
) -> None:
    file = weights_file(tmp_path, bidirectional_1=both(kind, inner, packed=packed))
    (layer,) = converters.read(file).layers
    assert (layer.path, layer.class_name) == ("bidirectional_1", f"Bidirectional({kind})")
    assert [part.direction for part in layer.parts] == ["forward", "backward"]
    arrays = both(kind, inner, packed=packed)
    for part, way in zip(layer.parts, ("forward", "backward"), strict=True):
        assert {a.name for a in part.arrays.values()} == {
            f"bidirectional_1/{name}" for name in arrays if name.startswith(f"{way}_")
        }


def test_bidirectional_layers_of_a_nested_model_stand_under_the_names_of_their_inner_layers(tmp_path: Path) -> None:
    nested = both("LSTM", "lstm_1") | keras1("LSTM", "lstm_3", 10, 7, packed=False) | both("GRU", "gru_1", packed=True)
    found = converters.read(weights_file(tmp_path, encoder=nested)).layers
    assert [(layer.path, layer.class_name) for layer in found] == [
        ("encoder/lstm_1", "Bidirectional(LSTM)"),
        ("encoder/lstm_3", "LSTM"),
        ("encoder/gru_1", "Bidirectional(GRU)"),
    ]


def test_a_plain_layer_of_the_same_name_keeps_it(tmp_path: Path) -> None:
    nested = keras1("LSTM", "lstm_1", 3, 5, packed=True) | both("LSTM", "lstm_1", packed=True)
    found = converters.read(weights_file(tmp_path, encoder=nested)).layers
    assert [layer.path for layer in found] == ["encoder/lstm_1", "encoder/bidirectional_lstm_1"]


def folders(**cells: tuple[str, int, int]) -> dict[str, np.ndarray]:
    """Arrays in folders: path with '__' for '/' -> class, inputs and units."""
    return {
        f"{path.replace('__', '/')}/{name}:0": array
        for path, (kind, inputs, units) in cells.items()
        for name, array in cell_arrays(kind, inputs, units).items()
    }


LSTM, WIDER = ("LSTM", 3, 5), ("LSTM", 3, 7)
NESTED: list[Any] = [
    pytest.param(
        folders(b_1__forward_x=LSTM, b_1__backward_x=LSTM, b_2__forward_x=WIDER, b_2__backward_x=WIDER),
        {"inner/b_1": 2, "inner/b_2": 2},
        id="two-bidirectional",
    ),
    pytest.param(folders(td__forward_x=LSTM, td__backward_x=LSTM), {"inner": 2}, id="the-only-layer"),
    pytest.param(folders(b__forward_x__cell=LSTM, b__backward_y__cell=WIDER), {"inner": 2}, id="backward-layer"),
    pytest.param(
        folders(
            b__forward_r__stacked_rnn_cells__a=LSTM,
            b__forward_r__stacked_rnn_cells__c=("LSTM", 5, 7),
            b__backward_r__stacked_rnn_cells__a=LSTM,
            b__backward_r__stacked_rnn_cells__c=("LSTM", 5, 7),
        ),
        {"inner": 4},
        id="stacked-cells-both-ways",
    ),
    pytest.param(
        folders(r__stacked_rnn_cells_1__a=LSTM, r__stacked_rnn_cells_1__c=("LSTM", 5, 7), d__cell=LSTM),
        {"inner/r": 2, "inner/d": 1},
        id="stacked-cells",
    ),
    pytest.param(folders(forward_x=LSTM, backward_x=LSTM), {"inner/forward_x": 1, "inner/backward_x": 1}, id="plain"),
    pytest.param(
        folders(forward_net__b__forward_x=LSTM, forward_net__b__backward_x=LSTM),
        {"inner": 2},
        id="model-of-such-a-name",
    ),
    pytest.param(
        folders(b__forward_x=LSTM, c__backward_x=LSTM),
        {"inner/b/forward_x": 1, "inner/c/backward_x": 1},
        id="of-two-layers",
    ),
    pytest.param(
        folders(b__forward_x=LSTM, b__forward_y=LSTM, b__backward_z=LSTM),
        {"inner/b/forward_x": 1, "inner/b/forward_y": 1, "inner/b/backward_z": 1},
        id="three-and-no-pair",
    ),
]


@pytest.mark.parametrize(("arrays", "cells"), NESTED)
def test_folders_tell_which_cells_are_one_layer(
    arrays: dict[str, np.ndarray], cells: dict[str, int], tmp_path: Path
) -> None:
    found = converters.read(weights_file(tmp_path, inner=arrays)).layers
    assert {layer.path: len(layer.parts) for layer in found} == cells


def test_arrays_of_other_shapes_are_no_second_direction(tmp_path: Path) -> None:
    arrays = keras1("LSTM", "forward_x", 3, 5, packed=True) | keras1("LSTM", "backward_x", 3, 7, packed=True)
    found = converters.read(weights_file(tmp_path, inner=arrays)).layers
    assert [layer.class_name for layer in found] == ["LSTM", "LSTM"]
