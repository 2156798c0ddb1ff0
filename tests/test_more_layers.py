"""Layers that torch.nn has not, or in part, against Keras 3 and tf_keras: built, written out, and evaluated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import live  # says which backend, before a framework is imported
import numpy as np
import pytest
from live_models import randomize
from whole_models import compare

import converters

VOCABULARY, TIME, WIDTH = 11, 7, 6
Layers = Any
Make = Callable[[Layers, Any, Any], Any]


def heads(*options: Any, **called: Any) -> Make:
    """Heads that read words, and words or numbers, masked or not."""
    return lambda L, x, y: L.MultiHeadAttention(*options)(x, y, **called)


MASKED_HEADS: dict[str, Make] = {
    "self": lambda L, x, y: L.MultiHeadAttention(2, 3)(x, x),
    "both": heads(2, 3),
    "causal": lambda L, x, y: L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
    "scores": heads(2, 3, return_attention_scores=True),
    "wide": heads(2, 5),
    "narrow": heads(3, 1, return_attention_scores=True),
    "values": heads(2, 3, 5),
    "no_bias": lambda L, x, y: L.MultiHeadAttention(2, 5, use_bias=False)(x, y, use_causal_mask=True),
    "output": lambda L, x, y: L.MultiHeadAttention(2, 3, 5, output_shape=4)(x, y),
    "three": lambda L, x, y: L.MultiHeadAttention(2, 3)(x, y, key=x),
    "on": lambda L, x, y: L.GRU(3, return_sequences=True)(L.MultiHeadAttention(2, 3)(x, y)),
    "residual": lambda L, x, y: L.GlobalAveragePooling1D()(L.Add()([x, L.MultiHeadAttention(2, 3)(x, x)])),
    "two_blocks": lambda L, x, y: L.GlobalAveragePooling1D()(
        L.MultiHeadAttention(2, 3)(L.LayerNormalization()(L.MultiHeadAttention(2, 3)(x, y)), y)
    ),
    "attention": lambda L, x, y: L.Attention(use_scale=True)([x, y]),
    "attention_scores": lambda L, x, y: L.Attention()([x, y], return_attention_scores=True),
    "attention_causal": lambda L, x, y: L.Attention(use_scale=True)([x, y], use_causal_mask=True),
    "concat": lambda L, x, y: L.Attention(score_mode="concat")([x, y]),
    "concat_scaled": lambda L, x, y: L.Attention(score_mode="concat", use_scale=True)([x, y, x]),
    "additive": lambda L, x, y: L.AdditiveAttention()([x, y]),
    "additive_scores": lambda L, x, y: L.AdditiveAttention()([x, y], return_attention_scores=True),
}
PAIRS: dict[str, Make] = {
    "attention_mask": lambda L, x, m: L.MultiHeadAttention(2, 3)(x, x, attention_mask=m),
    "attention_mask_causal": lambda L, x, m: L.MultiHeadAttention(2, 5)(x, x, attention_mask=m, use_causal_mask=True),
    "attention_mask_masked": lambda L, x, m: (lambda y: L.MultiHeadAttention(2, 3)(y, y, attention_mask=m))(
        L.Masking()(x)
    ),
}
PLAIN: dict[str, tuple[Make, tuple[int, ...]]] = {
    "layer_norm": (lambda L, x, y: L.LayerNormalization(center=False, scale=False)(x), (TIME, WIDTH)),
    "layer_norm_axis": (lambda L, x, y: L.LayerNormalization(axis=[1, 2], center=False, scale=False)(x), (5, 4, 3)),
    "layer_norm_center": (lambda L, x, y: L.LayerNormalization(scale=False)(x), (TIME, WIDTH)),
    "layer_norm_scale": (lambda L, x, y: L.LayerNormalization(center=False)(x), (TIME, WIDTH)),
    "layer_norm_map": (
        lambda L, x, y: L.LayerNormalization(center=False, scale=False)(L.Conv2D(5, 2)(x)),
        (TIME, 5, 3),
    ),
    "group_norm": (lambda L, x, y: L.GroupNormalization(3, center=False, scale=False)(x), (TIME, WIDTH)),
    "group_norm_map": (lambda L, x, y: L.GroupNormalization(-1, center=False, scale=False)(x), (TIME, 5, WIDTH)),
    "batch_norm": (lambda L, x, y: L.BatchNormalization(center=False, scale=False)(x), (TIME, WIDTH)),
    "batch_norm_map": (lambda L, x, y: L.BatchNormalization(center=False, axis=1)(x), (TIME, 5, WIDTH)),
    "normalization": (lambda L, x, y: L.Normalization()(x), (TIME, WIDTH)),
    "normalization_map": (lambda L, x, y: L.Dense(3)(L.Normalization()(L.Conv2D(3, 2)(x))), (TIME, 5, WIDTH)),
    "normalization_first": (lambda L, x, y: L.Normalization(axis=1)(x), (5, WIDTH)),
    "normalization_of_all": (lambda L, x, y: L.Normalization(axis=None)(x), (TIME, WIDTH)),
    "normalization_told": (lambda L, x, y: L.Normalization(mean=[1.0, 2, 3], variance=[2.0, 0.0, 5])(x), (TIME, 3)),
    "normalization_number": (lambda L, x, y: L.Normalization(axis=None, mean=1.0, variance=2.0)(x), (TIME, 3)),
    "prelu": (lambda L, x, y: L.PReLU()(x), (TIME, WIDTH)),
    "prelu_map": (lambda L, x, y: L.Dense(3)(L.PReLU()(L.Conv2D(3, 2)(x))), (TIME, 5, WIDTH)),
    "prelu_rows": (lambda L, x, y: L.PReLU(shared_axes=[1])(x), (TIME, 5, WIDTH)),
    "einsum": (lambda L, x, y: L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d")(x), (TIME, WIDTH)),
    "einsum_dots": (lambda L, x, y: L.EinsumDense("...x,xy->...y", 5, bias_axes="y", activation="relu")(x), (7, 6)),
    "einsum_heads": (lambda L, x, y: L.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de")(x), (TIME, WIDTH)),
    "einsum_joined": (lambda L, x, y: L.EinsumDense("abcd,cde->abe", (None, 5), bias_axes="e")(x), (TIME, 3, WIDTH)),
    "einsum_steps": (lambda L, x, y: L.EinsumDense("abc,bd->adc", (5, None), bias_axes="d")(x), (TIME, WIDTH)),
    "einsum_bare": (lambda L, x, y: L.EinsumDense("ab,bc->ac", 5)(x), (WIDTH,)),
    "steps_put_off": (
        lambda L, x, y: L.Dense(5)(L.ReLU()(L.TimeDistributed(L.BatchNormalization(axis=1))(x))),
        (TIME, WIDTH),
    ),
    "short_vectors": (lambda L, x, y: L.UnitNormalization()(L.Rescaling(1e-9)(x)), (TIME, WIDTH)),
    "short_products": (lambda L, x, y: L.Dot(2, normalize=True)([L.Rescaling(3e-8)(x)] * 2), (TIME, WIDTH)),
    "relu_ceiling": (lambda L, x, y: L.ReLU(max_value=0.7)(x), (TIME, WIDTH)),
    "relu_threshold": (lambda L, x, y: L.ReLU(threshold=0.3)(x), (TIME, WIDTH)),
    "relu_all": (lambda L, x, y: L.ReLU(1.5, 0.2, 0.3)(x), (TIME, WIDTH)),
}


def words_twice(keras: Any, make: Make) -> tuple[Any, list[Any]]:
    """A model of two rows of words under masks, which have gaps and of which one has no word at all."""
    entries = [keras.Input((TIME,), dtype="int32") for _ in range(2)]
    embedded = [keras.layers.Embedding(VOCABULARY, WIDTH, mask_zero=True)(entry) for entry in entries]
    generator = np.random.default_rng(3)
    inputs = [generator.integers(0, VOCABULARY, (5, TIME)).astype("int32") for _ in range(2)]
    inputs[0][:, 0], inputs[1][:, -1] = 3, 4
    inputs[0][1, :3], inputs[1][2, 2:] = 0, 0
    return keras.Model(entries, make(keras.layers, *embedded)), inputs


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param, reason=f"{request.param} is not installed")


def check(keras: Any, model: Any, inputs: list[Any], tmp_path: Path) -> None:
    randomize(model, 5)
    for layer in model.layers:
        if type(layer).__name__ == "Normalization" and layer.weights:
            layer.finalize_state()
    suffix = ".keras" if keras.__version__[0] == "3" else ".h5"
    compare(model, inputs, tmp_path / f"model{suffix}", live.tree_of(keras))


@pytest.mark.parametrize("case", MASKED_HEADS)
def test_attention_behind_masks(case: str, keras: Any, tmp_path: Path) -> None:
    if case == "residual" and keras.__version__[0] == "2":
        pytest.skip("a row without a word divides by nothing there, and is compared in Keras 3")
    check(keras, *words_twice(keras, MASKED_HEADS[case]), tmp_path)


@pytest.mark.parametrize("dtype", ["bool", "float32"])
@pytest.mark.parametrize("case", PAIRS)
def test_masks_of_pairs_of_steps(case: str, dtype: str, keras: Any, tmp_path: Path) -> None:
    x, mask = keras.Input((TIME, WIDTH)), keras.Input((TIME, TIME), dtype=dtype)
    generator = np.random.default_rng(4)
    numbers = generator.normal(size=(3, TIME, WIDTH)).astype("float32")
    numbers[1, 2:4] = 0
    inputs = [numbers, (generator.random((3, TIME, TIME)) < 0.6).astype(dtype)]
    check(keras, keras.Model([x, mask], PAIRS[case](keras.layers, x, mask)), inputs, tmp_path)


def test_a_softmax_leaves_masked_places_with_nothing(keras: Any, tmp_path: Path) -> None:
    x, mask = keras.Input((TIME, WIDTH)), keras.Input((TIME, TIME), dtype="bool")
    shares = keras.layers.Softmax()(keras.layers.Dot(2)([x, x]), mask=mask)
    generator = np.random.default_rng(4)
    seen = generator.random((3, TIME, TIME)) < 0.6
    seen[1, 2] = False
    inputs = [generator.normal(size=(3, TIME, WIDTH)).astype("float32"), seen]
    check(keras, keras.Model([x, mask], shares), inputs, tmp_path)


@pytest.mark.parametrize("case", PLAIN)
def test_layer(case: str, keras: Any, tmp_path: Path) -> None:
    make, shape = PLAIN[case]
    x = keras.Input(shape)
    inputs = [np.random.default_rng(1).normal(size=(3, *shape)).astype("float32")]
    check(keras, keras.Model(x, make(keras.layers, x, None)), inputs, tmp_path)


def test_a_feature_that_never_varies_is_divided_by_the_least_deviation(keras: Any, tmp_path: Path) -> None:
    x = keras.Input((3,))
    layer = keras.layers.Normalization()
    model = keras.Model(x, layer(x))
    layer.adapt(np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 5.0]], "float32"))
    suffix = ".keras" if keras.__version__[0] == "3" else ".h5"
    compare(model, [np.array([[1.5, 2.0, 4.0]], "float32")], tmp_path / f"model{suffix}", live.tree_of(keras))


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_a_mask_that_heads_may_have_taken_is_refused_by_name(first: bool, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", minversion="3")

    def both(L: Any, x: Any, y: Any) -> list[Any]:
        pair = [lambda: L.GlobalAveragePooling1D()(x), lambda: L.MultiHeadAttention(2, 3, name="heads")(y, x)]
        return [make() for make in (pair if first else pair[::-1])]

    model, _ = words_twice(keras, both)
    model.save(tmp_path / "model.keras")
    with pytest.raises(converters.NotRepresentable, match="whose mask heads take off"):
        converters.build(tmp_path / "model.keras")
