"""Files by the real exporters: every layer, loaded strictly and run on what its node read, gives what its node gave.

And what an exporter wrote and this library read are the bits that the module or the Keras layer held.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT
from equivalence import assert_close, assert_nothing_else_is_listed, converted, described, is_compared, planned
from onnx_runs import cast, constants, node_of, outputs

import converters
from converters.planning.pairing import Module

Array = np.ndarray[Any, Any]
Errors = Iterator[tuple[str, float]]

CASES = sorted((ROOT / "fixtures").glob("onnx_*/*/case.json"))
PARAMS = [pytest.param(case, id=str(case.parent.relative_to(ROOT / "fixtures"))) for case in CASES]


def files(case: Path) -> Iterator[Path]:
    yield from (case.parent / name for name in described(case)["files"] if name.endswith(".onnx"))


@pytest.mark.parametrize("case", PARAMS)
def test_every_layer_gives_what_its_node_gave(case: Path, measured: Any) -> None:
    """A layer that is refused, or of which nothing was recorded, has to stand as such in case.json."""
    io = np.load(case.parent / "io.npz")
    recorded = {key.partition("/")[2]: io[key] for key in io if key.startswith(("in/", "value/"))}
    there: set[str] = set()
    for file in files(case):
        model = onnx.load(file)
        values = cast(model, constants(model) | recorded)
        for module in planned(file).modules:
            there.add(module.path)
            found = dict(errors(case, module, file, model, values))
            assert bool(found) == is_compared(case, planned(file), module.path), f"{module.path} compared: {found}"
            for name, error in found.items():
                measured(f"{case.parent.name} {module.path} {name}", error)
    assert_nothing_else_is_listed(case, there)


WHOLE = [param for param in PARAMS if "refused" not in described(param.values[0])]


@pytest.mark.parametrize("case", WHOLE)
def test_there_are_as_many_layers_as_were_exported(case: Path) -> None:
    """Layers of one nn.LSTM stand as one layer of several depths where the graph has PyTorch's names."""
    for file in files(case):
        layers = planned(file).checkpoint.layers
        assert sum(len({part.layer for part in layer.parts}) for layer in layers) == described(case)["layers"]


def errors(case: Path, module: Module, file: Path, model: onnx.ModelProto, values: Mapping[str, Array]) -> Errors:
    """The error of every value that a layer gives and that was recorded; raises beyond the tolerance."""
    layer, io = module.layers[0], np.load(case.parent / "io.npz")
    if not module.constructor or layer.call.masked:
        return
    if layer.wiring.reads not in values:
        values = computed(model, io, layer.wiring.reads) | dict(values)
    if layer.wiring.reads in values:
        for name, found in outputs(module, converted(file), values, model):
            if f"value/{name}" in io or f"in/{name}" in io:
                expected = values[name].reshape(found.shape)
                tolerance = described(case)["tolerance"] * max(1.0, float(np.abs(expected).max()))
                yield name, assert_close(found, expected, tolerance, f"{module.path} {name}")


def computed(model: onnx.ModelProto, io: Mapping[str, Array], name: str) -> dict[str, Array]:
    """A value of the main graph by onnxruntime: integers, for example, are not recorded."""
    if node_of(model, name) is None:
        return {}
    whole = onnx.ModelProto.FromString(model.SerializeToString())
    whole.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {value.name: io[f"in/{value.name}"] for value in session.get_inputs()}
    return {name: session.run([name], given)[0]}


UNROLLED = ("lstm_cell", "gru_cell", "rnn", "single_step", "unrolled", "stacked_cells")
"""Cases whose steps stand in the graph one by one, so that weights are those of products and sums."""

GIVEN = ROOT / "fixtures" / "onnx_torch" / "no_weights" / "case.json"


def beside(kind: str) -> list[Any]:
    """The cases that keep the framework's own weights, but those of cells in steps, and of weights that are inputs."""
    left = (*UNROLLED, GIVEN.parent.name)
    return [p for p in PARAMS if kind in described(p.values[0]) and p.values[0].parent.name not in left]


def stored_bits(case: Path) -> set[tuple[tuple[int, ...], bytes]]:
    """Shape and bits of every converted tensor; NumPy keeps bfloat16 as float32."""
    tensors = [tensor for file in files(case) for tensor in converted(file).values()]
    floating = [t.float() if t.dtype == torch.bfloat16 else t for t in tensors if t.is_floating_point()]
    return {(tuple(t.shape), t.contiguous().view(torch.uint8).numpy().tobytes()) for t in floating}


@pytest.mark.parametrize("case", beside("state_dict"))
def test_recurrent_weights_have_the_bits_of_the_module(case: Path) -> None:
    own = np.load(case.parent / described(case)["state_dict"])
    recurrent = {key: own[key] for key in own if "weight_ih" in key or "weight_hh" in key or "bias_" in key}
    found = stored_bits(case)
    assert recurrent
    assert not [key for key, array in recurrent.items() if (array.shape, array.tobytes()) not in found]


@pytest.mark.parametrize("name", ["onnx_torch/not_folded", "onnx_torch/gru_not_folded", "onnx_dynamo/large_weight"])
def test_names_of_pytorch_in_the_graph_are_the_keys(name: str) -> None:
    case = ROOT / "fixtures" / name / "case.json"
    own = np.load(case.parent / described(case)["state_dict"])
    assert list(converters.convert(case.parent / "model.onnx")) == list(own)


def test_weights_that_are_inputs_of_the_graph_are_given() -> None:
    own = dict(np.load(GIVEN.parent / "state_dict.npz"))
    with pytest.raises(converters.CoverageError, match="give the arrays, weights="):
        converters.convert(GIVEN.parent / "model.onnx")
    made = converters.convert(GIVEN.parent / "model.onnx", weights=own)
    assert {key: tuple(tensor.shape) for key, tensor in made.items()} == {key: own[key].shape for key in own}
    assert all(np.array_equal(made[key].numpy(), own[key]) for key in own)


def keras_tensors(arrays: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """The tensors of one recurrent Keras layer from its own arrays; nothing for a layer of another kind."""
    names = ("kernel", "recurrent_kernel", "bias")
    kernel, recurrent = (arrays.get(key, np.zeros(())) for key in ("0", "1"))
    if kernel.ndim != 2 or recurrent.ndim != 2 or kernel.shape[1] != recurrent.shape[1]:
        return {}
    found: dict[str, torch.Tensor] = {}
    each = len(arrays) // 2 if len(arrays) in (4, 6) else len(arrays)
    for start in range(0, len(arrays), each):
        layer = {name: arrays[str(start + k)] for k, name in zip(range(each), names, strict=False)}
        gru = kernel.shape[1] == 3 * recurrent.shape[0]
        two = "bias" in layer and layer["bias"].ndim == 2
        assume = {"activation": "tanh", "recurrent_activation": "sigmoid"} | ({"reset_after": str(two)} if gru else {})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", converters.ConversionWarning)
            made = converters.convert(layer, framework="keras", assume=assume, strict=False)
        found |= {f"{start}{key}": tensor for key, tensor in made.items()}
    return found


@pytest.mark.parametrize("case", beside("weights"))
def test_recurrent_weights_have_the_bits_of_the_keras_layer(case: Path) -> None:
    own = np.load(case.parent / described(case)["weights"])
    layers: dict[str, dict[str, Array]] = {}
    for key in own:
        layer, _, number = key.rpartition("/")
        layers.setdefault(layer, {})[number] = own[key]
    expected = {f"{name}.{key}": t for name, arrays in layers.items() for key, t in keras_tensors(arrays).items()}
    found = stored_bits(case)
    assert expected
    assert not [key for key, t in expected.items() if (tuple(t.shape), t.contiguous().numpy().tobytes()) not in found]


STACKS = [
    ("onnx_torch/lstm_stacked", "lstm."),
    ("onnx_torch/lstm_bidirectional", ""),
    ("onnx_torch/gru_stacked_bidirectional", ""),
    ("onnx_torch/lstm_opset9", "lstm."),
]
NOTED = (
    "lstm_stacked",
    "gru_bidirectional",
    "lstm_bidirectional",
    "bfloat16",
    "half",
    "lstm_no_bias",
    "embedding_tied",
)
"""Cases of the dynamo exporter, which notes from which parameters it folded an array."""


@pytest.mark.parametrize(("name", "prefix"), STACKS)
def test_a_node_for_each_layer_becomes_the_module_that_was_exported(name: str, prefix: str) -> None:
    case = ROOT / "fixtures" / name / "case.json"
    own = np.load(case.parent / described(case)["state_dict"])
    expected = {key.removeprefix(prefix): own[key] for key in own if "weight_ih" in key or "weight_hh" in key}
    members = [layer.path for layer in converters.read(case.parent / "model.onnx").layers if layer.recurrent]
    made = converters.convert(case.parent / "model.onnx", stack={"whole": members})
    found = {key.removeprefix("whole."): made[key].float().numpy() for key in made if key.startswith("whole.weight")}
    assert len(members) == 2 and list(found) == list(expected)
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", NOTED)
def test_names_that_the_exporter_notes_of_folded_arrays_are_the_keys(name: str) -> None:
    case = ROOT / "fixtures" / "onnx_dynamo" / name / "case.json"
    own = np.load(case.parent / described(case)["state_dict"])
    made = converters.convert(case.parent / "model.onnx")
    assert {*made} == {*own}
    assert all(np.array_equal(made[key].float().numpy(), own[key]) for key in own)


class Stacked(torch.nn.Module):
    """The module behind `onnx_torch/lstm_stacked`, under names of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.LSTM(3, 5, num_layers=2, batch_first=True)
        self.scores = torch.nn.Linear(5, 11)


def test_nodes_are_loaded_into_a_module_that_one_has() -> None:
    case = ROOT / "fixtures/onnx_torch/lstm_stacked/case.json"
    module, own = Stacked(), np.load(case.parent / described(case)["state_dict"])
    converters.load_into(module, case.parent / "model.onnx")
    found = {f"lstm.{key}": value for key, value in module.encoder.state_dict().items()}
    found |= {f"head.{key}": value for key, value in module.scores.state_dict().items()}
    assert all(np.array_equal(found[key].numpy(), own[key]) for key in own)


def test_the_gates_of_a_node_are_views() -> None:
    case = ROOT / "fixtures/onnx_torch/lstm_stacked/case.json"
    own = np.load(case.parent / described(case)["state_dict"])
    layer = converters.read(case.parent / "model.onnx").layers[0]
    assert np.array_equal(converters.gates(layer)["l0"].recurrent_weight["f"], own["lstm.weight_hh_l0"][5:10])


def test_the_fixtures_are_there() -> None:
    assert len({case.parent.parent.name for case in CASES}) == 4
