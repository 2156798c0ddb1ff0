"""Back again: a module's weights into real layers of other frameworks, and home, bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import converters
from converters import ConversionWarning, NotRepresentable, UnknownLayer, export_arrays
from converters.torch import nn as drop_in

EXACT = 1e-6


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every number random, variances positive, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict(keep_vars=True).items():
            if tensor.is_floating_point():
                values = 0.4 * torch.randn(tensor.shape, generator=generator)
                tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return module.eval()


def quietly(module: nn.Module, *args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return export_arrays(module, *args, **options)


def flat(arrays: Mapping[str, Any]) -> list[np.ndarray]:
    """As set_weights takes them: of several directions, one after the other."""
    found = [flat(value) if isinstance(value, Mapping) else [value] for value in arrays.values()]
    return [array for arrays in found for array in arrays]


def expect_close(found: Any, expected: Any) -> None:
    """Raise unless shapes agree, and numbers to 1e-6 of the largest, or of 1."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=EXACT * scale)


# --- into a real Keras

RECURRENT: dict[str, tuple[Callable[..., nn.Module], str, dict[str, Any]]] = {
    "LSTM": (nn.LSTM, "LSTM", {}),
    "GRU": (nn.GRU, "GRU", {}),
    "RNN": (nn.RNN, "SimpleRNN", {}),
    "RNN-relu": (lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k), "SimpleRNN", {"activation": "relu"}),
    "GRU-before": (lambda *a, **k: drop_in.GRU(*a, reset_after=False, **k), "GRU", {"reset_after": False}),
    "LSTM-hard": (
        lambda *a, **k: drop_in.LSTM(*a, recurrent_activation="hard_sigmoid_1/6", **k),
        "LSTM",
        {"recurrent_activation": "hard_sigmoid"},
    ),
}


@pytest.mark.parametrize("kind", RECURRENT)
@settings(deadline=None, max_examples=12)
@given(
    inputs=st.integers(1, 6),
    units=st.integers(1, 6),
    time=st.integers(1, 5),
    both=st.booleans(),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_a_keras_layer_gives_the_outputs_of_the_module(
    kind: str, inputs: int, units: int, time: int, both: bool, bias: bool, seed: int
) -> None:
    keras = pytest.importorskip("keras")
    make, name, options = RECURRENT[kind]
    module = randomised(make(inputs, units, bias=bias, bidirectional=both, batch_first=True), seed)
    layer = getattr(keras.layers, name)(units, return_sequences=True, use_bias=bias, **options)
    layer = keras.layers.Bidirectional(layer) if both else layer
    layer.build((None, time, inputs))
    layer.set_weights(flat(quietly(module)))
    x = np.random.default_rng(seed).standard_normal((2, time, inputs)).astype(np.float32)
    with torch.no_grad():
        expect_close(layer(x), module(torch.from_numpy(x))[0])


@pytest.mark.parametrize("kind", RECURRENT)
@settings(deadline=None, max_examples=8)
@given(inputs=st.integers(1, 6), units=st.integers(1, 6), both=st.booleans(), seed=st.integers(0, 2**16))
def test_a_module_gives_the_outputs_of_the_keras_layer(
    kind: str, inputs: int, units: int, both: bool, seed: int
) -> None:
    """The other way: the layer's own arrays, by framework="keras", into the module, and back bit for bit."""
    keras = pytest.importorskip("keras")
    make, name, options = RECURRENT[kind]
    layer = getattr(keras.layers, name)(units, return_sequences=True, **options)
    layer = keras.layers.Bidirectional(layer) if both else layer
    layer.build((None, None, inputs))
    rng = np.random.default_rng(seed)
    weights = [(0.4 * rng.standard_normal(w.shape)).astype(np.float32) for w in layer.get_weights()]
    layer.set_weights(weights)
    ways = {"": weights[:3], "_reverse": weights[3:]} if both else {"": weights}
    arrays = {
        f"l0{way}": dict(zip(("kernel", "recurrent_kernel", "bias"), own, strict=True)) for way, own in ways.items()
    }
    module = make(inputs, units, batch_first=True, bidirectional=both)
    state = {f"{k}{way}": v for way in ways for k, v in loosely(arrays[f"l0{way}"]).items()}
    module.load_state_dict(state, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        back = export_arrays(module)
    for place, own in (back if both else {"l0": back}).items():
        expect_same_bits(own, arrays[place])
    x = rng.standard_normal((2, 4, inputs)).astype(np.float32)
    with torch.no_grad():
        expect_close(module(torch.from_numpy(x))[0], layer(x))


def loosely(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return converters.convert(arrays, framework="keras", strict=False)


def expect_same_bits(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise unless names, in order, shapes, dtypes and bits agree."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype), name
        assert found[name].tobytes() == array.tobytes(), name


Around = tuple[Callable[[], nn.Module], Callable[[Any], Any], tuple[int, ...]]

SURROUNDINGS: dict[str, Around] = {
    "Linear": (lambda: nn.Linear(3, 5), lambda k: k.Dense(5), (2, 3)),
    "Linear-no-bias": (lambda: nn.Linear(3, 5, bias=False), lambda k: k.Dense(5, use_bias=False), (2, 3)),
    "Conv1d": (lambda: nn.Conv1d(3, 5, 2), lambda k: k.Conv1D(5, 2), (2, 7, 3)),
    "Conv2d": (lambda: nn.Conv2d(3, 5, (2, 3)), lambda k: k.Conv2D(5, (2, 3)), (2, 7, 11, 3)),
    "Conv3d": (lambda: nn.Conv3d(3, 5, (2, 3, 1)), lambda k: k.Conv3D(5, (2, 3, 1)), (2, 7, 5, 3, 3)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(3, 5, 2), lambda k: k.Conv1DTranspose(5, 2), (2, 7, 3)),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(3, 5, (2, 3)),
        lambda k: k.Conv2DTranspose(5, (2, 3)),
        (2, 7, 11, 3),
    ),
    "depthwise": (
        lambda: nn.Conv2d(3, 6, (2, 3), groups=3),
        lambda k: k.DepthwiseConv2D((2, 3), depth_multiplier=2),
        (2, 7, 11, 3),
    ),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3, eps=1e-3), lambda k: k.BatchNormalization(), (2, 3)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3, eps=1e-3), lambda k: k.BatchNormalization(), (2, 7, 11, 3)),
    "BatchNorm-plain": (
        lambda: nn.BatchNorm2d(3, eps=1e-3, affine=False),
        lambda k: k.BatchNormalization(center=False, scale=False),
        (2, 7, 11, 3),
    ),
    "LayerNorm": (lambda: nn.LayerNorm(3, eps=1e-3), lambda k: k.LayerNormalization(), (2, 7, 3)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 6, eps=1e-3), lambda k: k.GroupNormalization(2), (2, 7, 6)),
    "PReLU": (lambda: nn.PReLU(3), lambda k: k.PReLU(shared_axes=[1]), (2, 7, 3)),
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_surrounding_keras_layer_gives_the_outputs_of_the_module(name: str) -> None:
    keras = pytest.importorskip("keras")
    make, layer_of, shape = SURROUNDINGS[name]
    module, layer = randomised(make()), layer_of(keras.layers)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    layer.build((None, *shape[1:]))
    layer.set_weights(list(export_arrays(module).values()))
    given_ = torch.from_numpy(x)
    channels = not isinstance(module, nn.Linear | nn.LayerNorm)
    with torch.no_grad():
        y = module(given_.movedim(-1, 1)).movedim(1, -1) if channels else module(given_)
    expect_close(layer(x), y)


def test_an_embedding() -> None:
    keras = pytest.importorskip("keras")
    module, layer = randomised(nn.Embedding(11, 3)), keras.layers.Embedding(11, 3)
    layer.build(())
    layer.set_weights(list(export_arrays(module).values()))
    tokens = np.arange(11)[None]
    expect_close(layer(tokens), module(torch.from_numpy(tokens)).detach())


def test_attention() -> None:
    keras = pytest.importorskip("keras")
    module, layer = randomised(nn.MultiheadAttention(6, 2, batch_first=True)), keras.layers.MultiHeadAttention(2, 3)
    x = np.random.default_rng(0).standard_normal((2, 5, 6)).astype(np.float32)
    layer(x, x)
    layer.set_weights(list(export_arrays(module).values()))
    with torch.no_grad():
        expect_close(layer(x, x), module(*[torch.from_numpy(x)] * 3)[0])


def test_a_depthwise_convolution_as_one_with_groups() -> None:
    module = randomised(nn.Conv2d(3, 6, (2, 5), groups=3))
    arrays = export_arrays(module, class_name="Conv2D")
    assert np.array_equal(arrays["kernel"], module.weight.detach().numpy().transpose(2, 3, 1, 0))


# --- what stays, and what is said


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: nn.GRU(3, 5), id="GRU"),
        pytest.param(lambda: nn.LSTM(3, 5, bias=False), id="LSTM-no-bias"),
        pytest.param(lambda: nn.LSTM(3, 5).to(torch.bfloat16), id="bfloat16"),
        pytest.param(lambda: nn.LSTM(3, 5).double(), id="float64"),
        pytest.param(lambda: nn.LSTMCell(3, 5), id="LSTMCell"),
        pytest.param(lambda: nn.GRUCell(3, 5), id="GRUCell"),
    ],
)
def test_the_way_home_is_exact_on_bits(make: Callable[[], nn.Module]) -> None:
    """One bias of the two is zero, as after any conversion, or none is summed: no warning, and every bit comes back."""
    module = randomised(make().to(torch.float32)).to(next(make().parameters()).dtype)
    if "LSTM" in type(module).__name__:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.mul_(0.0 if "bias_hh" in name else 1.0).abs_()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        arrays = export_arrays(module)
    back = loosely(arrays)
    for name, parameter in module.state_dict().items():
        stored = back[name if name in back else f"{name}_l0"]
        assert stored.dtype == parameter.dtype and torch.equal(stored, parameter), name


@pytest.mark.parametrize("make", [lambda: nn.LSTM(3, 5), lambda: nn.RNN(3, 5), lambda: nn.LSTMCell(3, 5)])
def test_two_biases_that_become_one_are_reported(make: Callable[[], nn.Module]) -> None:
    module = randomised(make())
    with pytest.warns(ConversionWarning, match="input_bias and recurrent_bias became one, their sum") as caught:
        arrays = export_arrays(module)
    assert caught[0].filename == __file__ and len(caught) == 1
    biases = [value for name, value in module.state_dict().items() if "bias" in name]
    assert np.array_equal(arrays["bias"], (biases[0] + biases[1]).numpy())


def test_arrays_are_copies() -> None:
    module = randomised(nn.Linear(3, 5))
    before = module.weight.detach().clone()
    export_arrays(module)["kernel"][...] = 0.0
    assert torch.equal(module.weight, before)


def test_stacks_are_told_by_layer_and_direction() -> None:
    module = randomised(nn.GRU(3, 5, 2, bidirectional=True))
    arrays = export_arrays(module)
    assert {name: list(own) for name, own in arrays.items()} == {
        name: ["kernel", "recurrent_kernel", "bias"] for name in ("l0", "l0_reverse", "l1", "l1_reverse")
    }
    assert arrays["l1_reverse"]["kernel"].shape == (10, 15)


@pytest.mark.parametrize("framework", ["flax", "haiku", "tensorflow", "equinox", "chainer", "pytorch"])
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", "bias"])
def test_other_frameworks_there_and_back(framework: str, bias: bool) -> None:
    """What comes back adds up to what went: exactly, but for an offset that was taken off."""
    module = randomised(nn.LSTM(3, 5, bias=bias).double())
    arrays = quietly(module, framework, **({"forget_bias": 0.75} if framework == "tensorflow" else {}))
    own = {"tensorflow": {"forget_bias": "0.75"}, "haiku": {"class": "LSTM"}}
    assume = {"activation": "tanh", "recurrent_activation": "sigmoid", **own.get(framework, {})}
    back = converters.convert(arrays, framework=framework, assume=assume)
    target = nn.LSTM(3, 5).double()
    target.load_state_dict(
        target.state_dict() | {k: torch.zeros_like(v) for k, v in target.state_dict().items()} | back
    )
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(target(x)[0], module(x)[0], rtol=0.0, atol=1e-12)


def test_a_forget_bias_is_taken_off_and_said() -> None:
    module = randomised(nn.LSTM(3, 5))
    module.bias_hh_l0.data.zero_()
    with pytest.warns(ConversionWarning, match="adds a constant when it runs"):
        arrays = export_arrays(module, "tensorflow", forget_bias=1.0)
    forget = module.bias_ih_l0.detach()[5:10].numpy()
    np.testing.assert_allclose(arrays["bias"][10:15], forget - 1.0, rtol=0.0, atol=1e-7)
    with pytest.raises(NotRepresentable, match="state what yours adds"):
        export_arrays(module, "tensorflow")


def test_flax_by_kind() -> None:
    module = randomised(nn.LSTM(3, 5))
    assert "hf/kernel" in quietly(module, "flax")
    arrays = quietly(nn.Linear(3, 5), "flax", class_name="Dense")
    assert list(arrays) == ["kernel", "bias"]


@pytest.mark.parametrize(
    ("module", "options", "kind", "message"),
    [
        pytest.param(
            nn.LSTM(3, 5, proj_size=2), {}, NotRepresentable, "computes lstm with projection", id="projection"
        ),
        pytest.param(nn.Sequential(), {}, UnknownLayer, "export its parts, one by one", id="container"),
        pytest.param(
            nn.GRU(3, 5), {"class_name": "LSTM"}, NotRepresentable, "no LSTM that computes gru", id="other-cell"
        ),
        pytest.param(
            nn.GRU(3, 5), {"class_name": "GRUU"}, UnknownLayer, "no layout for GRUU; there are:", id="no-class"
        ),
        pytest.param(nn.GRU(3, 5), {"framework": "karas"}, converters.LayoutError, "known: .*keras", id="framework"),
        pytest.param(
            drop_in.LSTM(3, 5, recurrent_activation="hard_sigmoid_0.2"),
            {"class_name": "CuDNNLSTM"},
            NotRepresentable,
            "and keras.layers.CuDNNLSTM computes sigmoid",
            id="fixed-activation",
        ),
        pytest.param(
            randomised(nn.GRU(3, 5)),
            {"framework": "lasagne"},
            NotRepresentable,
            r"no place for recurrent_bias\[n\], which is not zero",
            id="second-bias",
        ),
    ],
)
def test_what_the_other_cannot_hold_is_refused(
    module: nn.Module, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        export_arrays(module, **options)
