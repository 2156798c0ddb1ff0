"""Lasagne: LSTMLayer, GRULayer, RecurrentLayer and the layers around them. Names are those of the layer's parameters.

1. Matrices are (input, units), `T.dot(input, W)`: the transpose of PyTorch's. Source: lasagne.layers.recurrent.
2. Every gate has arrays of its own: `W_in_to_ingate`, `W_hid_to_ingate`, `b_ingate`, and so on. One bias, on the
   input.
3. LSTMLayer has peepholes by default (`peepholes=True`): i and f look at the old cell, o at the new one. nn.LSTM
   computes none; without them the layer is an nn.LSTM. Source: the docstring of LSTMLayer. Release 0.1 adds the
   peephole of o outside σ, o = σ(…) + w c, against that docstring; 0.2 computes as it says, and that is described here.
4. GRULayer resets after the product, but h' = (1 - u) h + u n: its update gate has the opposite sense of PyTorch's.
   The one bias of n stands outside r (…). Source: the docstring of GRULayer.
5. Nothing is added when a layer runs. RecurrentLayer defaults to relu; the activation of every gate is an argument.
   Release 0.1 calls the arrays of RecurrentLayer W, b and W: there only their order tells them apart.
6. `hid_init` and `cell_init`, (1, units), are the states before the first step, stored even where they are constant
   zeros; PyTorch takes h0 and c0 as arguments. Others than zeros are only left out where the caller says so.
7. A values file (`get_all_param_values`) has no names: `ORDERS` has those of every class, in order.
8. Convolutions are channels first, and true ones: the filters are turned around (`flip_filters=True`). Source:
   lasagne.layers.conv. Dense and convolutional layers apply relu unless told otherwise.
9. BatchNormLayer stores `inv_std`, 1 / √(variance + epsilon), which is made a variance before it comes here. Epsilon is
   1e-4; alpha, 0.1, is the share of the new statistics. Source: lasagne.layers.normalization.
"""

from layouts import cells
from layouts.layout import Layout

_APART = {
    "W_in_to_{gate}": "input unit -> input_weight",
    "W_hid_to_{gate}": "state unit -> recurrent_weight",
    "b_{gate}": "unit -> input_bias",
}
_PEEPHOLES = {
    "W_cell_to_ingate": "unit -> peephole[i]",
    "W_cell_to_forgetgate": "unit -> peephole[f]",
    "W_cell_to_outgate": "unit -> peephole[o]",
}
_LSTM_GATES = {"gate": {"i": "ingate", "f": "forgetgate", "g": "cell", "o": "outgate"}}
_GRU_GATES = {"gate": {"r": "resetgate", "z": "updategate", "n": "hidden_update"}}
_PAIR = {
    "input_to_hidden.W": "input unit -> input_weight",
    "input_to_hidden.b": "unit -> input_bias",
    "hidden_to_hidden.W": "state unit -> recurrent_weight",
}
_LEARNED = (
    "the layer starts from a state of its own, which stands in no state_dict: state initial_state=given of the layer "
    "to leave it out, and pass it to the module as {}"
)
_H, _C = {"hid_init": _LEARNED.format("h0")}, {"cell_init": _LEARNED.format("c0")}
_ZERO, _GIVEN = {"initial_state": "zero"}, {"initial_state": "given"}

LSTM = Layout(
    "lasagne",
    cells.LSTM,
    _APART | _PEEPHOLES,
    gates="ifgo",
    spelling=_LSTM_GATES,
    when=_ZERO,
    zero=_H | _C,
    class_name="LSTMLayer",
)
LSTM_GIVEN = Layout(
    "lasagne",
    cells.LSTM,
    _APART | _PEEPHOLES,
    gates="ifgo",
    spelling=_LSTM_GATES,
    when=_GIVEN,
    ignored=("hid_init", "cell_init"),
    class_name="LSTMLayer (states given)",
)
GRU = Layout(
    "lasagne",
    cells.GRU,
    _APART,
    gates="rzn",
    spelling=_GRU_GATES,
    negated="z",
    when=_ZERO,
    zero=_H,
    class_name="GRULayer",
)
GRU_GIVEN = Layout(
    "lasagne",
    cells.GRU,
    _APART,
    gates="rzn",
    spelling=_GRU_GATES,
    negated="z",
    when=_GIVEN,
    ignored=("hid_init",),
    class_name="GRULayer (states given)",
)
_RELU = {"activation": "relu"}
RNN = Layout("lasagne", cells.RNN, _PAIR, when=_ZERO, defaults=_RELU, zero=_H, class_name="RecurrentLayer")
RNN_GIVEN = Layout(
    "lasagne",
    cells.RNN,
    _PAIR,
    when=_GIVEN,
    defaults=_RELU,
    ignored=("hid_init",),
    class_name="RecurrentLayer (states given)",
)

_BIAS = {"b": "out -> bias"}
DENSE = Layout("lasagne", cells.LINEAR, {"W": "in out -> weight"} | _BIAS, beside=_RELU, class_name="DenseLayer")
EMBEDDING = Layout("lasagne", cells.EMBEDDING, {"W": "index feature -> weight"}, class_name="EmbeddingLayer")
_FLIPPED, _STRAIGHT = {"flip_filters": True}, {"flip_filters": False}
CONV1D = Layout(
    "lasagne",
    cells.CONV1D,
    {"W": "out in ~width -> weight"} | _BIAS,
    when=_FLIPPED,
    beside=_RELU,
    class_name="Conv1DLayer",
)
CONV1D_STRAIGHT = Layout(
    "lasagne",
    cells.CONV1D,
    {"W": "out in width -> weight"} | _BIAS,
    when=_STRAIGHT,
    beside=_RELU,
    class_name="Conv1DLayer (filters not flipped)",
)
CONV2D = Layout(
    "lasagne",
    cells.CONV2D,
    {"W": "out in ~height ~width -> weight"} | _BIAS,
    when=_FLIPPED,
    beside=_RELU,
    class_name="Conv2DLayer",
)
CONV2D_STRAIGHT = Layout(
    "lasagne",
    cells.CONV2D,
    {"W": "out in height width -> weight"} | _BIAS,
    when=_STRAIGHT,
    beside=_RELU,
    class_name="Conv2DLayer (filters not flipped)",
)
BATCH_NORM = Layout(
    "lasagne",
    cells.BATCH_NORM,
    {
        "gamma": "channel -> weight",
        "beta": "channel -> bias",
        "mean": "channel -> running_mean",
        "var": "channel -> running_var",
    },
    defaults={"epsilon": 1e-4, "momentum": 0.9},
    class_name="BatchNormLayer",
)

USUAL = {"initial_state": "zero", "flip_filters": True}
LAYERS = {
    "LSTMLayer": (LSTM, LSTM_GIVEN),
    "GRULayer": (GRU, GRU_GIVEN),
    "RecurrentLayer": (RNN, RNN_GIVEN),
    "DenseLayer": (DENSE,),
    "EmbeddingLayer": (EMBEDDING,),
    "Conv1DLayer": (CONV1D, CONV1D_STRAIGHT),
    "Conv2DLayer": (CONV2D, CONV2D_STRAIGHT),
    "BatchNormLayer": (BATCH_NORM,),
}

_STATE = ("hid_init", "? 1 unit")
ORDERS = {
    "LSTMLayer": (
        *(("W_in_to_ingate", "input unit"), ("W_hid_to_ingate", "state unit"), ("b_ingate", "unit")),
        *(("W_in_to_forgetgate", "input unit"), ("W_hid_to_forgetgate", "state unit"), ("b_forgetgate", "unit")),
        *(("W_in_to_cell", "input unit"), ("W_hid_to_cell", "state unit"), ("b_cell", "unit")),
        *(("W_in_to_outgate", "input unit"), ("W_hid_to_outgate", "state unit"), ("b_outgate", "unit")),
        *(("W_cell_to_ingate", "? unit"), ("W_cell_to_forgetgate", "? unit"), ("W_cell_to_outgate", "? unit")),
        ("cell_init", "? 1 unit"),
        _STATE,
    ),
    "GRULayer": (
        *(("W_in_to_updategate", "input unit"), ("W_hid_to_updategate", "state unit"), ("b_updategate", "unit")),
        *(("W_in_to_resetgate", "input unit"), ("W_hid_to_resetgate", "state unit"), ("b_resetgate", "unit")),
        ("W_in_to_hidden_update", "input unit"),
        ("W_hid_to_hidden_update", "state unit"),
        ("b_hidden_update", "unit"),
        _STATE,
    ),
    "RecurrentLayer": (
        _STATE,
        ("input_to_hidden.W", "input unit"),
        ("input_to_hidden.b", "? unit"),
        ("hidden_to_hidden.W", "state unit"),
    ),
    "DenseLayer": (("W", "in out"), ("b", "? out")),
    "EmbeddingLayer": (("W", "index feature"),),
    "Conv1DLayer": (("W", "out in width"), ("b", "? out")),
    "Conv2DLayer": (("W", "out in height width"), ("b", "? out")),
    "BatchNormLayer": (("beta", "? channel"), ("gamma", "? channel"), ("mean", "channel"), ("inv_std", "channel")),
}
"""The parameters of every class in the order of `get_all_param_values`, with their axes; '?' where one may lack it."""
