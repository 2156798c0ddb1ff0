"""The constructor call of every layer, as data: for each cell a class, and where each argument comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from converters.model.layers import Layer, Part
from converters.targets.pytorch import padding
from layouts.options import Convolution, ConvolutionalRecurrence, Normalization, Product, Recurrence
from layouts.records import dataclass, field
from layouts.reference import ACTIVATIONS

DROP_INS = "converters.nn"
"""Where the layers are that compute what torch.nn does not."""


class Subject(NamedTuple):
    """What a constructor call is made for: the cells of one module, and how their layer is called."""

    layer: Layer
    parts: Sequence[Part]
    sizes: Mapping[str, int]
    slots: frozenset[str]

    @property
    def part(self) -> Part:
        return self.parts[0]

    @property
    def recurrence(self) -> Recurrence:
        return self.part.recurrence

    @property
    def convolution(self) -> Convolution:
        return self.part.convolution

    @property
    def norm(self) -> Normalization:
        return self.part.normalization

    @property
    def kernel(self) -> tuple[int, ...]:
        """The sizes of a convolution's kernel."""
        return tuple(self.sizes[word] for word in ("depth", "height", "width") if word in self.sizes)


Value = Callable[[Subject], Any]
"""An argument out of a subject; None where it is left out, for it is the default."""


@dataclass(frozen=True)
class Constructor:
    """A class of torch.nn, its positional arguments, and its keywords in order."""

    name: str | Callable[[Subject], str]
    positional: tuple[Value, ...] = ()
    keywords: Mapping[str, Value] = field(default_factory=dict)

    def call(self, subject: Subject, package: str = "nn") -> str:
        """The call as a person writes it, without arguments that are as usual."""
        name = self.name if isinstance(self.name, str) else self.name(subject)
        given = [repr(value(subject)) for value in self.positional]
        found = {key: value(subject) for key, value in self.keywords.items()}
        given += [f"{key}={value!r}" for key, value in found.items() if value is not None]
        return f"{package}.{name}({', '.join(given)})"


def constructor(layer: Layer, parts: Sequence[Part], exact: bool) -> str:
    """The call that makes the module of these cells; of a drop-in where torch.nn is not exact; '' where none is."""
    return ", ".join(f"{label}={call}" if label else call for label, call in calls(layer, parts, exact).items())


def calls(layer: Layer, parts: Sequence[Part], exact: bool) -> dict[str, str]:
    """The same one by one: a single call under '', or those of several modules by their names."""
    cell = parts[0].cell
    slots = frozenset(piece.slot for part in parts for piece in part.pieces())
    subject = Subject(layer, parts, parts[0].solved(), slots)
    if cell.name in _CONV_LSTM:
        return {"": _CONV_LSTM[cell.name].call(subject, DROP_INS) if drop_in(layer, parts) else ""}
    if cell.name in _OTHER_DROP_INS and not exact:
        return {"": _OTHER_DROP_INS[cell.name].call(subject, DROP_INS)}
    if not cell.recurrent:
        return {label: one.call(subject) for label, one in _OTHER[cell.name].items()}
    if exact:
        found = (_CELLS if layer.call.cell else _RECURRENT).get(cell.name)
        return {"": found.call(subject) if found else ""}
    return {"": _DROP_INS[cell.name].call(subject, DROP_INS) if drop_in(layer, parts) else ""}


def drop_in(layer: Layer, parts: Sequence[Part]) -> bool:
    """Whether the layers of `converters.nn` compute these cells: every activation is known."""
    if parts[0].cell.name in _OTHER_DROP_INS:
        return True
    options = parts[0].recurrence
    names = (options.activation, options.recurrent_activation, options.output_activation or "tanh")
    known = all(name in ACTIVATIONS for name in names)
    limits = (options.clip, options.cell_clip, options.projection_clip)
    clips = all(limit is None or 0.0 < limit < math.inf for limit in limits)
    return (parts[0].cell.recurrent or parts[0].cell.name in _CONV_LSTM) and known and clips


def _size(word: str) -> Value:
    return lambda s: s.sizes[word]


def _other_than(usual: Any, value: Value) -> Value:
    """The value, or None where it is the usual one."""

    def found(subject: Subject) -> Any:
        own = value(subject)
        return None if own == usual else own

    return found


def _without(slot: str) -> Value:
    """False where nothing is stored in a slot."""
    return lambda s: None if slot in s.slots else False


def _set(value: Value) -> Value:
    """True where it holds, and nothing where it does not."""
    return lambda s: True if value(s) else None


def _biasless(s: Subject) -> bool | None:
    return None if s.slots & {"input_bias", "recurrent_bias"} else False


def _relu(s: Subject) -> str | None:
    return "relu" if s.recurrence.activation == "relu" else None


def _projected(s: Subject) -> int | None:
    state = s.sizes.get("state", s.sizes["unit"])
    return state if state != s.sizes["unit"] else None


def _layers(s: Subject) -> int:
    return 1 + max(piece.layer for part in s.parts for piece in part.pieces())


def _backward(s: Subject) -> bool:
    return any(piece.direction == "backward" for part in s.parts for piece in part.pieces())


def _output(s: Subject) -> str | None:
    output = s.recurrence.output_activation
    return output if output != s.recurrence.activation else None


_WIDTHS = (_size("input"), _size("unit"))
_DEPTH: Mapping[str, Value] = {"num_layers": _other_than(1, _layers)}
_FORM: Mapping[str, Value] = {
    "bias": _biasless,
    "batch_first": _set(lambda s: s.layer.call.time_axis == 1),
    "bidirectional": _set(_backward),
    "proj_size": _projected,
}
_INNER: Mapping[str, Value] = {"activation": _other_than("tanh", lambda s: s.recurrence.activation)}
_GATES: Mapping[str, Value] = {
    "recurrent_activation": _other_than("sigmoid", lambda s: s.recurrence.recurrent_activation)
}
_CLIP: Mapping[str, Value] = {"clip": lambda s: s.recurrence.clip}
_NONLINEAR: Mapping[str, Value] = {"nonlinearity": _relu}

_RECURRENT = {
    "lstm": Constructor("LSTM", _WIDTHS, {**_DEPTH, **_FORM}),
    "gru": Constructor("GRU", _WIDTHS, {**_DEPTH, **_FORM}),
    "rnn": Constructor("RNN", _WIDTHS, {**_DEPTH, **_NONLINEAR, **_FORM}),
}
_CELLS = {
    "lstm": Constructor("LSTMCell", _WIDTHS, {"bias": _biasless}),
    "gru": Constructor("GRUCell", _WIDTHS, {"bias": _biasless}),
    "rnn": Constructor("RNNCell", _WIDTHS, {"bias": _biasless, **_NONLINEAR}),
}
_LSTM_OPTIONS: Mapping[str, Value] = {
    **_INNER,
    **_GATES,
    "output_activation": _output,
    "peepholes": _set(lambda s: "peephole" in s.slots),
    **_CLIP,
    "input_forget": _set(lambda s: s.recurrence.input_forget),
    "cell_clip": lambda s: s.recurrence.cell_clip,
    "projection_clip": lambda s: s.recurrence.projection_clip,
}
_RNN_OPTIONS: Mapping[str, Value] = {
    **_NONLINEAR,
    "activation": lambda s: None if s.recurrence.activation in ("tanh", "relu") else s.recurrence.activation,
    **_CLIP,
}
_BEFORE: Mapping[str, Value] = {"reset_after": lambda _: False}
_DROP_INS = {
    "lstm": Constructor("LSTM", _WIDTHS, {**_DEPTH, **_LSTM_OPTIONS, **_FORM}),
    "gru": Constructor("GRU", _WIDTHS, {**_DEPTH, **_INNER, **_GATES, **_CLIP, **_FORM}),
    "gru_reset_before": Constructor("GRU", _WIDTHS, {**_DEPTH, **_INNER, **_GATES, **_BEFORE, **_CLIP, **_FORM}),
    "rnn": Constructor("RNN", _WIDTHS, {**_DEPTH, **_RNN_OPTIONS, **_FORM}),
}


def _one_or_all(values: tuple[int, ...]) -> int | tuple[int, ...]:
    return values if len(values) > 1 else values[0]


def _spatial(name: str, usual: int) -> Value:
    """One number for each axis, where they are not the usual ones."""

    def found(s: Subject) -> int | tuple[int, ...] | None:
        values = padding.per_axis(getattr(s.convolution, name), len(s.kernel), usual)
        return None if set(values) == {usual} else _one_or_all(values)

    return found


def _padding(transposed: bool) -> Value:
    return lambda s: padding.argument(s.convolution, s.kernel, transposed=transposed)


def _groups(s: Subject) -> int:
    return s.sizes.get("group") or s.convolution.groups


def _heads(s: Subject) -> int:
    return s.sizes["head"] * s.sizes["key"]


def _depthwise_outputs(s: Subject) -> int:
    return s.sizes["in"] * s.sizes["multiplier"]


def _shape(transposed: bool = False) -> dict[str, Value]:
    return {
        "kernel_size": lambda s: _one_or_all(s.kernel),
        "stride": _spatial("strides", 1),
        "padding": _padding(transposed),
        "output_padding": _spatial("output_padding", 0),
        "dilation": _spatial("dilation", 1),
    }


def _padded_maps(s: Subject) -> str | tuple[int, ...]:
    return s.convolution.pads if s.convolution.padding == "explicit" else s.convolution.padding


def _recurrent_padding(s: Subject) -> str:
    options = s.part.options
    return options.recurrent_padding if isinstance(options, ConvolutionalRecurrence) else "same"


_CONV_LSTM = {
    f"conv_lstm{n}d": Constructor(
        f"ConvLSTM{n}D",
        _WIDTHS,
        {
            "kernel_size": lambda s: _one_or_all(s.kernel),
            "stride": _spatial("strides", 1),
            "padding": _other_than("valid", _padded_maps),
            "dilation": _spatial("dilation", 1),
            "bias": _without("input_bias"),
            **_INNER,
            **_GATES,
            "recurrent_padding": _other_than("same", _recurrent_padding),
        },
    )
    for n in (1, 2, 3)
}
_CLASS, _TRANSPOSED = (lambda s: f"Conv{len(s.kernel)}d"), (lambda s: f"ConvTranspose{len(s.kernel)}d")
_IN_GROUPS: Mapping[str, Value] = {"groups": _other_than(1, _groups), "bias": _without("bias")}
_CONVOLUTION = {
    "": Constructor(_CLASS, (lambda s: s.sizes["in"] * _groups(s), _size("out")), {**_shape(), **_IN_GROUPS})
}
_CONVOLUTION_TRANSPOSED = {
    "": Constructor(
        _TRANSPOSED, (_size("in"), lambda s: s.sizes["out"] * _groups(s)), {**_shape(transposed=True), **_IN_GROUPS}
    )
}
_DEPTHWISE = {
    "": Constructor(
        _CLASS, (_size("in"), _depthwise_outputs), {**_shape(), "groups": _size("in"), "bias": _without("bias")}
    )
}
_SEPARABLE = {
    "depthwise": Constructor(
        _CLASS, (_size("in"), _depthwise_outputs), {**_shape(), "groups": _size("in"), "bias": lambda _: False}
    ),
    "pointwise": Constructor(
        _CLASS, (_depthwise_outputs, _size("out")), {"kernel_size": lambda _: 1, "bias": _without("bias")}
    ),
}
_EPSILON: Mapping[str, Value] = {"eps": lambda s: s.norm.epsilon}


def _momentum(s: Subject) -> float | None:
    """PyTorch counts the share of the new statistics."""
    return None if s.norm.momentum is None else round(1 - s.norm.momentum, 12)


def _affine(s: Subject) -> bool | None:
    return None if s.slots & {"weight", "bias"} else False


class _Untold:
    """An argument that nothing tells; the plan asks for it."""

    def __repr__(self) -> str:
        return "?"


def _norm_groups(s: Subject) -> int | _Untold:
    return s.sizes["channel"] if s.norm.groups == -1 else s.norm.groups or _Untold()


def _normalized(s: Subject) -> int | tuple[int, ...]:
    return _one_or_all(tuple(s.sizes[word] for word in ("plane", "row", "feature") if word in s.sizes))


_LAYER_NORM = {"": Constructor("LayerNorm", (_normalized,), _EPSILON)}
_ATTENTION = {
    "": Constructor(
        "MultiheadAttention",
        (_size("in"), _size("head")),
        {
            "bias": _without("input_bias"),
            "kdim": lambda s: s.sizes.get("key_in"),
            "vdim": lambda s: s.sizes.get("value_in"),
            "batch_first": _set(lambda s: s.layer.call.time_axis == 1),
        },
    )
}
_HEADS = Constructor(
    "MultiheadAttention",
    (_size("in"), _size("head")),
    {
        **_ATTENTION[""].keywords,
        "bias": lambda s: None if s.slots & {"input_bias", "query_bias"} else False,
        "head_width": _size("key"),
        "value_width": lambda s: s.sizes.get("value"),
        "output_width": lambda s: None if s.sizes["out"] == s.sizes["in"] else s.sizes["out"],
    },
)
_EINSUM = Constructor(
    "EinsumDense",
    (
        lambda s: s.part.options.equation if isinstance(s.part.options, Product) else "",
        lambda s: tuple(s.sizes[word] for word in ("one", "two", "three") if word in s.sizes),
    ),
    {"bias": lambda s: tuple(s.sizes[word] for word in ("first", "second") if word in s.sizes) or None},
)


def _places(s: Subject) -> int | tuple[int, ...]:
    """The places of the output that have kernels of their own."""
    return _one_or_all(tuple(s.sizes[word] for word in ("row", "column") if word in s.sizes))


_LOCALLY_CONNECTED = {
    f"locally_connected{n}d": Constructor(
        f"LocallyConnected{n}D",
        (_size("in"), _size("out")),
        {
            "output_size": _places,
            "kernel_size": lambda s: _one_or_all(s.kernel),
            "stride": _spatial("strides", 1),
            "padding": lambda s: s.convolution.pads if s.convolution.padding == "explicit" else None,
            "bias": _without("bias"),
        },
    )
    for n in (1, 2)
}
_OTHER_DROP_INS = {
    **_LOCALLY_CONNECTED,
    **dict.fromkeys(("attention", "attention_of_widths", "attention_of_value_width"), _HEADS),
    "dot_attention": Constructor("Attention"),
    "additive_attention": Constructor("Attention", (lambda _: "additive", _size("feature"))),
    "concat_attention": Constructor("Attention", (lambda _: "concat",), {"scale": _without("scale")}),
    "normalization": Constructor("Normalization", (_size("feature"),), {"invert": _set(lambda s: s.norm.invert)}),
    "normalization_of_all": Constructor("Normalization", (), {"invert": _set(lambda s: s.norm.invert)}),
    "prelu_by_element": Constructor("PReLU", (_size("row"), _size("channel"))),
    "prelu_by_element_2d": Constructor("PReLU", (_size("row"), _size("column"), _size("channel"))),
    **dict.fromkeys(("einsum_2_1", "einsum_2_2", "einsum_3_1", "einsum_3_2"), _EINSUM),
}
_OTHER: Mapping[str, Mapping[str, Constructor]] = {
    "linear": {"": Constructor("Linear", (_size("in"), _size("out")), {"bias": _without("bias")})},
    "linear_to_heads": {"": Constructor("Linear", (_size("in"), _heads), {"bias": _without("bias")})},
    "linear_from_heads": {"": Constructor("Linear", (_heads, _size("out")), {"bias": _without("bias")})},
    "embedding": {"": Constructor("Embedding", (_size("index"), _size("feature")))},
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _CONVOLUTION),
    **dict.fromkeys(
        (f"conv_transpose{n}d{kind}" for n in (1, 2, 3) for kind in ("", "_grouped")), _CONVOLUTION_TRANSPOSED
    ),
    **dict.fromkeys(("depthwise_conv1d", "depthwise_conv2d"), _DEPTHWISE),
    **dict.fromkeys(("separable_conv1d", "separable_conv2d"), _SEPARABLE),
    "batch_norm": {
        "": Constructor(
            lambda s: {4: "BatchNorm2d", 5: "BatchNorm3d"}.get(s.layer.wiring.rank or 0, "BatchNorm1d"),
            (_size("channel"),),
            {**_EPSILON, "momentum": _momentum, "affine": _affine},
        )
    },
    "group_norm": {"": Constructor("GroupNorm", (_norm_groups, _size("channel")), {**_EPSILON, "affine": _affine})},
    **dict.fromkeys(("layer_norm", "layer_norm_2d", "layer_norm_3d"), _LAYER_NORM),
    "rms_norm": {"": Constructor("RMSNorm", (_normalized,), _EPSILON)},
    "prelu": {"": Constructor("PReLU", (_size("channel"),))},
    "attention": _ATTENTION,
    "attention_of_widths": _ATTENTION,
}
"""For each cell its call, or those of several modules by the names that they have together."""
