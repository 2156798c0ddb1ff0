"""Which operations of MIL are layers: their arrays, and what their other constants say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from converters.model.arrays import LazyArray
from converters.model.settings import Call
from converters.readers.coreml.values import Constant
from layouts.errors import NotRepresentable, UnknownLayer
from layouts.frameworks import coreml
from layouts.layout import Layout
from layouts.options import Convolution, Normalization, Options, Recurrence

Bound = Mapping[str, Constant]
Arrays = dict[str, LazyArray]


class Made(NamedTuple):
    """What the constants of an operation tell of its layer. A remark has a place for the layer's path."""

    layout: Layout
    options: Options | None = None
    call: Call = Call()
    directions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Kind(NamedTuple):
    """One type of operation: the inputs that may be its weights, and what makes a layer of it."""

    arrays: tuple[str, ...]
    make: Callable[[Bound, Arrays], Made]


_ACTIVATIONS = {"sigmoid_hard": "hard_sigmoid_0.2", "hard_sigmoid": "hard_sigmoid_0.2"}


def _text(bound: Bound, name: str, default: str) -> str:
    """The text of a constant input, in the words of this project where it is an activation."""
    found = bound[name].texts() if name in bound else []
    return _ACTIVATIONS.get(found[0], found[0]) if found else default


def _value(bound: Bound, name: str, default: Any) -> Any:
    """The one number of a constant input."""
    return bound[name].numbers()[0] if name in bound else default


def _whole(bound: Bound, name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in bound[name].numbers()) if name in bound else ()


def _called(bound: Bound) -> Call:
    ways = {"forward": "forward", "reverse": "backward", "bidirectional": "forward"}
    direction = _text(bound, "direction", "forward")
    if direction not in ways:
        raise UnknownLayer(f"the direction {direction!r} is none of MIL's")
    merge = "concat" if direction == "bidirectional" else ""
    return Call(bool(_value(bound, "output_sequence", False)), direction=ways[direction], merge=merge, time_axis=0)


def _lstm(bound: Bound, _: Arrays) -> Made:
    options = Recurrence(
        activation=_text(bound, "cell_activation", "tanh"),
        recurrent_activation=_text(bound, "recurrent_activation", "sigmoid"),
        output_activation=_text(bound, "activation", "tanh"),
    )
    clip = f"{{}} limits its cell to ±{_value(bound, 'clip', 0):g}, which no module does: the outputs differ beyond"
    call = _called(bound)
    both = ("forward", "backward") if call.merge else ()
    return Made(coreml.LSTM, options, call, both, (clip,) if "clip" in bound else ())


def _gru(bound: Bound, arrays: Arrays) -> Made:
    options = Recurrence(_text(bound, "activation", "tanh"), _text(bound, "recurrent_activation", "sigmoid"))
    after = bool(_value(bound, "reset_after", False))
    if "input_bias" in arrays and not after:
        raise NotRepresentable(
            "a gru that resets before the product and has two biases: which of them is where is not told"
        )
    return Made(coreml.GRU if after else coreml.GRU_BEFORE, options, _called(bound))


def _rnn(bound: Bound, _: Arrays) -> Made:
    return Made(coreml.RNN, Recurrence(activation=_text(bound, "activation", "tanh")), _called(bound))


def _gather(bound: Bound, arrays: Arrays) -> Made:
    table = arrays.pop("x")
    if len(table.shape) != 2 or int(_value(bound, "axis", 0)) != 0:
        raise UnknownLayer(f"a gather from {table.shape} that is no embedding")
    arrays["table"] = table
    return Made(coreml.EMBEDDING)


def _conv(bound: Bound, arrays: Arrays) -> Made:
    axes = len(arrays["weight"].shape) - 2
    return Made(coreml.CONV1D if axes == 1 else coreml.CONV2D, _convolution(bound))


def _conv_transpose(bound: Bound, _: Arrays) -> Made:
    return Made(coreml.CONV_TRANSPOSE2D, _convolution(bound))


def _convolution(bound: Bound) -> Convolution:
    pads = _whole(bound, "pad")
    kind = _text(bound, "pad_type", "valid")
    padding = {"custom": "explicit" if any(pads) else "valid"}.get(kind, kind)
    return Convolution(
        strides=_whole(bound, "strides"),
        dilation=_whole(bound, "dilations"),
        groups=int(_value(bound, "groups", 1)),
        padding=padding,
        pads=(*pads[::2], *pads[1::2]) if padding == "explicit" else (),
    )


def _batch_norm(bound: Bound, _: Arrays) -> Made:
    return Made(coreml.BATCH_NORM, Normalization(epsilon=float(_value(bound, "epsilon", 1e-5))))


def _layer_norm(bound: Bound, _: Arrays) -> Made:
    axes = _whole(bound, "axes")
    return Made(coreml.LAYER_NORM, Normalization(epsilon=float(_value(bound, "epsilon", 1e-5)), axes=axes))


_RECURRENT = ("weight_ih", "weight_hh", "bias")
KINDS: Mapping[str, Kind] = {
    "lstm": Kind((*_RECURRENT, "peephole", "weight_ih_back", "weight_hh_back", "bias_back", "peephole_back"), _lstm),
    "gru": Kind((*_RECURRENT, "input_bias"), _gru),
    "rnn": Kind(_RECURRENT, _rnn),
    "linear": Kind(("weight", "bias"), lambda bound, arrays: Made(coreml.LINEAR)),
    "gather": Kind(("x",), _gather),
    "conv": Kind(("weight", "bias"), _conv),
    "conv_transpose": Kind(("weight", "bias"), _conv_transpose),
    "batch_norm": Kind(("mean", "variance", "gamma", "beta"), _batch_norm),
    "layer_norm": Kind(("gamma", "beta"), _layer_norm),
    "prelu": Kind(("alpha",), lambda bound, arrays: Made(coreml.PRELU)),
}
