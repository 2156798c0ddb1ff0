"""Models with masks: eager, scripted, traced, compiled and exported, for any batch and any number of steps."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT
from keras_files import bidirectional, dense, numbers, other, recurrent, write
from sampling import sampled
from torch import nn

import converters
from converters.torch.nn import loops
from converters.verification.evaluate import evaluate

FIXTURES = ROOT / "fixtures"
WORDS, FEATURES, STEPS = 11, 5, 7
HARD = {"recurrent_activation": "hard_sigmoid"}

Layers = tuple[Any, ...]
MODELS: dict[str, Callable[[], Layers]] = {
    "drop-ins": lambda: (
        bidirectional("LSTM", "a", FEATURES, 3, **HARD),
        recurrent("GRU", "b", 6, 2, reset_after=False, **HARD),
    ),
    "one direction": lambda: (recurrent("LSTM", "a", FEATURES, 3), recurrent("GRU", "b", 3, 2, return_sequences=False)),
    "two directions": lambda: (bidirectional("LSTM", "a", FEATURES, 3), bidirectional("GRU", "b", 6, 2)),
    "last of two": lambda: (bidirectional("SimpleRNN", "a", FEATURES, 3, return_sequences=False), dense("b", 6, 2)),
    "both states": lambda: (bidirectional("LSTM", "a", FEATURES, 3, return_state=True, return_sequences=False),),
    "backwards": lambda: (
        recurrent("LSTM", "a", FEATURES, 3, go_backwards=True),
        recurrent("LSTM", "b", 3, 2, go_backwards=True, return_sequences=False, **HARD),
    ),
    "both backwards": lambda: (
        bidirectional("LSTM", "a", FEATURES, 3, go_backwards=True),
        bidirectional("GRU", "b", 6, 2, go_backwards=True, return_sequences=False, merge_mode="sum", **HARD),
    ),
    "states": lambda: (recurrent("LSTM", "a", FEATURES, 3), recurrent("LSTM", "b", 3, 2, return_state=True)),
    "state of one": lambda: (recurrent("GRU", "a", FEATURES, 3, return_state=True, return_sequences=False),),
}


def words(batch: int, steps: int) -> np.ndarray[Any, Any]:
    """Indices (batch, steps): whole, masked at the end, at the start, with gaps, and altogether, again and again."""
    found = np.random.default_rng([batch, steps]).integers(1, WORDS, (batch, steps))
    found[1::5, steps - 2 :] = found[2::5, :2] = found[3::5, 1::2] = found[4::5] = 0
    return found


def embedding(batch: int | None = None) -> Any:
    shape = [batch, None]
    arrays = {"embeddings": numbers(WORDS, FEATURES)}
    sizes = {"input_dim": WORDS, "output_dim": FEATURES}
    return other("Embedding", "embed", arrays, batch_input_shape=shape, mask_zero=True, **sizes)


@cache
def file(case: str) -> Path:
    return write(_FOLDER / f"{case}.h5", embedding(), *MODELS[case](), version="2.2.4")


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _FOLDER
    _FOLDER = tmp_path_factory.mktemp("masks")


_FOLDER = Path()


def built(case: str, **options: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.build(file(case), **options)


def expect(found: Any, expected: Any) -> None:
    found, expected = ([*y] if isinstance(y, tuple | list) else [y] for y in (found, expected))
    for one, wanted in zip(found, expected, strict=True):
        assert one.shape == tuple(wanted.shape)
        assert (one.detach().double() - torch.as_tensor(wanted).detach().double()).abs().max() <= 1e-6


def reference(case: str, x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    graph = converters.read(file(case)).graph
    assert graph is not None
    values = evaluate(graph, [x])
    return [values[name] for name in graph.outputs]


SHAPES = ((2, STEPS), (5, 3), (6, 13))


@pytest.mark.parametrize("any_length", [False, True])
@pytest.mark.parametrize("case", MODELS)
def test_eager(case: str, any_length: bool) -> None:
    module = built(case, any_length=any_length)
    assert set(module.state_dict()) == set(converters.convert(file(case), dropins=True))
    for shape in SHAPES:
        x = words(*shape)
        with torch.no_grad():
            expect(module(torch.from_numpy(x)), reference(case, x))
        expect(module(torch.from_numpy(x)), reference(case, x))


def exported(module: nn.Module, case: str, axes: tuple[str, ...], strict: bool = False) -> Any:
    shape = {k: torch.export.Dim(name) for k, name in enumerate(axes)}
    x = torch.from_numpy(words(*SHAPES[0]))
    return torch.export.export(module, (x,), dynamic_shapes=(shape,), strict=strict).module()


@pytest.mark.parametrize("case", sampled(sorted(MODELS, key="state of one".__ne__), 8))
def test_exports_with_any_batch(case: str) -> None:
    program = exported(built(case), case, ("batch",))
    for batch in (2, 6):
        x = words(batch, STEPS)
        expect(program(torch.from_numpy(x)), reference(case, x))


needs_scan = pytest.mark.skipif(not loops.SCANS, reason="this version of torch has no loop for compilers")


@needs_scan
@pytest.mark.parametrize("strict", sampled([False, True], 2), ids=["non-strict", "strict"])
@pytest.mark.parametrize("case", sampled(MODELS, 4))
def test_exports_with_any_batch_and_length(case: str, strict: bool) -> None:
    program = exported(built(case, any_length=True), case, ("batch", "time"), strict)
    for shape in SHAPES:
        x = words(*shape)
        expect(program(torch.from_numpy(x)), reference(case, x))


@needs_scan
@pytest.mark.parametrize("case", sampled(MODELS, 8))
def test_compiles_as_one_graph(case: str) -> None:
    module = built(case, any_length=True)
    torch.compiler.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        for shape in SHAPES:
            x = words(*shape)
            expect(compiled(torch.from_numpy(x)), reference(case, x))


@pytest.mark.parametrize("case", MODELS)
def test_scripts(case: str) -> None:
    scripted = torch.jit.script(copy.deepcopy(built(case)))
    for shape in SHAPES:
        x = words(*shape)
        expect(scripted(torch.from_numpy(x)), reference(case, x))


@pytest.mark.parametrize("case", ["one direction", "two directions", "both states"])
def test_a_trace_holds_for_other_masks(case: str) -> None:
    traced = torch.jit.trace(built(case), torch.from_numpy(words(6, STEPS)))
    x = words(6, STEPS)[::-1, ::-1].copy()
    expect(traced(torch.from_numpy(x)), reference(case, x))


def test_torch_nn_computes_what_it_can() -> None:
    kinds = {name: type(module) for name, module in built("one direction").named_children()}
    assert kinds == {"embed": nn.Embedding, "a": nn.LSTM, "b": nn.GRU}
    loose = {name: type(module) for name, module in built("one direction", any_length=True).named_children()}
    assert loose == {"embed": nn.Embedding, "a": converters.nn.LSTM, "b": converters.nn.GRU}


STATEFUL: dict[str, Callable[[], Layers]] = {
    "LSTM": lambda: (recurrent("LSTM", "a", FEATURES, 3, stateful=True),),
    "GRU, hard_sigmoid": lambda: (recurrent("GRU", "a", FEATURES, 3, stateful=True, **HARD),),
    "GRU": lambda: (recurrent("GRU", "a", FEATURES, 3, stateful=True, return_sequences=False),),
    "both": lambda: (bidirectional("LSTM", "a", FEATURES, 3, stateful=True),),
}


@pytest.mark.parametrize("case", sampled(STATEFUL, 3))
def test_stateful_under_masks(case: str, tmp_path: Path) -> None:
    """Two calls are one over both sequences, in rows whose second one begins with a step that counts."""
    path = write(tmp_path / "model.h5", embedding(6), *STATEFUL[case](), version="2.2.4")
    module = converters.build(path, any_length=True)
    x = torch.from_numpy(words(6, STEPS))
    y = x.roll(1, 0)
    first, second = module(x), module(y)
    module.reset_states()
    expect(module(x), first)
    begun = y[:, 0] != 0
    if case != "both":
        whole = converters.build(path)(torch.cat([x, y], dim=1))
        expect(second[begun], (whole if whole.dim() == 2 else whole[:, STEPS:])[begun])
    assert (second[begun] - converters.build(path)(y)[begun]).abs().max() > 1e-3
    if loops.SCANS:
        module.reset_states()
        program = exported_stateful(module, x)
        expect(program(x), first)
        expect(program(y), second)


def exported_stateful(module: nn.Module, x: torch.Tensor) -> Any:
    shapes = ({1: torch.export.Dim("time")},)
    return torch.export.export(module, (x,), dynamic_shapes=shapes).module()


MASKED = (
    "keras1/embedding_mask/model.h5",
    "keras2/embedding_mask/model.h5",
    "keras2/masking/model.h5",
    "keras3/embedding_mask/model.keras",
    "keras3/embedding_mask_sequential/model.keras",
    "keras3/mask_with_gaps/model.keras",
    "tf_keras/embedding_mask/model.keras",
)


@needs_scan
@pytest.mark.parametrize("case", sampled(MASKED, 7))
def test_fixtures_export_with_any_batch_and_length(case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        module = converters.build(FIXTURES / case, any_length=True)
    with np.load((FIXTURES / case).parent / "io.npz") as arrays:
        inputs = [torch.from_numpy(arrays[key]) for key in sorted(arrays.files) if key.startswith("model/in/")]
        y = torch.from_numpy(arrays["model/out/0"])
    shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    program = torch.export.export(module, tuple(inputs), dynamic_shapes=(shape,) * len(inputs)).module()
    with torch.no_grad():
        first = program(*inputs)
        expect(first[0] if isinstance(first, tuple) else first, y)
        larger = [torch.cat([x, x.flip(1), x.roll(2, 1)]) for x in inputs]
        for given in (larger, [x[:, 2:] for x in larger]):
            expect(program(*given), module(*given))


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def onnx_node(kind: str, direction: str, outputs: list[str]) -> onnx.ModelProto:
    """One node over (time, batch, 5) with lengths as an input."""
    ways, rows = 2 if direction == "bidirectional" else 1, GATES[kind] * 3
    shapes = {"W": (ways, rows, FEATURES), "R": (ways, rows, 3), "B": (ways, 2 * rows)}
    stored = [onnx.numpy_helper.from_array(numbers(*shape), name) for name, shape in shapes.items()]
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = onnx.helper.make_node(kind, ["X", *shapes, "lengths"], outputs, hidden_size=3, direction=direction, **more)
    x = onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["time", "batch", FEATURES])
    lengths = onnx.helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ["batch"])
    given = [onnx.helper.make_empty_tensor_value_info(name) for name in outputs if name]
    graph = onnx.helper.make_graph([node], "g", [x, lengths], given, stored)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("outputs", [["Y"], ["", "Y_h"], ["Y", "Y_h"]], ids=" ".join)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_lengths_of_onnx(kind: str, direction: str, outputs: list[str]) -> None:
    """Time first, fewer sequences than steps, and none of them as long as the input."""
    model = onnx_node(kind, direction, outputs)
    x, lengths = numbers(STEPS, 3, FEATURES), np.array([5, 1, 6], np.int32)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"X": x, "lengths": lengths})
    with torch.no_grad():
        expect(converters.build(model)(torch.from_numpy(x), torch.from_numpy(lengths)), expected)
