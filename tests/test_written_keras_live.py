"""Written models, loaded and run by the installed Keras 3: fixtures, drawn models, and graphs of ONNX."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import live  # noqa: F401 - says which backend, before a framework is imported
import numpy as np
import pytest
import torch
from conftest import ROOT
from drawing import Drawing, drawings, inputs_for
from hypothesis import HealthCheck, Phase, given, seed, settings
from keras_fixtures import LOW_PRECISION, REFUSED, cases, described, model_file, name_of, recorded, within
from live_models import randomize
from sampling import sampled
from torch import nn
from whole_models import quiet

import converters
from converters import ConversionWarning, NotRepresentable

keras = pytest.importorskip("keras", minversion="3", reason="Keras 3 is not installed")

FIXTURES = [pytest.param(case, id=name_of(case)) for case in cases() if name_of(case) not in REFUSED]
SEED = int(os.environ.get("GATEPORT_DRAWN_SEED", "1"))


def rewritten(source: Any, output: Path) -> Any:
    """The model that Keras loads out of the written file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        converters.convert_file(source, output)
    return keras.saving.load_model(output, compile=False)


def outputs(model: Any, inputs: list[Any]) -> list[np.ndarray]:
    made = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [np.asarray(value) for value in keras.tree.flatten(made)]


@pytest.mark.parametrize("case", sampled(FIXTURES, 6))
def test_keras_computes_what_the_source_framework_recorded(case: Path, tmp_path: Path, measured: Any) -> None:
    """Within 1e-6 of the largest output; models of Theano's convolutions within 2e-6, their own rounding."""
    model = rewritten(model_file(case), tmp_path / f"model{('.keras', '.h5')[len(case.name) % 2]}")
    tolerance = described(case)["tolerance"] if name_of(case) in LOW_PRECISION else 1e-6
    tolerance = 2e-6 if name_of(case) == "keras1/time_distributed" else tolerance
    error = within(outputs(model, recorded(case, "in")), recorded(case, "out"), tolerance)
    measured(f"loaded by Keras 3: {name_of(case)}", error)


ONNX = [
    *(f"onnx_dynamo/{name}" for name in ("lstm_bidirectional", "gru", "conv2d_crnn", "lstm_initial_state")),
    *(f"onnx_torch/{name}" for name in ("lstm_stacked", "gru_stacked_bidirectional", "rnn_relu", "lstm_opset11")),
    *(
        f"onnx_tf2onnx/{name}"
        for name in ("gru_reset_before", "hard_sigmoid_lstm", "masked_lstm", "time_of_any_length")
    ),
]


@pytest.mark.parametrize("name", sampled(ONNX, 4))
def test_an_onnx_graph_becomes_a_model_of_keras(name: str, tmp_path: Path, measured: Any) -> None:
    case = ROOT / "fixtures" / name
    source = case / json.loads((case / "case.json").read_text())["files"][0]
    model = rewritten(source, tmp_path / "model.keras")
    graph = converters.read(source).graph
    assert graph is not None
    with np.load(case / "io.npz") as arrays:
        inputs = [arrays[f"in/{value.name}"] for value in graph.inputs]
        expected = [arrays[name] for name in arrays.files if name.startswith("out/")]
    measured(f"loaded by Keras 3: {name}", within(outputs(model, inputs), expected, 1e-6))


class Tagger(nn.Module):
    """What people build: an embedding, a stack that reads both ways, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 3)
        self.rnn = nn.LSTM(3, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(10, 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(self.rnn(self.embedding(words))[0]), dim=-1)


MODULES = {
    "tagger": (Tagger, torch.arange(10).reshape(2, 5)),
    "maps": (
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(5 * 4 * 3, 2)),
        ),
        torch.linspace(-1.0, 1.0, 2 * 3 * 8 * 7).reshape(2, 3, 8, 7),
    ),
}


@pytest.mark.parametrize("kind", MODULES)
def test_a_traced_module_becomes_a_model_of_keras(kind: str, tmp_path: Path, measured: Any) -> None:
    torch.manual_seed(0)
    make, x = MODULES[kind]
    module = make().eval()
    model = rewritten(converters.trace(module, x), tmp_path / "model.keras")
    with torch.no_grad():
        expected = module(x).numpy()
    measured(f"loaded by Keras 3: traced {kind}", within(outputs(model, [x.numpy()]), [expected], 1e-6))


def test_weights_alone_go_into_the_written_model(tmp_path: Path) -> None:
    source = ROOT / "fixtures" / "keras2" / "nested_frozen" / "model.h5"
    model = rewritten(source, tmp_path / "model.keras")
    before = model.get_weights()
    model.set_weights([array * 0 for array in before])
    converters.convert_file(source, tmp_path / "model.weights.h5")
    model.load_weights(tmp_path / "model.weights.h5")
    for one, other in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(one, other)


EXPECTED = (
    "unrolled backwards behind a mask",
    "whose mask heads take off, and whether before or after is not known",
    "whose axes are not known",
)
"""Why a drawn model may be refused: what its own reader does not tell."""


def check(drawing: Drawing, folder: Path) -> None:
    randomize(drawing.model, drawing.seed)
    inputs = inputs_for(drawing.model, drawing.seed)
    with quiet():
        try:
            expected = outputs(drawing.model, inputs)
        except (ValueError, TypeError):  # Keras itself does not run every model that it builds
            return
        drawing.model.save(folder / f"model{drawing.suffix}")
        try:
            found = outputs(rewritten(folder / f"model{drawing.suffix}", folder / "new.keras"), inputs)
        except NotRepresentable as error:
            assert all(any(words in line for words in EXPECTED) for line in str(error).splitlines()), str(error)
            return
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(np.abs(other[np.isfinite(other)]).max(initial=0.0)))
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-5 * scale, equal_nan=True)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_drawn_models_come_back_as_they_were(examples: int) -> None:
    print(f"GATEPORT_DRAWN_SEED={SEED}")

    @seed(SEED)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(drawings(keras))
    def same(drawing: Drawing) -> None:
        with tempfile.TemporaryDirectory() as folder:
            check(drawing, Path(folder))

    same()
