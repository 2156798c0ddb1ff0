"""Cells under the wrappers of a framework are one module: directions, depth, both; and stay apart where they must."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

import converters
from layouts import catalogue
from layouts.arrangements import Arrangement
from layouts.errors import LayoutError, UnknownLayer

IN, OUT = 3, 5
RNG = np.random.default_rng(7)
EVERY = [(name, one) for name in catalogue.frameworks() for one in catalogue.arrangements(name)]


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape).astype(np.float32)


def tf_lstm(inputs: int, units: int = OUT) -> dict[str, np.ndarray[Any, Any]]:
    return {"kernel": numbers(inputs + units, 4 * units), "bias": numbers(4 * units)}


def nstep_gru(inputs: int, units: int = OUT) -> dict[str, np.ndarray[Any, Any]]:
    weights = {f"w{k}": numbers(units, inputs if k < 3 else units) for k in range(6)}
    return weights | {f"b{k}": numbers(units) for k in range(6)}


def under(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{path}/{name}": array for path, cell in cells.items() for name, array in cell.items()}


def modules(arrays: Mapping[str, Any], framework: str, **assume: str) -> dict[str, tuple[int, int]]:
    """Every layer's path, and its directions and depth."""
    layers = converters.read(arrays, framework=framework, assume=assume).layers
    return {
        layer.path: (len({p.direction for p in layer.parts}), 1 + max((p.layer for p in layer.parts), default=0))
        for layer in layers
    }


@pytest.mark.parametrize(("framework", "arrangement"), EVERY, ids=lambda value: getattr(value, "path", value))
def test_an_arrangement_finds_its_own_path_at_any_depth(framework: str, arrangement: Arrangement) -> None:
    value = "backward" if arrangement.label == "direction" else 12
    path = arrangement.path.replace("#", "3")
    spelled = path.format(**{arrangement.label: arrangement.spelling.get(str(value), value)})
    stack = path.split("{")[0].rpartition("/")[0]
    assert arrangement.place(spelled) == (stack, value, "")
    place = arrangement.place(f"model.{spelled}/some/cell")
    assert place is not None and (place.value, place.rest) == (value, "some/cell")
    assert place.stack == f"model/{stack}".strip("/").replace("model/", "model." if stack else "model")
    assert arrangement.place("model/another") is None
    assert arrangement.classes.keys() <= catalogue.layers(framework).keys()
    assert {*arrangement.classes.values()} <= catalogue.layers(framework).keys()


@pytest.mark.parametrize("path", ["cell", "{gate}/cell", "{layer}/{direction}", "{direction}/cell"])
def test_an_arrangement_tells_one_label_and_how_it_is_spelled(path: str) -> None:
    with pytest.raises(LayoutError, match="arrangement"):
        Arrangement(path)


def test_two_directions_are_one_module() -> None:
    cells = {f"encoder/bidirectional_rnn/{way}/lstm_cell": tf_lstm(IN) for way in ("fw", "bw")}
    assert modules(under(cells), "tensorflow") == {"encoder/bidirectional_rnn": (2, 1)}


def test_the_layers_of_two_directions_are_one_module_and_each_block_is_in_its_place() -> None:
    prefix = "stack_bidirectional_rnn"
    cells = {
        f"{prefix}/cell_{k}/bidirectional_rnn/{way}/lstm_cell": tf_lstm(2 * OUT if k else IN)
        for k in (0, 1)
        for way in ("fw", "bw")
    }
    assert modules(under(cells), "tensorflow") == {prefix: (2, 2)}
    assume = {f"{prefix}.forget_bias": "1", f"{prefix}.activation": "tanh", f"{prefix}.recurrent_activation": "sigmoid"}
    found = converters.convert(under(cells), framework="tensorflow", assume=assume, layer=prefix)
    torch.nn.LSTM(IN, OUT, 2, bidirectional=True).load_state_dict(found)
    kernel = cells[f"{prefix}/cell_1/bidirectional_rnn/bw/lstm_cell"]["kernel"]
    assert np.array_equal(found["weight_ih_l1_reverse"].numpy()[:OUT], kernel[: 2 * OUT, :OUT].T)
    assert np.array_equal(found["weight_hh_l1_reverse"].numpy()[2 * OUT : 3 * OUT], kernel[2 * OUT :, OUT : 2 * OUT].T)


def test_a_stack_in_each_direction_is_not_a_stack_of_two_directions() -> None:
    """The second layer forwards reads the first one forwards alone, which no nn.LSTM of two directions does."""
    cells = {
        f"bidirectional_rnn/{way}/multi_rnn_cell/cell_{k}/basic_lstm_cell": tf_lstm(OUT if k else IN)
        for way in ("fw", "bw")
        for k in (0, 1)
    }
    paths = {f"bidirectional_rnn/{way}/multi_rnn_cell": (1, 2) for way in ("fw", "bw")}
    assert modules(under(cells), "tensorflow") == paths


def test_cells_whose_input_may_be_added_to_their_output_are_assumed_to_add_nothing() -> None:
    """A ResidualWrapper leaves no name behind; where sizes do not allow it, there is nothing to assume."""
    stack = "rnn/multi_rnn_cell"
    cells = {f"{stack}/cell_{k}/basic_lstm_cell": tf_lstm(OUT if k else IN) for k in (0, 1)}
    found = converters.read(under(cells), framework="tensorflow")
    assert found.layer(stack).assumed["residual"] is False
    stated = converters.read(under(cells), framework="tensorflow", assume={f"{stack}.residual": "false"})
    assert "residual" not in stated.layer(stack).assumed
    apart = converters.read(under(cells), framework="tensorflow", assume={"residual": "true"})
    assert [layer.path for layer in apart.layers] == [*cells]
    narrow = {f"{stack}/cell_{k}/basic_lstm_cell": tf_lstm(7 if k else IN, OUT if k else 7) for k in (0, 1)}
    assert all("residual" not in each.assumed for each in converters.read(under(narrow), framework="tensorflow").layers)


def test_cells_of_different_sizes_stay_apart_in_every_direction() -> None:
    cells = {
        f"bidirectional_rnn/{way}/multi_rnn_cell/cell_{k}/basic_lstm_cell": tf_lstm(OUT if k else IN, 7 if k else OUT)
        for way in ("fw", "bw")
        for k in (0, 1)
    }
    assert modules(under(cells), "tensorflow") == dict.fromkeys(cells, (1, 1))


def test_a_missing_layer_is_no_stack() -> None:
    cells = {f"multi_rnn_cell/cell_{k}/lstm_cell": tf_lstm(OUT if k else IN) for k in (0, 2)}
    assert modules(under(cells), "tensorflow") == dict.fromkeys(cells, (1, 1))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [((IN, IN), (2, 1)), ((IN, OUT), (1, 2)), ((IN, IN, 2 * OUT, 2 * OUT), (2, 2))],
)
def test_numbers_count_layers_or_directions_as_the_sizes_tell(inputs: tuple[int, ...], found: tuple[int, int]) -> None:
    cells = {f"rnn/{k}": nstep_gru(size) for k, size in enumerate(inputs)}
    assert modules(under(cells), "chainer") == {"rnn": found}


def test_numbers_that_sizes_do_not_tell_are_a_question() -> None:
    arrays = under({f"rnn/{k}": nstep_gru(OUT) for k in (0, 1)})
    with pytest.raises(UnknownLayer, match=r"'rnn.class': 'NStepGRU'.*'rnn.class': 'NStepBiGRU'"):
        converters.convert(arrays, framework="chainer")
    assert modules(arrays, "chainer", **{"rnn.class": "NStepBiGRU"}) == {"rnn": (2, 1)}
    assert modules(arrays, "chainer", **{"rnn.class": "NStepGRU"}) == {"rnn": (1, 2)}


def test_a_scope_tells_its_cell() -> None:
    arrays = {"rnn/basic_rnn_cell/kernel": numbers(IN + 4, 4), "rnn/basic_rnn_cell/bias": numbers(4)}
    (layer,) = converters.read(arrays, framework="tensorflow").layers
    assert layer.class_name == "BasicRNNCell"
