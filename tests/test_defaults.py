"""What a layer computes where its source is silent: the defaults of layouts, against the frameworks themselves.

PyTorch, Keras and ONNX are asked; of those that need not be installed, the table says what their documentation says.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from onnx import defs

from layouts import Layout, catalogue

TOLD: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("equinox", "LayerNorm"): {"epsilon": 1e-5},
    ("equinox", "GroupNorm"): {"epsilon": 1e-5},
    ("equinox", "RMSNorm"): {"epsilon": 1e-5},
    ("flax", "Conv (1d)"): {"padding": "same", "channels_last": True},
    ("flax", "Conv (2d)"): {"padding": "same", "channels_last": True},
    ("flax", "Conv (3d)"): {"padding": "same", "channels_last": True},
    ("flax", "ConvLSTMCell (1d)"): {"padding": "same", "channels_last": True},
    ("flax", "ConvLSTMCell (2d)"): {"padding": "same", "channels_last": True},
    ("flax", "ConvTranspose (1d)"): {"padding": "same", "channels_last": True},
    ("flax", "ConvTranspose (2d)"): {"padding": "same", "channels_last": True},
    ("flax", "ConvTranspose (1d, transpose_kernel)"): {"padding": "same", "channels_last": True},
    ("flax", "ConvTranspose (2d, transpose_kernel)"): {"padding": "same", "channels_last": True},
    ("flax", "LayerNorm"): {"epsilon": 1e-6},
    ("flax", "LayerNorm (scanned)"): {"epsilon": 1e-6},
    ("flax", "RMSNorm"): {"epsilon": 1e-6},
    ("flax", "GroupNorm"): {"epsilon": 1e-6, "groups": 32, "axes": (-1,)},
    ("flax", "InstanceNorm"): {"epsilon": 1e-6, "axes": (-1,)},
    ("flax", "BatchNorm"): {"epsilon": 1e-5, "momentum": 0.99, "axes": (-1,)},
    ("haiku", "Conv1D"): {"padding": "same", "channels_last": True},
    ("haiku", "Conv2D"): {"padding": "same", "channels_last": True},
    ("haiku", "Conv3D"): {"padding": "same", "channels_last": True},
    ("haiku", "Conv1DTranspose"): {"padding": "same", "channels_last": True},
    ("haiku", "Conv2DTranspose"): {"padding": "same", "channels_last": True},
    ("haiku", "Conv1DLSTM"): {"padding": "same", "channels_last": True},
    ("haiku", "Conv2DLSTM"): {"padding": "same", "channels_last": True},
    ("haiku", "Conv3DLSTM"): {"padding": "same", "channels_last": True},
    ("haiku", "LayerNorm"): {"epsilon": 1e-5},
    ("haiku", "RMSNorm"): {"epsilon": 1e-5},
    ("haiku", "GroupNorm"): {"epsilon": 1e-5, "axes": (-1,)},
    ("haiku", "InstanceNorm"): {"epsilon": 1e-5, "axes": (-1,)},
    ("haiku", "BatchNorm (images)"): {"epsilon": 1e-5, "axes": (-1,)},
    ("haiku", "BatchNorm (sequences)"): {"epsilon": 1e-5, "axes": (-1,)},
    ("haiku", "BatchNorm (vectors)"): {"epsilon": 1e-5, "axes": (-1,)},
    ("lasagne", "RecurrentLayer"): {"activation": "relu"},
    ("chainer", "BatchNormalization"): {"epsilon": 2e-05, "momentum": 0.9},
    ("chainer", "LayerNormalization"): {"epsilon": 1e-06},
    ("chainer", "GroupNormalization"): {"epsilon": 1e-05},
    ("cntk", "RNNStep"): {"activation": "sigmoid"},
    ("cntk", "BatchNormalization"): {"epsilon": 1e-05},
    ("dl4j", "BatchNormalization"): {"epsilon": 1e-05, "momentum": 0.9},
    ("lasagne", "RecurrentLayer (states given)"): {"activation": "relu"},
    ("lasagne", "BatchNormLayer"): {"epsilon": 0.0001, "momentum": 0.9},
    ("matlab", "convolution1dLayer"): {"channels_last": True},
    ("matlab", "convolution2dLayer"): {"channels_last": True},
    ("matlab", "batchNormalizationLayer"): {"epsilon": 1e-05, "axes": (-1,)},
    ("mlx", "Conv1d"): {"channels_last": True},
    ("mlx", "Conv2d"): {"channels_last": True},
    ("mlx", "Conv3d"): {"channels_last": True},
    ("mlx", "ConvTranspose1d"): {"channels_last": True},
    ("mlx", "ConvTranspose2d"): {"channels_last": True},
    ("mlx", "ConvTranspose3d"): {"channels_last": True},
    ("mlx", "BatchNorm"): {"epsilon": 1e-5, "momentum": 0.9, "axes": (-1,)},
    ("mlx", "LayerNorm"): {"epsilon": 1e-5},
    ("mlx", "GroupNorm"): {"epsilon": 1e-5, "axes": (-1,)},
    ("mlx", "InstanceNorm"): {"epsilon": 1e-5, "axes": (-1,)},
    ("mlx", "RMSNorm"): {"epsilon": 1e-5},
    ("mxnet", "RNN"): {"activation": "relu"},
    ("mxnet", "RNN (saved parameters)"): {"activation": "relu"},
    ("mxnet", "RNN (saved parameters, both directions)"): {"activation": "relu"},
    ("mxnet", "BatchNorm"): {"epsilon": 1e-05, "momentum": 0.9},
    ("mxnet", "BatchNorm (scale=False)"): {"epsilon": 1e-05, "momentum": 0.9},
    ("mxnet", "BatchNorm (symbolic)"): {"epsilon": 0.001, "momentum": 0.9},
    ("mxnet", "BatchNorm (symbolic, gamma fixed)"): {"epsilon": 0.001, "momentum": 0.9},
    ("mxnet", "LayerNorm"): {"epsilon": 1e-05},
    ("mxnet", "GroupNorm"): {"epsilon": 1e-05},
    ("paddle", "BatchNorm"): {"epsilon": 1e-5, "momentum": 0.9},
    ("paddle", "LayerNorm"): {"epsilon": 1e-5, "axes": (-1,)},
    ("paddle", "GroupNorm"): {"epsilon": 1e-5},
    ("paddle", "InstanceNorm1D"): {"epsilon": 1e-5},
    ("sonnet", "Conv1D"): {"padding": "same", "channels_last": True},
    ("sonnet", "Conv2D"): {"padding": "same", "channels_last": True},
    ("sonnet", "Conv3D"): {"padding": "same", "channels_last": True},
    ("sonnet", "Conv1DTranspose"): {"padding": "same", "channels_last": True},
    ("sonnet", "Conv2DTranspose"): {"padding": "same", "channels_last": True},
    ("sonnet", "Conv1DLSTM"): {"padding": "same", "channels_last": True},
    ("sonnet", "Conv2DLSTM"): {"padding": "same", "channels_last": True},
    ("sonnet", "LayerNorm"): {"epsilon": 1e-5},
    ("sonnet", "GroupNorm"): {"epsilon": 1e-5, "axes": (-1,)},
    ("sonnet", "BatchNorm (images)"): {"epsilon": 1e-5, "momentum": 0.999, "axes": (-1,)},
    ("sonnet", "BatchNorm (sequences)"): {"epsilon": 1e-5, "momentum": 0.999, "axes": (-1,)},
    ("sonnet", "BatchNorm (vectors)"): {"epsilon": 1e-5, "momentum": 0.999, "axes": (-1,)},
    ("tensorflow", "Conv1DLSTMCell"): {"padding": "same", "channels_last": True},
    ("tensorflow", "Conv2DLSTMCell"): {"padding": "same", "channels_last": True},
    ("tensorflow", "Conv3DLSTMCell"): {"padding": "same", "channels_last": True},
    ("tensorflow", "Conv1D"): {"channels_last": True},
    ("tensorflow", "Conv2D"): {"channels_last": True},
    ("tensorflow", "Conv3D"): {"channels_last": True},
    ("tensorflow", "Conv (1d)"): {"channels_last": True, "padding": "same"},
    ("tensorflow", "Conv (2d)"): {"channels_last": True, "padding": "same"},
    ("tensorflow", "Conv (3d)"): {"channels_last": True, "padding": "same"},
    ("tensorflow", "Conv2DTranspose"): {"channels_last": True},
    ("tensorflow", "Conv3DTranspose"): {"channels_last": True},
    ("tensorflow", "SeparableConv1D"): {"channels_last": True},
    ("tensorflow", "SeparableConv2D"): {"channels_last": True},
    ("tensorflow", "BatchNormalization"): {"epsilon": 0.001, "momentum": 0.99, "axes": (-1,)},
    ("tensorflow", "BatchNorm"): {"epsilon": 0.001, "momentum": 0.999, "axes": (-1,)},
    ("tensorflow", "LayerNorm"): {"epsilon": 1e-12},
    ("tflite", "CONV_2D"): {"channels_last": True},
    ("tflite", "DEPTHWISE_CONV_2D"): {"channels_last": True},
    ("tinygrad", "BatchNorm"): {"epsilon": 1e-5, "momentum": 0.9},
    ("tinygrad", "LayerNorm"): {"epsilon": 1e-5},
    ("tinygrad", "GroupNorm"): {"epsilon": 1e-5},
    ("tinygrad", "InstanceNorm"): {"epsilon": 1e-5},
    ("tinygrad", "RMSNorm"): {"epsilon": 1e-6},
    ("torch7", "BatchNormalization"): {"epsilon": 1e-05, "momentum": 0.9},
    ("keras", "LSTM (Keras 1)"): {"recurrent_activation": "hard_sigmoid_0.2"},
    ("keras", "LSTM (Keras 1, gpu)"): {"recurrent_activation": "hard_sigmoid_0.2"},
    ("keras", "GRU (Keras 1)"): {"recurrent_activation": "hard_sigmoid_0.2"},
    ("keras", "GRU (Keras 1, gpu)"): {"recurrent_activation": "hard_sigmoid_0.2"},
}
ASKED = ("keras", "onnx", "pytorch")


def with_defaults(framework: str) -> list[Layout]:
    return [layout for layout in catalogue.every_layout() if layout.framework == framework and layout.defaults]


def of(layout: Layout) -> str:
    """The class, without what stands in brackets."""
    return layout.class_name.partition(" (")[0]


def signature(owner: Any) -> dict[str, Any]:
    return {name: one.default for name, one in inspect.signature(owner).parameters.items()}


@pytest.mark.parametrize("key", TOLD, ids=" ".join)
def test_the_defaults_are_as_documented(key: tuple[str, str]) -> None:
    found = [layout for layout in with_defaults(key[0]) if layout.class_name == key[1]]
    assert found and all(layout.defaults == TOLD[key] for layout in found)


def test_every_framework_is_asked_or_in_the_table() -> None:
    left = [(one.framework, one.class_name) for one in catalogue.every_layout() if one.defaults]
    assert {key for key in left if key[0] not in ASKED} <= TOLD.keys()


@pytest.mark.parametrize("layout", with_defaults("pytorch"), ids=of)
def test_the_defaults_are_those_of_torch_nn(layout: Layout) -> None:
    """PyTorch's momentum is the part of the new statistics, that of all others of the old."""
    owner = getattr(torch.nn, {"BatchNorm": "BatchNorm1d"}.get(of(layout), of(layout)))
    known = signature(owner)
    expected = {"epsilon": known["eps"]} | ({"momentum": 1 - known["momentum"]} if "momentum" in known else {})
    assert dict(layout.defaults) == pytest.approx(expected)


@pytest.mark.parametrize("layout", with_defaults("onnx"), ids=of)
def test_the_defaults_are_those_of_the_schema(layout: Layout) -> None:
    attributes = defs.get_schema(of(layout)).attributes
    for option, value in layout.defaults.items():
        attribute = attributes.get(option)
        if value is None:
            assert attribute is None or attribute.default_value.type == 0, f"{option} has a default"
        elif isinstance(value, bool):
            assert attribute is not None and bool(attribute.default_value.i) == value
        else:
            assert attribute is not None and attribute.default_value.f == pytest.approx(value)


AXES = {"axes": lambda known: known["axis"] if isinstance(known["axis"], tuple) else (known["axis"],)}


@pytest.mark.parametrize("layout", [one for one in with_defaults("keras") if "Keras 1" not in one.class_name], ids=of)
def test_the_defaults_are_those_of_keras(layout: Layout) -> None:
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    owner = getattr(keras.layers, of(layout).replace("Convolution", "Conv").replace("Deconv", "Conv"), None)
    if "channels_last" in layout.defaults:
        assert layout.defaults == {"channels_last": keras.config.image_data_format() == "channels_last"}
        return
    known = signature(owner)
    assert layout.defaults
    for option, value in layout.defaults.items():
        assert AXES.get(option, lambda known, option=option: known[option])(known) == value, option


@pytest.mark.parametrize(
    "layout", [one for one in catalogue.every_layout() if one.framework == "keras" and one.beside], ids=of
)
def test_the_function_behind_a_layer_of_keras_is_none(layout: Layout) -> None:
    assert layout.beside == {"activation": "linear"}
