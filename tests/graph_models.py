"""Functional models built live, each for one rule of wiring, of shapes or of masks; for Keras 3 and tf_keras alike."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

Made = tuple[list[Any], Any]
"""Inputs and outputs."""
VOCABULARY = 9


def parts(keras: Any) -> SimpleNamespace:
    """The layers, and inputs that most models have: two of words, embedded under masks, and two of series."""
    layers = keras.layers
    words, others = (keras.Input((7,), dtype="int32") for _ in range(2))
    series, more = (keras.Input((7, 5)) for _ in range(2))
    embedded = [layers.Embedding(VOCABULARY, 4, mask_zero=True)(each) for each in (words, others)]
    return SimpleNamespace(L=layers, keras=keras, w=words, v=others, x=series, y=more, a=embedded[0], b=embedded[1])


def merged(name: str, half: bool = False) -> Callable[[SimpleNamespace], Made]:
    def model(p: SimpleNamespace) -> Made:
        other, source = (p.L.Dense(4)(p.x), p.x) if half else (p.b, p.v)
        return [p.w, source], p.L.LSTM(3, return_sequences=True)(getattr(p.L, name)()([p.a, other]))

    return model


def steps_side_by_side(p: SimpleNamespace) -> Made:
    return [p.w, p.v], p.L.GRU(3)(p.L.Concatenate(axis=1)([p.a, p.b]))


def masking(p: SimpleNamespace) -> Made:
    masked = p.L.BatchNormalization()(p.L.Dropout(0.3)(p.L.Masking(1.5)(p.x)))
    return [p.x], p.L.Bidirectional(p.L.LSTM(3, return_sequences=True))(masked)


def stops(p: SimpleNamespace) -> Made:
    again = p.L.RepeatVector(4)(p.L.GRU(3)(p.a))
    stopped = [p.L.Conv1D(4, 1)(p.a), p.L.Permute((2, 1))(p.a), p.L.Reshape((14, 2))(p.a), again]
    both = p.L.Bidirectional(p.L.GRU(2, return_sequences=True), merge_mode="sum")(p.a)
    passed = [p.L.Activation("relu")(p.L.LayerNormalization()(p.a)), both]
    return [p.w], [p.L.LSTM(3)(each) for each in (*stopped, *passed)]


def pooled(p: SimpleNamespace) -> Made:
    return [p.w], [p.L.GlobalAveragePooling1D()(p.a), p.L.GlobalMaxPooling1D()(p.a)]


def attending(p: SimpleNamespace) -> Made:
    return [p.w, p.v], p.L.LSTM(3)(p.L.Attention()([p.a, p.b, p.b]))


def many_heads(p: SimpleNamespace) -> Made:
    """By itself: in Keras 3.9 and 3.15 this layer takes the masks off the values that it reads."""
    return [p.w, p.v], p.L.LSTM(3)(p.L.MultiHeadAttention(2, 2)(p.a, p.b))


def sequence_to_sequence(p: SimpleNamespace) -> Made:
    _, *states = p.L.LSTM(6, return_state=True)(p.a)
    decoded, _, _ = p.L.LSTM(6, return_sequences=True, return_state=True)(p.b, initial_state=states)
    return [p.w, p.v], p.L.TimeDistributed(p.L.Dense(3, activation="softmax"))(decoded)


def both_directions(p: SimpleNamespace) -> Made:
    found = p.L.Bidirectional(p.L.GRU(3, return_state=True, return_sequences=True))(p.a)
    apart = p.L.Bidirectional(p.L.LSTM(3, return_sequences=True), merge_mode=None)(p.a)
    return [p.w, p.v], [p.L.Bidirectional(p.L.GRU(3))(p.b, initial_state=list(found[1:])), found[0], *apart]


def shared(p: SimpleNamespace) -> Made:
    layer = p.L.LSTM(3)
    return [p.x, p.y], p.L.Dot(1, normalize=True)([layer(p.x), layer(p.y)])


def nested(p: SimpleNamespace) -> Made:
    one, two = p.keras.Input((7, 5)), p.keras.Input((7, 5))
    joined = p.L.Concatenate()([one, two])
    inner = p.keras.Model([one, two], [p.L.LSTM(3)(joined), p.L.Dense(2)(joined)])
    first, second = inner([p.y, p.x]), inner([p.x, p.x])
    return [p.x, p.y], [first[1], p.L.Add()([first[0], second[0]]), p.L.LSTM(2)(second[1])]


def every_step(p: SimpleNamespace) -> Made:
    steps = p.keras.Input((3, 7, 5))
    inner = p.keras.Sequential([p.keras.Input((7, 5)), p.L.Conv1D(4, 3, padding="causal"), p.L.GlobalMaxPooling1D()])
    timed = p.L.TimeDistributed(p.L.LSTM(4, return_sequences=True))(p.L.TimeDistributed(p.L.Dropout(0.2))(steps))
    flat = p.L.TimeDistributed(p.L.Flatten())(timed)
    return [steps], [p.L.LSTM(3)(p.L.TimeDistributed(inner)(steps)), p.L.LSTM(3)(flat)]


def maps(p: SimpleNamespace) -> Made:
    image = p.keras.Input((9, 8, 3))
    x = p.L.MaxPooling2D(2)(p.L.BatchNormalization()(p.L.Conv2D(4, 3, strides=2, padding="same")(image)))
    x = p.L.UpSampling2D(2)(p.L.Cropping2D(1)(p.L.ZeroPadding2D(((1, 0), (2, 1)))(x)))
    x = p.L.SeparableConv2D(3, 1)(p.L.DepthwiseConv2D(2, depth_multiplier=2)(p.L.SpatialDropout2D(0.1)(x)))
    x = p.L.AveragePooling2D(2, strides=1, padding="same")(p.L.Conv2DTranspose(2, 3, strides=2)(x))
    ends = [p.L.GlobalAveragePooling2D(), p.L.Flatten(), p.L.Reshape((-1, 2)), p.L.Permute((3, 1, 2))]
    return [image], [layer(x) for layer in ends]


def lines(p: SimpleNamespace) -> Made:
    layers = [
        p.L.Conv1D(4, 3, dilation_rate=2),
        p.L.Conv1DTranspose(3, 2, strides=3),
        p.L.UpSampling1D(3),
        p.L.ZeroPadding1D((1, 2)),
        p.L.Cropping1D((1, 2)),
        p.L.AveragePooling1D(3, 2),
        p.L.Softmax(axis=1),
        p.L.LeakyReLU(),
        p.L.UnitNormalization(),
    ]
    return [p.x], [layer(p.x) for layer in layers]


def products(p: SimpleNamespace) -> Made:
    layers = [p.L.Dot(2), p.L.Dot((1, 1)), p.L.Subtract(), p.L.Average(), p.L.Minimum(), p.L.Concatenate(axis=1)]
    return [p.x, p.y], [layer([p.x, p.y]) for layer in layers]


MODELS: dict[str, Callable[[SimpleNamespace], Made]] = {
    **{f"masks in {name}": merged(name) for name in ("Add", "Multiply", "Maximum", "Subtract", "Concatenate")},
    **{f"one mask in {name}": merged(name, True) for name in ("Add", "Multiply", "Maximum", "Concatenate")},
    **{
        model.__name__: model
        for model in (
            steps_side_by_side,
            masking,
            stops,
            pooled,
            attending,
            many_heads,
            sequence_to_sequence,
            both_directions,
            shared,
            nested,
            every_step,
            maps,
            lines,
            products,
        )
    },
}
