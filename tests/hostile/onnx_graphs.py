"""ONNX graphs that lead in circles, multiply themselves, or define a value twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .cases import INPUT, UNIT, full, table
from .onnx_models import changed, field, model, node, varint, weights, with_node, with_nodes, write

Graph = onnx.GraphProto
HUGE = np.array([1, 10**6, 10**6])


def integers(*numbers: int) -> np.ndarray:
    """A constant of the type of shapes and axes."""
    return np.array(numbers, np.int64)


def onnx_identities_in_a_circle(folder: Path) -> Path:
    """W comes from two nodes that copy each other."""
    return with_nodes(folder, node("Identity", ["A"], ["W"]), node("Identity", ["W"], ["A"]))


def onnx_node_reads_itself(folder: Path) -> Path:
    """A node makes W out of W."""
    return with_nodes(folder, node("Identity", ["W"], ["W"]))


def onnx_sum_of_itself(folder: Path) -> Path:
    """A node makes W out of a constant and W."""
    return with_nodes(folder, node("Add", ["A", "W"], ["W"]), A=weights()["W"])


def onnx_100000_identities(folder: Path) -> Path:
    """W is a copy of a copy of a copy, 100,000 times."""
    count = full(100_000)
    found = model([node()], {name: array for name, array in weights().items() if name != "W"})
    found.graph.initializer.append(numpy_helper.from_array(weights()["W"], "A0"))
    copies = b"".join(
        field(1, field(1, b"A%d" % k) + field(2, b"A%d" % (k + 1)) + field(4, b"Identity")) for k in range(count)
    )
    last = field(1, field(1, b"A%d" % count) + field(2, b"W") + field(4, b"Identity"))
    return write(folder, field(7, copies + last) + found.SerializeToString())


def onnx_100000_nodes_backwards(folder: Path) -> Path:
    """A long chain whose nodes stand in the wrong order."""
    found = model([node()], {name: array for name, array in weights().items() if name != "W"})
    copies = b"".join(
        field(1, field(1, b"A%d" % (k + 1)) + field(2, b"A%d" % k) + field(4, b"Identity"))
        for k in range(full(100_000))
    )
    last = field(1, field(1, b"A0") + field(2, b"W") + field(4, b"Identity"))
    return write(folder, field(7, last + copies) + found.SerializeToString())


def onnx_two_producers(folder: Path) -> Path:
    """Two nodes make W."""
    array = weights()["W"]
    return with_nodes(folder, node("Identity", ["A"], ["W"]), node("Neg", ["A"], ["W"]), A=array)


def onnx_stored_and_made(folder: Path) -> Path:
    """W is both stored and made by a node."""
    array = weights()["W"]
    return with_nodes(folder, node("Identity", ["A"], ["W"]), A=array, W=array)


def onnx_stored_twice(folder: Path) -> Path:
    """Two arrays of the name W."""
    again = numpy_helper.from_array(-weights()["W"], "W")
    return changed(folder, lambda found: found.graph.initializer.append(again))


def onnx_output_named_as_input(folder: Path) -> Path:
    """The LSTM gives what it reads."""
    return with_node(folder, outputs=("X",))


def onnx_two_inputs_of_a_name(folder: Path) -> Path:
    """The graph has two inputs X."""
    return changed(folder, lambda found: found.graph.input.append(found.graph.input[0]))


def onnx_10000_arrays_of_a_name(folder: Path) -> Path:
    """30,000 empty arrays, of which two have one name: found without comparing each with each."""
    many = b"".join(field(5, field(1, 0) + field(2, 1) + field(8, b"V%d" % k)) for k in range(30_000))
    return write(
        folder, model().SerializeToString() + field(7, many + field(5, field(1, 0) + field(2, 1) + field(8, b"V29999")))
    )


def onnx_w_nowhere(folder: Path) -> Path:
    """The LSTM reads a W that nobody defines."""
    return with_nodes(folder)


def onnx_w_an_input(folder: Path) -> Path:
    """W is an input of the graph: the file does not hold it."""

    def change(found: Any) -> None:
        del found.graph.initializer[0]
        found.graph.input.append(helper.make_tensor_value_info("W", TensorProto.FLOAT, [1, 4 * UNIT, INPUT]))

    return changed(folder, change)


def onnx_w_depends_on_the_input(folder: Path) -> Path:
    """W is computed from what the model reads."""
    return with_nodes(folder, node("Add", ["A", "X"], ["W"]), A=weights()["W"])


def onnx_w_at_random(folder: Path) -> Path:
    """W is drawn at random on every run."""
    return with_nodes(folder, node("RandomNormal", [], ["W"], shape=[1, 4 * UNIT, INPUT]))


def onnx_expanded(folder: Path) -> Path:
    """One number is expanded to 10^12 (rule 5)."""
    return with_nodes(folder, node("Expand", ["A", "S"], ["W"]), A=np.ones(1, np.float32), S=HUGE)


def onnx_tiled(folder: Path) -> Path:
    """One number is repeated 10^12 times (rule 5)."""
    return with_nodes(folder, node("Tile", ["A", "S"], ["W"]), A=np.ones((1, 1, 1), np.float32), S=HUGE)


def onnx_filled(folder: Path) -> Path:
    """10^12 numbers of one value (rule 5)."""
    return with_nodes(folder, node("ConstantOfShape", ["S"], ["W"]), S=HUGE)


def onnx_filled_beyond_64_bits(folder: Path) -> Path:
    """More numbers than 64 bits can count."""
    return with_nodes(folder, node("ConstantOfShape", ["S"], ["W"]), S=integers(2**40, 2**40, 2**40))


def onnx_filled_with_a_negative_size(folder: Path) -> Path:
    """An array of negative size."""
    return with_nodes(folder, node("ConstantOfShape", ["S"], ["W"]), S=integers(1, -20, -3))


def onnx_range(folder: Path) -> Path:
    """The numbers from 0 to 10^12 (rule 5)."""
    limits = {"A": integers(0)[0], "E": np.int64(10**12), "D": integers(1)[0]}
    return with_nodes(
        folder, node("Range", ["A", "E", "D"], ["W"]), **{key: np.asarray(value) for key, value in limits.items()}
    )


def onnx_range_without_steps(folder: Path) -> Path:
    """A range whose step is 0."""
    limits = {"A": 0.0, "E": 60.0, "D": 0.0}
    return with_nodes(
        folder, node("Range", ["A", "E", "D"], ["W"]), **{k: np.asarray(v, np.float32) for k, v in limits.items()}
    )


def onnx_range_of_nan(folder: Path) -> Path:
    """A range whose end is no number."""
    limits = {"A": 0.0, "E": np.nan, "D": 1.0}
    return with_nodes(
        folder, node("Range", ["A", "E", "D"], ["W"]), **{k: np.asarray(v, np.float32) for k, v in limits.items()}
    )


def onnx_padded(folder: Path) -> Path:
    """W is padded by 10^12 zeros (rule 5)."""
    pads = integers(0, 0, 0, 0, 10**6, 10**6)
    return with_nodes(folder, node("Pad", ["A", "S"], ["W"]), A=weights()["W"], S=pads)


def onnx_doubled_40_times(folder: Path) -> Path:
    """An array is joined to itself 40 times over (rule 5)."""
    doubling = [node("Concat", [f"A{k}", f"A{k}"], [f"A{k + 1}"], axis=1) for k in range(40)]
    return with_nodes(folder, *doubling, node("Identity", ["A40"], ["W"]), A0=weights()["W"])


def onnx_summed_40_times(folder: Path) -> Path:
    """An array is added to itself 100 times over: 2^100 ways lead to it."""
    adding = [node("Add", [f"A{k}", f"A{k}"], [f"A{k + 1}"]) for k in range(100)]
    return with_nodes(folder, *adding, node("Reshape", ["A100", "S"], ["W"]), A0=weights()["W"], S=integers(1, 19, 3))


def onnx_outer_product(folder: Path) -> Path:
    """Two vectors of 100,000 numbers make a matrix of 10^10 (rule 5)."""
    long = np.ones((1, 100_000, 1), np.float32)
    return with_nodes(folder, node("MatMul", ["A", "C"], ["W"]), A=long, C=long.reshape(1, 1, -1))


def onnx_broadcast(folder: Path) -> Path:
    """Two vectors of 100,000 numbers added across each other (rule 5)."""
    long = np.ones((1, 100_000, 1), np.float32)
    return with_nodes(folder, node("Add", ["A", "C"], ["W"]), A=long, C=long.reshape(1, 1, -1))


def onnx_gathered(folder: Path) -> Path:
    """A million rows taken out of one row of 100,000 (rule 5)."""
    row, places = np.ones((1, 100_000), np.float32), np.zeros((1, 1_000_000), np.int64)
    return with_nodes(folder, node("Gather", ["A", "S"], ["W"]), A=row, S=places)


def onnx_einsum(folder: Path) -> Path:
    """A product over 20 axes."""
    row = np.ones(3, np.float32)
    letters = "abcdefghijklmnopqrst"
    made = node("Einsum", ["A"] * 20, ["W"], equation=f"{','.join(letters)}->{letters}")
    return with_nodes(folder, made, A=row)


def onnx_reshaped_to_what_it_is_not(folder: Path) -> Path:
    """W is reshaped to a size that it has not."""
    return with_nodes(folder, node("Reshape", ["A", "S"], ["W"]), A=weights()["W"], S=integers(1, 20, 4))


def onnx_transposed_along_no_axis(folder: Path) -> Path:
    """W is transposed along axes that it has not."""
    return with_nodes(folder, node("Transpose", ["A"], ["W"], perm=[0, 7, -3]), A=weights()["W"])


def onnx_squeezed_where_it_is_wide(folder: Path) -> Path:
    """An axis of 20 is squeezed."""
    return with_nodes(folder, node("Squeeze", ["A", "S"], ["W"]), A=weights()["W"], S=integers(1))


def onnx_sliced_in_steps_of_0(folder: Path) -> Path:
    """W is a slice whose step is 0."""
    inputs = ["A", "S", "E", "N", "D"]
    arrays = {"A": weights()["W"], "S": integers(0), "E": integers(20), "N": integers(1), "D": integers(0)}
    return with_nodes(folder, node("Slice", inputs, ["W"]), **arrays)


def onnx_cast_to_nothing(folder: Path) -> Path:
    """W is cast to a type that does not exist."""
    return with_nodes(folder, node("Cast", ["A"], ["W"], to=77), A=weights()["W"])


def onnx_cast_to_text(folder: Path) -> Path:
    """W is cast to text."""
    return with_nodes(folder, node("Cast", ["A"], ["W"], to=TensorProto.STRING), A=weights()["W"])


def onnx_dequantised_by_the_wrong_scales(folder: Path) -> Path:
    """Quantised weights with a scale too few."""
    arrays = {"A": np.ones((1, 20, 3), np.int8), "S": np.ones(19, np.float32)}
    return with_nodes(folder, node("DequantizeLinear", ["A", "S"], ["W"], axis=1), **arrays)


def onnx_split_into_too_many(folder: Path) -> Path:
    """W is one of two halves that are longer than the whole."""
    made = node("Split", ["A", "S"], ["W", "V"], axis=1)
    return with_nodes(folder, made, A=weights()["W"], S=integers(20, 20))


def onnx_constant_without_value(folder: Path) -> Path:
    """A Constant node that has no value."""
    return with_nodes(folder, node("Constant", [], ["W"]))


def onnx_constant_of_words(folder: Path) -> Path:
    """A Constant node of words."""
    return with_nodes(folder, node("Constant", [], ["W"], value_strings=["a", "b"]))


def onnx_node_without_inputs(folder: Path) -> Path:
    """W is a copy of nothing."""
    return with_nodes(folder, node("Identity", [], ["W"]))


def _body(*nodes: Any, outputs: tuple[str, ...] = ("again", "V")) -> Graph:
    """The body of a Loop that carries one value."""
    shape = [1, 4 * UNIT, INPUT]
    given = [
        helper.make_tensor_value_info("k", TensorProto.INT64, []),
        helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("U", TensorProto.FLOAT, shape),
    ]
    made = [
        helper.make_tensor_value_info(name, TensorProto.BOOL if name == "again" else TensorProto.FLOAT, None)
        for name in outputs
    ]
    return helper.make_graph([node("Identity", ["on"], ["again"]), *nodes], "body", given, made)


def onnx_loop_without_end(folder: Path) -> Path:
    """W is what a loop leaves that never ends."""
    made = node("Loop", ["", "T", "A"], ["W"], body=_body(node("Neg", ["U"], ["V"])))
    return with_nodes(folder, made, A=weights()["W"], T=np.array(True))


def onnx_loop_of_10_to_the_12(folder: Path) -> Path:
    """W is what a loop of 10^12 steps leaves."""
    made = node("Loop", ["M", "", "A"], ["W"], body=_body(node("Neg", ["U"], ["V"])))
    return with_nodes(folder, made, A=weights()["W"], M=np.array(10**12))


def onnx_cell_in_a_loop_of_10_to_the_12(folder: Path) -> Path:
    """A recurrence written as arithmetic that runs 10^12 steps whatever it reads."""
    body = _body(
        node("MatMul", ["U", "K"], ["P"]), node("Tanh", ["P"], ["V"]), node("Identity", ["V"], ["Z"]),
        outputs=("again", "V", "Z"),
    )  # fmt: skip
    arrays = {"A": np.zeros((1, 20, 3), np.float32), "K": np.ones((3, 3), np.float32), "M": np.array(10**12)}
    return write(folder, model([node("Loop", ["M", "", "A"], ["Q", "Y"], body=body)], arrays))


def onnx_loop_without_a_body(folder: Path) -> Path:
    """A loop of nothing."""
    return with_nodes(folder, node("Loop", ["M", "", "A"], ["W"]), A=weights()["W"], M=np.array(3))


def onnx_if_without_branches(folder: Path) -> Path:
    """A choice between nothing and nothing."""
    return with_nodes(folder, node("If", ["T"], ["W"]), T=np.array(True))


def onnx_body_is_a_number(folder: Path) -> Path:
    """The body of a loop is the number 3."""
    return with_nodes(folder, node("Loop", ["M", "", "A"], ["W"], body=3), A=weights()["W"], M=np.array(3))


def onnx_loops_in_loops(folder: Path) -> Path:
    """Twelve loops within each other, 10^12 steps each."""
    body = _body(node("MatMul", ["U", "K"], ["V"]))
    for _ in range(12):
        body = _body(node("Loop", ["M", "", "U"], ["V"], body=body))
    arrays = {"A": weights()["W"], "M": np.array(10**12), "K": np.ones((3, 3), np.float32)}
    return with_nodes(folder, node("Loop", ["M", "", "A"], ["W"], body=body), **arrays)


def _choice(depth: int) -> Any:
    """Choices within choices, each with the one below in both branches."""
    inner: Any = node("Identity", ["A"], ["V"])
    for _ in range(depth):
        branch = helper.make_graph([inner], "branch", [], [helper.make_tensor_value_info("V", TensorProto.FLOAT, None)])
        inner = node("If", ["T"], ["V"], then_branch=branch, else_branch=branch)
    return inner


def onnx_choices_that_double(folder: Path) -> Path:
    """Twelve choices within each other, each branch holding the next: 4096 graphs, none of which holds a layer."""
    inner = _choice(12)
    inner.output[0] = "W"
    others = {name: array for name, array in weights().items() if name != "W"}
    found = model([inner, node()], others | {"A": weights()["W"]})
    found.graph.input.append(helper.make_tensor_value_info("T", TensorProto.BOOL, []))
    return write(folder, found)


def _functions(folder: Path, calls: dict[str, list[str]]) -> Path:
    """A model whose W is made by the first of some functions, each of which calls others."""
    found = model(
        [node(calls and next(iter(calls)), ["A"], ["W"], domain="own"), node()], weights() | {"A": weights()["W"]}
    )
    del found.graph.initializer[0]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    found.opset_import.append(opsets[1])
    for name, called in calls.items():
        steps = [node(one, [f"v{k}"], [f"v{k + 1}"], domain="own") for k, one in enumerate(called)]
        steps.append(node("Identity", [f"v{len(called)}"], ["out"]))
        found.functions.append(helper.make_function("own", name, ["v0"], ["out"], steps, opsets))
    return write(folder, found)


def onnx_function_calls_itself(folder: Path) -> Path:
    """W is what a function makes that calls itself."""
    return _functions(folder, {"F": ["F"]})


def onnx_functions_that_double(folder: Path) -> Path:
    """W is what 40 functions make, each calling the next one twice: 2^40 calls."""
    return _functions(folder, {f"F{k}": [f"F{k + 1}"] * 2 if k < 40 else [] for k in range(41)})


def onnx_lstm_of_another_domain(folder: Path) -> Path:
    """An LSTM of somebody's own operators: what it computes is not known."""
    return with_node(folder, domain="com.example")


def onnx_unknown_operator(folder: Path) -> Path:
    """An operator that ONNX does not have, with the weights."""
    return write(folder, model([node("Lstm2", ["X", "W", "R", "B"], ["Y"])]))


def onnx_one_array_10000_times(folder: Path) -> Path:
    """10,000 products with one array of 10 MB, each with a bias of its own (row 6)."""
    matrix = np.ones(((10 << 20) // 4 // UNIT, UNIT), np.float32)
    found = model([node("Relu", ["X"], ["Y"])], {"A": matrix})
    pieces = []
    for k in range(full(10_000)):
        bias = field(8, b"b%d" % k) + field(1, UNIT) + field(2, 1) + field(9, np.full(UNIT, k, "<f4").tobytes())
        product = field(1, b"X") + field(1, b"A") + field(2, b"p%d" % k) + field(4, b"MatMul")
        added = field(1, b"p%d" % k) + field(1, b"b%d" % k) + field(2, b"s%d" % k) + field(4, b"Add")
        pieces += [field(5, bias), field(1, product), field(1, added)]
    return write(folder, found.SerializeToString() + field(7, b"".join(pieces)))


def onnx_one_lstm_10000_times(folder: Path) -> Path:
    """10,000 LSTM nodes with one W of 4 MB and biases of their own (row 6)."""
    count = full(10_000)
    wide = np.ones((1, 4 * UNIT, 50_000), np.float32)
    stored = {"W": wide, "R": weights()["R"]} | {f"B{k}": np.full((1, 8 * UNIT), k, np.float32) for k in range(count)}
    nodes = [node(inputs=("X", "W", "R", f"B{k}"), outputs=(f"Y{k}",), name=f"lstm_{k}") for k in range(count)]
    return write(folder, model(nodes, stored))


def onnx_names_of_10_megabytes(folder: Path) -> Path:
    """Names of 10 MB, in a graph that defines W twice (rule 8)."""
    return _named(folder, "W" * full(10_000_000))


def onnx_names_with_control_characters(folder: Path) -> Path:
    """Names that would write to the terminal, in a graph that defines W twice (rule 8)."""
    return _named(folder, "\x1b[2J\x1b]0;title\x07\r\n\0W\u202e\u2028")


def _named(folder: Path, name: str) -> Path:
    arrays = {name: weights()["W"], "R": weights()["R"]}
    return write(folder, model([node("Neg", [name], [name]), node(inputs=("X", name, "R"), name=name)], arrays))


def onnx_endless_heads(folder: Path) -> Path:
    """A file of 80 MB that holds 40 million fields in place of one graph."""
    return write(folder, varint(2 << 3 | 2) + b"\0" + field(3, b"") * full(40_000_000))


CASES = table(
    "onnx",
    {
        onnx_identities_in_a_circle: "W",
        onnx_node_reads_itself: "W",
        onnx_sum_of_itself: "W",
        onnx_100000_identities: "W",
        onnx_100000_nodes_backwards: "W",
        onnx_two_producers: "two nodes",
        onnx_stored_and_made: "twice",
        onnx_stored_twice: "twice",
        onnx_output_named_as_input: "twice",
        onnx_two_inputs_of_a_name: "twice",
        onnx_10000_arrays_of_a_name: "twice",
        onnx_w_nowhere: "not defined",
        onnx_w_an_input: "weights W=",
        onnx_w_depends_on_the_input: "X",
        onnx_w_at_random: "RandomNormal",
        onnx_expanded: "Expand",
        onnx_tiled: "Tile",
        onnx_filled: "ConstantOfShape",
        onnx_filled_beyond_64_bits: "ConstantOfShape",
        onnx_filled_with_a_negative_size: "ConstantOfShape",
        onnx_range: "Range",
        onnx_range_without_steps: "Range",
        onnx_range_of_nan: "Range",
        onnx_padded: "Pad",
        onnx_doubled_40_times: "Concat",
        onnx_summed_40_times: "W",
        onnx_outer_product: "MatMul",
        onnx_broadcast: "Add",
        onnx_gathered: "Gather",
        onnx_einsum: "Einsum",
        onnx_reshaped_to_what_it_is_not: "Reshape",
        onnx_transposed_along_no_axis: "Transpose",
        onnx_squeezed_where_it_is_wide: "Squeeze",
        onnx_sliced_in_steps_of_0: "Slice",
        onnx_cast_to_nothing: "Cast",
        onnx_cast_to_text: "W",
        onnx_dequantised_by_the_wrong_scales: "DequantizeLinear",
        onnx_split_into_too_many: "Split",
        onnx_constant_without_value: "W",
        onnx_constant_of_words: "W",
        onnx_node_without_inputs: "Identity",
        onnx_loop_without_end: "Loop",
        onnx_loop_of_10_to_the_12: "Loop",
        onnx_cell_in_a_loop_of_10_to_the_12: "Loop",
        onnx_loop_without_a_body: "Loop",
        onnx_if_without_branches: "If",
        onnx_body_is_a_number: "Loop",
        onnx_loops_in_loops: "Loop",
        onnx_choices_that_double: "weights T=",
        onnx_function_calls_itself: "F",
        onnx_functions_that_double: "functions",
        onnx_lstm_of_another_domain: "com.example",
        onnx_unknown_operator: "Lstm2",
        onnx_one_array_10000_times: "large",
        onnx_one_lstm_10000_times: "large",
        onnx_names_of_10_megabytes: "WWW",
        onnx_names_with_control_characters: "twice",
        onnx_endless_heads: "unrecognised format",
    },
)
