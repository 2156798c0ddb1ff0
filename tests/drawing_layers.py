"""Layers that Hypothesis draws, as the text that makes them: for each its class, its arguments, and what it can read.

A `Kind` is a row: which shapes it takes (without the batch, None for an open size), and a strategy for its text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Shape = tuple[int | None, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]
PRIMES = (2, 3, 5)
BOTH = (False, True)
ACTIVATIONS = (
    *("relu", "tanh", "sigmoid", "softmax", "hard_sigmoid", "softplus", "softsign", "elu", "selu", "gelu", "silu"),
    *("leaky_relu", "relu6", "hard_silu", "log_softmax", "mish", "celu", "hard_tanh", "tanh_shrink"),
)


@dataclass(frozen=True)
class Kind:
    """A row: `takes` tells whether a value of a shape can be read, `text` draws the layer for that shape."""

    name: str
    takes: Callable[[Shape], bool]
    text: Callable[[Draw, Shape], str]


def called(name: str, *given: Any, **options: Any) -> str:
    """A call as text; texts that stand for layers are given as they are."""
    listed = [each if isinstance(each, str) else repr(each) for each in given]
    listed += [f"{key}={value!r}" for key, value in options.items()]
    return f"L.{name}({', '.join(listed)})"


def drawn(draw: Draw, choices: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    """One value an option; the usual one stands first, and is not written."""
    found = {key: draw(st.sampled_from(values)) for key, values in choices.items()}
    return {key: value for key, value in found.items() if value != choices[key][0]}


def plain(name: str, takes: Callable[[Shape], bool], *given: tuple[Any, ...], **choices: tuple[Any, ...]) -> Kind:
    """A layer whose arguments are drawn one by one, whatever it reads."""

    def text(draw: Draw, shape: Shape) -> str:
        return called(name, *(draw(st.sampled_from(values)) for values in given), **drawn(draw, choices))

    return Kind(name, takes, text)


def rank(*ranks: int) -> Callable[[Shape], bool]:
    """Values of so many axes behind the batch, the last of which has a size."""
    return lambda shape: len(shape) in ranks and shape[-1] is not None


def known(*ranks: int) -> Callable[[Shape], bool]:
    """The same with all sizes told."""
    return lambda shape: len(shape) in ranks and None not in shape


def long(axes: int) -> Callable[[Shape], bool]:
    """Values whose axes but the features have at least five steps, or an open number of them."""
    wide = 5
    return lambda shape: rank(axes)(shape) and all(size is None or size >= wide for size in shape[:-1])


def both(one: Callable[[Shape], bool], other: Callable[[Shape], bool]) -> Callable[[Shape], bool]:
    """Values that suit two rules: an open number of steps may have been pooled to fewer than are cut off."""
    return lambda shape: one(shape) and other(shape)


_CELL = {"activation": ("tanh", "tanh", "relu", "softsign"), "use_bias": (True, True, False)}
_GATED = _CELL | {"recurrent_activation": ("sigmoid", "sigmoid", "hard_sigmoid")}
CELLS: dict[str, dict[str, tuple[Any, ...]]] = {
    "LSTM": _GATED,
    "GRU": _GATED | {"reset_after": (True, False)},
    "SimpleRNN": _CELL,
}
_CALLED = {"return_sequences": (True, True, False), "return_state": (False, False, True)}


def _told(draw: Draw, choices: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Options written even where they are usual, for these have other defaults."""
    return {key: draw(st.sampled_from(values)) for key, values in choices.items()}


def single(draw: Draw, shape: Shape, backwards: tuple[bool, ...] = (False, False, True)) -> str:
    """LSTM, GRU, SimpleRNN, or an RNN around one of their cells or several."""
    kind = draw(st.sampled_from(("LSTM", "GRU", "SimpleRNN", "RNN")))
    called_with = _told(draw, _CALLED | {"go_backwards": backwards})
    called_with = {key: value for key, value in called_with.items() if value}
    if kind != "RNN":
        own = drawn(draw, CELLS[kind] | ({"unroll": (False, False, True)} if None not in shape else {}))
        return called(kind, draw(st.sampled_from(PRIMES)), **own, **called_with)
    cells = [cell(draw) for _ in range(draw(st.integers(1, 3)))]
    zeros = drawn(draw, {"zero_output_for_mask": BOTH})
    return called("RNN", cells[0] if len(cells) == 1 else f"[{', '.join(cells)}]", **called_with, **zeros)


def cell(draw: Draw) -> str:
    """One step of a recurrent layer."""
    kind = draw(st.sampled_from(tuple(CELLS)))
    return called(f"{kind}Cell", draw(st.sampled_from(PRIMES)), **drawn(draw, CELLS[kind]))


def bidirectional(draw: Draw, shape: Shape) -> str:
    """Both directions, merged in each of the ways."""
    merge = drawn(draw, {"merge_mode": ("concat", "sum", "mul", "ave", None)})
    return called("Bidirectional", single(draw, shape, (False,)), **merge)


_WINDOW = {"padding": ("valid", "same")}


def convolution(name: str, axes: int, *, causal: bool = False, dilated: bool = True) -> Kind:
    """Windows of two or three; strides or dilation, not both."""

    def text(draw: Draw, shape: Shape) -> str:
        choices = {"padding": ("valid", "same", "causal") if causal else ("valid", "same"), "use_bias": (True, False)}
        options = drawn(draw, choices | {"activation": (None, "relu", "tanh", "softmax")})
        wide = draw(st.sampled_from(("", "strides", "dilation_rate") if dilated else ("", "strides")))
        options |= {wide: 2} if wide else {}
        given = [] if name.startswith("Depthwise") else [draw(st.sampled_from(PRIMES))]
        return called(name, *given, draw(st.sampled_from((2, 3))), **options)

    return Kind(name, long(axes), text)


def pooling(name: str, axes: int) -> Kind:
    return plain(name, long(axes), (2, 3), strides=(None, 1, 2, 3), **_WINDOW)


def _reshape(draw: Draw, shape: Shape) -> str:
    """Another order of the same sizes, all in one, or with a size that is left to be worked out."""
    sizes = [size for size in shape if size is not None]
    order = tuple(draw(st.permutations(sizes)))
    return called("Reshape", draw(st.sampled_from((order, (-1, sizes[-1]), (sizes[0], -1), (-1,), (*order, 1)))))


def _permute(draw: Draw, shape: Shape) -> str:
    return called("Permute", tuple(draw(st.permutations(range(1, len(shape) + 1)))))


def _normalized(draw: Draw, shape: Shape) -> str:
    name = draw(st.sampled_from(("BatchNormalization", "LayerNormalization")))
    options = drawn(draw, {"center": (True, True, False), "scale": (True, True, False), "epsilon": (1e-3, 1e-2)})
    axes = [k for k, size in enumerate(shape, 1) if size is not None]
    options["axis"] = draw(st.sampled_from((-1, *axes)))
    return called(name, **options)


def _slopes(draw: Draw, shape: Shape) -> str:
    """A slope for every channel; where the sizes are told and there are no more axes than that, for every element."""
    shared = list(range(1, len(shape)))
    every = None not in shape and len(shape) < 4 and draw(st.booleans())
    return called("PReLU", **({"shared_axes": shared} if shared and not every else {}))


def _dense(draw: Draw, shape: Shape) -> str:
    """A dense layer by an equation: of the last axis, into two, or out of the last two."""
    letters, units = "abcd"[: len(shape) + 1], draw(st.sampled_from(PRIMES))
    last, batch = letters[-1], (None,) * (len(shape) - 1)
    bias = draw(st.sampled_from(("y", None)))
    told = {"bias_axes": bias} if bias else {}
    if draw(st.booleans()) or len(shape) < 2:
        equation, out = f"{letters},{last}y->{letters[:-1]}y", (*shape[:-1], units)
    else:
        equation, out = f"{letters},{last}xy->{letters[:-1]}xy", (*shape[:-1], 2, units)
    return called("EinsumDense", repr(equation), (*batch, *out[len(batch) :]), **told)


def _timed(draw: Draw, shape: Shape) -> str:
    """A layer for every step: one that reads what a step is."""
    inner = shape[1:]
    kinds = [kind for kind in SIMPLE if kind.takes(inner) and kind.name in _IN_STEPS]
    return called("TimeDistributed", draw(st.sampled_from(kinds)).text(draw, inner))


_IN_STEPS = {
    *("Dense", "Activation", "Dropout", "Flatten", "Conv1D", "Conv2D", "MaxPooling1D", "MaxPooling2D", "recurrent"),
    *("GlobalAveragePooling1D", "GlobalMaxPooling1D", "GlobalAveragePooling2D", "Permute", "LayerNormalization"),
}


def _over_maps(draw: Draw, shape: Shape) -> str:
    choices = {"padding": ("same", "valid"), "return_sequences": BOTH, "go_backwards": (False, False, True)}
    options = drawn(draw, choices)
    return called(f"ConvLSTM{len(shape) - 2}D", draw(st.sampled_from(PRIMES)), 2, **{"padding": "same"} | options)


def _maps(shape: Shape) -> bool:
    return len(shape) in (3, 4) and all(size is not None and size >= 2 for size in shape)


_STATISTICS = tuple(
    f"L.Normalization(axis=None, mean=0.5, variance={variance}, invert={invert})"
    for variance in (2.0, 0.25)
    for invert in BOTH
)

SIMPLE: tuple[Kind, ...] = (
    plain("Dense", rank(1, 2, 3), PRIMES, activation=(None, *ACTIVATIONS), use_bias=(True, True, False)),
    plain("Activation", rank(1, 2, 3, 4), tuple(repr(name) for name in ACTIVATIONS)),
    plain("ReLU", rank(1, 2, 3), max_value=(None, 1.5), negative_slope=(0.0, 0.2), threshold=(0.0, 0.3)),
    plain("LeakyReLU", rank(1, 2, 3), negative_slope=(0.3, 0.1)),
    plain("ELU", rank(1, 2), alpha=(1.0, 0.7)),
    plain("Softmax", known(3), axis=(-1, 1)),
    plain("Dropout", rank(1, 2, 3), (0.3,)),
    plain("SpatialDropout1D", rank(2), (0.3,)),
    plain("GaussianNoise", rank(1, 2), (0.3,)),
    plain("UnitNormalization", rank(1, 2)),
    plain("RMSNormalization", rank(1, 2)),
    plain("GroupNormalization", rank(2, 3), (-1,), center=(True, False), scale=(True, False)),
    Kind("Normalization", rank(1, 2), lambda draw, shape: draw(st.sampled_from(_STATISTICS))),
    Kind("EinsumDense", lambda shape: len(shape) in (1, 2) and shape[-1] is not None, _dense),
    plain("Rescaling", rank(1, 2, 3), (0.5, 2.0), offset=(0.0, -0.25)),
    plain("RepeatVector", rank(1), (2, 3, 7)),
    plain("Flatten", known(1, 2, 3, 4)),
    plain("Masking", rank(2)),
    plain("GlobalAveragePooling1D", rank(2), keepdims=BOTH),
    plain("GlobalMaxPooling1D", rank(2), keepdims=BOTH),
    plain("GlobalAveragePooling2D", rank(3), keepdims=BOTH),
    plain("GlobalMaxPooling2D", rank(3), keepdims=BOTH),
    plain("ZeroPadding1D", rank(2), (1, (1, 2), (0, 3))),
    plain("ZeroPadding2D", rank(3), (1, ((1, 2), (0, 1)))),
    plain("Cropping1D", both(long(2), known(2)), (1, (0, 2), (2, 0))),
    plain("Cropping2D", both(long(3), known(3)), (1, ((0, 2), (1, 0)))),
    plain("UpSampling1D", rank(2), (2, 3)),
    plain("UpSampling2D", rank(3), (2, (1, 3)), interpolation=("nearest", "bilinear")),
    pooling("MaxPooling1D", 2),
    pooling("AveragePooling1D", 2),
    pooling("MaxPooling2D", 3),
    pooling("AveragePooling2D", 3),
    convolution("Conv1D", 2, causal=True),
    convolution("Conv2D", 3),
    convolution("Conv3D", 4),
    convolution("SeparableConv1D", 2, dilated=False),
    convolution("SeparableConv2D", 3, dilated=False),
    convolution("DepthwiseConv1D", 2),
    convolution("DepthwiseConv2D", 3),
    convolution("Conv1DTranspose", 2, dilated=False),
    convolution("Conv2DTranspose", 3, dilated=False),
    Kind("Reshape", known(1, 2, 3), _reshape),
    Kind("Permute", known(2, 3), _permute),
    Kind("LayerNormalization", lambda shape: shape[-1] is not None, _normalized),
    Kind("PReLU", lambda shape: shape[-1] is not None, _slopes),
    Kind("recurrent", rank(2), single),
)
RECURRENT = (Kind("recurrent", rank(2), single), Kind("Bidirectional", rank(2), bidirectional))
OTHERS = (
    Kind("TimeDistributed", lambda shape: len(shape) in (2, 3, 4) and None not in shape[1:], _timed),
    Kind("ConvLSTM", _maps, _over_maps),
)
