"""What a layer computes, and the neutral names of its weights.

A cell names slots; a slot names the axes of one neutral piece, in order. Two layers with different equations are two
cells, never one cell with a flag. Gates carry PyTorch's letters: LSTM i (input), f (forget), g (candidate), o (output);
GRU r (reset), z (update), n (candidate). The executable definition of the recurrent ones is `layouts.reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from layouts.axes import LABELS
from layouts.errors import LayoutError
from layouts.options import Convolution, ConvolutionalRecurrence, Normalization, Options, Plain, Product, Recurrence
from layouts.records import dataclass, field


class Slot(NamedTuple):
    """One kind of weight of a cell.

    `axes`: the axes of the neutral piece, labels first. `fill`: the constant that stands for a missing array of this
    slot without changing the outputs (0 for a bias, 1 for a scale); None when the slot has no such constant.
    `optional`: the layer may have no array of this slot at all.
    """

    axes: str
    fill: float | None = None
    optional: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels every piece of this slot carries."""
        return _words(self.axes)[0]

    @property
    def dims(self) -> tuple[str, ...]:
        """The sizes of one piece, in order."""
        return _words(self.axes)[1]


@cache
def _words(axes: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels, and the sizes: asked for every piece of every array."""
    words = axes.split()
    return tuple(word for word in words if word in LABELS), tuple(word for word in words if word not in LABELS)


class Piece(NamedTuple):
    """The neutral address of one view: a slot, and the labels that pick the view within it."""

    slot: str
    gate: str = ""
    role: str = ""
    direction: str = "forward"
    layer: int = 0

    def __str__(self) -> str:
        label = self.gate or self.role
        place = "" if self.direction == "forward" else f"{self.direction} "
        address = f"{place}{self.slot}" + (f"[{label}]" if label else "")
        return address + (f" of layer {self.layer}" if self.layer else "")


@dataclass(frozen=True, eq=False)
class Cell:
    """A layer type: its gates, its slots, and which of its biases the equation adds up."""

    name: str
    slots: Mapping[str, Slot]
    gates: str = ""
    ties: Mapping[str, str] = field(default_factory=dict)
    """Words that mean one size, unless a slot `projection` is stored: the state of an LSTM is as wide as its units."""
    summed: str | None = None
    """The gates for which input_bias and recurrent_bias are simply added; None where the cell has no such pair."""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The values of labels other than gate, in neutral order."""
    products: Mapping[str, str] = field(default_factory=dict)
    """A size that is the product of others: the outputs of a depthwise convolution."""
    told: bool = False
    """Whether arrays are such a layer only where its class is told, for they are as well those of others."""
    spoken: Mapping[str, str] = field(default_factory=dict)
    """What each gate is called in words: `forget` is spelled `f`."""
    options: Options = Plain()
    """What may be chosen beyond the weights, with its defaults."""
    chooses: tuple[str, ...] = ()
    """The fields of `options` that this cell has."""

    def __post_init__(self) -> None:
        strangers = set(self.chooses) - set(vars(self.options))
        if strangers:
            raise LayoutError(f"cell {self.name}: {type(self.options).__name__} has no option {sorted(strangers)[0]!r}")

    @property
    def recurrent(self) -> bool:
        return "recurrent_weight" in self.slots

    def gate(self, word: str) -> str:
        """The letter of the gate of this name, '' where the cell has none."""
        return next((letter for letter, name in self.spoken.items() if name == word), "")

    def acted_on(self, option: str) -> tuple[str, ...]:
        """The gates whose sums a function of this option is applied to; a cell without gates has the one gate ''."""
        candidate = self.gate("candidate")
        if option == "activation":
            return (candidate,)
        return tuple(gate for gate in self.gates if gate != candidate) if option == "recurrent_activation" else ()

    def sums(self, gate: str) -> bool:
        """Whether the two biases of this gate may become one. A cell without gates has the one gate ''."""
        return self.summed is not None and gate in self.summed


def _bias(axes: str) -> Slot:
    return Slot(axes, fill=0.0, optional=True)


def _scale(axes: str) -> Slot:
    return Slot(axes, fill=1.0, optional=True)


_ACTIVATIONS = ("activation", "recurrent_activation")


def _recurrent(name: str, spoken: Mapping[str, str], summed: str, chooses: tuple[str, ...], **extra: Slot) -> Cell:
    gate, gates = "gate " if spoken else "", "".join(spoken)
    slots = {
        "input_weight": Slot(f"{gate}unit input"),
        "recurrent_weight": Slot(f"{gate}unit state"),
        "input_bias": _bias(f"{gate}unit"),
        "recurrent_bias": _bias(f"{gate}unit"),
    }
    ties = {"state": "unit"}
    return Cell(name, slots | extra, gates, ties, summed, spoken=spoken, options=Recurrence(), chooses=chooses)


_LSTM_GATES = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}
_GRU_GATES = {"r": "reset", "z": "update", "n": "candidate"}


LSTM = _recurrent(
    "lstm",
    _LSTM_GATES,
    "ifgo",
    (*_ACTIVATIONS, "output_activation", "clip", "input_forget", "cell_clip", "projection_clip"),
    projection=Slot("state unit", optional=True),
    peephole=Slot("gate unit", optional=True),
)
"""i, f, o = σ(W x + U h + b); g = tanh(…); c' = f c + i g; h' = o tanh(c'), projected to `state` where stored."""

GRU = _recurrent("gru", _GRU_GATES, "rz", (*_ACTIVATIONS, "clip"))
"""Reset after: n = tanh(W x + b + r (U h + b')); h' = (1 - z) n + z h. The second bias of n stands inside r (…)."""

GRU_RESET_BEFORE = _recurrent("gru_reset_before", _GRU_GATES, "rzn", (*_ACTIVATIONS, "clip"))
"""Reset before: n = tanh(W x + b + U (r h)); h' = (1 - z) n + z h. No weights of a `GRU` compute this."""

RNN = _recurrent("rnn", {}, "", ("activation", "clip"))
"""h' = tanh(W x + U h + b)."""

LINEAR = Cell("linear", {"weight": Slot("out in"), "bias": _bias("out")})
LINEAR_TO_HEADS = Cell("linear_to_heads", {"weight": Slot("head key in"), "bias": _bias("head key")})
"""A linear layer whose outputs stand on two axes."""
LINEAR_FROM_HEADS = Cell("linear_from_heads", {"weight": Slot("out head key"), "bias": _bias("out")})
"""A linear layer whose inputs stand on two axes."""
EMBEDDING = Cell("embedding", {"weight": Slot("index feature")})


_FORWARD = ("strides", "dilation", "groups", "padding", "pads", "channels_last")
_TRANSPOSED = (*_FORWARD, "output_padding", "output_shape")


def _convolved(name: str, slots: Mapping[str, Slot], products: Mapping[str, str] | None = None) -> Cell:
    chooses = _TRANSPOSED if "transpose" in name else _FORWARD
    return Cell(name, slots, products=products or {}, options=Convolution(), chooses=chooses)


def _convolution(name: str, axes: str) -> Cell:
    return _convolved(name, {"weight": Slot(axes), "bias": _bias("out")})


CONV1D = _convolution("conv1d", "out in width")
CONV2D = _convolution("conv2d", "out in height width")
CONV3D = _convolution("conv3d", "out in depth height width")
CONV_TRANSPOSE1D = _convolution("conv_transpose1d", "in out width")
CONV_TRANSPOSE2D = _convolution("conv_transpose2d", "in out height width")
CONV_TRANSPOSE3D = _convolution("conv_transpose3d", "in out depth height width")


def _grouped(name: str, axes: str) -> Cell:
    """A transposed convolution in groups: `out` of each stand in the weight, and those of all in the bias."""
    return _convolved(name, {"weight": Slot(axes), "bias": _bias("group out")})


CONV_TRANSPOSE1D_GROUPED = _grouped("conv_transpose1d_grouped", "in out width")
CONV_TRANSPOSE2D_GROUPED = _grouped("conv_transpose2d_grouped", "in out height width")
CONV_TRANSPOSE3D_GROUPED = _grouped("conv_transpose3d_grouped", "in out depth height width")


def _conv_lstm(name: str, space: str) -> Cell:
    slots = {
        "input_kernel": Slot(f"gate unit input {space}"),
        "recurrent_kernel": Slot(f"gate unit state {space}"),
        "input_bias": _bias("gate unit"),
        "recurrent_bias": _bias("gate unit"),
    }
    chooses = (*_ACTIVATIONS, "strides", "dilation", "padding", "pads", "recurrent_padding", "channels_last")
    options = ConvolutionalRecurrence()
    return Cell(name, slots, "ifgo", {"state": "unit"}, "ifgo", spoken=_LSTM_GATES, options=options, chooses=chooses)


CONV_LSTM1D = _conv_lstm("conv_lstm1d", "width")
CONV_LSTM2D = _conv_lstm("conv_lstm2d", "height width")
CONV_LSTM3D = _conv_lstm("conv_lstm3d", "depth height width")
"""An LSTM over maps (batch, time, input, …): W x and U h are convolutions, and every place of a map has its state."""

_EACH = {"out": "in multiplier"}
DEPTHWISE_CONV1D = _convolved("depthwise_conv1d", {"weight": Slot("in multiplier width"), "bias": _bias("out")}, _EACH)
DEPTHWISE_CONV2D = _convolved(
    "depthwise_conv2d", {"weight": Slot("in multiplier height width"), "bias": _bias("out")}, _EACH
)
SEPARABLE_CONV1D = _convolved(
    "separable_conv1d",
    {
        "depthwise_weight": Slot("in multiplier width"),
        "pointwise_weight": Slot("out in multiplier"),
        "bias": _bias("out"),
    },
)
SEPARABLE_CONV2D = _convolved(
    "separable_conv2d",
    {
        "depthwise_weight": Slot("in multiplier height width"),
        "pointwise_weight": Slot("out in multiplier"),
        "bias": _bias("out"),
    },
)


def _locally_connected(name: str, places: str, space: str) -> Cell:
    slots = {"weight": Slot(f"{places} out in {space}"), "bias": _bias(f"out {places}")}
    chooses = ("strides", "padding", "pads", "channels_last")
    return Cell(name, slots, told=True, options=Convolution(), chooses=chooses)


LOCALLY_CONNECTED1D = _locally_connected("locally_connected1d", "column", "width")
LOCALLY_CONNECTED2D = _locally_connected("locally_connected2d", "row column", "height width")
"""A convolution whose every place of the output has a kernel and a bias of its own."""


def _norm(name: str, slots: Mapping[str, Slot], *chooses: str) -> Cell:
    return Cell(name, slots, options=Normalization(), chooses=("epsilon", "axes", *chooses))


BATCH_NORM = _norm(
    "batch_norm",
    {
        "weight": _scale("channel"),
        "bias": _bias("channel"),
        "running_mean": Slot("channel"),
        "running_var": Slot("channel"),
    },
    "momentum",
)


def _layer_norm(name: str, axes: str) -> Cell:
    return _norm(name, {"weight": _scale(axes), "bias": _bias(axes)}, "rms_scaling")


LAYER_NORM = _layer_norm("layer_norm", "feature")
LAYER_NORM_2D = _layer_norm("layer_norm_2d", "row feature")
LAYER_NORM_3D = _layer_norm("layer_norm_3d", "plane row feature")
GROUP_NORM = _norm("group_norm", {"weight": _scale("channel"), "bias": _bias("channel")}, "groups")
RMS_NORM = _norm("rms_norm", {"weight": _scale("feature")})
_STATISTICS = {"mean": Slot("feature"), "variance": Slot("feature")}
NORMALIZATION = Cell("normalization", _STATISTICS, options=Normalization(), chooses=("axes", "invert"))
"""(x - mean) / max(√variance, 1e-7): statistics of the data, no weights of its own."""
_OF_ALL = {"mean": Slot(""), "variance": Slot("")}
NORMALIZATION_OF_ALL = Cell("normalization_of_all", _OF_ALL, options=Normalization(), chooses=("axes", "invert"))
"""The same with one mean and one variance."""


def _einsum(name: str, weight: str, bias: str) -> Cell:
    slots = {"weight": Slot(weight), "bias": _bias(bias)}
    return Cell(name, slots, told=True, options=Product(), chooses=("equation",))


EINSUM_2_1 = _einsum("einsum_2_1", "one two", "first")
EINSUM_2_2 = _einsum("einsum_2_2", "one two", "first second")
EINSUM_3_1 = _einsum("einsum_3_1", "one two three", "first")
EINSUM_3_2 = _einsum("einsum_3_2", "one two three", "first second")
"""A dense layer of any equation, by the axes of its weight and of its bias: einsum(equation, x, weight) + bias."""
PRELU = Cell("prelu", {"weight": Slot("channel")})
PRELU_BY_ELEMENT = Cell("prelu_by_element", {"weight": Slot("row channel")})
"""A slope for every element of the input but the batch, not one a channel."""
PRELU_BY_ELEMENT_2D = Cell("prelu_by_element_2d", {"weight": Slot("row column channel")})

ATTENTION = Cell(
    "attention",
    {
        "input_weight": Slot("role head key in"),
        "input_bias": _bias("role head key"),
        "output_weight": Slot("out head key"),
        "output_bias": _bias("out"),
    },
    values={"role": ("query", "key", "value")},
)
"""Multi-head attention whose heads have one width `key` for queries, keys and values."""

ATTENTION_OF_WIDTHS = Cell(
    "attention_of_widths",
    {
        "query_weight": Slot("head key in"),
        "key_weight": Slot("head key key_in"),
        "value_weight": Slot("head key value_in"),
        "input_bias": _bias("role head key"),
        "output_weight": Slot("out head key"),
        "output_bias": _bias("out"),
    },
    values={"role": ("query", "key", "value")},
)
"""The same where queries, keys and values come in different widths."""

ATTENTION_OF_VALUE_WIDTH = Cell(
    "attention_of_value_width",
    {
        "query_weight": Slot("head key in"),
        "key_weight": Slot("head key key_in"),
        "value_weight": Slot("head value value_in"),
        "query_bias": _bias("head key"),
        "key_bias": _bias("head key"),
        "value_bias": _bias("head value"),
        "output_weight": Slot("out head value"),
        "output_bias": _bias("out"),
    },
)
"""The same where the values of a head are wider or narrower than its keys."""
DOT_ATTENTION = Cell("dot_attention", {"scale": _scale("")})
"""Attention without heads, its scores scale × (query · key)."""
ADDITIVE_ATTENTION = Cell("additive_attention", {"scale": _scale("feature")})
"""Its scores are sum(scale × tanh(query + key))."""
CONCAT_ATTENTION = Cell("concat_attention", {"scale": _scale(""), "score_weight": Slot("")})
"""Its scores are score_weight × sum(tanh(scale × (query + key)))."""
