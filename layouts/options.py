"""What a layer computes beyond its weights: options of cells, typed, in neutral terms.

Every cell declares which of them it has (`Cell.options`, `Cell.chooses`). They never change weights; they decide
whether a target computes the same thing. How a layer is called and where it stands is no matter of its cell.
"""

from __future__ import annotations

from collections.abc import Mapping

from layouts.records import dataclass


@dataclass(frozen=True)
class Recurrence:
    """Of a recurrent cell.

    Activations carry the names of `layouts.reference.ACTIVATIONS`; any other text is a function that is not known here.
    `activation` is that of the candidate, `recurrent_activation` that of the gates, `output_activation` that of an
    LSTM's cell on its way out (None: that of the candidate). `clip` limits what goes into the first two to ±clip;
    `input_forget` makes f = 1 - i. `cell_clip` limits an LSTM's cell to ±cell_clip as soon as it is new, and
    `projection_clip` what its projection gives.
    """

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    output_activation: str | None = None
    clip: float | None = None
    input_forget: bool = False
    cell_clip: float | None = None
    projection_clip: float | None = None


@dataclass(frozen=True)
class Convolution:
    """Of a convolution; one number for each spatial axis, an empty tuple where all are the usual one.

    `padding`: "valid"; "same" (outputs as long as inputs / stride, an odd zero at the end); "same_lower" (it is at the
    start); "causal"; or "explicit", by `pads`: all beginnings, then all ends. A transposed convolution may have its
    size told by `output_shape`.
    """

    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    padding: str = "valid"
    pads: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    channels_last: bool = False


@dataclass(frozen=True)
class ConvolutionalRecurrence:
    """Of a recurrent cell whose gates are convolutions: activations as in `Recurrence`, windows as in `Convolution`.

    They are those of the input; the convolution of the state is of stride 1 and not dilated, and is padded "same" or,
    by `recurrent_padding`, "same_lower", which differ for even kernels.
    """

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: str = "valid"
    pads: tuple[int, ...] = ()
    recurrent_padding: str = "same"
    channels_last: bool = False


@dataclass(frozen=True)
class Normalization:
    """Of a norm. `momentum` is the share of the old statistics that a training step keeps.

    `axes` of the input are normalised, or hold the channels of a batch norm; empty where they are those of PyTorch.
    `groups` of a group norm: -1 for one a channel, 0 where it is not told. `rms_scaling` divides by the root mean
    square and not by the deviation. `invert` undoes what the statistics do: x × deviation + mean.
    """

    epsilon: float | None = None
    momentum: float | None = None
    axes: tuple[int, ...] = ()
    groups: int = 0
    rms_scaling: bool = False
    invert: bool = False


@dataclass(frozen=True)
class Product:
    """Of a dense layer of any equation: "abc,cd->abd", of the input and the weight, as einsum reads it."""

    equation: str = ""


@dataclass(frozen=True)
class Plain:
    """Of a layer that its weights describe whole."""


STRETCHED: Mapping[str, Mapping[str, float]] = {
    "hard_sigmoid_0.2": {"hard_sigmoid_1/6": 1.2},
    "hard_sigmoid_1/6": {"hard_sigmoid_0.2": 1.0 / 1.2},
}
"""Functions that are another one of a stretched argument, f(x) = g(factor × x): 0.2 x = 1.2 x / 6."""


Options = Recurrence | Convolution | ConvolutionalRecurrence | Normalization | Product | Plain
