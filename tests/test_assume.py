"""What the user may state of a weights-only file, and when the file itself tells it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from equivalence import converted
from keras_files import Made, bidirectional, dense, numbers, other, recurrent, write

import converters
from converters import ConversionError, ConversionWarning, NotRepresentable, UnknownLayer


def weights_of(path: Path, *layers: Any, version: str = "2.15.0") -> Path:
    return write(path / "w.h5", *layers, version=version, whole=False)


def test_an_assumption_is_said_aloud_and_a_statement_ends_it(tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5))
    with pytest.warns(ConversionWarning, match="assumed"):
        silent = converters.convert(file)
    stated = {"rnn.activation": "tanh", "rnn.recurrent_activation": "sigmoid"}
    assert converters.plan(file, assume=stated).warnings == ()
    assert all(torch.equal(t, silent[key]) for key, t in converters.convert(file, assume=stated).items())


@pytest.mark.parametrize("owner", ["rnn.", ""], ids=["of-one-layer", "of-every-layer"])
def test_a_stated_activation_is_checked_like_a_stored_one(owner: str, tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(NotRepresentable, match=r"0\.2 x \+ 0\.5"):
        converters.convert(file, assume={f"{owner}recurrent_activation": "hard_sigmoid"})


@pytest.mark.parametrize("value", ["true", "false"])
def test_reset_after_can_be_stated_where_there_is_no_bias(value: str, tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("GRU", "rnn", 3, 5, use_bias=False))
    (layer,) = converters.read(file, assume={"reset_after": value}).layers
    assert layer.parts[0].cell.name == ("gru" if value == "true" else "gru_reset_before")
    (module,) = converters.plan(file, assume={"reset_after": value}).modules
    assert bool(module.problems) == (value == "false")


def test_a_class_can_be_stated_where_shapes_do_not_tell_it(tmp_path: Path) -> None:
    file = weights_of(tmp_path, other("Conv1DTranspose", "up", {"kernel": numbers(3, 5, 5), "bias": numbers(5)}))
    (layer,) = converters.read(file, assume={"up.class": "Conv1DTranspose"}).layers
    assert layer.parts[0].cell.name == "conv_transpose1d" and "class" not in layer.assumed


@pytest.mark.parametrize(
    ("assume", "kind", "message"),
    [
        pytest.param({"nobody.activation": "relu"}, UnknownLayer, "no layer 'nobody'", id="unknown-layer"),
        pytest.param({"head.strides": "2"}, ConversionError, "What can be stated", id="unknown-option"),
        pytest.param({"rnn.units": "5"}, ConversionError, "the file itself tells this", id="told-by-shapes"),
    ],
)
def test_a_wrong_statement_is_refused(
    assume: dict[str, str], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5), dense("head", 5, 2))
    with pytest.raises(kind, match=message):
        converters.read(file, assume=assume)


@pytest.mark.parametrize("option", ["activation", "recurrent_activation", "class"])
def test_a_file_with_a_configuration_is_not_contradicted(option: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(ConversionError, match="the file itself tells this"):
        converters.read(file, assume={f"rnn.{option}": "relu"})


def test_a_class_that_does_not_fit_the_shapes_is_not_believed(tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(ConversionError, match="rnn"):
        converters.convert(file, assume={"rnn.class": "GRU"})


def test_reset_after_is_not_stated_against_a_bias_that_tells_it(tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("GRU", "rnn", 3, 5))
    with pytest.raises(ConversionError):
        converters.read(file, assume={"rnn.reset_after": "false"})


@pytest.mark.parametrize("value", ["nonsense", "hard_sigmoid_0.3"])
def test_an_activation_that_nobody_knows_is_not_called_exact(value: str, tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(ConversionError, match=r"nonsense|hard_sigmoid_0"):
        converters.convert(file, assume={"rnn.recurrent_activation": value})


NORM = {"gamma": numbers(5), "beta": numbers(5)}
MOVING = {"moving_mean": numbers(5), "moving_variance": np.abs(numbers(5))}
CONV = other("Conv2D", "x", {"kernel": numbers(2, 3, 5, 8), "bias": numbers(8)})
LAYERS: list[tuple[Made, dict[str, str]]] = [
    (recurrent("LSTM", "x", 3, 5), {"activation": "tanh", "recurrent_activation": "sigmoid"}),
    (recurrent("GRU", "x", 3, 5), {"activation": "tanh", "recurrent_activation": "sigmoid"}),
    (
        recurrent("GRU", "x", 3, 5, use_bias=False),
        {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": "true"},
    ),
    (recurrent("SimpleRNN", "x", 3, 5), {"activation": "tanh"}),
    (
        bidirectional("LSTM", "x", 3, 5),
        {"activation": "tanh", "recurrent_activation": "sigmoid", "merge_mode": "concat"},
    ),
    (dense("x", 3, 5), {"activation": "linear"}),
    (other("Embedding", "x", {"embeddings": numbers(7, 3)}), {"mask_zero": "false"}),
    (other("BatchNormalization", "x", NORM | MOVING), {"epsilon": "0.001", "axis": "-1", "rank": "2"}),
    (other("LayerNormalization", "layer_norm", NORM), {"epsilon": "0.001"}),
    (
        CONV,
        {
            "activation": "linear",
            "padding": "valid",
            "strides": "1",
            "dilation_rate": "1",
            "data_format": "channels_last",
            "groups": "1",
        },
    ),
    (
        other("SeparableConv1D", "x", {"depthwise_kernel": numbers(2, 5, 1), "pointwise_kernel": numbers(1, 5, 7)}),
        {
            "activation": "linear",
            "padding": "valid",
            "strides": "1",
            "dilation_rate": "1",
            "data_format": "channels_last",
        },
    ),
]


def statements(warning: str) -> dict[str, str]:
    """The argument that a warning gives ready-made."""
    return ast.literal_eval(re.search(r"assume=(\{.*?\})", warning)[1])  # type: ignore[index]


@pytest.mark.parametrize(("made", "assumed"), LAYERS, ids=lambda value: getattr(value, "class_name", ""))
def test_what_no_array_tells_is_recorded_and_can_be_stated(made: Made, assumed: dict[str, str], tmp_path: Path) -> None:
    file = weights_of(tmp_path, made)
    plan = converters.plan(file)
    (warning,) = plan.warnings
    found = {key.rpartition(".")[2]: text for key, text in statements(warning).items()}
    assert found == assumed and set(plan.checkpoint.layers[0].assumed) == set(assumed)
    stated = converters.plan(file, assume=statements(warning))
    assert stated.warnings == () and stated.checkpoint.layers[0].assumed == {}
    assert [m.constructor for m in stated.modules] == [m.constructor for m in plan.modules]


TOLD: list[Any] = [
    pytest.param(LAYERS[7][0], {"epsilon": "1e-05", "rank": "4"}, "nn.BatchNorm2d(5, eps=1e-05)", id="batch-norm"),
    pytest.param(LAYERS[7][0], {"rank": "5", "momentum": "0.9"}, "nn.BatchNorm3d(5, eps=0.001, momentum=0.1)", id="3d"),
    pytest.param(LAYERS[7][0], {"rank": "3"}, "move them to axis 1", id="channels-of-a-sequence"),
    pytest.param(LAYERS[8][0], {"epsilon": 1e-7}, "nn.LayerNorm(5, eps=1e-07)", id="layer-norm"),
    pytest.param(CONV, {"strides": "2,1", "padding": "same"}, "stride=(2, 1)", id="strides"),
    pytest.param(CONV, {"padding": "same"}, "padding='same'", id="padding"),
    pytest.param(CONV, {"dilation_rate": 3}, "dilation=(3, 3)", id="dilation"),
    pytest.param(CONV, {"groups": "4"}, "nn.Conv2d(20, 8, kernel_size=(2, 3), groups=4)", id="groups"),
    pytest.param(CONV, {"activation": "relu"}, "apply relu to the output", id="fused"),
    pytest.param(LAYERS[5][0], {"activation": "softmax"}, "apply softmax", id="dense"),
    pytest.param(LAYERS[6][0], {"mask_zero": True}, "index 0 is padding", id="mask-zero"),
    pytest.param(LAYERS[3][0], {"activation": "relu"}, "nonlinearity='relu'", id="relu"),
    pytest.param(LAYERS[0][0], {"go_backwards": "true"}, "feed x.flip(1)", id="go-backwards"),
    pytest.param(LAYERS[0][0], {"stateful": "True"}, "stateful", id="stateful"),
    pytest.param(LAYERS[0][0], {"return_sequences": "false"}, "h_n[-1]", id="last-output"),
    pytest.param(
        LAYERS[4][0], {"merge_mode": "sum", "return_sequences": "true"}, "forward + backward", id="merge-mode"
    ),
]


@pytest.mark.parametrize(("made", "stated", "text"), TOLD)
def test_what_is_stated_counts(made: Made, stated: dict[str, Any], text: str, tmp_path: Path) -> None:
    file = weights_of(tmp_path, made)
    (module,) = converters.plan(file, assume={f"{made.name}.{key}": value for key, value in stated.items()}).modules
    assert text in f"{module.constructor}\n" + "\n".join(module.notes)
    (before,) = converters.plan(file).modules
    assert text not in f"{before.constructor}\n" + "\n".join(before.notes)


WRONG: list[Any] = [
    pytest.param(LAYERS[7][0], {"epsilon": "small"}, "x.epsilon=small: expected a positive number", id="no-number"),
    pytest.param(LAYERS[7][0], {"epsilon": "-1"}, "expected a positive number", id="negative"),
    pytest.param(LAYERS[7][0], {"epsilon": "nan"}, "expected a positive number", id="nan"),
    pytest.param(LAYERS[7][0], {"rank": "2.5"}, "x.rank=2.5: expected the number of axes", id="no-whole-number"),
    pytest.param(LAYERS[7][0], {"rank": "9"}, "2 to 5", id="rank-of-nine"),
    pytest.param(LAYERS[6][0], {"mask_zero": "perhaps"}, "expected true or false", id="no-truth"),
    pytest.param(LAYERS[4][0], {"merge_mode": "minus"}, "one of concat, sum, mul, ave", id="no-merge-mode"),
    pytest.param(CONV, {"padding": "full"}, "one of valid, same, causal", id="no-padding"),
    pytest.param(CONV, {"strides": "0"}, "a number, or one for each axis", id="stride-of-none"),
    pytest.param(CONV, {"strides": "2;1"}, "a number, or one for each axis", id="no-list"),
    pytest.param(CONV, {"groups": "3"}, "groups=3", id="groups-that-do-not-divide"),
    pytest.param(LAYERS[5][0], {"activation": "sofmax"}, "the name of an activation", id="no-activation"),
    pytest.param(LAYERS[5][0], {"flattened": "4"}, "H,W,C", id="a-map-of-one-axis"),
    pytest.param(LAYERS[5][0], {"flattened": "2,0,3"}, "H,W,C", id="a-map-of-nothing"),
    pytest.param(LAYERS[5][0], {"flattened": "2,2,3"}, "12 features, and the layer reads 3", id="another-map"),
    pytest.param(LAYERS[5][0], {"strides": "2"}, "What can be stated: class, activation, flattened", id="no-option"),
    pytest.param(LAYERS[5][0], {"units": "5"}, "the file itself tells this, by its arrays", id="told-by-arrays"),
]


@pytest.mark.parametrize(("made", "stated", "message"), WRONG)
def test_a_wrong_value_says_what_is_expected(made: Made, stated: dict[str, str], message: str, tmp_path: Path) -> None:
    file = weights_of(tmp_path, made)
    with pytest.raises(ConversionError) as caught:
        converters.convert(file, assume={f"{made.name}.{key}": value for key, value in stated.items()})
    assert message in str(caught.value) and "--" not in str(caught.value)


def test_an_activation_of_no_layer_by_name_is_that_of_the_recurrent_ones(tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("SimpleRNN", "rnn", 3, 5), dense("head", 5, 2))
    rnn, head = converters.read(file, assume={"activation": "relu"}).layers
    assert rnn.parts[0].recurrence.activation == "relu" and head.call.activation == "linear"
    with pytest.raises(ConversionError, match="What can be stated"):
        converters.read(weights_of(tmp_path, dense("head", 5, 2)), assume={"activation": "relu"})


def test_one_warning_names_alike_layers_together(tmp_path: Path) -> None:
    layers = [recurrent("LSTM", "lstm_1", 3, 5), recurrent("LSTM", "lstm_2", 5, 5), LAYERS[7][0], dense("head", 5, 2)]
    (warning,) = converters.plan(weights_of(tmp_path, *layers)).warnings
    assert "lstm_1, lstm_2: activation=tanh, recurrent_activation=sigmoid; x: epsilon=0.001" in warning
    assert statements(warning)["recurrent_activation"] == "sigmoid" and "--" not in warning


def test_a_crowd_of_layers_makes_no_endless_warning(tmp_path: Path) -> None:
    layers = [dense(f"a layer with quite a long name {number}", 5, 2) for number in range(300)]
    (warning,) = converters.plan(weights_of(tmp_path, *layers)).warnings
    assert "more" in warning and len(warning) < 5000


def alone() -> list[Path]:
    files = [path for name in ("weights.h5", "*.weights.h5") for path in (ROOT / "fixtures").glob(f"*/*/{name}")]
    return sorted(path for path in set(files) if "sharded" not in str(path))


@pytest.mark.parametrize("file", alone(), ids=lambda file: "/".join(file.parts[-3:]))
def test_the_ready_made_argument_states_exactly_what_was_assumed(file: Path) -> None:
    before = converters.plan(file, strict=False)
    assumed = [text for text in before.warnings if "so assumed" in text]
    if not assumed:
        assert all(not layer.assumed for layer in before.checkpoint.layers)
        return
    after = converters.plan(file, strict=False, assume=statements(assumed[0]))
    assert not any("assumed" in text for text in after.warnings)
    assert [(m.constructor, m.tensors, m.notes) for m in after.modules] == [
        (m.constructor, m.tensors, m.notes) for m in before.modules
    ]


def test_a_stated_map_gives_the_weights_of_the_whole_model() -> None:
    folder = ROOT / "fixtures/keras2/flatten_dense"
    whole = converters.plan(folder / "model.h5", strict=False)
    maps = {f"{one.path}.flattened": one.wiring.flattened for one in whole.checkpoint.layers if one.wiring.flattened}
    assert maps
    with pytest.warns(ConversionWarning, match="so assumed"):
        stated = converters.convert(folder / "weights.h5", assume=maps)
    wanted, silent = converted(folder / "model.h5"), converted(folder / "weights.h5")
    assert all(torch.equal(stated[key], wanted[key]) for key in wanted)
    assert not all(torch.equal(silent[key], wanted[key]) for key in wanted)


MAPS: list[Any] = [
    pytest.param([CONV, dense("d", 24, 3)], {"d"}, id="a-multiple-of-the-channels"),
    pytest.param([CONV, dense("d", 8, 3)], set(), id="the-channels-alone"),
    pytest.param([CONV, dense("d", 23, 3)], set(), id="no-multiple"),
    pytest.param([dense("d", 24, 3)], set(), id="no-convolution"),
    pytest.param([CONV, recurrent("LSTM", "r", 16, 3), dense("d", 3, 2)], {"r"}, id="recurrent"),
    pytest.param([CONV, bidirectional("GRU", "r", 16, 3)], {"r"}, id="bidirectional"),
]


@pytest.mark.parametrize(("layers", "doubtful"), MAPS)
def test_a_map_is_doubted_only_where_one_would_fit(layers: list[Made], doubtful: set[str], tmp_path: Path) -> None:
    plan = converters.plan(weights_of(tmp_path, *layers))
    assert {layer.path for layer in plan.checkpoint.layers if "flattened" in layer.assumed} == doubtful
    assert any("flattened=H,W,C" in text for text in plan.warnings) == bool(doubtful)


@pytest.mark.parametrize("owner", ["encoder/up", "encoder.up"])
def test_a_layer_of_a_nested_model_is_named_either_way(owner: str, tmp_path: Path) -> None:
    arrays = {"up/kernel": numbers(3, 5, 5), "up/bias": numbers(5), "d/kernel": numbers(3, 5)}
    file = weights_of(tmp_path, Made("", {"name": "encoder"}, arrays))
    stated = {f"{owner}.class": "Conv1DTranspose", f"{owner}.padding": "same"}
    up, _ = converters.read(file, assume=stated).layers
    assert up.parts[0].cell.name == "conv_transpose1d" and up.parts[0].convolution.padding == "same"
