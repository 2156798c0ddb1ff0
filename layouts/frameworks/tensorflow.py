"""TensorFlow 1: cells of tf.nn.rnn_cell, tf.contrib.rnn and tf.contrib.cudnn_rnn, by the variables under a scope.

1. x and h are concatenated before one product, so `kernel` is (input + state, gates × units): the recurrent matrix
   stands under the input matrix, and both are the transpose of PyTorch's. Source: `call` of
   rnn_cell_impl.BasicLSTMCell.
2. LSTM blocks are i, g (there: j), f, o. Source: `i, j, f, o = array_ops.split(...)` in the same method.
3. `forget_bias` is added to f when the cell runs and is not stored. Default 1.0 in BasicLSTMCell, LSTMCell,
   LSTMBlockCell and LSTMBlockFusedCell; the CudnnCompatible cells fix it at 0. A checkpoint does not say it: the
   caller must.
4. One bias. Only CudnnCompatibleGRUCell has two, and for the candidate alone. Source:
   contrib/cudnn_rnn/cudnn_rnn_ops.py.
5. GRUCell keeps the gates r, u (z) apart from the candidate, and multiplies r into h before the product (reset
   before); CudnnCompatibleGRUCell after it. Both compute h' = u h + (1 - u) c, as PyTorch. Source:
   rnn_cell_impl.GRUCell.call.
6. `use_peepholes` adds w_i_diag, w_f_diag (on the old c) and w_o_diag (on the new c): nn.LSTM computes none of it.
7. `num_proj` adds projection/kernel (units, state), without a bias. `cell_clip` and `proj_clip` are options, not
   weights.
8. The layers CudnnLSTM and CudnnGRU save the canonical variables of the CudnnCompatible cells, one scope a layer and
   direction, with the two biases of an LSTM summed. Source: CudnnOpaqueParamsSaveable in cudnn_rnn_ops.py.
9. State tuples are (c, h), PyTorch's (h, c). Activations are tanh and σ unless the cell's `activation` says otherwise.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.layout import Layout

_GATED = {
    "kernel": "(input + state) (gate unit) -> input_weight + recurrent_weight",
    "bias": "(gate unit) -> input_bias",
}
_PROJECTION = {"projection/kernel": "unit state -> projection"}
_PEEPHOLES = {
    "w_i_diag": "unit -> peephole[i]",
    "w_f_diag": "unit -> peephole[f]",
    "w_o_diag": "unit -> peephole[o]",
}
_RESET_UPDATE = {
    "gates/kernel": "(input + state) (gate:rz unit) -> input_weight + recurrent_weight",
    "gates/bias": "(gate:rz unit) -> input_bias",
}
_CANDIDATE = {
    "candidate/kernel": "(input + state) unit -> input_weight[n] + recurrent_weight[n]",
    "candidate/bias": "unit -> input_bias[n]",
}
_CANDIDATE_APART = {
    "candidate/input_projection/kernel": "input unit -> input_weight[n]",
    "candidate/input_projection/bias": "unit -> input_bias[n]",
    "candidate/hidden_projection/kernel": "state unit -> recurrent_weight[n]",
    "candidate/hidden_projection/bias": "unit -> recurrent_bias[n]",
}
_OFFSET = {"f": "forget_bias"}
_FUSED = {"activation": "tanh", "recurrent_activation": "sigmoid"}

BASIC_LSTM = Layout("tensorflow", cells.LSTM, _GATED, gates="igfo", added=_OFFSET, class_name="BasicLSTMCell")
LSTM = Layout(
    "tensorflow", cells.LSTM, _GATED | _PROJECTION | _PEEPHOLES, gates="igfo", added=_OFFSET, class_name="LSTMCell"
)
LSTM_BLOCK = Layout(
    "tensorflow",
    cells.LSTM,
    _GATED | _PEEPHOLES,
    gates="igfo",
    added=_OFFSET,
    implies=_FUSED,
    class_name="LSTMBlockCell",
)
LSTM_CUDNN = Layout(
    "tensorflow", cells.LSTM, _GATED, gates="igfo", implies=_FUSED, class_name="CudnnCompatibleLSTMCell"
)
GRU_BEFORE = Layout("tensorflow", cells.GRU_RESET_BEFORE, _RESET_UPDATE | _CANDIDATE, gates="rzn", class_name="GRUCell")
GRU_CUDNN = Layout(
    "tensorflow",
    cells.GRU,
    _RESET_UPDATE | _CANDIDATE_APART,
    gates="rzn",
    class_name="CudnnCompatibleGRUCell",
)
RNN = Layout(
    "tensorflow",
    cells.RNN,
    {"kernel": "(input + state) unit -> input_weight + recurrent_weight", "bias": "unit -> input_bias"},
    class_name="BasicRNNCell",
)

_WAYS = {"forward": "fw", "backward": "bw"}

ARRANGEMENTS = (
    Arrangement("multi_rnn_cell/cell_{layer}"),
    Arrangement("bidirectional_rnn/{direction}", _WAYS, merge="pair"),
    Arrangement("stack_bidirectional_rnn/cell_{layer}"),
)

LAYERS = {
    "BasicLSTMCell": (BASIC_LSTM,),
    "LSTMCell": (LSTM,),
    "LSTMBlockCell": (LSTM_BLOCK,),
    "LSTMBlockFusedCell": (LSTM_BLOCK,),
    "CudnnCompatibleLSTMCell": (LSTM_CUDNN,),
    "GRUCell": (GRU_BEFORE,),
    "GRUBlockCellV2": (GRU_BEFORE,),
    "CudnnCompatibleGRUCell": (GRU_CUDNN,),
    "BasicRNNCell": (RNN,),
}
