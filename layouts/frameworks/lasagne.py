"""Lasagne: LSTMLayer, GRULayer, RecurrentLayer. Names are those of the layer's parameters.

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
   zeros; PyTorch takes h0 and c0 as arguments. They are no weights of a cell and stand in no layout.
7. A values file (`get_all_param_values`) has no names: for LSTMLayer W_in, W_hid, b of ingate, forgetgate, cell,
   outgate, then the peepholes of ingate, forgetgate, outgate, then cell_init, hid_init.
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

LSTM = Layout("lasagne", cells.LSTM, _APART | _PEEPHOLES, gates="ifgo", spelling=_LSTM_GATES, class_name="LSTMLayer")
GRU = Layout("lasagne", cells.GRU, _APART, gates="rzn", spelling=_GRU_GATES, negated="z", class_name="GRULayer")
RNN = Layout(
    "lasagne",
    cells.RNN,
    {
        "input_to_hidden.W": "input unit -> input_weight",
        "input_to_hidden.b": "unit -> input_bias",
        "hidden_to_hidden.W": "state unit -> recurrent_weight",
    },
    defaults={"activation": "relu"},
    class_name="RecurrentLayer",
)

LAYERS = {
    "LSTMLayer": (LSTM,),
    "GRULayer": (GRU,),
    "RecurrentLayer": (RNN,),
}
