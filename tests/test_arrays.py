"""Arrays by name: which layer they are, what is assumed of it, and how to state what is true."""

from __future__ import annotations

import ast
import time
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from layout_samples import normal, shapes_of
from torch import nn

import converters
from converters import ConversionError, CoverageError, ShapeError, UnknownLayer
from converters.model.assumptions import KINDS
from converters.model.layers import Layer
from layouts import catalogue
from layouts.frameworks import flax, haiku, keras, lasagne, pytorch
from layouts.options import Convolution, Normalization, Recurrence


def z(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("f4")


LSTM = {"kernel": z(3, 20), "recurrent_kernel": z(5, 20), "bias": z(20)}
GRU = {"kernel": z(3, 15), "recurrent_kernel": z(5, 15)}
BATCH_NORM = {name: z(5) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
CONV = {"kernel": z(3, 2, 5, 7), "bias": z(7)}
CONV_TORCH = {"weight": z(7, 5, 3, 2), "bias": z(7)}


def layer(arrays: Any, framework: str, **assume: Any) -> Layer:
    """The one layer of these arrays, under the path 'x'."""
    (found,) = converters.read({"x": arrays}, framework=framework, assume=assume).layers
    return found


def constructor(arrays: Any, framework: str, **assume: Any) -> str:
    (module,) = converters.plan({"x": arrays}, framework=framework, assume=assume).modules
    return module.constructor


# --- defaults of the framework, recorded as assumed

NORMS = [
    pytest.param("keras", BATCH_NORM, "BatchNormalization", 1e-3, 0.99, id="keras-batch"),
    pytest.param("keras", {"gamma": z(5), "beta": z(5)}, "LayerNormalization", 1e-3, None, id="keras-layer"),
    pytest.param("keras", {"gamma": z(6), "beta": z(6)}, "GroupNormalization", 1e-3, None, id="keras-group"),
    pytest.param("keras", {"scale": z(5)}, "RMSNormalization", 1e-6, None, id="keras-rms"),
    pytest.param("flax", {"scale": z(5), "bias": z(5)}, "LayerNorm", 1e-6, None, id="flax-layer"),
    pytest.param("flax", {"scale": z(5), "bias": z(5)}, "GroupNorm", 1e-6, None, id="flax-group"),
    pytest.param("flax", {"scale": z(5)}, "RMSNorm", 1e-6, None, id="flax-rms"),
    pytest.param(
        "flax", {name: z(5) for name in ("scale", "bias", "mean", "var")}, "BatchNorm", 1e-5, 0.99, id="flax-batch"
    ),
    pytest.param("haiku", {"scale": z(5), "offset": z(5)}, "LayerNorm", 1e-5, None, id="haiku-layer"),
    pytest.param("haiku", {"scale": z(5), "offset": z(5)}, "GroupNorm", 1e-5, None, id="haiku-group"),
    pytest.param("haiku", {"scale": z(5)}, "RMSNorm", 1e-5, None, id="haiku-rms"),
    pytest.param("equinox", {"weight": z(5), "bias": z(5)}, "LayerNorm", 1e-5, None, id="equinox-layer"),
    pytest.param("equinox", {"weight": z(5)}, "RMSNorm", 1e-5, None, id="equinox-rms"),
    pytest.param("onnx", {"Scale": z(5), "B": z(5)}, "LayerNormalization", 1e-5, None, id="onnx-layer"),
    pytest.param("onnx", {"scale": z(5), "B": z(5)}, "InstanceNormalization", 1e-5, None, id="onnx-instance"),
]


@pytest.mark.parametrize(("framework", "arrays", "class_name", "epsilon", "momentum"), NORMS)
def test_a_norm_has_the_epsilon_of_its_framework_and_says_so(
    framework: str, arrays: Any, class_name: str, epsilon: float, momentum: float | None
) -> None:
    found = layer(arrays, framework, **{"class": class_name})
    norm = found.parts[0].normalization
    assert (norm.epsilon, norm.momentum) == (epsilon, momentum)
    assert found.assumed["epsilon"] == epsilon and found.assumed.get("momentum") == momentum
    assert f"eps={epsilon}" in constructor(arrays, framework, **{"class": class_name})
    stated = layer(arrays, framework, **{"class": class_name, "x.epsilon": "0.25"})
    assert stated.parts[0].normalization.epsilon == 0.25 and "epsilon" not in stated.assumed


@pytest.mark.parametrize(
    ("layout", "make"),
    [
        pytest.param(keras.LAYERS["BatchNormalization"][0], "BatchNormalization", id="batch"),
        pytest.param(keras.LAYERS["LayerNormalization"][0], "LayerNormalization", id="layer"),
        pytest.param(keras.LAYERS["GroupNormalization"][0], "GroupNormalization", id="group"),
        pytest.param(keras.LAYERS["RMSNormalization"][0], "RMSNormalization", id="rms"),
    ],
)
def test_defaults_are_those_of_the_installed_keras(layout: Any, make: str) -> None:
    made = getattr(pytest.importorskip("keras").layers, make)()
    for name in ("epsilon", "momentum", "groups"):
        if hasattr(made, name):
            assert getattr(layout.options, name) == getattr(made, name), name


@pytest.mark.parametrize(
    ("layout", "module"),
    [
        pytest.param(pytorch.BATCH_NORM, nn.BatchNorm1d(5), id="batch"),
        pytest.param(pytorch.LAYER_NORM, nn.LayerNorm(5), id="layer"),
        pytest.param(pytorch.GROUP_NORM, nn.GroupNorm(1, 5), id="group"),
        pytest.param(pytorch.RMS_NORM, nn.RMSNorm(5), id="rms"),
    ],
)
def test_defaults_are_those_of_the_installed_torch(layout: Any, module: nn.Module) -> None:
    assert layout.options.epsilon == module.eps
    if hasattr(module, "momentum"):
        assert layout.options.momentum == 1 - module.momentum


@pytest.mark.parametrize(
    ("framework", "arrays", "last", "padding"),
    [
        pytest.param("keras", CONV, True, "valid", id="keras"),
        pytest.param("flax", CONV, True, "same", id="flax"),
        pytest.param("haiku", {"w": z(3, 2, 5, 7), "b": z(7)}, True, "same", id="haiku"),
        pytest.param("equinox", {"weight": z(7, 5, 3, 2), "bias": z(7, 1, 1)}, False, "valid", id="equinox"),
        pytest.param("pytorch", {"weight": z(7, 5, 3, 2), "bias": z(7)}, False, "valid", id="pytorch"),
        pytest.param("onnx", {"W": z(7, 5, 3, 2), "B": z(7)}, False, "valid", id="onnx"),
    ],
)
def test_a_convolution_has_the_axes_and_the_padding_of_its_framework(
    framework: str, arrays: Any, last: bool, padding: str
) -> None:
    found = layer(arrays, framework)
    options = found.parts[0].convolution
    assert (options.channels_last, options.padding, found.assumed["padding"]) == (last, padding, padding)
    (module,) = converters.plan({"x": arrays}, framework=framework).modules
    assert any("channels last" in note for note in module.notes) == last
    assert module.constructor.startswith("nn.Conv2d(5, 7, kernel_size=(3, 2)")


@pytest.mark.parametrize(
    ("layout", "activations"),
    [
        pytest.param(lasagne.RNN, ("relu", "sigmoid"), id="lasagne"),
        pytest.param(haiku.RNN, ("relu", "sigmoid"), id="haiku"),
        pytest.param(keras.LSTM, ("tanh", "sigmoid"), id="keras"),
        pytest.param(keras.LSTM_APART, ("tanh", "hard_sigmoid_0.2"), id="keras-1"),
        pytest.param(keras.GRU_PACKED, ("tanh", "hard_sigmoid_0.2"), id="keras-1-gpu"),
    ],
)
def test_activations_are_those_of_the_framework(layout: Any, activations: tuple[str, str]) -> None:
    found = layer(normal(shapes_of(layout)), layout.framework, **{"class": layout.class_name})
    options = found.parts[0].recurrence
    assert (options.activation, options.recurrent_activation) == activations
    assert ("activation" in found.assumed) == (layout is not haiku.RNN)


def test_what_is_assumed_is_warned_of_and_ends_when_it_is_stated() -> None:
    source = {"bn": BATCH_NORM}
    assert "epsilon=0.001" in " ".join(converters.plan(source, framework="keras").warnings)
    stated = {"bn.epsilon": "1e-3", "momentum": 0.9, "bn.axes": (-1,), "bn.rank": "4"}
    found = converters.plan(source, framework="keras", assume=stated)
    assert found.warnings == ()
    assert found.modules[0].constructor == "nn.BatchNorm2d(5, eps=0.001, momentum=0.1)"


def test_the_activation_behind_a_keras_dense_is_assumed_and_can_be_any() -> None:
    assert layer({"kernel": z(3, 5)}, "keras").assumed == {"activation": "linear"}
    (module,) = converters.plan({"kernel": z(3, 5)}, framework="keras", assume={"activation": "softmax"}).modules
    assert any("apply softmax" in note for note in module.notes)
    assert layer({"kernel": z(3, 5)}, "flax").assumed == {}


def test_an_activation_of_all_layers_is_meant_of_recurrent_ones() -> None:
    source = {"rnn": LSTM, "head": {"kernel": z(5, 2)}}
    found = converters.read(source, framework="keras", assume={"activation": "relu"}).layers
    assert found[0].parts[0].recurrence.activation == "relu"
    assert found[1].call.activation == "linear" and found[1].assumed == {"activation": "linear"}


EVERYTHING = {
    "keras": {"rnn": LSTM, "bn": BATCH_NORM, "conv": CONV, "head": {"kernel": z(42, 2)}},
    "flax": {"conv": CONV, "bn": {name: z(5) for name in ("scale", "bias", "mean", "var")}},
    "onnx": {"rnn": {"W": z(1, 20, 3), "R": z(1, 20, 5)}, "norm": {"scale": z(5), "B": z(5)}},
    "pytorch": {"bn": {name: z(5) for name in ("weight", "bias", "running_mean", "running_var")}, "conv": CONV_TORCH},
}


@pytest.mark.parametrize("framework", EVERYTHING)
def test_the_statement_in_the_warning_is_ready_made(framework: str) -> None:
    """Stating what was assumed, as the warning prints it, changes nothing and ends the warning."""
    found = converters.plan(EVERYTHING[framework], framework=framework)
    (warning,) = found.warnings
    stated = ast.literal_eval(warning[warning.index("assume={") + 7 : warning.index("}") + 1])
    again = converters.plan(EVERYTHING[framework], framework=framework, assume=stated)
    assert again.warnings == ()
    assert [module.constructor for module in again.modules] == [module.constructor for module in found.modules]
    assert [module.notes for module in again.modules] == [module.notes for module in found.modules]


def test_classes_that_differ_in_what_they_imply_assume_the_first() -> None:
    arrays = {"w0": z(5, 3), "w1": z(5, 5), "b0": z(5), "b1": z(5)}
    assert layer(arrays, "chainer").assumed == {"activation": "tanh"}
    stated = layer(arrays, "chainer", activation="relu")
    assert (stated.class_name, stated.parts[0].recurrence.activation) == ("NStepRNNReLU", "relu")


# --- a flattened map


def test_a_dense_after_channels_last_convolutions_may_read_a_flattened_map() -> None:
    kernel = z(42, 2)
    source = {"conv": CONV, "head": {"kernel": kernel}, "other": {"kernel": z(5, 2)}}
    layers = {one.path: one for one in converters.read(source, framework="keras").layers}
    assert layers["head"].assumed["flattened"] == "no" and "flattened" not in layers["other"].assumed
    stated = {"head.flattened": "2,3,7", "head.activation": "linear"}
    found = converters.plan(source, framework="keras", assume=stated, layer="head")
    assert found.warnings == ()
    weight = converters.convert(source, framework="keras", assume=stated, layer="head")["weight"].numpy()
    assert np.array_equal(weight, kernel.reshape(2, 3, 7, 2).transpose(3, 2, 0, 1).reshape(2, 42))
    refused = {"head.flattened": "no", "head.activation": "linear"}
    assert converters.plan(source, framework="keras", assume=refused, layer="head").warnings == ()
    with pytest.raises(ConversionError, match="that make 42; 2,2,7 does not"):
        converters.read(source, framework="keras", assume={"head.flattened": (2, 2, 7)})


# --- which class

QUESTIONS = [
    pytest.param("keras", {"kernel": z(3, 2, 5, 7)}, "Conv2D", "Conv2DTranspose", id="keras-conv"),
    pytest.param("keras", {"gamma": z(5), "beta": z(5)}, "LayerNormalization", "GroupNormalization", id="keras-norm"),
    pytest.param("keras", {"W": z(3, 5)}, "Dense", "Embedding", id="keras-1-matrix"),
    pytest.param("flax", {"scale": z(5)}, "LayerNorm", "RMSNorm", id="flax-scale"),
    pytest.param("pytorch", {"weight": z(5, 3)}, "Linear", "Embedding", id="pytorch-matrix"),
    pytest.param("pytorch", {"weight": z(5)}, "GroupNorm", "PReLU", id="pytorch-vector"),
]


@pytest.mark.parametrize(("framework", "arrays", "first", "second"), QUESTIONS)
def test_where_several_classes_fit_it_asks_and_takes_an_answer(
    framework: str, arrays: Any, first: str, second: str
) -> None:
    asked = converters.read({"x": arrays}, framework=framework).layers[0].unknown
    assert isinstance(asked, UnknownLayer) and "fit several layers of" in str(asked)
    assert first in str(asked) and second in str(asked)
    assert f"assume={{'x.class': '{first}'}}" in str(asked)
    cells = {layer(arrays, framework, **{key: name}).parts[0].cell for key in ("class", "x.class") for name in [first]}
    assert len(cells) == 1 and layer(arrays, framework, **{"x.class": second}).parts[0].cell not in cells


@pytest.mark.parametrize(
    ("framework", "arrays"),
    [
        pytest.param("keras", LSTM, id="keras-lstm"),
        pytest.param("keras", {"kernel": z(3, 20), "recurrent_kernel": z(5, 20)}, id="keras-lstm-no-bias"),
        pytest.param("keras", CONV, id="keras-conv"),
        pytest.param("keras", {"kernel": z(3, 2, 1, 7), "bias": z(7)}, id="keras-conv-of-one-channel"),
        pytest.param("keras", {"kernel": z(3, 2, 5, 2), "bias": z(10)}, id="keras-depthwise"),
        pytest.param("keras", BATCH_NORM, id="keras-batch-norm"),
    ],
)
def test_no_question_where_all_that_fit_mean_the_same(framework: str, arrays: Any) -> None:
    assert layer(arrays, framework).unknown is None


@pytest.mark.parametrize(("key", "value"), [("reset_after", "true"), ("x.reset_after", False)])
def test_a_gru_without_bias_asks_for_its_variant(key: str, value: Any) -> None:
    with pytest.raises(
        UnknownLayer, match=r"assume=\{'x.reset_after': 'true'\} or assume=\{'x.reset_after': 'false'\}"
    ):
        converters.convert({"x": GRU}, framework="keras")
    wanted = "gru" if value == "true" else "gru_reset_before"
    assert layer(GRU, "keras", **{key: value}).parts[0].cell.name == wanted


def test_the_answer_may_be_the_name_of_a_layout() -> None:
    arrays = {"kernel": z(3, 2, 5, 7)}
    plain = layer(arrays, "keras", **{"class": "Conv2D"})
    flipped = layer(arrays, "keras", **{"class": "Conv2D (Theano)"})
    assert plain.assumed["flipped"] is False and "flipped" not in flipped.assumed
    stated = layer(arrays, "keras", **{"class": "Conv2D", "flipped": "true"})
    assert stated.parts[0].layout is flipped.parts[0].layout


def test_sizes_that_no_shape_tells_are_asked_for() -> None:
    attention = {k: v.detach().numpy() for k, v in nn.MultiheadAttention(6, 2).state_dict().items()}
    with pytest.raises(UnknownLayer, match=r"do not tell head, key .* state assume=\{'x.head'"):
        converters.convert({"x": attention}, framework="pytorch", to="keras")
    found = converters.convert(attention, framework="pytorch", assume={"head": "2"})
    assert all(np.array_equal(found[name], array) for name, array in attention.items())


# --- names within a mapping

HAIKU_LSTM = {"linear/w": z(8, 20), "linear/b": z(20)}


def test_a_name_is_as_long_as_makes_a_layer() -> None:
    (one,) = converters.read({"linear": {"w": z(3, 7), "b": z(7)}}, framework="haiku").layers
    assert (one.path, one.class_name) == ("linear", "Linear")
    (one,) = converters.read({"lstm": HAIKU_LSTM}, framework="haiku").layers
    assert (one.path, one.class_name, one.assumed) == ("lstm", "LSTM", {})


@pytest.mark.parametrize(
    ("assume", "path"),
    [
        ({"net.class": "LSTM"}, "net"),
        ({"net.linear.class": "Linear"}, "net/linear"),
        ({"net/linear.class": "Linear"}, "net/linear"),
    ],
)
def test_names_that_make_one_layer_or_another_are_asked_about(assume: dict[str, str], path: str) -> None:
    source = {"net": HAIKU_LSTM}
    with pytest.raises(UnknownLayer, match="fit several layers of haiku: LSTM, or Linear net/linear"):
        converters.convert(source, framework="haiku")
    (one,) = converters.read(source, framework="haiku", assume=assume).layers
    assert one.path == path


def test_no_array_is_lost_where_two_names_mean_one() -> None:
    with pytest.raises(CoverageError, match="are both kernel of one layer"):
        converters.read({"a/kernel": z(3, 5), "a.kernel": z(3, 5)}, framework="keras")


def test_integers_are_passed_over_where_they_are_no_weights() -> None:
    module = nn.BatchNorm2d(5)
    arrays = {name: value.numpy() for name, value in module.state_dict().items()}
    found = converters.convert(arrays, framework="pytorch")
    module.load_state_dict(found, strict=True)
    with pytest.raises(ShapeError, match="running_mean holds int64; weights are floating point"):
        converters.convert({**arrays, "running_mean": np.ones(5, int)}, framework="pytorch", to="keras")


def test_all_layers_that_fit_nothing_are_told_at_once() -> None:
    source = {"a": {"foo": z(3)}, "b": LSTM, "c": {"bar": z(3)}}
    with pytest.raises(UnknownLayer, match=r"(?s)a .*keras: no layout fits the arrays foo.*c .*keras: no layout fits"):
        converters.convert(source, framework="keras")
    found = converters.plan(source, framework="keras", strict=False)
    assert [module.exact for module in found.modules] == [False, True, False]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        pytest.param(
            {"kernel": z(3, 5), "bias": z(7)}, r"axis 1 \(out\) should be 7|axis 0 \(out\) should be 5", id="one"
        ),
        pytest.param({**LSTM, "kernel": z(3, 21)}, "the names are those of LSTM, .*GRU", id="several"),
        pytest.param({"nothing": z(3)}, r"no layout fits the arrays nothing \(3,\)$", id="no-name"),
    ],
)
def test_what_fits_nothing_says_how_near_it_was(arrays: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        converters.convert(arrays, framework="keras")


# --- statements


@pytest.mark.parametrize(
    ("arrays", "assume", "kind", "message"),
    [
        pytest.param(BATCH_NORM, {"x.epsilon": "small"}, ConversionError, "expected a number, 0 or above", id="word"),
        pytest.param(BATCH_NORM, {"x.epsilon": "-1"}, ConversionError, "expected a number, 0 or above", id="negative"),
        pytest.param(BATCH_NORM, {"x.epsilon": "nan"}, ConversionError, "expected a number, 0 or above", id="nan"),
        pytest.param(BATCH_NORM, {"x.rank": "9"}, ConversionError, "2 to 5", id="rank"),
        pytest.param(CONV, {"x.strides": "2,2,2"}, ConversionError, "has 2 axes", id="axes"),
        pytest.param(CONV, {"x.strides": "0"}, ConversionError, "above 0", id="stride-0"),
        pytest.param(CONV, {"x.padding": "SAME"}, ConversionError, "one of valid, same", id="padding"),
        pytest.param(CONV, {"x.channels_last": "yes"}, ConversionError, "true or false", id="truth"),
        pytest.param(LSTM, {"x.activation": "tahn"}, ConversionError, "one of tanh, sigmoid", id="activation"),
        pytest.param(LSTM, {"x.recurrent_activation": "hard_sigmoid"}, ConversionError, "two functions", id="two"),
        pytest.param(LSTM, {"x.units": "5"}, ConversionError, "What can be stated of x: class, activation", id="units"),
        pytest.param(LSTM, {"units": "5"}, ConversionError, "What can be stated: class, activation", id="units-of-all"),
        pytest.param(LSTM, {"y.activation": "tanh"}, UnknownLayer, "no layer 'y'; there are: x", id="no-layer"),
        pytest.param(
            LSTM, {"x.class": "LSTMM"}, ConversionError, "no layout for this class; there are: LSTM", id="class"
        ),
        pytest.param(LSTM, {"x.class": "Dense"}, UnknownLayer, "no layout of it fits the arrays", id="other-class"),
        pytest.param(CONV, {"x.class": "Conv1D"}, UnknownLayer, "no layout of it fits the arrays", id="other-rank"),
    ],
)
def test_a_wrong_statement_is_refused(arrays: Any, assume: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        converters.convert({"x": arrays}, framework="keras", assume=assume)


def test_a_statement_of_all_layers_may_find_none_that_has_it() -> None:
    assert converters.read({"bn": BATCH_NORM}, framework="keras", assume={"recurrent_activation": "sigmoid"}).layers
    with pytest.raises(ConversionError, match="told by the source"):
        converters.read(HAIKU_LSTM, framework="haiku", assume={"class": "LSTM", "activation": "relu"})
    assert converters.read(HAIKU_LSTM, framework="haiku", assume={"class": "LSTM", "activation": "tanh"}).layers


def test_every_option_of_a_cell_has_a_kind_of_value() -> None:
    assert {f.name for kind in (Recurrence, Convolution, Normalization) for f in fields(kind)} <= {*KINDS}


# --- every layout, by its names


@pytest.mark.parametrize("framework", catalogue.frameworks())
def test_every_layout_is_found_by_the_names_of_its_arrays(framework: str) -> None:
    index = catalogue.names(framework)
    for layout in catalogue.of(framework):
        assert layout in index.of_all(entry.name for entry in layout.entries()), layout.name


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("count", [1, 2, 17])
def test_layers_and_directions_follow_from_the_names(count: int, bidirectional: bool) -> None:
    module = nn.LSTM(3, 5, count, bidirectional=bidirectional)
    arrays = {name: value.numpy() for name, value in module.state_dict().items()}
    found = converters.convert(arrays, framework="pytorch")
    assert list(found) == list(arrays) and all(torch.equal(found[k], v) for k, v in module.state_dict().items())


def test_both_directions_on_an_axis() -> None:
    arrays = {"W": z(2, 20, 3), "R": z(2, 20, 5), "B": z(2, 40)}
    (module,) = converters.plan(arrays, framework="onnx").modules
    assert module.constructor == "nn.LSTM(3, 5, batch_first=True, bidirectional=True)"


def test_a_thousand_layers_take_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        source = {f"block_{k}/lstm": LSTM for k in range(count)}
        start = time.process_time()
        assert len(converters.read(source, framework="keras").layers) == count
        return time.process_time() - start

    seconds(2)
    few = seconds(50)
    assert few < 0.5
    assert seconds(1000) < 40 * few + 0.5


def test_flax_names_its_reading() -> None:
    arrays = {f"{side}{gate}": {"kernel": z(5, 5)} for side in "ih" for gate in "ifgo"}
    assert layer(arrays, "flax").parts[0].layout is flax.LSTM
