"""`LocallyConnected1D` and `LocallyConnected2D`: the numbers of tf.keras in all its forms, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras_files import numbers, other, write
from sampling import sampled
from torch import nn

import converters
from converters.torch import nn as drop_in
from layouts.errors import NotRepresentable, ShapeError

KERAS2 = "2.15.0"
SIZES = {1: (11,), 2: (5, 7)}
WINDOWS = {1: (((2,), (1,)), ((5,), (3,))), 2: (((2, 3), (1, 1)), ((4, 2), (3, 2)))}

Options = Mapping[str, Any]


def configurations() -> list[Any]:
    """Every form, order of axes and padding, with two kernels and strides, with a bias and without."""
    found = []
    forms = [(1, "valid"), *product((2, 3), ("valid", "same"))]
    for rank, (how, padding), order, bias in product((1, 2), forms, ("first", "last"), (True, False)):
        for kernel, strides in WINDOWS[rank]:
            options = {"kernel_size": kernel, "strides": strides, "padding": padding, "use_bias": bias}
            options |= {"implementation": how, "data_format": f"channels_{order}"}
            said = f"{rank}d-{how}-{padding}-{order}-{'x'.join(map(str, kernel))}-{bias}"
            found.append(pytest.param(rank, options, id=said))
    return sampled(found, 4)


def by_keras(rank: int, options: Options, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Save a model of one such layer; returns what it was given and gave, in float64."""
    keras = pytest.importorskip("tf_keras")
    first = options["data_format"] == "channels_first"
    x = np.random.default_rng(rank).normal(size=(2, 3, *SIZES[rank]) if first else (2, *SIZES[rank], 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = keras.Input(x.shape[1:], dtype="float64")
        layer = getattr(keras.layers, f"LocallyConnected{rank}D")(5, dtype="float64", activation="tanh", **options)
        model = keras.Model(given, layer(given))
        rng = np.random.default_rng(7)
        model.set_weights([rng.normal(0.0, 0.4, weight.shape) for weight in model.get_weights()])
        model.save(path)
    return x, np.asarray(model(x))


@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize(("rank", "options"), configurations())
def test_the_numbers_are_those_of_keras(rank: int, options: Options, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{ending}"
    x, expected = by_keras(rank, options, path)
    module = converters.build(path).double()
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), expected, rtol=0.0, atol=1e-12)
    assert converters.verify(path, module, by="numpy").ok


def image(*shape: int, **config: Any) -> list[Any]:
    """A model of one layer over maps (3, 5, 2): two kernels of (2, 3) a place, three filters."""
    start = {"batch_input_shape": [None, *shape]} if shape else {}
    base = {"filters": 3, "kernel_size": [2, 3], "strides": [1, 1], **start, **config}
    return [other("LocallyConnected2D", "x", {"kernel": numbers(6, 12, 3), "bias": numbers(2, 3, 3)}, **base)]


def built(path: Path, *layers: Any) -> Any:
    """The drop-in that a file makes."""
    converters.read(write(path, *layers, version=KERAS2))
    plan = converters.plan(path, dropins=True)
    return eval(plan.modules[0].constructor, {"converters": converters, "nn": nn})


def test_a_bias_or_the_input_tells_the_places(tmp_path: Path) -> None:
    for name, layers in (("bias", image()), ("input", image(3, 5, 2)), ("both", image(3, 5, 2, data_format=None))):
        assert built(tmp_path / f"{name}.h5", *layers).output_size == [2, 3]


REFUSED: dict[str, tuple[list[Any], type[Exception], str]] = {
    "implementation": (image(implementation=4), NotRepresentable, "implementation=4 is none of 1, 2 and 3"),
    "padding": (image(padding="same"), NotRepresentable, "no Keras computes padding='same' with implementation=1"),
    "causal": (image(padding="causal", implementation=3), NotRepresentable, "padding='causal'"),
    "kernel": (image(kernel_size=[2, 5]), ShapeError, "does not fit"),
    "no-kernel": (image(kernel_size=None), ShapeError, "no shape tells its kernel_size"),
    "strides": (image(strides=[0, 1]), ShapeError, "expected 2 positive numbers"),
    "input": (image(4, 5, 2), ShapeError, "does not fit"),
    "narrow": (image(1, 5, 2), ShapeError, "a kernel of 2, and its input is 1 wide"),
    "channels": (image(3, 5, 4), ShapeError, "its arrays read 2 features"),
    "filters": (image(filters=5), ShapeError, "filters=5"),
    "no-bias": (
        [other("LocallyConnected2D", "x", {"kernel": numbers(6, 12, 3)}, kernel_size=[2, 3], use_bias=False)],
        ShapeError,
        "nothing tells how many places its output has",
    ),
    "pairs": (image(implementation=2), ShapeError, "implementation=2 makes 6"),
    "wide-pairs": (
        [
            other(
                "LocallyConnected1D",
                "x",
                {"kernel": numbers(5, 2, 4, 3)},
                kernel_size=3,
                use_bias=False,
                implementation=2,
            )
        ],
        ShapeError,
        r"its configuration makes it \(5, 2, 3, 3\)",
    ),
    "list": (image(3, 5, 2, implementation=3), ShapeError, "makes it a list of 108 × inputs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_are_refused_by_name(case: str, tmp_path: Path) -> None:
    layers, kind, message = REFUSED[case]
    (layer,) = converters.read(write(tmp_path / "model.h5", *layers, version=KERAS2)).layers
    assert isinstance(layer.unknown, kind)
    with pytest.raises(kind, match=message):
        raise layer.unknown


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_configuration_makes_nothing_larger_than_its_file(padding: str, tmp_path: Path) -> None:
    """Sizes that would need terabytes of windows, and a list of seven numbers."""
    for size, stride in ((10**6, 1), (10**9, 10**9)):
        told = {"kernel_size": [size, size], "strides": [stride] * 2, "padding": padding, "implementation": 3}
        shape = {"batch_input_shape": [None, size, size, 1], "use_bias": False, "filters": 1}
        layer = other("LocallyConnected2D", "x", {"kernel": numbers(7)}, **told, **shape)
        (found,) = converters.read(write(tmp_path / "model.h5", layer, version=KERAS2)).layers
        assert isinstance(found.unknown, ShapeError)


def test_weights_alone_need_a_kernel_size(tmp_path: Path) -> None:
    path = write(tmp_path / "weights.h5", *image(), version=KERAS2, whole=False)
    (layer,) = converters.read(path).layers
    assert "fit no class of layer, or several" in str(layer.unknown)
    named = {"x.class": "LocallyConnected2D"}
    (layer,) = converters.read(path, assume=named).layers
    assert "no shape tells its kernel_size" in str(layer.unknown)
    told = converters.convert(path, dropins=True, assume={**named, "x.kernel_size": "2,3"})
    whole = converters.convert(write(tmp_path / "whole.h5", *image(), version=KERAS2), dropins=True)
    assert told.keys() == whole.keys() == {"x.weight", "x.bias"}
    assert all(torch.equal(told[name], whole[name]) for name in told)
    turned = converters.convert(
        path, dropins=True, assume={**named, "x.kernel_size": "2,3", "x.data_format": "channels_first"}
    )
    assert not torch.equal(turned["x.weight"], whole["x.weight"])


def test_keras_3_has_no_such_layers_and_onnx_computes_them(tmp_path: Path) -> None:
    path = write(tmp_path / "model.h5", *image(3, 5, 2), version=KERAS2)
    with pytest.raises(NotRepresentable, match=r"Keras 3 has no LocallyConnected2D"):
        converters.convert_file(path, tmp_path / "out.keras")
    assert "onnxruntime" in converters.convert_file(path, tmp_path / "out.onnx", verify=True).proof


def make(rank: int, **options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {1: (4, 3), 2: ((4, 3), (3, 2))}[rank]
    return getattr(drop_in, f"LocallyConnected{rank}D")(2, 5, *sizes, **{"stride": 2, "padding": 1, **options})


def sample(rank: int) -> torch.Tensor:
    return torch.randn(2, 2, *((7,) if rank == 1 else (7, 4)))


@pytest.mark.parametrize("rank", [1, 2])
def test_equal_kernels_are_a_convolution(rank: int) -> None:
    module, x = make(rank).requires_grad_(False), sample(rank)
    places = (0,) * rank
    module.weight[...] = module.weight[places].clone()
    module.bias[...] = module.bias[(slice(None), *(slice(0, 1) for _ in places))].clone()
    function = (nn.functional.conv1d, nn.functional.conv2d)[rank - 1]
    shared = function(x, module.weight[places], module.bias[(slice(None), *places)], stride=2, padding=1)
    torch.testing.assert_close(module(x), shared, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "bare"])
@pytest.mark.parametrize("rank", [1, 2])
def test_scripts_exports_and_gradients(rank: int, bias: bool) -> None:
    module, x = make(rank, bias=bias), sample(rank)
    expected = module(x)
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = torch.export.export(module, (x,), dynamic_shapes=({0: batch},)).module()
    for way in (torch.jit.script(module), exported, torch.compile(module, backend="eager", fullgraph=True)):
        torch.testing.assert_close(way(x), expected, rtol=0.0, atol=1e-6)
    assert torch.autograd.gradcheck(module.double(), x.double().requires_grad_())


MISTAKES: dict[str, tuple[Options, str]] = {
    "kernel": ({"kernel_size": (0, 2)}, "kernel_size"),
    "stride": ({"stride": (1, 2, 3)}, "stride"),
    "padding": ({"padding": (1, 2)}, "padding"),
    "negative": ({"padding": -1}, "padding"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_the_constructor_are_told(case: str) -> None:
    options, message = MISTAKES[case]
    with pytest.raises(ValueError, match=f"{message}=.*expected"):
        drop_in.LocallyConnected2D(2, 5, **{"output_size": 3, "kernel_size": 2, **options})


def test_an_input_of_another_size_is_told() -> None:
    with pytest.raises(ValueError, match=r"expected an input with \[4, 3\] windows of \[3, 2\]"):
        make(2)(torch.zeros(2, 2, 9, 4))


def test_a_module_is_loaded_set_right_and_started(tmp_path: Path) -> None:
    path = write(tmp_path / "model.h5", *image(3, 5, 2), version=KERAS2)
    module = drop_in.LocallyConnected2D(2, 3, (2, 3), (2, 3), stride=2)
    with pytest.warns(converters.ConversionWarning, match=r"stride is \[2, 2\], and the source has \[1, 1\]"):
        report = converters.load_into(module, path)
    assert report.loaded
    assert torch.equal(module.weight, converters.convert(path, dropins=True)["x.weight"])
    converters.initialize(module, scheme="keras")
    limit = (6 / (6 * (12 + 3))) ** 0.5
    assert float(module.weight.detach().abs().max()) < limit and not module.bias.detach().any()


def test_a_trace_computes_what_the_module_does() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.local, self.head = make(2, padding=(1, 0, 2, 1)), nn.Linear(60, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.local(x)).flatten(1))

    traced = converters.trace(Whole().eval(), torch.randn(2, 2, 6, 5))
    assert [layer.class_name for layer in traced.layers] == ["LocallyConnected2D", "Linear"]


def test_the_layer_prints_what_it_computes() -> None:
    assert (
        repr(make(1))
        == "LocallyConnected1D(2, 5, output_size=(4,), kernel_size=(3,), stride=(2,), padding=(1, 1), bias=True)"
    )
