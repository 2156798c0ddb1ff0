"""Chainer: the NStep links and links.LSTM, links.GRU. Names are paths below one link.

1. Weights are (units, input), as PyTorch's. Source: chainer.functions.linear.
2. An NStep link is a list of links, one a layer and direction (number = layer × directions + direction, forward
   first); a layout describes one of them. Each gate has arrays of its own, and there are two biases. NStepLSTM: w0 …
   w3 on the input are i, f, g, o; w4 … w7 on the state the same. Source: `_lstm` in chainer.functions.rnn.n_step_lstm.
   NStepGRU: w0, w1, w2 are r, z, n, and w3, w4, w5; reset after, as PyTorch.
3. NStepRNNTanh and NStepRNNReLU: w0 on the input, w1 on the state; the class fixes the activation.
4. links.LSTM interleaves its rows: unit u has the rows 4u … 4u + 3, g, i, f, o. Source: `_extract_gates` in
   chainer.functions.rnn.lstm. One bias, in `upward`. `forget_bias_init` acts on the initial value only.
5. links.GRU has one link a gate, W for the input and U for the state, each with a bias; no suffix is the candidate. It
   resets before the product, and h' = (1 - z) h + z n, the opposite sense of PyTorch's z. Source: links.rnn.gru.
6. links.GRU, alias StatefulGRU, leaves out every U, its bias too, on the first step after `reset_state`; StatelessGRU
   never does. The layout is exact from h = 0 on only where the biases of U_z and U are zero, or for StatelessGRU.
7. Peepholes of StatefulPeepholeLSTM are full matrices: no layout.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.layout import Layout

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_PAIR = {
    "w0": "unit input -> input_weight",
    "w1": "unit state -> recurrent_weight",
    "b0": "unit -> input_bias",
    "b1": "unit -> recurrent_bias",
}

NSTEP_LSTM = Layout(
    "chainer",
    cells.LSTM,
    {
        "w0": "unit input -> input_weight[i]",
        "w4": "unit state -> recurrent_weight[i]",
        "w1": "unit input -> input_weight[f]",
        "w5": "unit state -> recurrent_weight[f]",
        "w2": "unit input -> input_weight[g]",
        "w6": "unit state -> recurrent_weight[g]",
        "w3": "unit input -> input_weight[o]",
        "w7": "unit state -> recurrent_weight[o]",
        "b0": "unit -> input_bias[i]",
        "b4": "unit -> recurrent_bias[i]",
        "b1": "unit -> input_bias[f]",
        "b5": "unit -> recurrent_bias[f]",
        "b2": "unit -> input_bias[g]",
        "b6": "unit -> recurrent_bias[g]",
        "b3": "unit -> input_bias[o]",
        "b7": "unit -> recurrent_bias[o]",
    },
    gates="ifgo",
    implies=_FIXED,
    class_name="NStepLSTM",
)
NSTEP_GRU = Layout(
    "chainer",
    cells.GRU,
    {
        "w0": "unit input -> input_weight[r]",
        "w3": "unit state -> recurrent_weight[r]",
        "w1": "unit input -> input_weight[z]",
        "w4": "unit state -> recurrent_weight[z]",
        "w2": "unit input -> input_weight[n]",
        "w5": "unit state -> recurrent_weight[n]",
        "b0": "unit -> input_bias[r]",
        "b3": "unit -> recurrent_bias[r]",
        "b1": "unit -> input_bias[z]",
        "b4": "unit -> recurrent_bias[z]",
        "b2": "unit -> input_bias[n]",
        "b5": "unit -> recurrent_bias[n]",
    },
    gates="rzn",
    implies=_FIXED,
    class_name="NStepGRU",
)
NSTEP_RNN_TANH = Layout("chainer", cells.RNN, _PAIR, implies={"activation": "tanh"}, class_name="NStepRNNTanh")
NSTEP_RNN_RELU = Layout("chainer", cells.RNN, _PAIR, implies={"activation": "relu"}, class_name="NStepRNNReLU")
LSTM = Layout(
    "chainer",
    cells.LSTM,
    {
        "upward/W": "(unit gate) input -> input_weight",
        "upward/b": "(unit gate) -> input_bias",
        "lateral/W": "(unit gate) state -> recurrent_weight",
    },
    gates="gifo",
    implies=_FIXED,
    class_name="LSTM",
)
GRU = Layout(
    "chainer",
    cells.GRU_RESET_BEFORE,
    {
        "W{gate}/W": "unit input -> input_weight",
        "W{gate}/b": "unit -> input_bias",
        "U{gate}/W": "unit state -> recurrent_weight",
        "U{gate}/b": "unit -> recurrent_bias",
    },
    gates="rzn",
    spelling={"gate": {"r": "_r", "z": "_z", "n": ""}},
    negated="z",
    implies=_FIXED,
    class_name="GRU",
)

ARRANGEMENTS = (
    Arrangement(
        "{number}",
        classes={
            "NStepLSTM": "NStepBiLSTM",
            "NStepGRU": "NStepBiGRU",
            "NStepRNNTanh": "NStepBiRNNTanh",
            "NStepRNNReLU": "NStepBiRNNReLU",
        },
        merge="concat",
    ),
)

LAYERS = {
    "NStepLSTM": (NSTEP_LSTM,),
    "NStepBiLSTM": (NSTEP_LSTM,),
    "NStepGRU": (NSTEP_GRU,),
    "NStepBiGRU": (NSTEP_GRU,),
    "NStepRNNTanh": (NSTEP_RNN_TANH,),
    "NStepBiRNNTanh": (NSTEP_RNN_TANH,),
    "NStepRNNReLU": (NSTEP_RNN_RELU,),
    "NStepBiRNNReLU": (NSTEP_RNN_RELU,),
    "LSTM": (LSTM,),
    "StatelessLSTM": (LSTM,),
    "GRU": (GRU,),
    "StatefulGRU": (GRU,),
    "StatelessGRU": (GRU,),
}
