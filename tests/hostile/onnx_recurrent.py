"""ONNX LSTM nodes whose arrays or attributes contradict each other; the onnx package's own checker passes most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .cases import INPUT, UNIT, full, table
from .onnx_models import changed, model, node, weights, with_node, write


def _array(folder: Path, name: str, array: np.ndarray) -> Path:
    """The sound model with another array of this name."""
    return write(folder, model(stored=weights() | {name: array.astype(np.float32)}))


def onnx_w_of_rank_2(folder: Path) -> Path:
    """W without its axis of directions."""
    return _array(folder, "W", weights()["W"][0])


def onnx_w_of_rank_4(folder: Path) -> Path:
    """W with an axis too many."""
    return _array(folder, "W", weights()["W"][None])


def onnx_w_a_number(folder: Path) -> Path:
    """W is a single number."""
    return _array(folder, "W", np.array(1.0))


def onnx_w_of_two_directions(folder: Path) -> Path:
    """Weights of two directions for an LSTM of one."""
    return _array(folder, "W", np.repeat(weights()["W"], 2, axis=0))


def onnx_w_of_three_gates(folder: Path) -> Path:
    """W of a GRU."""
    return _array(folder, "W", weights()["W"][:, : 3 * UNIT])


def onnx_w_of_19_rows(folder: Path) -> Path:
    """A row is missing from W."""
    return _array(folder, "W", weights()["W"][:, :-1])


def onnx_r_transposed(folder: Path) -> Path:
    """R the other way round, as Keras has it."""
    return _array(folder, "R", weights()["R"].transpose(0, 2, 1))


def onnx_r_of_other_units(folder: Path) -> Path:
    """R of another number of units than W."""
    return _array(folder, "R", np.ones((1, 24, 6)))


def onnx_b_too_short(folder: Path) -> Path:
    """One of the two biases is missing."""
    return _array(folder, "B", weights()["B"][:, : 4 * UNIT])


def onnx_b_of_rank_1(folder: Path) -> Path:
    """B without its axis of directions."""
    return _array(folder, "B", weights()["B"][0])


def onnx_p_too_short(folder: Path) -> Path:
    """Peepholes of two gates."""
    return _peepholes(folder, np.ones((1, 2 * UNIT)))


def onnx_p_of_rank_1(folder: Path) -> Path:
    """Peepholes without the axis of directions."""
    return _peepholes(folder, np.ones(3 * UNIT))


def _peepholes(folder: Path, array: np.ndarray) -> Path:
    reading = node(inputs=("X", "W", "R", "B", "", "", "", "P"))
    return write(folder, model([reading], weights() | {"P": array.astype(np.float32)}))


def onnx_w_of_no_inputs(folder: Path) -> Path:
    """An LSTM that reads nothing."""
    return _array(folder, "W", weights()["W"][:, :, :0])


def onnx_of_no_units(folder: Path) -> Path:
    """An LSTM without units."""
    arrays = {"W": np.zeros((1, 0, INPUT)), "R": np.zeros((1, 0, 0)), "B": np.zeros((1, 0))}
    stored = {name: array.astype(np.float32) for name, array in arrays.items()}
    return write(folder, model([node(hidden_size=0)], stored))


def onnx_without_w(folder: Path) -> Path:
    """An LSTM that names no W."""
    return with_node(folder, inputs=("X", "", "R", "B"))


def onnx_without_r(folder: Path) -> Path:
    """An LSTM that names no R."""
    return with_node(folder, inputs=("X", "W"))


def onnx_without_inputs(folder: Path) -> Path:
    """An LSTM that reads nothing at all."""
    return with_node(folder, inputs=())


def onnx_with_20_inputs(folder: Path) -> Path:
    """An LSTM of more inputs than the operator has, weights among them."""
    return with_node(folder, inputs=("X", "W", "R", "B", *[""] * 15, "B"))


def onnx_hidden_size_negative(folder: Path) -> Path:
    """A negative number of units."""
    return with_node(folder, hidden_size=-UNIT)


def onnx_hidden_size_0(folder: Path) -> Path:
    """No units, and weights of five."""
    return with_node(folder, hidden_size=0)


def onnx_hidden_size_huge(folder: Path) -> Path:
    """More units than fit into any memory (row 7)."""
    return with_node(folder, hidden_size=2**62)


def onnx_hidden_size_other(folder: Path) -> Path:
    """One unit more than the weights have, as PyTorch's exporter writes LSTMs with projections."""
    return with_node(folder, hidden_size=UNIT + 1)


def onnx_hidden_size_a_word(folder: Path) -> Path:
    """The number of units is a word."""
    return with_node(folder, hidden_size="5")


def onnx_hidden_size_a_fraction(folder: Path) -> Path:
    """The number of units is 5.5."""
    return with_node(folder, hidden_size=5.5)


def onnx_direction_unknown(folder: Path) -> Path:
    """A direction that does not exist."""
    return with_node(folder, direction="sideways")


def onnx_direction_a_number(folder: Path) -> Path:
    """A direction of the number 1."""
    return with_node(folder, direction=1)


def onnx_direction_of_two(folder: Path) -> Path:
    """Both directions, with the weights of one."""
    return with_node(folder, direction="bidirectional")


def onnx_direction_no_utf8(folder: Path) -> Path:
    """A direction that is no text."""
    return with_node(folder, direction=b"\xff\xfe")


def onnx_direction_with_control_characters(folder: Path) -> Path:
    """A direction that would write to the terminal (rule 8)."""
    return with_node(folder, direction="\x1b[2J\r\n")


def onnx_direction_of_a_megabyte(folder: Path) -> Path:
    """A direction of a million letters (rule 8)."""
    return with_node(folder, direction="forward" * 200_000)


def onnx_activations_too_few(folder: Path) -> Path:
    """Two activations for three places."""
    return with_node(folder, activations=["Sigmoid", "Tanh"])


def onnx_activations_too_many(folder: Path) -> Path:
    """Four activations for three places."""
    return with_node(folder, activations=["Sigmoid", "Tanh", "Tanh", "Tanh"])


def onnx_activations_of_two_directions(folder: Path) -> Path:
    """Six activations for an LSTM of one direction."""
    return with_node(folder, activations=["Sigmoid", "Tanh", "Tanh"] * 2)


def onnx_activation_unknown(folder: Path) -> Path:
    """An activation that does not exist."""
    return with_node(folder, activations=["Sigmoid", "Swish", "Tanh"])


def onnx_activation_no_utf8(folder: Path) -> Path:
    """An activation that is no text."""
    return with_node(folder, activations=[b"Sigmoid", b"\xff\xfe", b"Tanh"])


def onnx_activation_empty(folder: Path) -> Path:
    """An activation without a name."""
    return with_node(folder, activations=["Sigmoid", "", "Tanh"])


def onnx_activations_a_number(folder: Path) -> Path:
    """A number in place of the list of activations."""
    return with_node(folder, activations=3)


def onnx_activations_one_word(folder: Path) -> Path:
    """A word in place of the list of activations."""
    return with_node(folder, activations="Sigmoid")


def onnx_million_activations(folder: Path) -> Path:
    """A million activations."""
    return with_node(folder, activations=["Tanh"] * full(1_000_000))


def onnx_alpha_nan(folder: Path) -> Path:
    """The slope of an activation is no number."""
    return with_node(folder, activations=["HardSigmoid", "Tanh", "Tanh"], activation_alpha=[float("nan")])


def onnx_alpha_infinite(folder: Path) -> Path:
    """The slope of an activation is infinite."""
    return with_node(folder, activations=["HardSigmoid", "Tanh", "Tanh"], activation_alpha=[float("inf")])


def onnx_alpha_a_word(folder: Path) -> Path:
    """The slope of an activation is a word."""
    return with_node(folder, activations=["HardSigmoid", "Tanh", "Tanh"], activation_alpha="0.2")


def onnx_clip_nan(folder: Path) -> Path:
    """Clipped to what is no number."""
    return with_node(folder, clip=float("nan"))


def onnx_clip_negative(folder: Path) -> Path:
    """Clipped to a negative range."""
    return with_node(folder, clip=-1.0)


def onnx_clip_a_word(folder: Path) -> Path:
    """Clipped to a word."""
    return with_node(folder, clip="3")


def onnx_layout_7(folder: Path) -> Path:
    """An order of axes that does not exist."""
    return with_node(folder, layout=7)


def onnx_layout_a_word(folder: Path) -> Path:
    """An order of axes in words."""
    return with_node(folder, layout="batch")


def onnx_input_forget_a_word(folder: Path) -> Path:
    """A switch that says no."""
    return with_node(folder, input_forget="no")


def onnx_attribute_twice(folder: Path) -> Path:
    """Two directions: which one is meant?"""

    def change(found: Any) -> None:
        found.graph.node[0].attribute.add(name="direction", type=3, s=b"forward")
        found.graph.node[0].attribute.add(name="direction", type=3, s=b"reverse")

    return changed(folder, change)


def onnx_attribute_of_another_type(folder: Path) -> Path:
    """An attribute that says it is text and holds a number."""
    return changed(folder, lambda found: found.graph.node[0].attribute.add(name="direction", type=3, i=1))


def onnx_attribute_of_a_function(folder: Path) -> Path:
    """An attribute that stands for that of a function, outside of any."""
    return changed(
        folder, lambda found: found.graph.node[0].attribute.add(name="direction", type=3, ref_attr_name="way")
    )


CASES = table(
    "onnx",
    {
        onnx_w_of_rank_2: "(20, 3)",
        onnx_w_of_rank_4: "(1, 1, 20, 3)",
        onnx_w_a_number: "()",
        onnx_w_of_two_directions: "(2, 20, 3)",
        onnx_w_of_three_gates: "W",
        onnx_w_of_19_rows: "W",
        onnx_r_transposed: "R",
        onnx_r_of_other_units: "W",
        onnx_b_too_short: "B",
        onnx_b_of_rank_1: "B",
        onnx_p_too_short: "P",
        onnx_p_of_rank_1: "P",
        onnx_w_of_no_inputs: "W",
        onnx_of_no_units: "(1, 0, 3)",
        onnx_without_w: "no input W",
        onnx_without_r: "no input R",
        onnx_without_inputs: "no input W",
        onnx_with_20_inputs: "inputs",
        onnx_hidden_size_negative: "hidden_size",
        onnx_hidden_size_0: "hidden_size",
        onnx_hidden_size_huge: "hidden_size",
        onnx_hidden_size_other: "hidden_size",
        onnx_hidden_size_a_word: "hidden_size",
        onnx_hidden_size_a_fraction: "hidden_size",
        onnx_direction_unknown: "direction",
        onnx_direction_a_number: "direction",
        onnx_direction_of_two: "2 directions",
        onnx_direction_no_utf8: "direction",
        onnx_direction_with_control_characters: "direction",
        onnx_direction_of_a_megabyte: "direction",
        onnx_activations_too_few: "activations",
        onnx_activations_too_many: "activations",
        onnx_activations_of_two_directions: "activations",
        onnx_activation_unknown: "Swish",
        onnx_activation_no_utf8: "activation",
        onnx_activation_empty: "activation",
        onnx_activations_a_number: "activations",
        onnx_activations_one_word: "activations",
        onnx_million_activations: "activations",
        onnx_alpha_nan: "alpha",
        onnx_alpha_infinite: "alpha",
        onnx_alpha_a_word: "alpha",
        onnx_clip_nan: "clip",
        onnx_clip_negative: "clip",
        onnx_clip_a_word: "clip",
        onnx_layout_7: "layout",
        onnx_layout_a_word: "layout",
        onnx_input_forget_a_word: "input_forget",
        onnx_attribute_twice: "direction",
        onnx_attribute_of_another_type: "direction",
        onnx_attribute_of_a_function: "direction",
    },
)
