"""`build` against live Keras 3, one operation at a time: every setting that changes what is computed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sampling import sampled

import converters

keras = pytest.importorskip("keras", minversion="3")
K = keras.layers

TOLERANCE = 2e-6
BATCH = 3
LINE, PLANE, SPACE = (11, 5), (9, 13, 5), (5, 7, 6, 3)
"""Inputs without the batch: a sequence, an image, a volume."""


def sequential(*layers: Any, shape: tuple[int | None, ...] = LINE) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


def functional(build: Callable[..., Any], *shapes: tuple[int | None, ...]) -> Any:
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs, build(*inputs))


def randomise(model: Any, seed: int = 0) -> None:
    """Every weight random, biases and statistics too."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        values = generator.normal(0, 0.5, shape) if "variance" not in weight.path else generator.uniform(0.5, 2, shape)
        if "float" in str(weight.dtype):
            weight.assign(values)


def inputs_of(model: Any, seed: int = 1) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    found = []
    for tensor in model.inputs:
        shape = [BATCH if k == 0 and n is None else n or 7 for k, n in enumerate(tensor.shape)]
        if "int" in str(tensor.dtype) or any(isinstance(layer, K.Embedding) for layer in model.layers):
            found.append(generator.integers(0, 5, shape).astype("int32"))
        else:
            found.append(generator.normal(0, 1, shape).astype("float32"))
    return found


def compare(model: Any, tmp_path: Path, inputs: list[np.ndarray[Any, Any]] | None = None) -> Any:
    """Keras's outputs and those of the built module; returns the module."""
    randomise(model)
    file = tmp_path / "model.keras"
    model.save(file)
    inputs = inputs if inputs is not None else inputs_of(model)
    expected = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        module = converters.build(file)
    with torch.no_grad():
        found = module(*map(torch.from_numpy, inputs))
    wanted = [np.asarray(y) for y in keras.tree.flatten(expected)]
    given = [y.numpy() for y in (found if isinstance(found, tuple) else (found,))]
    assert [y.shape for y in given] == [y.shape for y in wanted]
    for one, other in zip(given, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE * max(1.0, np.abs(other).max()), rtol=0)
    return module


def masking(*layers: Any, indices: bool = False) -> Any:
    first = [K.Embedding(9, 5, mask_zero=True)] if indices else [K.Masking(0.0)]
    return sequential(*first, *layers, shape=(11,) if indices else LINE)


def with_gaps(model: Any) -> list[np.ndarray[Any, Any]]:
    """Sequences masked at the start, in the middle, at the end, everywhere, and nowhere."""
    generator = np.random.default_rng(2)
    masks = np.ones((6, 11), bool)
    masks[0, :3], masks[1, 4:6], masks[2, 8:], masks[3] = False, False, False, False
    masks[4, [0, 2, 10]] = False
    if len(model.inputs[0].shape) == 2:
        return [(generator.integers(1, 7, (6, 11)) * masks).astype("int32")]
    return [(generator.normal(0, 1, (6, *LINE)) * masks[..., None]).astype("float32")]


def every_activation() -> list[str]:
    names = "relu tanh sigmoid softmax softplus softsign elu selu gelu silu exponential hard_sigmoid hard_silu linear"
    names += " leaky_relu relu6 mish log_softmax celu hard_tanh log_sigmoid tanh_shrink hard_shrink soft_shrink"
    return names.split()


@pytest.mark.parametrize("name", every_activation())
def test_activation(name: str, tmp_path: Path) -> None:
    compare(sequential(K.Dense(4, activation=name), K.Activation(name)), tmp_path)


PLAIN: dict[str, Callable[[], Any]] = {
    "leaky": lambda: sequential(K.LeakyReLU(0.1)),
    "elu": lambda: sequential(K.ELU(0.7)),
    "relu_all": lambda: sequential(K.ReLU(max_value=1.5, negative_slope=0.2, threshold=0.3)),
    "relu_6": lambda: sequential(K.ReLU(max_value=6)),
    "softmax_axis": lambda: sequential(K.Softmax(axis=1)),
    "softmax_map": lambda: sequential(K.Conv2D(4, 3), K.Softmax(), shape=PLANE),
    "prelu_shared": lambda: sequential(K.PReLU(shared_axes=[1, 2]), shape=PLANE),
    "prelu_flat": lambda: sequential(K.PReLU(), shape=(5,)),
    "dense_on_map": lambda: sequential(K.Conv2D(4, 3), K.Dense(6), shape=PLANE),
    "flatten_map": lambda: sequential(K.Conv2D(4, 3), K.Dropout(0.3), K.Flatten(), K.ReLU(), K.Dense(6), shape=PLANE),
    "flatten_line": lambda: sequential(K.Conv1D(4, 3), K.MaxPooling1D(2), K.Flatten(), K.Dense(6)),
    "flatten_space": lambda: sequential(K.Conv3D(4, 3), K.Flatten(), K.Dense(6), shape=SPACE),
    "flatten_out": lambda: sequential(K.Conv2D(4, 3), K.Flatten(), shape=PLANE),
    "flatten_norm": lambda: sequential(K.Conv2D(4, 3), K.Flatten(), K.BatchNormalization(), K.Dense(6), shape=PLANE),
    "flatten_two": lambda: functional(
        lambda x: (lambda y: [K.Dense(3)(y), K.Reshape((7, 11, 4))(y)])(K.Flatten()(K.Conv2D(4, 3)(x))), PLANE
    ),
    "reshape": lambda: sequential(K.Conv2D(4, 3), K.Reshape((-1, 14)), K.Dense(3), shape=PLANE),
    "permute": lambda: sequential(K.Conv2D(4, 3), K.Permute((3, 1, 2)), K.Dense(3), shape=PLANE),
    "permute_crnn": lambda: sequential(
        K.Conv2D(4, 3), K.Permute((2, 1, 3)), K.Reshape((11, 28)), K.LSTM(3), shape=PLANE
    ),
    "repeat": lambda: sequential(K.Dense(3), K.RepeatVector(4), K.LSTM(2, return_sequences=True), shape=(5,)),
    "batch_norm": lambda: sequential(K.BatchNormalization(), K.LSTM(3)),
    "batch_norm_map": lambda: sequential(K.Conv2D(4, 3), K.BatchNormalization(), K.ReLU(), shape=PLANE),
    "batch_norm_axis": lambda: sequential(K.BatchNormalization(axis=1), shape=PLANE),
    "batch_norm_middle": lambda: sequential(K.BatchNormalization(axis=2), shape=PLANE),
    "batch_norm_volume": lambda: sequential(K.BatchNormalization(scale=False), shape=SPACE),
    "layer_norm": lambda: sequential(K.LayerNormalization()),
    "layer_norm_axes": lambda: sequential(K.LayerNormalization(axis=[1, 2]), shape=PLANE),
    "layer_norm_axis": lambda: sequential(K.LayerNormalization(axis=1), shape=PLANE),
    "group_norm": lambda: sequential(K.GroupNormalization(groups=2), shape=(9, 13, 4)),
    "instance_norm": lambda: sequential(K.GroupNormalization(groups=-1), shape=(9, 13, 4)),
    "rms_norm": lambda: sequential(K.RMSNormalization()),
    "unit_norm": lambda: sequential(K.UnitNormalization()),
    "rescaling": lambda: sequential(K.Rescaling(1 / 255.0, offset=-0.5)),
    "pad_1d": lambda: sequential(K.ZeroPadding1D((2, 3))),
    "pad_2d": lambda: sequential(K.Conv2D(4, 3), K.ZeroPadding2D(((1, 2), (3, 0))), shape=PLANE),
    "pad_3d": lambda: sequential(K.ZeroPadding3D((1, 2, 0)), shape=SPACE),
    "crop_1d": lambda: sequential(K.Cropping1D((2, 3))),
    "crop_2d": lambda: sequential(K.Conv2D(4, 3), K.Cropping2D(((1, 2), (3, 0))), shape=PLANE),
    "crop_3d": lambda: sequential(K.Cropping3D((1, 2, 0)), shape=SPACE),
    "up_1d": lambda: sequential(K.UpSampling1D(3)),
    "up_2d": lambda: sequential(K.UpSampling2D((2, 3)), shape=PLANE),
    "up_2d_bilinear": lambda: sequential(K.UpSampling2D((2, 3), interpolation="bilinear"), shape=PLANE),
    "up_3d": lambda: sequential(K.UpSampling3D((2, 1, 3)), shape=SPACE),
    "global": lambda: functional(
        lambda x: [
            layer(keepdims=keep)(x)
            for layer in (K.GlobalAveragePooling2D, K.GlobalMaxPooling2D)
            for keep in (False, True)
        ],
        PLANE,
    ),
    "global_line": lambda: functional(
        lambda x: [K.GlobalAveragePooling1D()(x), K.GlobalMaxPooling1D()(K.Conv1D(3, 2)(x))], LINE
    ),
    "global_space": lambda: sequential(K.GlobalAveragePooling3D(), shape=SPACE),
    "merges": lambda: functional(
        lambda x, y: [
            layer()([x, y]) for layer in (K.Add, K.Subtract, K.Multiply, K.Average, K.Maximum, K.Minimum, K.Concatenate)
        ],
        LINE,
        LINE,
    ),
    "concatenate_maps": lambda: functional(
        lambda x: K.Concatenate()([K.Conv2D(4, 3, padding="same")(x), x, K.Conv2D(2, 1)(x)]), PLANE
    ),
    "concatenate_rows": lambda: functional(
        lambda x: K.Concatenate(axis=1)([K.Conv2D(5, 3, padding="same")(x), x]), PLANE
    ),
    "residual": lambda: functional(
        lambda x: K.ReLU()(K.Add()([x, K.BatchNormalization()(K.Conv2D(5, 3, padding="same")(x))])), PLANE
    ),
    "broadcast": lambda: functional(
        lambda x: K.Multiply()([x, K.Reshape((1, 1, 5))(K.Dense(5)(K.GlobalAveragePooling2D()(x)))]), PLANE
    ),
    "squeeze_excite": lambda: functional(
        lambda x: (lambda y: K.Multiply()([y, K.Reshape((1, 1, 4))(K.Dense(4)(K.GlobalAveragePooling2D()(y)))]))(
            K.Conv2D(4, 3)(x)
        ),
        PLANE,
    ),
    "dot": lambda: functional(lambda x, y: K.Dot(axes=(2, 2))([x, y]), LINE, LINE),
    "dot_axes": lambda: functional(lambda x, y: K.Dot(axes=(1, 1))([x, y]), LINE, LINE),
    "dot_vectors": lambda: functional(lambda x, y: K.Dot(axes=1, normalize=True)([x, y]), (5,), (5,)),
    "embedding": lambda: sequential(K.Embedding(9, 4), shape=(11,)),
    "shared": lambda: functional(
        lambda x, y: (lambda layer: K.Concatenate()([layer(x), layer(y)]))(K.LSTM(3)), LINE, LINE
    ),
    "nested": lambda: functional(
        lambda x: (lambda inner: K.Dense(2)(inner(x)))(sequential(K.Dense(4), K.LSTM(3))), LINE
    ),
    "time_distributed": lambda: sequential(
        K.TimeDistributed(K.Conv2D(4, 3, activation="relu")),
        K.TimeDistributed(K.MaxPooling2D(2)),
        K.TimeDistributed(K.Flatten()),
        K.LSTM(3),
        shape=(6, *PLANE),
    ),
    "time_distributed_open": lambda: sequential(
        K.TimeDistributed(K.Conv2D(4, 3)), K.TimeDistributed(K.GlobalMaxPooling2D()), K.GRU(3), shape=(None, *PLANE)
    ),
    "time_distributed_rnn": lambda: sequential(K.TimeDistributed(K.GRU(4)), K.LSTM(3), shape=(6, *LINE)),
    "noise": lambda: sequential(K.GaussianNoise(0.1), K.SpatialDropout1D(0.2), K.ActivityRegularization(0.1)),
    "spectral": lambda: sequential(K.SpectralNormalization(K.Dense(4))),
    "open_time": lambda: sequential(K.Conv1D(4, 3, padding="same", strides=2), K.LSTM(3), shape=(None, 5)),
    "open_plane": lambda: sequential(
        K.Conv2D(4, 3, padding="same", strides=2),
        K.MaxPooling2D(3, 2, padding="same"),
        K.AveragePooling2D(2, padding="same"),
        K.Conv2DTranspose(3, 4, strides=2, padding="same"),
        K.GlobalAveragePooling2D(),
        shape=(None, None, 5),
    ),
}


@pytest.mark.parametrize("case", PLAIN)
def test_operation(case: str, tmp_path: Path) -> None:
    compare(PLAIN[case](), tmp_path)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("how", ["Max", "Average"])
@pytest.mark.parametrize(("size", "strides"), [(2, None), (3, 2), (4, 1), (2, 3)])
def test_pooling(how: str, padding: str, size: int, strides: int | None, tmp_path: Path) -> None:
    def poolings(x: Any, y: Any, z: Any) -> list[Any]:
        return [
            getattr(K, f"{how}Pooling{n}D")(size, strides, padding=padding)(v) for n, v in enumerate((x, y, z), start=1)
        ]

    compare(functional(poolings, LINE, PLANE, SPACE), tmp_path)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(
    ("size", "options"), [(3, {}), (2, {}), (4, {"strides": 2}), (3, {"strides": 3}), (3, {"dilation_rate": 2})]
)
def test_convolution(padding: str, size: int, options: dict[str, int], tmp_path: Path) -> None:
    def convolutions(x: Any, y: Any, z: Any) -> list[Any]:
        found = [K.Conv1D(4, size, padding=padding, **options)(x)]
        if padding != "causal":
            found += [
                K.Conv2D(4, size, padding=padding, **options)(y),
                K.Conv3D(4, size, padding=padding, **options)(z),
            ]
            found += [K.DepthwiseConv1D(size, padding=padding, depth_multiplier=2, **options)(x)]
            found += [K.DepthwiseConv2D(size, padding=padding, **options)(y)]
            found += [K.SeparableConv1D(4, size, padding=padding, **options)(x)]
            found += [K.SeparableConv2D(4, size, padding=padding, depth_multiplier=2, **options)(y)]
        return found

    compare(functional(convolutions, LINE, PLANE, (9, 11, 10, 3)), tmp_path)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("size", "options"),
    [(3, {}), (2, {}), (4, {"strides": 2}), (3, {"strides": 2}), (2, {"strides": 3}), (5, {"strides": 2})],
)
def test_transposed_convolution(padding: str, size: int, options: dict[str, int], tmp_path: Path) -> None:
    def convolutions(x: Any, y: Any, z: Any) -> list[Any]:
        return [
            getattr(K, f"Conv{n}DTranspose")(4, size, padding=padding, **options)(v)
            for n, v in enumerate((x, y, z), start=1)
        ]

    compare(functional(convolutions, LINE, PLANE, (4, 5, 3, 3)), tmp_path)


def cells() -> dict[str, Callable[..., Any]]:
    return {
        "lstm": lambda **k: K.LSTM(4, **k),
        "gru": lambda **k: K.GRU(4, **k),
        "gru_before": lambda **k: K.GRU(4, reset_after=False, **k),
        "rnn": lambda **k: K.SimpleRNN(4, **k),
        "hard": lambda **k: K.LSTM(4, recurrent_activation="hard_sigmoid", activation="relu", **k),
        "stacked": lambda **k: K.RNN([K.LSTMCell(4), K.LSTMCell(4)], **k),
        "unequal": lambda **k: K.RNN([K.LSTMCell(4), K.GRUCell(3)], **k),
    }


@pytest.mark.parametrize("sequences", [True, False], ids=["all", "last"])
@pytest.mark.parametrize("backwards", [True, False], ids=["backwards", "forwards"])
@pytest.mark.parametrize("zeros", [True, False], ids=["zeros", "repeated"])
@pytest.mark.parametrize("cell", cells())
def test_masks_with_gaps(cell: str, zeros: bool, backwards: bool, sequences: bool, tmp_path: Path) -> None:
    options: dict[str, Any] = {"return_sequences": sequences, "go_backwards": backwards}
    if zeros:
        options["zero_output_for_mask"] = True
    model = masking(cells()[cell](**options), indices=zeros)
    compare(model, tmp_path, with_gaps(model))


BOTH_WAYS = [
    pytest.param(merge, sequences, cell, masked, id=f"{merge}-{cell}-{'all' if sequences else 'last'}-{masked}")
    for merge, sequences, cell, masked in product(
        ("concat", "sum", "mul", "ave", None), (True, False), ("lstm", "gru_before", "stacked"), (True, False)
    )
]


@pytest.mark.parametrize(("merge", "sequences", "cell", "masked"), sampled(BOTH_WAYS, 7))
def test_bidirectional(merge: str | None, sequences: bool, cell: str, masked: bool, tmp_path: Path) -> None:
    """Every seventh has each value of each of the four."""
    layer = K.Bidirectional(cells()[cell](return_sequences=sequences), merge_mode=merge)
    if masked:
        model = functional(lambda x: layer(K.Masking()(x)), LINE)
        compare(model, tmp_path, with_gaps(model))
    else:
        compare(functional(layer, LINE), tmp_path)


@pytest.mark.parametrize("sequences", [True, False], ids=["all", "last"])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
def test_bidirectional_around_a_layer_that_goes_backwards(masked: bool, sequences: bool, tmp_path: Path) -> None:
    ahead, back = (K.LSTM(4, go_backwards=way, return_sequences=sequences) for way in (True, False))
    layer = K.Bidirectional(ahead, backward_layer=back, merge_mode="ave")
    model = functional(lambda x: layer(K.Masking()(x) if masked else x), LINE)
    compare(model, tmp_path, with_gaps(model) if masked else None)


@pytest.mark.parametrize("zeros", [True, False], ids=["zeros", "repeated"])
def test_bidirectional_decides_what_masked_steps_give(zeros: bool, tmp_path: Path) -> None:
    """Zeros in a sequence and the last state alone, whatever the layers inside say."""
    inner = [K.RNN(K.GRUCell(4), zero_output_for_mask=zeros, return_sequences=every) for every in (True, False)]
    model = functional(lambda x: [K.Bidirectional(one)(K.Masking()(x)) for one in inner], LINE)
    compare(model, tmp_path, with_gaps(model))


STATES: dict[str, Callable[[], Any]] = {
    "lstm": lambda: functional(lambda x: K.LSTM(4, return_state=True)(x), LINE),
    "gru_all": lambda: functional(lambda x: K.GRU(4, return_state=True, return_sequences=True)(x), LINE),
    "masked": lambda: functional(lambda x: K.LSTM(4, return_state=True)(K.Masking()(x)), LINE),
    "both": lambda: functional(lambda x: K.Bidirectional(K.LSTM(4, return_state=True))(x), LINE),
    "both_masked": lambda: functional(
        lambda x: K.Bidirectional(K.LSTM(4, return_state=True, return_sequences=True))(K.Masking()(x)), LINE
    ),
    "stacked": lambda: functional(lambda x: K.RNN([K.LSTMCell(4), K.LSTMCell(4)], return_state=True)(x), LINE),
    "unequal": lambda: functional(lambda x: K.RNN([K.LSTMCell(4), K.GRUCell(3)], return_state=True)(x), LINE),
    "given": lambda: functional(
        lambda x, h, c: K.LSTM(4, return_sequences=True)(x, initial_state=[h, c]), LINE, (4,), (4,)
    ),
    "given_masked": lambda: functional(
        lambda x, h: K.GRU(4, return_sequences=True, return_state=True)(K.Masking()(x), initial_state=[h]), LINE, (4,)
    ),
    "given_both": lambda: functional(
        lambda x, h, c, i, d: K.Bidirectional(K.LSTM(4, return_state=True))(x, initial_state=[h, c, i, d]),
        LINE,
        (4,),
        (4,),
        (4,),
        (4,),
    ),
    "encoder_decoder": lambda: functional(
        lambda x, y: K.Dense(3)(K.LSTM(4, return_sequences=True)(y, initial_state=K.LSTM(4, return_state=True)(x)[1:])),
        LINE,
        (6, 2),
    ),
}


@pytest.mark.parametrize("case", STATES)
def test_states(case: str, tmp_path: Path) -> None:
    model = STATES[case]()
    inputs = inputs_of(model)
    if "masked" in case:
        inputs = [*with_gaps(model), *(np.resize(x, (6, *x.shape[1:])) for x in inputs[1:])]
    compare(model, tmp_path, inputs)


ATTENTION: dict[str, Callable[[], Any]] = {
    "self": lambda: functional(lambda x: K.MultiHeadAttention(2, 3)(x, x), (11, 6)),
    "cross": lambda: functional(lambda x, y: K.MultiHeadAttention(2, 3)(x, y), (11, 6), (7, 6)),
    "three": lambda: functional(lambda x, y, z: K.MultiHeadAttention(2, 3)(x, y, key=z), (11, 6), (7, 6), (7, 6)),
    "widths": lambda: functional(lambda x, y: K.MultiHeadAttention(2, 3)(x, y), (11, 6), (7, 4)),
    "causal": lambda: functional(lambda x: K.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True), (11, 6)),
    "dot": lambda: functional(lambda x, y: K.Attention()([x, y]), LINE, (7, 5)),
    "dot_three": lambda: functional(lambda x, y, z: K.Attention()([x, y, z]), LINE, (7, 5), (7, 5)),
    "dot_causal": lambda: functional(lambda x: K.Attention()([x, x], use_causal_mask=True), LINE),
    "additive": lambda: functional(lambda x, y: K.AdditiveAttention(use_scale=False)([x, y]), LINE, (7, 5)),
}


@pytest.mark.parametrize("case", ATTENTION)
def test_attention(case: str, tmp_path: Path) -> None:
    compare(ATTENTION[case](), tmp_path)


def test_the_mask_of_the_queries_goes_on(tmp_path: Path) -> None:
    def layers(words: Any) -> Any:
        vectors = K.Embedding(11, 6, mask_zero=True)(words)
        return K.LSTM(3, name="reader")(K.MultiHeadAttention(2, 3, name="heads")(vectors, vectors))

    model = functional(layers, (11,))
    compare(model, tmp_path, with_gaps(model))
    assert converters.read(tmp_path / "model.keras").layer("reader").call.masked


MASKED: dict[str, Callable[[], Any]] = {
    "average": lambda: masking(K.Dense(4), K.GlobalAveragePooling1D(), indices=True),
    "through": lambda: masking(K.Dense(4), K.Dropout(0.1), K.BatchNormalization(), K.LSTM(3), indices=True),
    "value": lambda: functional(lambda x: K.GRU(3)(K.Masking(mask_value=0.0)(x)), LINE),
    "dot": lambda: functional(lambda x: (lambda y: K.Attention()([y, y]))(K.Embedding(7, 5, mask_zero=True)(x)), (11,)),
    "two": lambda: functional(
        lambda x: K.LSTM(3)(K.Add()([K.Embedding(7, 5, mask_zero=True)(x), K.Embedding(7, 5)(x)])), (11,)
    ),
    "time_distributed": lambda: masking(K.TimeDistributed(K.Dense(4)), K.LSTM(3), indices=True),
}


@pytest.mark.parametrize("case", MASKED)
def test_what_masks_do(case: str, tmp_path: Path) -> None:
    model = MASKED[case]()
    inputs = with_gaps(model)
    if case == "average":  # Keras divides by nothing where all is masked
        inputs = [np.delete(x, 3, 0) for x in inputs]
    compare(model, tmp_path, inputs)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.float32])
def test_embedding_takes_any_index(dtype: torch.dtype, tmp_path: Path) -> None:
    module = compare(masking(K.LSTM(3), indices=True), tmp_path)
    x = torch.tensor([[1, 2, 0, 4, 5, 6, 0, 0, 0, 0, 0]])
    assert torch.equal(module(x), module(x.to(dtype)))


def test_stateful(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(BATCH, *LINE)),
            K.LSTM(4, stateful=True, return_sequences=True),
            K.GRU(3, stateful=True),
        ]
    )
    module = compare(model, tmp_path)
    model.layers[0].reset_state(), model.layers[1].reset_state()
    module.reset_states()
    for seed in range(3):
        (x,) = inputs_of(model, seed)
        with torch.no_grad():
            np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), np.asarray(model(x)), atol=TOLERANCE)
    assert not any("lstm_h" in key for key in module.state_dict())


STATEFUL: dict[str, Callable[[], Any]] = {
    "lstm": lambda: K.LSTM(4, stateful=True, return_state=True),
    "gru": lambda: K.GRU(4, stateful=True, return_state=True, return_sequences=True),
    "equal": lambda: K.RNN([K.LSTMCell(4), K.LSTMCell(4)], stateful=True, return_state=True),
    "unequal": lambda: K.RNN([K.LSTMCell(4), K.GRUCell(3)], stateful=True, return_sequences=True),
}


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
@pytest.mark.parametrize("case", STATEFUL)
def test_stateful_layers_go_on(case: str, masked: bool, tmp_path: Path) -> None:
    """A second call begins where the first one ended, or, of a row without any step, where that began."""
    x, layer = keras.Input(batch_shape=(6, *LINE)), STATEFUL[case]()
    model = keras.Model(x, layer(K.Masking()(x) if masked else x))
    given = with_gaps(model)
    module = compare(model, tmp_path, given)
    for rows in ([3, 0, 1, 2, 5, 4], [5, 4, 3, 2, 1, 0]):
        turned = given[0][rows]
        with torch.no_grad():
            found = module(torch.from_numpy(turned))
        wanted = keras.tree.flatten(model(turned))
        for one, other in zip(found if isinstance(found, tuple) else (found,), wanted, strict=True):
            np.testing.assert_allclose(one.numpy(), np.asarray(other), atol=TOLERANCE)


def over_maps(number: int, **options: Any) -> Any:
    return getattr(K, f"ConvLSTM{number}D")(4, 3, **options)


MAPS: dict[str, Callable[[], Any]] = {
    "line_all": lambda: sequential(over_maps(1, return_sequences=True), shape=(5, 11, 3)),
    "line_last": lambda: sequential(over_maps(1, padding="same", strides=2), shape=(5, 11, 3)),
    "plane_all": lambda: sequential(over_maps(2, return_sequences=True, padding="same"), shape=(5, 7, 6, 3)),
    "plane_hard": lambda: sequential(
        over_maps(2, recurrent_activation="hard_sigmoid", activation="relu", use_bias=False), shape=(5, 7, 6, 3)
    ),
    "plane_dilated": lambda: sequential(over_maps(2, dilation_rate=2), shape=(5, 9, 8, 3)),
    "plane_backwards": lambda: sequential(over_maps(2, go_backwards=True, return_sequences=True), shape=(5, 7, 6, 3)),
    "plane_states": lambda: functional(lambda x: over_maps(2, return_state=True)(x), (5, 7, 6, 3)),
    "plane_both": lambda: sequential(K.Bidirectional(over_maps(2, return_sequences=True)), shape=(5, 7, 6, 3)),
    "plane_both_last": lambda: sequential(K.Bidirectional(over_maps(2), merge_mode="sum"), shape=(5, 7, 6, 3)),
    "volume": lambda: sequential(over_maps(3), shape=(3, 5, 4, 6, 2)),
    "between": lambda: sequential(
        K.TimeDistributed(K.Conv2D(3, 3, activation="relu")),
        over_maps(2, return_sequences=True, padding="same"),
        K.BatchNormalization(),
        K.TimeDistributed(K.MaxPooling2D(2)),
        over_maps(2, padding="same"),
        K.Flatten(),
        K.Dense(3),
        shape=(5, 9, 8, 2),
    ),
    "to_3d": lambda: sequential(
        over_maps(2, return_sequences=True, padding="same"), K.Conv3D(1, 3, padding="same"), shape=(5, 7, 6, 3)
    ),
}


@pytest.mark.parametrize("case", MAPS)
def test_sequences_of_maps(case: str, tmp_path: Path) -> None:
    compare(MAPS[case](), tmp_path)
