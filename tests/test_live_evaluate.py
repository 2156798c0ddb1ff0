"""The evaluator against Keras 3: every operation and layer, in float32, on the inputs of `verify`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT  # noqa: F401  (torch before TensorFlow)
from live_models import randomize
from sampling import sampled

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import converters
from converters.verification.cases import make_cases
from converters.verification.evaluate import evaluate

keras = pytest.importorskip("keras", reason="Keras 3 is not installed")
L = keras.layers

Shape = tuple[int | None, ...]
TOLERANCE = 1e-5
"""Of the largest output, or of 1: Keras computes in float32, and parts of it whatever its dtype."""

SEQUENCE, LINE, IMAGE, SOLID, VECTOR = (None, 3), (11, 4), (9, 7, 4), (5, 6, 7, 2), (6,)
KINDS = (L.LSTM, L.GRU, L.SimpleRNN)


def masked(x: Any) -> Any:
    return L.Masking(0.0)(x)


def states(x: Any) -> Any:
    """An encoder whose states start a decoder."""
    _, *first = L.LSTM(5, return_state=True)(x)
    y, *last = L.LSTM(5, return_sequences=True, return_state=True)(x, initial_state=first)
    return [y, *last]


def both_states(x: Any) -> Any:
    _, *first = L.Bidirectional(L.GRU(4, return_state=True))(x)
    return L.Bidirectional(L.GRU(4, return_sequences=True, return_state=True))(x, initial_state=first)


def cells(x: Any, zeros: bool = False) -> Any:
    return L.RNN([L.LSTMCell(4), L.GRUCell(5), L.SimpleRNNCell(3)], return_sequences=True, zero_output_for_mask=zeros)(
        x
    )


def two(make: Callable[..., Any]) -> Callable[[Any], Any]:
    """A layer of two inputs that are made of one."""
    return lambda x: make([L.Dense(5)(x), L.Dense(5)(x)])


RECURRENT = {
    f"{kind.__name__} {way}{' masked' if mask else ''}": (
        lambda x, kind=kind, options=options, mask=mask: kind(5, **options)(masked(x) if mask else x)
    )
    for kind in KINDS
    for mask in (False, True)
    for way, options in {
        "last": {},
        "all": {"return_sequences": True},
        "backwards": {"return_sequences": True, "go_backwards": True},
        "backwards last": {"go_backwards": True},
        "states": {"return_sequences": True, "return_state": True},
        "no bias": {"use_bias": False, "return_sequences": True},
        "relu": {"activation": "relu", "return_sequences": True},
    }.items()
} | {
    f"Bidirectional {kind.__name__} {merge}{' last' if not all_ else ''}{' masked' if mask else ''}": (
        lambda x, kind=kind, merge=merge, all_=all_, mask=mask: L.Bidirectional(
            kind(4, return_sequences=all_), merge_mode=merge
        )(masked(x) if mask else x)
    )
    for kind, merge in zip(KINDS * 2, ("concat", "sum", "mul", "ave", None, "concat"), strict=True)
    for all_ in (True, False)
    for mask in (False, True)
}
RECURRENT |= {
    "hard_sigmoid": lambda x: L.LSTM(5, recurrent_activation="hard_sigmoid")(x),
    "reset before": lambda x: L.GRU(5, reset_after=False, return_sequences=True)(masked(x)),
    "stacked cells": cells,
    "stacked cells masked": lambda x: cells(masked(x)),
    "stacked cells, zeros where masked": lambda x: cells(masked(x), True),
    "zeros where masked": lambda x: L.RNN(L.LSTMCell(4), return_sequences=True, zero_output_for_mask=True)(masked(x)),
    "zeros where masked, last": lambda x: L.RNN(L.GRUCell(4), zero_output_for_mask=True)(masked(x)),
    "states handed on": states,
    "states handed on, masked": lambda x: states(masked(x)),
    "states of both directions": both_states,
    "two layers behind one mask": lambda x: L.GRU(4)(L.Bidirectional(L.LSTM(4, return_sequences=True))(masked(x))),
}
ON_SEQUENCES = {
    "Dense softmax": lambda x: L.Dense(5, activation="softmax")(x),
    "TimeDistributed": lambda x: L.TimeDistributed(L.Dense(5, activation="relu"))(x),
    "Concatenate": two(L.Concatenate()),
    "Concatenate in time": two(L.Concatenate(axis=1)),
    "Add": two(L.Add()),
    "Subtract": two(L.Subtract()),
    "Multiply": two(L.Multiply()),
    "Average": two(L.Average()),
    "Maximum": two(L.Maximum()),
    "Minimum": two(L.Minimum()),
    "Dot": two(L.Dot(axes=(2, 2))),
    "Dot normalized": two(L.Dot(axes=2, normalize=True)),
    "Attention": two(L.Attention()),
    "Attention causal": lambda x: L.Attention()([x, x], use_causal_mask=True),
    "MultiHeadAttention": lambda x: L.MultiHeadAttention(2, 3)(L.Dense(6)(x), L.Dense(6)(x)),
    "Attention masked": lambda x: L.Attention()([masked(x), masked(x)]),
    "GlobalAveragePooling1D masked": lambda x: L.GlobalAveragePooling1D()(L.LSTM(4, return_sequences=True)(masked(x))),
    "GlobalAveragePooling1D": lambda x: L.GlobalAveragePooling1D()(x),
    "GlobalMaxPooling1D keepdims": lambda x: L.GlobalMaxPooling1D(keepdims=True)(x),
    "UnitNormalization": lambda x: L.UnitNormalization()(x),
    "LayerNormalization": lambda x: L.LayerNormalization()(x),
    "RMSNormalization": lambda x: L.RMSNormalization()(x),
    "BatchNormalization": lambda x: L.BatchNormalization()(x),
    "Rescaling": lambda x: L.Rescaling(0.5, 0.25)(x),
    "Dropout": lambda x: L.GaussianNoise(0.3)(L.SpatialDropout1D(0.5)(L.Dropout(0.5)(x))),
}
ACTIVATIONS = {
    f"activation {name}": lambda x, name=name: L.Activation(name)(x)
    for name in (
        "relu", "relu6", "sigmoid", "tanh", "softmax", "log_softmax", "elu", "selu", "gelu", "silu", "softplus",
        "softsign", "hard_sigmoid", "hard_silu", "hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink", "mish",
        "celu", "exponential", "leaky_relu", "log_sigmoid", "linear",
    )
} | {
    "LeakyReLU": lambda x: L.LeakyReLU(0.2)(x),
    "ELU": lambda x: L.ELU(0.7)(x),
    "PReLU": lambda x: L.PReLU()(x),
    "ReLU": lambda x: L.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.2)(x),
    "Softmax axis": lambda x: L.Softmax(axis=1)(x),
}  # fmt: skip
ON_LINES = {
    **{
        f"Conv1D {padding} {strides} {dilation}": lambda x, p=padding, s=strides, d=dilation: L.Conv1D(
            5, 3, padding=p, strides=s, dilation_rate=d, activation="relu"
        )(x)
        for padding, strides, dilation in (
            ("same", 1, 1),
            ("same", 2, 1),
            ("valid", 3, 1),
            ("causal", 1, 2),
            ("same", 1, 3),
        )
    },
    "Conv1D groups": lambda x: L.Conv1D(6, 2, groups=2)(x),
    "Conv1DTranspose": lambda x: L.Conv1DTranspose(5, 4, strides=3, padding="same")(x),
    "Conv1DTranspose valid": lambda x: L.Conv1DTranspose(5, 2, strides=3)(x),
    "DepthwiseConv1D": lambda x: L.DepthwiseConv1D(3, depth_multiplier=2, padding="same")(x),
    "SeparableConv1D": lambda x: L.SeparableConv1D(5, 3, padding="same")(x),
    "MaxPooling1D": lambda x: L.MaxPooling1D(3, 2, padding="same")(x),
    "AveragePooling1D": lambda x: L.AveragePooling1D(3, 2, padding="same")(x),
    "ZeroPadding1D": lambda x: L.ZeroPadding1D((1, 2))(x),
    "Cropping1D": lambda x: L.Cropping1D((2, 1))(x),
    "UpSampling1D": lambda x: L.UpSampling1D(3)(x),
    "Flatten": lambda x: L.Dense(3)(L.Flatten()(L.Conv1D(5, 2)(x))),
    "Reshape": lambda x: L.Reshape((4, -1))(x),
    "Permute": lambda x: L.Permute((2, 1))(x),
}
ON_IMAGES = {
    "Conv2D same": lambda x: L.Conv2D(5, (3, 2), strides=(2, 3), padding="same", activation="tanh")(x),
    "Conv2D dilated": lambda x: L.Conv2D(5, (2, 3), dilation_rate=2, padding="same")(x),
    "Conv2DTranspose": lambda x: L.Conv2DTranspose(3, (3, 2), strides=2, padding="same")(x),
    "Conv2DTranspose padded": lambda x: L.Conv2DTranspose(3, 3, strides=2, output_padding=1)(x),
    "DepthwiseConv2D": lambda x: L.DepthwiseConv2D((3, 2), depth_multiplier=2)(x),
    "SeparableConv2D": lambda x: L.SeparableConv2D(5, (3, 2), padding="same")(x),
    "MaxPooling2D": lambda x: L.MaxPooling2D((2, 3), padding="same")(x),
    "AveragePooling2D": lambda x: L.AveragePooling2D(3, strides=2, padding="same")(x),
    "GlobalAveragePooling2D": lambda x: L.GlobalAveragePooling2D()(x),
    "GlobalMaxPooling2D": lambda x: L.GlobalMaxPooling2D()(x),
    "ZeroPadding2D": lambda x: L.ZeroPadding2D(((1, 2), (0, 3)))(x),
    "Cropping2D": lambda x: L.Cropping2D(((1, 2), (0, 3)))(x),
    "UpSampling2D": lambda x: L.UpSampling2D((2, 3))(x),
    "UpSampling2D bilinear": lambda x: L.UpSampling2D(2, interpolation="bilinear")(x),
    "GroupNormalization": lambda x: L.GroupNormalization(2)(x),
    "LayerNormalization axes": lambda x: L.LayerNormalization(axis=(1, 2))(x),
    "BatchNormalization axis 1": lambda x: L.BatchNormalization(axis=1)(x),
    "PReLU shared": lambda x: L.PReLU(shared_axes=[1, 2])(x),
    "ConvLSTM1D": lambda x: L.ConvLSTM1D(3, 2, padding="same", return_sequences=True)(x),
    "ConvLSTM1D states": lambda x: L.ConvLSTM1D(3, 3, strides=2, return_state=True, go_backwards=True)(x),
    "steps of images": lambda x: L.LSTM(4)(L.TimeDistributed(L.Flatten())(x)),
}
ON_SOLIDS = {
    "ConvLSTM2D": lambda x: L.ConvLSTM2D(
        3, (2, 3), padding="same", activation="relu", recurrent_activation="hard_sigmoid"
    )(x),
    "Conv3D": lambda x: L.Conv3D(3, (2, 3, 2), padding="same")(x),
    "Conv3DTranspose": lambda x: L.Conv3DTranspose(3, 2, strides=2)(x),
    "MaxPooling3D": lambda x: L.MaxPooling3D(2)(x),
    "AveragePooling3D": lambda x: L.AveragePooling3D(2, padding="same")(x),
    "UpSampling3D": lambda x: L.UpSampling3D((1, 2, 2))(x),
    "ZeroPadding3D": lambda x: L.ZeroPadding3D(1)(x),
    "Cropping3D": lambda x: L.Cropping3D(1)(x),
}
ON_VECTORS = {
    "RepeatVector": lambda x: L.LSTM(4)(L.RepeatVector(3)(x)),
    "Dense": lambda x: L.Dense(1, activation="sigmoid")(x),
}
ON_TOKENS = {
    "Embedding": lambda x: L.Embedding(11, 4)(x),
    "Embedding masked": lambda x: L.Bidirectional(L.LSTM(4))(L.Embedding(11, 4, mask_zero=True)(x)),
    "masks of two": lambda x: L.GRU(4)(
        L.Add()([L.Embedding(11, 4, mask_zero=True)(x), L.Embedding(11, 4, mask_zero=True)(x)])
    ),
    "attention behind a mask": lambda x: L.Attention()([L.Embedding(11, 4, mask_zero=True)(x)] * 2),
    "heads behind a mask of values": lambda x: L.MultiHeadAttention(2, 2)(
        L.Embedding(11, 4)(x), L.Embedding(11, 4, mask_zero=True)(x)
    ),
    "mean behind a mask": lambda x: L.GlobalAveragePooling1D()(L.Embedding(11, 4, mask_zero=True)(x)),
}
FAMILIES = {
    "recurrent": (SEQUENCE, RECURRENT),
    "sequences": (SEQUENCE, ON_SEQUENCES),
    "activations": (LINE, ACTIVATIONS),
    "lines": (LINE, ON_LINES),
    "images": (IMAGE, ON_IMAGES),
    "solids": (SOLID, ON_SOLIDS),
    "vectors": (VECTOR, ON_VECTORS),
    "tokens": ((None,), ON_TOKENS),
}
EVERY = [pytest.param(shape, make, id=name) for shape, family in FAMILIES.values() for name, make in family.items()]


@pytest.mark.parametrize(("shape", "make"), sampled(EVERY, 7))
def test_the_evaluator_gives_what_keras_gives(shape: Shape, make: Callable[[Any], Any], tmp_path: Path) -> None:
    model = built(shape, make)
    model.save(tmp_path / "model.keras")
    graph = converters.read(tmp_path / "model.keras").graph
    assert graph is not None
    assert not graph.unknown, [(node.name, node.class_name) for node in graph.unknown]
    for case in make_cases(graph):
        given = case.inputs[0]
        wanted = model(given.astype(np.float32) if given.dtype.kind == "f" else given)
        wanted = wanted if isinstance(wanted, list | tuple) else [wanted]
        values = evaluate(graph, case.inputs)
        for name, expected in zip(graph.outputs, map(np.asarray, wanted), strict=True):
            close(values[name], expected, TOLERANCE, f"{case.name}: {name}")


def built(shape: Shape, make: Callable[[Any], Any]) -> Any:
    keras.backend.clear_session()
    x = keras.Input(shape, dtype="int32" if shape == (None,) else "float32")
    model = keras.Model(x, make(x))
    randomize(model, seed=3)
    return model


def close(found: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    assert found.shape == expected.shape, what
    with np.errstate(over="ignore"):  # beyond float32 there is infinity on both sides
        found = found.astype(expected.dtype) if expected.dtype.kind == "f" else found
    scale = max(1.0, float(np.nan_to_num(np.abs(expected)).max(initial=0.0)))
    apart = np.where((found == expected) | (np.isnan(found) & np.isnan(expected)), 0.0, np.abs(found - expected))
    assert float(apart.max(initial=0.0)) <= tolerance * scale, f"{what}: {apart.max():.3g}"
