"""Keras: recurrent layers over maps. How they differ from PyTorch is told in `layouts.keras`, words of files there.

Keras 1 keeps an array for every gate, in the order i, c, f, o. On the Theano backend both kernels, that of the input
and that of the state, are applied flipped. Source: `convolutional_recurrent.py` of Keras 1.2.2 and 2.2.5, outputs
compared in the tests.
"""

from layouts import cells
from layouts.layout import Layout

_GIVEN = ("tanh", "sigmoid", "linear", "relu", "hard_sigmoid_1/6", "softsign", "softplus", "elu", "selu", "silu")
_COMPUTED = {
    "activation": _GIVEN,
    "recurrent_activation": _GIVEN,
    "padding": ("valid", "same"),
    "recurrent_padding": ("same",),
}
_PLAIN = {"flipped": False}
_THEANO = {"flipped": True}
_FIRST = {"dim_ordering": "th"}
_LAST = {"dim_ordering": "tf"}
_GATED = ("recurrent_activation",)
_KERAS1 = {"recurrent_activation": "hard_sigmoid_0.2"}
_LETTERS = {"gate": {"g": "c"}}
_BIAS = {"bias": "(gate unit) -> input_bias"}
_B = {"b_{gate}": "unit -> input_bias"}

CONV_LSTM1D = (
    Layout(
        "keras",
        cells.CONV_LSTM1D,
        {
            "kernel": "width input (gate unit) -> input_kernel",
            "recurrent_kernel": "width state (gate unit) -> recurrent_kernel",
        }
        | _BIAS,
        gates="ifgo",
        stretches=_GATED,
        computes=_COMPUTED,
        class_name="ConvLSTM1D",
    ),
)
CONV_LSTM2D = (
    Layout(
        "keras",
        cells.CONV_LSTM2D,
        {
            "kernel": "height width input (gate unit) -> input_kernel",
            "recurrent_kernel": "height width state (gate unit) -> recurrent_kernel",
        }
        | _BIAS,
        gates="ifgo",
        when=_PLAIN,
        stretches=_GATED,
        computes=_COMPUTED,
        class_name="ConvLSTM2D",
    ),
    Layout(
        "keras",
        cells.CONV_LSTM2D,
        {
            "kernel": "~height ~width input (gate unit) -> input_kernel",
            "recurrent_kernel": "~height ~width state (gate unit) -> recurrent_kernel",
        }
        | _BIAS,
        gates="ifgo",
        when=_THEANO,
        computes=_COMPUTED,
        class_name="ConvLSTM2D (Theano)",
    ),
    Layout(
        "keras",
        cells.CONV_LSTM2D,
        {
            "W_{gate}": "height width input unit -> input_kernel",
            "U_{gate}": "height width state unit -> recurrent_kernel",
        }
        | _B,
        gates="igfo",
        spelling=_LETTERS,
        when=_PLAIN | _LAST,
        defaults=_KERAS1,
        class_name="ConvLSTM2D (Keras 1, tf)",
    ),
    Layout(
        "keras",
        cells.CONV_LSTM2D,
        {
            "W_{gate}": "unit input height width -> input_kernel",
            "U_{gate}": "unit state height width -> recurrent_kernel",
        }
        | _B,
        gates="igfo",
        spelling=_LETTERS,
        when=_PLAIN | _FIRST,
        defaults=_KERAS1,
        class_name="ConvLSTM2D (Keras 1, th)",
    ),
    Layout(
        "keras",
        cells.CONV_LSTM2D,
        {
            "W_{gate}": "~height ~width input unit -> input_kernel",
            "U_{gate}": "~height ~width state unit -> recurrent_kernel",
        }
        | _B,
        gates="igfo",
        spelling=_LETTERS,
        when=_THEANO | _LAST,
        defaults=_KERAS1,
        class_name="ConvLSTM2D (Keras 1, tf, Theano)",
    ),
    Layout(
        "keras",
        cells.CONV_LSTM2D,
        {
            "W_{gate}": "unit input ~height ~width -> input_kernel",
            "U_{gate}": "unit state ~height ~width -> recurrent_kernel",
        }
        | _B,
        gates="igfo",
        spelling=_LETTERS,
        when=_THEANO | _FIRST,
        defaults=_KERAS1,
        class_name="ConvLSTM2D (Keras 1, th, Theano)",
    ),
)
CONV_LSTM3D = (
    Layout(
        "keras",
        cells.CONV_LSTM3D,
        {
            "kernel": "depth height width input (gate unit) -> input_kernel",
            "recurrent_kernel": "depth height width state (gate unit) -> recurrent_kernel",
        }
        | _BIAS,
        gates="ifgo",
        stretches=_GATED,
        computes=_COMPUTED,
        class_name="ConvLSTM3D",
    ),
)

MAPS = {"ConvLSTM1D": CONV_LSTM1D, "ConvLSTM2D": CONV_LSTM2D, "ConvLSTM3D": CONV_LSTM3D}
