"""What a checkpoint and a plan say, word for word: as plain data for machines, and as rows of a table for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from keras_files import dense, other, recurrent, write

import converters
from converters.show.text import Table
from layouts import cells

DTYPE = "float32"
CALL = "converters.nn.LSTM(3, 5, recurrent_activation='hard_sigmoid_1/6', batch_first=True)"
PROBLEM = (
    "hard: its recurrent_activation is hard_sigmoid (clip(x / 6 + 0.5, 0, 1)), and nn.LSTM computes sigmoid. "
    f"{CALL} computes it: dropins=True gives the weights that it loads"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A layer that PyTorch does not have, one without weights, and a plain one."""
    hard = {"recurrent_activation": "hard_sigmoid", "return_sequences": False}
    return write(
        tmp_path / "model.h5",
        recurrent("LSTM", "hard", 3, 5, batch_input_shape=[None, 7, 3], **hard),
        other("Dropout", "drop", {}, rate=0.5),
        dense("head", 5, 2, activation="softmax"),
    )


def array(name: str, *shape: int) -> dict[str, Any]:
    return {"name": f"model_weights/{name}", "shape": list(shape), "dtype": DTYPE}


def tensor(*shape: int) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": DTYPE}


def layer(path: str, class_name: str, **others: Any) -> dict[str, Any]:
    return {"path": path, "class_name": class_name, "arrays": {}, "inferred": None, "assumed": {}, "unknown": None} | (
        others
    )


def part(cell: str, layout: str, sizes: dict[str, int], options: dict[str, Any], **arrays: Any) -> dict[str, Any]:
    found = {"cell": cell, "layout": layout, "direction": "forward", "layer": 0}
    return found | {"sizes": sizes, "options": options, "arrays": arrays}


def same(found: Any, wanted: Any) -> None:
    """Raise unless both are one JSON document."""
    assert json.loads(json.dumps(found)) == wanted


def test_a_checkpoint_as_data(model: Path) -> None:
    shapes = {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}
    options = vars(cells.LSTM.options) | {"recurrent_activation": "hard_sigmoid_1/6"}
    options = {name: options[name] for name in cells.LSTM.chooses}
    arrays = {name: array(f"hard/hard/lstm_cell/{name}", *shape) for name, shape in shapes.items()}
    lstm = part("lstm", "keras LSTM", {"unit": 5, "input": 3, "state": 5}, options, **arrays)
    arrays = {"kernel": array("head/head/kernel", 5, 2), "bias": array("head/head/bias", 2)}
    linear = part("linear", "keras Dense", {"out": 2, "in": 5}, {}, **arrays)
    found = converters.read(model).data()
    assert found.pop("graph")["outputs"] == ["head"]
    wiring = [{"fed_by": [], "rank": 3}, {"fed_by": ["hard"], "rank": 2}]
    layers = [
        layer("hard", "LSTM", cells=[lstm], call={"sequences": False}, wiring=wiring[0], parameters=180),
        layer("head", "Dense", cells=[linear], call={"activation": "softmax"}, wiring=wiring[1], parameters=12),
    ]
    told = {"path": str(model), "framework": "keras", "version": "3.9.0", "container": "whole model (HDF5)"}
    same(found, told | {"layers": layers, "custom_layers": [], "unused": [], "weightless": []})


def test_a_plan_as_data(model: Path) -> None:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    shapes = ((20, 3), (20, 5), (20,), (20,))
    hard = {
        "name": "hard", "from": "hard", "class_name": "LSTM", "constructor": CALL, "exact": False,
        "tensors": {f"hard.{name}": tensor(*shape) for name, shape in zip(names, shapes, strict=True)},
        "notes": ["the last output alone: use h_n[-1]"],
    }  # fmt: skip
    head = {
        "name": "head", "from": "head", "class_name": "Dense", "constructor": "nn.Linear(5, 2)", "exact": True,
        "tensors": {"head.weight": tensor(2, 5), "head.bias": tensor(2)},
        "notes": ["apply softmax to the output: it is fused into the layer"],
    }  # fmt: skip
    problem = {"type": "NotRepresentable", "message": PROBLEM, "layer": "hard", "layout": "pytorch LSTM"}
    wanted = {
        "path": str(model), "framework": "keras", "version": "3.9.0", "target": "pytorch", "strict": True,
        "dropins": False, "modules": [hard, head], "warnings": [], "bytes": 4 * (180 + 20 + 12),
        "steps": [{"path": "drop", "class_name": "Dropout", "reads": ["hard"], "line": "Identity of hard"}],
        "problems": [problem | {"array": None, "path": None}],
    }  # fmt: skip
    same(converters.plan(model).data(), wanted)


def rows(table: Table) -> list[tuple[str, ...]]:
    return [tuple(row.cells) for row in table.rows]


def test_a_checkpoint_as_a_table(model: Path) -> None:
    table = converters.read(model).table()
    assert table.title == f"{model}: keras 3.9.0, whole model (HDF5)"
    assert table.columns == ("layer", "class", "from", "sizes", "arrays", "settings")
    arrays = "kernel 3×20 float32\nrecurrent_kernel 5×20 float32\nbias 20 float32"
    settings = "activation=tanh\nrecurrent_activation=hard_sigmoid_1/6\nsequences=False"
    assert rows(table) == [
        ("hard_input", "input", "", "(batch, 7, 3)", DTYPE, ""),
        ("hard", "LSTM", "← hard_input", "3 → 5", arrays, settings),
        ("drop", "Dropout", "← hard", "(batch, 5)", "", ""),
        ("head", "Dense", "← drop", "out 2, in 5", "kernel 5×2 float32\nbias 2 float32", "activation=softmax"),
        ("", "output", "← head", "(batch, 2)", DTYPE, ""),
    ]
    assert not any(row.refused for row in table.rows)


def test_a_plan_as_a_table(model: Path) -> None:
    (table,) = converters.plan(model).tables()
    assert table.title == f"{model} → PyTorch"
    assert table.columns == ("module", "from", "constructor", "parameters")
    tensors = ("weight_ih_l0 (20, 3)", "weight_hh_l0 (20, 5)", "bias_ih_l0 (20,)", "bias_hh_l0 (20,)")
    assert rows(table) == [
        ("hard", "hard (LSTM)", CALL, "\n".join(f"hard.{name} float32" for name in tensors)),
        ("", "drop (Dropout)", "Identity of hard", ""),
        ("head", "head (Dense)", "nn.Linear(5, 2)", "head.weight (2, 5) float32\nhead.bias (2,) float32"),
    ]
    assert [row.refused for row in table.rows] == [True, False, False]
    assert [(line.mark, line.words) for line in table.lines] == [
        ("✗", PROBLEM),
        ("·", "hard: the last output alone: use h_n[-1]"),
        ("·", "head: apply softmax to the output: it is fused into the layer"),
    ]
