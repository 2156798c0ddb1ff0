"""If nodes: a branch is taken where stored or stated numbers and fixed sizes settle it, and nowhere else.

Every model is run by onnxruntime, built, and evaluated without torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import converters
from converters.cli import main
from converters.readers.onnx.given import given_arrays
from converters.verification.evaluate import evaluate

onnxruntime = pytest.importorskip("onnxruntime")

Array = np.ndarray[Any, Any]
FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
WIDTH = 3


def numbers(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def tensor(name: str, value: Any) -> Any:
    return numpy_helper.from_array(np.asarray(value), name)


def branch(name: str, nodes: Sequence[Any], output: str, *stored: Any, shape: Any = None) -> Any:
    outputs = [helper.make_tensor_value_info(output, FLOAT, shape)]
    return helper.make_graph(list(nodes), name, [], outputs, list(stored))


def linear(seed: int, x: str = "x", output: str = "made") -> Any:
    """A branch with weights of its own; both branches of an If have the same names inside."""
    stored = (tensor("W", numbers(WIDTH, WIDTH, seed=seed)), tensor("b", numbers(WIDTH, seed=seed)))
    nodes = [helper.make_node("Gemm", [x, "W", "b"], ["h"]), helper.make_node("Tanh", ["h"], [output])]
    return branch(f"branch_{seed}", nodes, output, *stored)


def model(nodes: Sequence[Any], inputs: Mapping[str, tuple[int, Sequence[Any]]], *stored: Any, noted: Any = ()) -> Any:
    """A graph that gives `y`."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    outputs = [helper.make_tensor_value_info("y", FLOAT, None)]
    graph = helper.make_graph(list(nodes), "graph", given, outputs, list(stored), value_info=list(noted))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def chosen(condition: str, then: Any, otherwise: Any, output: str = "y") -> Any:
    return helper.make_node("If", [condition], [output], then_branch=then, else_branch=otherwise)


def by_number() -> Any:
    """Which weights count is told by an input, as the rate of a sound is."""
    rate = tensor("rate", np.int64(16000))
    nodes = [helper.make_node("Equal", ["sr", "rate"], ["fast"]), chosen("fast", linear(1), linear(2))]
    return model(nodes, {"x": (FLOAT, ["batch", WIDTH]), "sr": (INT, [])}, rate)


def by_size(size: Any, name: str = "x", noted: Sequence[Any] = ()) -> Any:
    """Which weights count is told by the number of steps."""
    stored = (tensor("one", np.int64(1)), tensor("few", np.int64(5)))
    nodes = [helper.make_node("Identity", ["x"], [name])] if name != "x" else []
    nodes += [
        helper.make_node("Shape", [name], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["steps"]),
        helper.make_node("Less", ["steps", "few"], ["short"]),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        chosen("short", linear(1, "mean"), linear(2, "mean")),
    ]
    return model(nodes, {"x": (FLOAT, ["batch", size, WIDTH])}, *stored, noted=noted)


def nested() -> Any:
    """By a rank and by a stored truth; a branch that hands on a value from outside, and one that hands on its own."""
    stored = (tensor("two", np.int64(2)), tensor("true", np.bool_(True)), tensor("outer", numbers(WIDTH, WIDTH)))
    inner = chosen("true", branch("same", [helper.make_node("Identity", ["x"], ["made"])], "made"), linear(2), "made")
    kept = branch("kept", [helper.make_node("MatMul", ["made_0", "outer"], ["y"])], "y")
    kept.node.insert(0, helper.make_node("Mul", ["made", "k"], ["made_0"]))
    kept.node.insert(0, inner)
    kept.initializer.append(tensor("k", np.float32(0.5)))
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Size", ["shape"], ["rank"]),
        helper.make_node("Equal", ["rank", "two"], ["flat"]),
        helper.make_node("Not", ["flat"], ["deep"]),
        helper.make_node("Gemm", ["z", "M"], ["x"]),
        chosen("deep", linear(3), kept),
    ]
    nodes.insert(0, nodes.pop(4))
    return model(nodes, {"z": (FLOAT, ["batch", 5])}, *stored, tensor("M", numbers(5, WIDTH)))


def compared(made: Any, inputs: Mapping[str, Array], folder: Path, **stated: str) -> Any:
    """What onnxruntime gives is what the module and the evaluator give, of the inputs that are not stated."""
    file = folder / "model.onnx"
    onnx.save(made, file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, dict(inputs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        found = converters.read(file, assume=stated)
        module = converters.build(file, assume=stated)
    assert found.graph is not None
    given = [inputs[value.name] for value in found.graph.inputs]
    with torch.no_grad():
        y = module(*map(torch.from_numpy, given)).numpy()
    np.testing.assert_allclose(y, expected, rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(evaluate(found.graph, given)["y"], expected, rtol=0.0, atol=1e-6)
    verdict = converters.verify(file, module, assume=stated)
    assert verdict.ok and verdict.against.startswith("onnxruntime")
    return found


@pytest.mark.parametrize("rate", [16000, 8000])
def test_a_stated_number_takes_its_branch(rate: int, tmp_path: Path) -> None:
    found = compared(by_number(), {"x": numbers(2, WIDTH), "sr": np.asarray(rate)}, tmp_path, sr=str(rate))
    assert [value.name for value in found.graph.inputs] == ["x"]
    assert [remark for remark in found.remarks if f"sr={rate}" in remark]


@pytest.mark.parametrize("steps", [4, 7])
def test_a_size_takes_its_branch(steps: int, tmp_path: Path) -> None:
    inputs = {"x": numbers(2, steps, WIDTH)}
    compared(by_size(steps), inputs, tmp_path)
    compared(by_size("time"), inputs, tmp_path, time=str(steps))
    compared(by_size(None), inputs, tmp_path, **{"x.shape": f"2,{steps},{WIDTH}"})


def test_branches_in_branches(tmp_path: Path) -> None:
    compared(nested(), {"z": numbers(2, 5)}, tmp_path)


def test_a_recurrent_layer_of_a_branch_is_one_of_the_model(tmp_path: Path) -> None:
    gates = 4 * 5
    stored = [tensor(name, numbers(1, gates, width, seed=2)) for name, width in (("W", WIDTH), ("R", 5))]
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R"], ["", "", "c"], hidden_size=5),
        helper.make_node("Squeeze", ["c", "first"], ["out"]),
    ]
    other = [helper.make_node("ReduceSum", ["x", "first"], ["out"], keepdims=0)]
    first = tensor("first", np.asarray([0], np.int64))
    taken, left = branch("taken", nodes, "out", *stored), branch("left", other, "out")
    made = model([chosen("fast", taken, left)], {"x": (FLOAT, [7, 2, WIDTH]), "fast": (BOOL, [1])}, first)
    found = compared(made, {"x": numbers(7, 2, WIDTH), "fast": np.ones(1, bool)}, tmp_path, fast="true")
    assert [layer.class_name for layer in found.layers] == ["LSTM"]


REFUSED = {
    "number": (by_number, r"assume=\{'sr': '…'\}"),
    "size": (lambda: by_size("time"), r"'time': '…'"),
    "unnamed size": (lambda: by_size(None), r"'x\.shape': '…'"),
    "noted size": (
        lambda: by_size("time", "again", [helper.make_tensor_value_info("again", FLOAT, [2, 7, WIDTH])]),
        "'time': '…'",
    ),
    "data": (
        lambda: model(
            [
                helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
                helper.make_node("Cast", ["sum"], ["some"], to=BOOL),
                chosen("some", linear(1), linear(2)),
            ],
            {"x": (FLOAT, ["batch", WIDTH])},
        ),
        "a condition that was not followed",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_open_choice_is_refused_with_what_settles_it(case: str) -> None:
    make, words = REFUSED[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        with pytest.raises(converters.NotRepresentable, match=words):
            converters.build(make())


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        pytest.param({"rate": "1"}, "no input and no open size.*x.shape, sr, batch", id="name"),
        pytest.param({"sr": "fast"}, "expected a number of int64", id="number"),
        pytest.param({"x": "1"}, "no single number", id="array"),
        pytest.param({"batch": "0"}, "a size above 0", id="size"),
        pytest.param({"x.shape": "2,5"}, "fixes this size to 3", id="fixed"),
        pytest.param({"x.shape": "2,3,1"}, "has 2 axes", id="axes"),
    ],
)
def test_what_cannot_be_stated_is_told(stated: Mapping[str, str], words: str) -> None:
    with pytest.raises(converters.ConversionError, match=words):
        converters.read(by_number(), assume=stated)


@pytest.mark.parametrize("mode", ["reflect", "edge", "constant"])
@pytest.mark.parametrize("shape", [(2, 7), (2, 3, 7), (2, 3, 7, 5)], ids=["row", "line", "plane"])
def test_padding(mode: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    before, after = (
        [0, 1] if len(shape) == 2 else [0, 0, 2, 1][: len(shape)],
        [0, 2] if len(shape) == 2 else [0, 0, 3, 0],
    )
    pads = tensor("pads", np.asarray([*before, *after[: len(shape)]], np.int64))
    nodes = [helper.make_node("Pad", ["x", "pads"], ["p"], mode=mode), helper.make_node("MatMul", ["p", "W"], ["y"])]
    last = shape[-1] + before[-1] + after[len(shape) - 1]
    made = model(nodes, {"x": (FLOAT, ["batch", *shape[1:]])}, pads, tensor("W", numbers(last, WIDTH)))
    compared(made, {"x": numbers(*shape)}, tmp_path)


def with_weights(folder: Path) -> tuple[Path, dict[str, Array]]:
    """A node whose weights are inputs, as in ONNX's own tests, and the numbers of all of them."""
    arrays = {"X": numbers(7, 2, WIDTH), "W": numbers(1, 5, WIDTH), "R": numbers(1, 5, 5)}
    given = [helper.make_tensor_value_info(name, FLOAT, array.shape) for name, array in arrays.items()]
    nodes = [helper.make_node("RNN", ["X", "W", "R"], ["", "y"], hidden_size=5)]
    graph = helper.make_graph(nodes, "node", given, [helper.make_tensor_value_info("y", FLOAT, [1, 2, 5])])
    file = folder / "node.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file, arrays


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("kind", ["npz", "npy", "pb"])
def test_weights_that_are_inputs_are_given_on_the_command_line(kind: str, tmp_path: Path) -> None:
    file, arrays = with_weights(tmp_path)
    weights = {name: arrays[name] for name in ("W", "R")}
    refused = run("convert", file, tmp_path / "out.npz")
    assert refused.exit_code == 1 and "--source-weights W=FILE --source-weights R=FILE" in refused.stderr
    if kind == "npz":
        np.savez(tmp_path / "w.npz", **weights)
        stated = ["--source-weights", tmp_path / "w.npz"]
    elif kind == "npy":
        for name, array in weights.items():
            np.save(tmp_path / f"{name}.npy", np.asfortranarray(array))
        stated = [word for name in weights for word in ("--source-weights", f"{name}={tmp_path / name}.npy")]
    else:
        for number, (name, array) in enumerate(weights.items()):
            (tmp_path / f"input_{number}.pb").write_bytes(tensor(name, array).SerializeToString())
        stated = [word for number in (0, 1) for word in ("--source-weights", tmp_path / f"input_{number}.pb")]
    for command in (("convert", file, tmp_path / "out.npz", "--verify"), ("port", file, tmp_path / "ported")):
        result = run(*command, *stated)
        assert result.exit_code == 0, result.stderr
    verified = run("verify", file, tmp_path / "ported" / "model.py", *stated)
    assert verified.exit_code == 0 and "against onnxruntime" in verified.stdout
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_array_equal(found["rnn.weight_ih_l0"], arrays["W"][0])


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        pytest.param(["x.txt"], "expected weights of inputs as FILE.npz", id="kind"),
        pytest.param(["W=absent.npy"], "cannot open the file", id="absent"),
        pytest.param(["W=W.npy", "W=W.npy"], "given twice", id="twice"),
        pytest.param(["short.npz"], "no .npz file", id="damaged"),
        pytest.param(["W=short.npy"], "not one of NumPy's", id="header"),
        pytest.param(["short.pb"], "no TensorProto", id="proto"),
        pytest.param(["V=W.npy"], "the graph has no input 'V'", id="name"),
    ],
)
def test_files_of_weights_that_are_none_are_told(
    stated: Sequence[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, arrays = with_weights(tmp_path)
    monkeypatch.chdir(tmp_path)
    np.save("W.npy", arrays["W"])
    for name in ("short.npz", "short.npy", "short.pb", "x.txt"):
        Path(name).write_bytes(b"\x7f\x7f\x7f\x7f\x7f")
    result = run("inspect", file, *(word for text in stated for word in ("--source-weights", text)))
    assert result.exit_code == 1 and words in result.stderr


def broken(how: str) -> Any:
    """An If that is settled, and a branch that is none."""
    made = by_number()
    node = made.graph.node[1]
    if how == "no branch":
        del node.attribute[:]
    elif how == "no output":
        for attribute in node.attribute:
            del attribute.g.output[:]
    elif how == "no condition":
        del node.input[:]
    elif how == "an output of nobody":
        for attribute in node.attribute:
            attribute.g.output[0].name = "nobody"
    return made


@pytest.mark.parametrize("how", ["no branch", "no output", "no condition", "an output of nobody"])
def test_a_damaged_branch_is_refused(how: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        with pytest.raises(converters.ConversionError):
            converters.build(broken(how), assume={"sr": "16000"})


def test_a_chain_of_branches_ends() -> None:
    """Each condition is told by the branch before it; what is not followed to the end is refused."""
    size, nodes = tensor("s0", np.bool_(True)), []
    for number in range(100):
        inner = [helper.make_node("Identity", [f"s{number}"], ["same"])]
        taken = helper.make_graph(inner, "taken", [], [helper.make_tensor_value_info("same", BOOL, [])])
        nodes.append(chosen(f"s{number}", taken, taken, f"s{number + 1}"))
    nodes.append(chosen("s100", linear(1), linear(2)))
    made = model(nodes, {"x": (FLOAT, ["batch", WIDTH])}, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        with pytest.raises(converters.NotRepresentable, match="chooses"):
            converters.build(made)


@pytest.mark.parametrize("field", ["float_data", "raw_data"])
def test_a_tensor_of_any_form_may_have_a_description(field: str, tmp_path: Path) -> None:
    """Data of more than 256 bytes stay in the file, and what somebody wrote of them is no place of theirs."""
    numbers = np.arange(101, dtype=np.float32)
    content = {"float_data": list(map(float, numbers))} if field == "float_data" else {"raw_data": numbers.tobytes()}
    tensor = onnx.TensorProto(name="W", dims=[101], data_type=1, doc_string="made by hand", **content)
    (tmp_path / "W.pb").write_bytes(tensor.SerializeToString())
    found = given_arrays([str(tmp_path / "W.pb")])
    assert list(found) == ["W"] and np.array_equal(found["W"], numbers) and found["W"].dtype == np.float32
