"""`verify`: what is compared, what is named where it differs, and what runs the source."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT
from keras_files import dense, numbers, other, recurrent, write
from torch import nn

import converters
from converters.cli import main
from converters.model import operations as op
from converters.model.graph import Graph, Node, Value
from converters.show.progress import Bar
from converters.torch import comparing
from converters.torch.own_file import module_from
from converters.verification import cases as making
from converters.verification import following, rounding, sources
from converters.verification.cases import make_cases
from converters.verification.comparison import Difference, compare, worst
from converters.verification.evaluate import evaluate
from converters.verification.report import Verification
from layouts.errors import ShapeError

KERAS3 = ROOT / "fixtures" / "keras3"
LSTM, GAPS, STATES = (KERAS3 / name / "model.keras" for name in ("lstm", "mask_with_gaps", "return_state"))
SAMPLE = [
    "keras3/attention",
    "keras3/bidirectional",
    "keras3/conv",
    "keras3/conv_separable",
    "keras3/conv_transpose",
    "keras3/embedding_mask",
    "keras3/flatten_dense",
    "keras3/float64",
    "keras3/go_backwards",
    "keras3/gru_reset_before",
    "keras3/merge_modes",
    "keras3/nested",
    "keras3/norms",
    "keras3/shared",
    "keras3/stacked_cells",
    "keras3/stacked_cells_equal",
    "keras3/stateful",
    "keras3/time_distributed",
    "keras2/conv_transposed",
    "keras2/encoder_decoder",
    "keras2/lstm_hard_sigmoid",
    "keras2/masking",
    "keras1/convolution_same",
    "tf_keras/nested",
    "onnx_torch/gru",
    "onnx_torch/lstm_cell",
    "onnx_keras/masked_lstm",
]


def built(source: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.build(source)


def file_of(name: str) -> Path:
    found = ROOT / "fixtures" / name
    return next(p for p in (found / "model.keras", found / "model.h5", found / "model.onnx") if p.exists())


@pytest.mark.parametrize("name", SAMPLE)
def test_a_built_module_is_verified(name: str, measured: Callable[[str, float], None]) -> None:
    found = converters.verify(file_of(name), built(file_of(name)), by="numpy")
    assert found.ok, str(found)
    assert found.check() is found
    assert all(layer.note in ("", "not followed") or layer.ok for layer in found.layers)
    used = [result.difference.share for result in found.outputs]
    assert max(used) < 0.6, "a tolerance with nothing to spare"
    json.dumps(found.data())
    measured(f"verify {name}", found.largest)


def spoiled(module: nn.Module, key: str, by: float = 0.01) -> nn.Module:
    """The module with one number of one tensor changed."""
    with torch.no_grad():
        module.get_parameter(key).view(-1)[0] += by
    return module


def test_the_first_layer_that_diverges_is_named_with_its_worst_element() -> None:
    found = converters.verify(GAPS, spoiled(built(GAPS), "last.weight_ih_l0"), by="numpy")
    assert not found.ok
    assert found.first is not None and found.first.difference is not None
    assert (found.first.kind, found.first.layer) == ("layer", "last")
    assert found.first.difference.step == 0
    assert len(found.first.difference.index) == 3
    assert found.first.difference.found != found.first.difference.expected
    verdicts = {layer.layer: layer.ok for layer in found.layers}
    assert verdicts == {"embedding": True, "both": True, "last": False, "back": True, "zeros": True}
    assert "last" in str(found) and "differs" in str(found)


def test_an_error_below_rounding_is_none() -> None:
    assert converters.verify(LSTM, spoiled(built(LSTM), "lstm.weight_ih_l0", 1e-9), by="numpy").ok
    assert not converters.verify(LSTM, spoiled(built(LSTM), "lstm.weight_ih_l0", 1e-4), by="numpy").ok


def test_check_raises_with_the_report() -> None:
    found = converters.verify(LSTM, spoiled(built(LSTM), "dense.bias"), by="numpy")
    with pytest.raises(converters.VerificationFailed, match="dense") as caught:
        found.check()
    assert caught.value.report is found
    assert caught.value.layer == "dense"
    assert isinstance(caught.value, AssertionError)


class Forgetful(nn.Module):
    """Hands on something else between two layers."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.dense = nn.Linear(5, 2)
        self.change = change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.lstm(x)
        return self.dense(self.change(y))


@pytest.fixture
def two_layers(tmp_path: Path) -> Path:
    return write(
        tmp_path / "two.h5", recurrent("LSTM", "lstm", 3, 5, batch_input_shape=[None, None, 3]), dense("dense", 5, 2)
    )


def ported(source: Path, module: nn.Module) -> nn.Module:
    module.load_state_dict(converters.convert(source), strict=True)
    return module


def test_wiring_is_told_from_weights(two_layers: Path) -> None:
    found = converters.verify(two_layers, ported(two_layers, Forgetful(lambda y: y.flip(1))), by="numpy")
    assert found.first is not None
    assert (found.first.kind, found.first.layer, found.first.between) == ("wiring", "dense", ("lstm",))
    assert found.layers[1].own is not None and found.layers[1].own.ok
    assert converters.verify(two_layers, ported(two_layers, Forgetful(lambda y: y)), by="numpy").ok


def test_what_the_module_raises_is_a_finding(two_layers: Path) -> None:
    found = converters.verify(two_layers, ported(two_layers, Forgetful(lambda y: y[:, 500])), by="numpy")
    assert found.first is not None and found.first.kind == "raised"
    assert "IndexError" in found.first.raised
    assert converters.diagnose(two_layers, ported(two_layers, Forgetful(lambda y: y[:, 500]))).explanation is None


def test_an_output_alone_may_be_wrong(two_layers: Path) -> None:
    class Loud(Forgetful):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2.0 * super().forward(x)

    found = converters.verify(two_layers, ported(two_layers, Loud(lambda y: y)), by="numpy")
    assert found.first is not None and found.first.kind == "output"


def test_layers_are_found_by_structure_and_by_rename(two_layers: Path) -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reader, self.head = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.reader(x)[0])

    module = Other()
    converters.load_into(module, two_layers)
    found = converters.verify(two_layers, module, by="numpy")
    assert found.ok and [layer.module for layer in found.layers] == ["reader: LSTM", "head: Linear"]
    renamed = converters.verify(two_layers, module, by="numpy", rename={"lstm": "reader", "dense": "head"})
    assert renamed.ok and all(layer.own is not None for layer in renamed.layers)


def test_a_stack_is_one_module(tmp_path: Path) -> None:
    first = recurrent("LSTM", "lstm", 3, 5, batch_input_shape=[None, None, 3])
    source = write(tmp_path / "stack.h5", first, recurrent("LSTM", "lstm_1", 5, 5))

    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(3, 5, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.rnn(x)[0]

    module = Stack()
    module.load_state_dict(converters.convert(source, stack={"rnn": ["lstm", "lstm_1"]}))
    found = converters.verify(source, module, by="numpy")
    assert found.ok and found.layers[0].layer == "lstm + lstm_1" and found.layers[0].own is not None


def test_given_inputs_are_used() -> None:
    x = numbers(2, 7, 3)
    found = converters.verify(LSTM, built(LSTM), [x], by="numpy")
    assert found.ok and found.cases == ("given inputs",)


def test_the_module_is_left_as_it_was() -> None:
    module = built(LSTM).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    converters.verify(LSTM, module, by="numpy")
    assert module.training
    assert not module.lstm._forward_hooks and not module.lstm._forward_pre_hooks
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_the_cases_exercise_masks_lengths_and_saturation() -> None:
    graph = converters.read(GAPS).graph
    assert graph is not None
    tried = {case.name: case.inputs[0] for case in make_cases(graph)}
    masked = next(x for name, x in tried.items() if "masked" in name) != 0
    assert not masked[:, -1].all() and not masked[:, 0].all() and not masked.any(axis=1).all()
    assert any((np.diff(row.astype(int)) == 1).any() and row[0] for row in masked), "a gap"
    assert any(len(x) == 1 for x in tried.values())
    embedding = next(node.layer for node in graph.nodes if node.layer is not None and node.name == "embedding")
    rows = embedding.parts[0].solved()["index"]
    assert max(x.max() for x in tried.values()) == rows - 1


def test_the_layer_that_does_not_take_its_inputs_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "dense.h5", dense("dense", 2, 3))
    graph = converters.read(source).graph
    assert graph is not None
    with pytest.raises(ShapeError, match=r"dense \(Dense\) does not take values of \(5, 3\): "):
        evaluate(graph, [numbers(5, 3)])
    module = converters.build(source)
    with pytest.raises(ShapeError, match="dense"):
        converters.verify(source, module, [numbers(5, 3)], by="numpy")


def test_what_a_framework_raises_names_the_case(two_layers: Path) -> None:
    def run(inputs: Any) -> Any:
        raise RuntimeError("expects a batch\nof 3")

    subject = comparing.Subject.of(converters.build(two_layers), converters.read(two_layers), None)
    case = making.given([numbers(2, 7, 3)])[0]
    with pytest.raises(converters.NotRepresentable, match=r"'given inputs', \(2, 7, 3\): expects a batch of 3$"):
        comparing.compared(case, subject, sources.Runner("it", run))


def test_inputs_that_are_fixed_beyond_memory_are_not_drawn() -> None:
    many = 2**27
    values = (Value("x", (many, 2)), Value("y", (many, 3)))
    node = Node("y", "Dense", op.Identity(), ("x",), ("y",))
    graph = Graph(values[:1], (node,), ("y",), {value.name: value for value in values})
    with pytest.raises(converters.ConversionError, match=r"x is fixed at \[134217728, 2\]: .* 5\.0 GB"):
        make_cases(graph)


def test_open_lengths_are_tried_short_and_long(two_layers: Path) -> None:
    graph = converters.read(two_layers).graph
    assert graph is not None
    shapes = {case.inputs[0].shape for case in make_cases(graph)}
    assert {shape[1] for shape in shapes} >= {4, 7, 60}
    assert max(np.abs(case.inputs[0]).max() for case in make_cases(graph)) > 30


@pytest.mark.parametrize(
    ("found", "expected", "largest", "step"),
    [
        ([[[1.0], [2.0]]], [[[1.0], [2.5]]], 0.5, 1),
        ([[[np.nan], [np.inf]]], [[[np.nan], [np.inf]]], 0.0, None),
        ([[[np.nan], [0.0]]], [[[1.0], [0.0]]], np.inf, 0),
        ([[1.0, 2.0]], [[1.5, 2.0]], 0.5, None),
    ],
)
def test_arrays_are_compared(found: Any, expected: Any, largest: float, step: int | None) -> None:
    difference = compare(np.array(found), np.array(expected), 1e-6)
    assert (difference.largest, difference.step) == (largest, step)
    assert difference.ok == (largest == 0.0)


def test_other_shapes_are_no_small_difference() -> None:
    difference = compare(np.zeros((2, 3)), np.zeros((3, 2)), 1.0)
    assert not difference.ok and difference.shapes == ((2, 3), (3, 2)) and "expected" in str(difference)
    assert worst([difference, compare(np.ones(2), np.ones(2), 1.0)]) is difference


def test_a_tolerance_grows_with_sums_steps_and_units(two_layers: Path) -> None:
    graph = converters.read(two_layers).graph
    assert graph is not None
    lstm = graph.nodes[0].layer
    assert lstm is not None and rounding.terms(lstm.parts[0]) == 3 + 5 + 1 + 1
    from converters.verification.evaluate import evaluate

    def of(unit: float, size: float = 1.0, steps: int = 7) -> float:
        values = evaluate(graph, [size * numbers(2, steps, 3)])
        return rounding.tolerances(graph, values, unit)[graph.outputs[0]]

    assert of(2.0**-53) * 1e6 < of(2.0**-24) < 1e-5
    assert of(2.0**-24) * 100 < of(2.0**-11)


class Sums(nn.Module):
    """The cell of an LSTM that forgets next to nothing: what its gate is rounded by adds up over all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(0.1)
            self.lstm.bias_ih_l0.copy_(torch.tensor([3.0, 16.5, 2.0, 0.0]).repeat_interleave(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (_, c) = self.lstm(x)
        return c[0]


def test_a_gate_is_rounded_alike_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = Sums().eval(), torch.randn(1, 3001, 3)
    source = converters.trace(module, x[:, :7])
    assert converters.verify(source, module, [x]).ok
    assert not converters.verify(source, Moved(module), [x], rename={"lstm": "module.lstm"}).ok
    monkeypatch.setattr(rounding, "carried", lambda parts, steps: 1.0)
    assert not converters.verify(source, module, [x]).ok


def test_states_that_grow_without_bounds_prove_nothing(tmp_path: Path) -> None:
    """relu in the place of tanh: of large inputs the states double in every step."""
    layer = recurrent("LSTM", "rnn", 3, 41, activation="relu", batch_input_shape=[None, 43, 3])
    source = write(tmp_path / "model.h5", layer)
    found = converters.verify(source, converters.build(source), by="numpy")
    assert found.ok
    (note,) = found.notes
    assert note.startswith("left out, for numbers that grow from step to step") and note.endswith("large numbers")
    assert found.cases[-1] == "zeros"


class Moved(nn.Module):
    """The same, off by a thousandth."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x) * 1.001


def test_half_precision_has_its_own_unit() -> None:
    module = built(LSTM).double()
    assert converters.verify(LSTM, module, by="numpy").largest < 1e-14
    assert converters.verify(LSTM, built(LSTM).bfloat16(), by="numpy").ok


def test_numbers_beyond_the_dtype_prove_nothing_and_are_named(tmp_path: Path) -> None:
    """A recurrence of softplus and relu grows without end: in float32 to infinity, in float64 further."""
    kind = {"activation": "softplus", "recurrent_activation": "relu", "batch_input_shape": [None, None, 3]}
    path = write(tmp_path / "grows.h5", recurrent("LSTM", "grows", 3, 5, **kind), dense("dense", 5, 2))
    found = converters.verify(path, converters.build(path), by="numpy")
    assert found.ok and "usual numbers" in found.cases and "large numbers" not in found.cases
    assert any("left out" in note and "large numbers" in note for note in found.notes)
    large = np.full((1, 3, 3), 1e30, np.float32)
    assert converters.verify(path, converters.build(path), [large], by="numpy").cases == ("given inputs",)


def test_who_runs_the_source_may_be_named() -> None:
    assert "NumPy" in converters.verify(LSTM, built(LSTM), by="numpy").against
    with pytest.raises(converters.ConversionError, match="expected one of keras"):
        converters.verify(LSTM, built(LSTM), by="theano")
    with pytest.raises(converters.NotRepresentable, match="by onnxruntime"):
        converters.verify(LSTM, built(LSTM), by="onnxruntime")


def test_a_file_with_code_is_given_to_no_framework() -> None:
    checkpoint = converters.read(KERAS3 / "lambda_custom" / "model.h5")
    with pytest.raises(converters.NotRepresentable, match="not known"):
        sources.choose(KERAS3 / "lambda_custom" / "model.h5", checkpoint, [])


def test_a_framework_that_does_not_open_the_file_is_passed_over(two_layers: Path) -> None:
    checkpoint = converters.read(two_layers)
    assert sources._keras("keras", str(two_layers.with_name("absent.keras"))) is None
    assert sources._keras("no_such_package", str(two_layers)) is None
    runner = sources.Runner("broken", lambda _: [][1])
    assert not sources._runs(runner, [])
    assert checkpoint.graph is not None


def test_keras_itself_runs_the_source(live: Any) -> None:
    pytest.importorskip("keras")
    found = converters.verify(LSTM, built(LSTM))
    assert found.ok and found.against.startswith("Keras 3")
    assert "agrees with it" in found.opinion
    model = sys.modules["keras"].saving.load_model(LSTM)
    assert converters.verify(model, built(LSTM), by="keras").ok


def test_tf_keras_runs_files_of_keras_2(live: Any) -> None:
    pytest.importorskip("tf_keras")
    path = ROOT / "fixtures" / "tf_keras" / "nested" / "model.h5"
    found = converters.verify(path, built(path))
    assert found.ok and found.against.startswith("tf_keras"), str(found)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("keras2/lstm_sigmoid/model.h5", ["tf_keras", "numpy"]),
        ("keras2/embedding_mask/model.h5", ["numpy"]),
        ("tf_keras/embedding_mask/model.h5", ["tf_keras", "numpy"]),
    ],
)
def test_tf_keras_does_not_stand_for_masks_of_multi_backend_keras(name: str, kinds: list[str]) -> None:
    """Its Bidirectional gives zeros at masked steps of sequences, where that of Keras 2.3 repeats the step before."""
    path = ROOT / "fixtures" / name
    assert [kind for kind, _ in sources._candidates(path, converters.read(path))] == kinds


def test_onnxruntime_runs_onnx_files() -> None:
    pytest.importorskip("onnxruntime")
    path = ROOT / "fixtures" / "onnx_torch" / "gru" / "model.onnx"
    assert converters.verify(path, built(path)).against.startswith("onnxruntime")
    double = ROOT / "fixtures" / "onnx_torch" / "double" / "model.onnx"
    assert "ONNX reference" in converters.verify(double, built(double)).against


@pytest.fixture
def live() -> None:
    """TensorFlow says nothing, and computes without shortcuts."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture
def folder(two_layers: Path, tmp_path: Path) -> Path:
    converters.port(two_layers, tmp_path / "ported")
    return tmp_path / "ported"


def command(*words: object) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_verifies_a_port(two_layers: Path, folder: Path) -> None:
    for place in (folder, folder / "model.py", f"{folder / 'model.py'}:Model"):
        ran = command("verify", two_layers, place, "--by", "numpy")
        assert ran.exit_code == 0, ran.output
        assert "equal" in ran.stdout
    assert json.loads(command("verify", two_layers, folder, "--by", "numpy", "--json").stdout)["ok"] is True


def test_the_command_fails_where_they_differ(two_layers: Path, folder: Path) -> None:
    file = folder / "model.py"
    file.write_text(file.read_text().replace("return x\n", "return 2.0 * x\n", 1))
    ran = command("verify", two_layers, folder, "--by", "numpy", "--json")
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["first"]["kind"] == "output"
    assert command("doctor", two_layers, folder).exit_code == 1


def test_the_doctor_has_a_command(two_layers: Path, folder: Path) -> None:
    assert command("doctor", two_layers, folder).exit_code == 0
    file = folder / "model.py"
    file.write_text(file.read_text().replace("self.lstm(x)", "self.lstm(x.flip(1))", 1))
    ran = command("doctor", two_layers, folder, "--json")
    assert ran.exit_code == 1
    found = json.loads(ran.stdout)
    assert "from the end" in found["explanation"]["what"]
    ran = command("doctor", two_layers, folder)
    assert "the fix: no x.flip(1)" in " ".join(ran.stdout.split())


OWN = """
import torch
from torch import nn
import helper

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.dense = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 2)
    def forward(self, x):
        return self.dense(self.lstm(x)[0]) * helper.ONE

def ready():
    return Mine()

made = Mine()
"""


def test_modules_of_ones_own_are_found(tmp_path: Path, two_layers: Path) -> None:
    (tmp_path / "helper.py").write_text("ONE = 1.0\n")
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    torch.save(converters.convert(two_layers), tmp_path / "weights.pt")
    for name in ("", ":Mine", ":ready", ":made"):
        module = module_from(f"{file}{name}", str(tmp_path / "weights.pt"))
        assert converters.verify(two_layers, module, by="numpy").ok
    assert "helper" not in sys.modules and "mine" not in sys.modules
    torch.save({"other.weight": torch.zeros(2)}, tmp_path / "others.pt")
    with pytest.raises(converters.ConversionError, match=r"others.pt do not fit the module.*other.weight"):
        module_from(str(file), str(tmp_path / "others.pt"))
    for place, said in (
        (f"{file}:Absent", "defines no"),
        (f"{file}:torch", "no nn.Module"),
        (tmp_path / "no.py", "no such"),
    ):
        with pytest.raises((converters.ConversionError, TypeError), match=said):
            module_from(str(place))


def test_convert_proves_what_it_gives(two_layers: Path, tmp_path: Path) -> None:
    assert set(converters.convert(two_layers, verify=True)) == set(converters.convert(two_layers))
    for suffix in (".safetensors", ".pt", ".npz"):
        report = converters.convert_file(two_layers, tmp_path / f"out{suffix}", verify=True)
        assert "verified against" in report.proof and report.proof in str(report)
    with pytest.raises(converters.ConversionError, match="whole model"):
        converters.convert(two_layers, layer="lstm", verify=True)
    ran = command("convert", two_layers, tmp_path / "again.safetensors", "--verify", "--json")
    assert ran.exit_code == 0 and "verified" in json.loads(ran.stdout)["proof"]


def test_what_is_not_proved_does_not_appear(two_layers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from converters.torch import proving

    def spoil(path: Path, suffix: str) -> dict[str, torch.Tensor]:
        tensors = original(path, suffix)
        tensors["dense.bias"] = tensors["dense.bias"] + 1.0
        return tensors

    original = proving.stored
    monkeypatch.setattr(proving, "stored", spoil)
    with pytest.raises(converters.VerificationFailed, match="dense") as caught:
        converters.convert_file(two_layers, tmp_path / "out.safetensors", verify=True)
    assert isinstance(caught.value.report, Verification)
    assert not (tmp_path / "out.safetensors").exists()
    assert command("convert", two_layers, tmp_path / "out.safetensors", "--verify").exit_code == 1


def test_a_bar_appears_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("converters.show.progress.WAIT", -1.0)
    with Bar("verifying") as bar:
        bar.advance(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Bar("verifying") as bar:
        bar.advance(1, 2)
        assert bar._progress is not None
        bar.advance(1, 2)
    assert bar._progress is None
    out, err = capsys.readouterr()
    assert out == "" and "verifying" in err


def test_a_layer_that_nobody_finds_is_told(tmp_path: Path) -> None:
    source = write(
        tmp_path / "norm.h5",
        other("LayerNormalization", "norm", {"gamma": numbers(3), "beta": numbers(3)}, axis=[-1], epsilon=1e-3,
              batch_input_shape=[None, None, 3]),
        dense("dense", 3, 2),
    )  # fmt: skip

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(3, 2)
            self.register_buffer("gamma", torch.from_numpy(numbers(3)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.layer_norm(x, (3,), self.gamma, self.gamma, 1e-3)
            return self.dense(x)

    module = Bare()
    module.dense.load_state_dict(converters.convert(source, layer="dense"))
    found = converters.verify(source, module, by="numpy")
    assert found.ok, str(found)
    assert found.layers[-1].note == "no module found for it"


def test_steps_that_have_settled_are_matched_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nodes that were given the same but for rounding, a call is that of the first, and not that of the nearest."""
    layer = object()
    graph = SimpleNamespace(nodes=[SimpleNamespace(layer=layer, apart=apart) for apart in (1.0, 2e-7, 1e-7)])
    call = SimpleNamespace(given=SimpleNamespace(inputs=(numbers(2, 3),)))
    monkeypatch.setattr(
        following, "_arrival", lambda truth, place, node, call: SimpleNamespace(difference=Difference(node.apart, 1e-6))
    )
    monkeypatch.setattr(following, "_own", lambda *given: None)
    truth: Any = SimpleNamespace(graph=graph)
    place: Any = SimpleNamespace(layers=(layer,))
    calls: Any = (call, call, call)
    assert [one.position for one in following.follow(truth, place, calls)] == [1, 2, 0]
