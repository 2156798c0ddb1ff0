"""Simple recurrent layers that PyTorch's dynamo exporter writes out step by step: recovered bit by bit, or refused."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from loop_models import exported, randomized, scope_of
from onnx import helper, numpy_helper
from sampling import sampled
from torch import nn

from converters.model.settings import Call, Wiring
from converters.readers.onnx.arithmetic.constants import Bench
from converters.readers.onnx.arithmetic.recovered import Recovered
from converters.readers.onnx.arithmetic.steps import recognise_steps
from converters.readers.onnx.graph.scope import Scope

UNITS, BATCH = 5, 2


# ---- By the exporter ----


class Head(nn.Module):
    """A layer with a projection of its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.RNN(3, UNITS, batch_first=True), nn.Linear(UNITS, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(x)[0][:, -1])


class Twice(nn.Module):
    """One layer for two sequences, and a second layer that starts from the state of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.RNN(3, UNITS), nn.RNN(3, UNITS, nonlinearity="relu")

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.decoder(b, self.encoder(a)[1])[0] + self.encoder(b)[0]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


SEQUENCE = (random(4, BATCH, 3),)
EXPORTED: dict[str, tuple[Callable[[], nn.Module], tuple[torch.Tensor, ...], int]] = {
    "two steps": (lambda: nn.RNN(3, UNITS), (random(2, BATCH, 3),), 1),
    "batch first": (lambda: nn.RNN(3, UNITS, batch_first=True), (random(BATCH, 7, 3),), 1),
    "relu": (lambda: nn.RNN(3, UNITS, nonlinearity="relu"), SEQUENCE, 1),
    "without bias": (lambda: nn.RNN(3, UNITS, bias=False), SEQUENCE, 1),
    "as many inputs as units": (lambda: nn.RNN(UNITS, UNITS, num_layers=2), (random(7, BATCH, UNITS),), 2),
    "one unit": (lambda: nn.RNN(3, 1), SEQUENCE, 1),
    "both directions, two layers": (lambda: nn.RNN(3, UNITS, 2, bidirectional=True), SEQUENCE, 4),
    "both directions, without bias": (lambda: nn.RNN(3, UNITS, 1, "relu", False, bidirectional=True), SEQUENCE, 2),
    "weights stored for each step": (lambda: nn.RNN(3, 67), SEQUENCE, 1),
    "weights not transposed": (lambda: nn.RNN(3, 130, num_layers=2), SEQUENCE, 2),
    "one sequence": (lambda: nn.RNN(3, UNITS), (random(4, 3),), 1),
    "half": (lambda: nn.RNN(3, UNITS).half(), (SEQUENCE[0].half(),), 1),
    "head": (Head, (random(BATCH, 7, 3),), 1),
    "two sequences": (Twice, (random(4, BATCH, 3), random(4, BATCH, 3) + 1), 3),
}
"""What -> module, inputs, how many layers and directions are found: uses of one layer count each."""


@pytest.mark.parametrize("case", sampled(EXPORTED, 2))
def test_exported(case: str) -> None:
    """Every array has the bits of the module's own, and the outputs and final state are named that it gives."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    make, inputs, count = EXPORTED[case]
    torch.manual_seed(4)
    module = make().eval()
    model = exported_by_torch(module, inputs)
    scope = scope_of(model)
    found = recognise_steps(scope)
    assert len(found) == count
    covered = {node for one in found for node in one.nodes}
    assert "MatMul" not in {node.op for node in scope.nodes if node not in covered}
    own = {(tuple(t.shape), t.numpy().tobytes()): name for name, t in module.state_dict().items()}
    names = [own[array.shape, array.read().tobytes()] for one in found for array in one.arrays.values()]
    assert set(names) == {name for name in module.state_dict() if "_l" in name}
    for one in found:
        assert_named(one, [own[array.shape, array.read().tobytes()] for array in one.arrays.values()])
    _assert_outputs(model, found, inputs)


def exported_by_torch(module: nn.Module, inputs: tuple[torch.Tensor, ...], **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, inputs, dynamo=True, verbose=False, **options)
    return program.model_proto


def assert_named(one: Recovered, names: list[str]) -> None:
    """All arrays belong to one layer and direction, in their places."""
    roles = [f"{role}_l" for role in one.arrays]
    assert all(role in name for role, name in zip(roles, names, strict=True))
    (suffix,) = {name.partition("_l")[2] for name in names}
    assert one.call.direction == ("reverse" if suffix.endswith("_reverse") else "forward")


def _assert_outputs(model: Any, found: list[Recovered], inputs: tuple[torch.Tensor, ...]) -> None:
    """What onnxruntime computes of the values that a layer reads is what PyTorch makes of them with its arrays."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    names = {name for one in found for name in (one.wiring.reads, *one.wiring.gives)}
    known = {one.name for one in (*model.graph.input, *model.graph.output)}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names - known - {""})
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {one.name: given.numpy() for one, given in zip(session.get_inputs(), inputs, strict=True)}
    outputs = [one.name for one in session.get_outputs()]
    made = fed | dict(zip(outputs, session.run(outputs, fed), strict=True))
    for one in found:
        if one.call.initial_h:
            continue
        x = torch.from_numpy(made[one.wiring.reads])
        x = x if one.call.time_axis == 0 else x.transpose(0, 1)
        ordered = x.flip(0) if one.call.direction == "reverse" else x
        y, h = _module(one)(ordered.float())
        y = y.flip(0) if one.call.direction == "reverse" else y
        tolerance = 1e-6 if x.dtype == torch.float32 else 2e-3
        for name, value in zip(one.wiring.gives, (y, h), strict=True):
            if not name:
                continue
            np.testing.assert_allclose(value.detach().numpy(), made[name].reshape(value.shape), atol=tolerance, rtol=0)


def _module(one: Recovered) -> nn.RNN:
    weights = {f"{name}_l0": torch.from_numpy(array.read().copy()) for name, array in one.arrays.items()}
    units, inputs = weights["weight_ih_l0"].shape
    module = nn.RNN(inputs, units, nonlinearity=one.options.activation, bias=len(weights) == 4)
    module.load_state_dict(weights)
    return module


def test_one_step_from_zeros_is_left_alone() -> None:
    """The exporter does not write weight_hh into such a file."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    assert recognise_steps(scope_of(exported_by_torch(nn.RNN(3, UNITS), (random(1, BATCH, 3),)))) == []


def test_any_number_of_sequences() -> None:
    """The zeros are computed when the model runs."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    shapes = ({1: torch.export.Dim("batch")},)
    (one,) = recognise_steps(scope_of(exported_by_torch(nn.RNN(3, UNITS), SEQUENCE, dynamic_shapes=shapes)))
    assert one.call.steps == 4 and not one.call.initial


# ---- Written here ----


def written(change: str = "", steps: int = 4, units: int = UNITS) -> tuple[Any, dict[str, np.ndarray]]:
    """A layer of some steps over X (time, batch, 3), with one thing changed that makes it another."""
    generator = np.random.default_rng(steps * 100 + units)
    shapes = {"K": (3, units), "R": (units, units), "b": (units,), "c": (units,)}
    weights = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    constants: dict[str, Any] = dict(weights)
    constants["first"] = np.broadcast_to(weights["c"], (1, BATCH, units)) + np.float32(change == "other start")
    constants["R2"], constants["c2"] = weights["R"].copy(), weights["c"] + 1
    constants["R2"][-1, -1] += np.float32(change == "other weights")
    constants |= {str(number): np.array([number]) for number in range(steps + 1)}
    lines = ["xk = MatMul (X, K)", "xb = Add (xk, b)"]
    for t in range(steps):
        take = {"repeats a step": min(t, steps - 2), "leaves one out": t + (t > 1)}.get(change, t)
        take = [1, 0, *range(2, steps)][t] if change == "other order" else take
        lines += _taken(change, t, take, steps)
        last = t == steps - 1
        if t:
            h = f"h{t - 2 if last and change == 'skips back' else t - 1}"
            lines.append(f"p{t} = MatMul ({h}, {'R2' if last else 'R'})")
            lines.append(f"r{t} = Add (p{t}, {'c2' if last and change == 'other bias' else 'c'})")
        merge = "Sub" if last and change == "other sum" else "Add"
        lines.append(f"a{t} = {merge} ({f'r{t}' if t else 'first'}, g{t})")
        lines.append(f"h{t} = {'Sigmoid' if last and change == 'other function' else 'Tanh'} (a{t})")
        if t == 1 and change == "masked":
            lines += ["k1 = Identity (h1)", "h1m = Where (M, k1, h0)"]
    if change == "masked":
        lines = [line.replace("MatMul (h1,", "MatMul (h1m,") for line in lines]
    mask = f", bool[{BATCH},1] M" if change == "masked" else ""
    longer = steps + (change in ("longer", "leaves one out"))
    states = ", ".join(f"h{t}" for t in range(steps))
    graph = onnx.parser.parse_graph(
        f"model (float[{longer},{BATCH},3] X{mask}) => (float[T,{BATCH},{units}] Y) "
        f"{{ {' '.join(lines)} Y = Concat <axis = 0> ({states}) }}"
    )
    named = {f"n{name}" if name.isdigit() else name: array for name, array in constants.items()}
    named["n5"] = np.array([5])
    graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in named.items())
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), weights


def _taken(change: str, t: int, take: int, steps: int) -> list[str]:
    """One step of the product with the input, in the ways in which exporters take it."""
    if change == "by Gather":
        return [f"i{t} = Constant <value = int64 {{{take}}}> ()", f"g{t} = Gather <axis = 0> (xb, i{t})"]
    if change == "by Split":
        whole = f"{', '.join(f's{n}' for n in range(steps))} = Split <axis = 0> (xb)"
        return [*([] if t else [whole]), f"g{t} = Squeeze (s{t}, n0)"]
    return [f"s{t} = Slice (xb, n{take}, n{take + 1}, n0)", f"g{t} = Squeeze (s{t}, n0)"]


@pytest.mark.parametrize("way", ["by Gather", "by Split"])
def test_ways_to_take_a_step(way: str) -> None:
    (one,) = recognise_steps(scope_of(written(way)[0]))
    assert one.call.time_axis == 0 and len(one.arrays) == 4


@pytest.mark.parametrize("steps", [2, 3, 5])
@pytest.mark.parametrize("units", [1, 3, 7])
def test_written(steps: int, units: int) -> None:
    model, weights = written("", steps, units)
    (one,) = recognise_steps(scope_of(model))
    expected = [weights["K"].T, weights["R"].T, weights["b"], weights["c"]]
    for array, own in zip(one.arrays.values(), expected, strict=True):
        assert array.shape == own.shape and array.read().tobytes() == np.ascontiguousarray(own).tobytes()
    assert one.call == Call(steps=steps, time_axis=0)
    assert one.wiring == Wiring(reads="X", gives=("Y", f"h{steps - 1}"))


@pytest.mark.parametrize(
    "change",
    [
        *("other start", "other weights", "other bias", "other sum", "other function", "other order"),
        *("skips back", "masked", "repeats a step", "leaves one out", "longer"),
    ],
)
def test_what_is_no_layer_over_the_whole_sequence_is_left_alone(change: str) -> None:
    model, _ = written(change)
    assert recognise_steps(scope_of(model)) == []


# ---- Cells ----


@pytest.mark.parametrize("steps", [2, 3])
@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
def test_cells_that_are_called_a_few_times(kind: Any, steps: int, dynamo: bool, tmp_path: Path) -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = kind(3, UNITS)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states = None
            for step in range(steps):
                states = self.cell(x[:, step], states)
            return states

    module = Steps().eval()
    if dynamo:
        pytest.importorskip("onnxscript", reason="onnxscript is not installed")
        model = exported_by_torch(module, (random(BATCH, steps, 3),))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, (random(BATCH, steps, 3),), str(tmp_path / "cell.onnx"), dynamo=False)
        model = onnx.load(tmp_path / "cell.onnx")
    (one,) = recognise_steps(scope_of(model))
    own = module.cell.state_dict()
    assert list(one.arrays) == list(own)
    assert all(np.array_equal(array.read(), own[name].numpy()) for name, array in one.arrays.items())
    assert one.call.steps == steps and not one.call.initial


# ---- What is masked, and what is no recurrent layer ----


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_unrolled_layers_with_a_mask_are_refused(kind: str, version: int, tmp_path: Path) -> None:
    """A state that a mask keeps does not follow from the step before alone."""
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    keras = pytest.importorskip("tf_keras" if version == 2 else "keras", reason="Keras is not installed")
    if version == 3 and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend than TensorFlow")
    x = keras.Input((4, 3))
    layer = getattr(keras.layers, kind)(UNITS, unroll=True)
    model = keras.Model(x, layer(keras.layers.Masking()(x)))
    assert recognise_steps(scope_of(exported(keras, randomized(model), tmp_path))) == []


def _blocks(count: int) -> Scope:
    """Square products with residuals, as transformers have them: five nodes a block."""
    nodes, shared = [], np.eye(8, dtype=np.float32)
    for n in range(count):
        nodes += [
            helper.make_node("MatMul", [f"x{n}", f"w{n}"], [f"p{n}"]),
            helper.make_node("Add", [f"p{n}", "b"], [f"a{n}"]),
            helper.make_node("Add", [f"a{n}", f"x{n}"], [f"r{n}"]),
            helper.make_node("Tanh", [f"r{n}"], [f"t{n}"]),
            helper.make_node("Slice", [f"t{n}", "zero", "eight", "one"], [f"x{n + 1}"]),
        ]
    arrays = {"b": np.ones(8, np.float32), **{f"w{n}": shared for n in range(count)}}
    arrays |= {"zero": np.array([0]), "eight": np.array([8]), "one": np.array([1])}
    values = [helper.make_tensor_value_info(name, 1, [2, 8]) for name in ("x0", f"x{count}")]
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "large", values[:1], values[1:], stored)
    return scope_of(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def test_a_large_graph_without_recurrent_layers_costs_in_proportion_to_its_nodes() -> None:
    """Eight times the nodes: about eight times the time, sixty-four times if each looked at all others."""

    def cost(count: int) -> float:
        scope = _blocks(count)
        gc.collect()
        gc.disable()  # how much there is to walk is no matter of this graph
        began = time.process_time()
        assert recognise_steps(scope) == []
        taken = time.process_time() - began
        gc.enable()
        return taken

    cost(500)
    assert min(cost(4000) for _ in range(3)) < 24 * max(cost(500) for _ in range(3))


@pytest.mark.parametrize("shape", [(), (5,), (5, 3)], ids=str)
def test_random_numbers_stand_in_for_arrays_of_any_shape(shape: tuple[int, ...]) -> None:
    """A scalar too, which is no sum over a first axis; the same numbers every time."""
    bench = Bench(7)
    found = bench.stand_in("W", shape)
    assert found.shape == shape and np.all(found != 0)
    assert bench.stand_in("W", shape) is found
