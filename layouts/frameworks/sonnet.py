"""Sonnet: the cores of version 2 and the LSTM of version 1. Names are those of variables.

1. Weights are (input, gates × units): the transpose of PyTorch's. Source: `tf.matmul(inputs, w_i)` in
   sonnet.src.recurrent.
2. LSTM keeps input and state apart, `w_i` and `w_h`, with blocks i, f, g, o in PyTorch's order; `projection` is
   (units, state). `forget_bias` is part of the initial value of `b`: nothing is added when it runs. Source: `_lstm_fn`.
3. GRU blocks are z, r, n (there: a). It resets before the product, and h' = (1 - z) h + z n: its z has the opposite
   sense of PyTorch's. nn.GRU computes no such layer. CuDNNGRU, which Sonnet does not document, has arrays of the same
   names and other equations: not described. Source: the docstring of sonnet.src.recurrent.GRU.
4. One bias in every core; that of VanillaRNN stands beside its two Linear modules.
5. tanh and σ are fixed in LSTM and GRU; VanillaRNN computes tanh unless told otherwise.
6. Version 1 concatenates x and h before one product, `w_gates`, with blocks i, g (there: j), f, o, and adds
   `forget_bias`, 1.0 unless told otherwise, to f when it runs: the caller must state it. `w_i_diag` and its like are
   peepholes, i and f on the old c, o on the new one. Source: sonnet v1, modules.gated_rnn.LSTM.
7. ConvLSTM, blocks i, f, g, o, has one bias beside its two convolutions; `forget_bias` is part of its initial value.
8. A checkpoint's keys are attributes, of which some begin with '_': `_w_i` of the variable `lstm/w_i`.

The layers around the cores are told in `layouts.frameworks.sonnet_other`.
"""

from layouts import cells
from layouts.frameworks import sonnet_other as other
from layouts.layout import Layout

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_CORE = {
    "w_i": "input (gate unit) -> input_weight",
    "w_h": "state (gate unit) -> recurrent_weight",
    "b": "(gate unit) -> input_bias",
}

_ATTRIBUTES = {
    "_w_i": "input (gate unit) -> input_weight",
    "_w_h": "state (gate unit) -> recurrent_weight",
    "b": "(gate unit) -> input_bias",
}
_PROJECTION = {"projection": "unit state -> projection"}

LSTM = Layout(
    "sonnet",
    cells.LSTM,
    _CORE | _PROJECTION,
    gates="ifgo",
    implies=_FIXED,
    class_name="LSTM",
)
GRU = Layout("sonnet", cells.GRU_RESET_BEFORE, _CORE, gates="zrn", negated="z", implies=_FIXED, class_name="GRU")
LSTM_ATTRIBUTES = Layout(
    "sonnet",
    cells.LSTM,
    _ATTRIBUTES | _PROJECTION,
    gates="ifgo",
    implies=_FIXED,
    class_name="LSTM (attributes)",
)
GRU_ATTRIBUTES = Layout(
    "sonnet",
    cells.GRU_RESET_BEFORE,
    _ATTRIBUTES,
    gates="zrn",
    negated="z",
    implies=_FIXED,
    class_name="GRU (attributes)",
)
RNN = Layout(
    "sonnet",
    cells.RNN,
    {
        "input_to_hidden/w": "input unit -> input_weight",
        "hidden_to_hidden/w": "state unit -> recurrent_weight",
        "b": "unit -> input_bias",
    },
    class_name="VanillaRNN",
)
RNN_ATTRIBUTES = Layout(
    "sonnet",
    cells.RNN,
    {
        "_input_to_hidden/w": "input unit -> input_weight",
        "_hidden_to_hidden/w": "state unit -> recurrent_weight",
        "_b": "unit -> input_bias",
    },
    class_name="VanillaRNN (attributes)",
)
LSTM_OLD = Layout(
    "sonnet",
    cells.LSTM,
    {
        "w_gates": "(input + state) (gate unit) -> input_weight + recurrent_weight",
        "b_gates": "(gate unit) -> input_bias",
        "w_i_diag": "unit -> peephole[i]",
        "w_f_diag": "unit -> peephole[f]",
        "w_o_diag": "unit -> peephole[o]",
    },
    gates="igfo",
    added={"f": "forget_bias"},
    implies=_FIXED,
    class_name="LSTM (version 1)",
)
_SHARED = {"b": "(gate unit) -> input_bias"}
CONV_LSTM1D = Layout(
    "sonnet",
    cells.CONV_LSTM1D,
    {
        "input_to_hidden/w": "width input (gate unit) -> input_kernel",
        "hidden_to_hidden/w": "width state (gate unit) -> recurrent_kernel",
    }
    | _SHARED,
    gates="ifgo",
    implies=_FIXED,
    defaults=other.IMAGES,
    class_name="Conv1DLSTM",
)
CONV_LSTM2D = Layout(
    "sonnet",
    cells.CONV_LSTM2D,
    {
        "input_to_hidden/w": "height width input (gate unit) -> input_kernel",
        "hidden_to_hidden/w": "height width state (gate unit) -> recurrent_kernel",
    }
    | _SHARED,
    gates="ifgo",
    implies=_FIXED,
    defaults=other.IMAGES,
    class_name="Conv2DLSTM",
)

LAYERS = {
    "LSTM": (LSTM, LSTM_ATTRIBUTES, LSTM_OLD),
    "UnrolledLSTM": (LSTM, LSTM_ATTRIBUTES),
    "GRU": (GRU, GRU_ATTRIBUTES),
    "VanillaRNN": (RNN, RNN_ATTRIBUTES),
    "Conv1DLSTM": (CONV_LSTM1D,),
    "Conv2DLSTM": (CONV_LSTM2D,),
    **other.LAYERS_AROUND,
}
USUAL = other.USUAL
"""What is so unless somebody states otherwise."""
