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
10. TensorFlow 1.0 and 1.1 call the arrays `weights` and `biases`; before, a product stored `Linear/Matrix` and
    `Linear/Bias`, and LSTMCell `W_0` and `B`. Source: the names in contrib/rnn/python/tools/checkpoint_convert.py.
11. GRUBlockCell keeps `w_ru`, `b_ru`, `w_c`, `b_c`. ConvLSTMCell convolves [x; h] at once, and adds 1 to f unless told
    otherwise. Source: lstm_ops, gru_ops and rnn_cell in contrib/rnn/python/ops.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.frameworks import tensorflow_other as surroundings
from layouts.layout import Layout

_JOINED = "(input + state) (gate unit) -> input_weight + recurrent_weight"
_BIAS = "(gate unit) -> input_bias"
_GATED = {"kernel": _JOINED, "bias": _BIAS}
_GATED_1_0 = {"weights": _JOINED, "biases": _BIAS}
_GATED_0 = {"Linear/Matrix": _JOINED, "Linear/Bias": _BIAS}
_PROJECTION = "unit state -> projection"
_PEEPHOLES = {
    "w_i_diag": "unit -> peephole[i]",
    "w_f_diag": "unit -> peephole[f]",
    "w_o_diag": "unit -> peephole[o]",
}
_WHOLE_0 = {
    "W_0": _JOINED,
    "B": _BIAS,
    "W_P_0": _PROJECTION,
    "W_I_diag": "unit -> peephole[i]",
    "W_F_diag": "unit -> peephole[f]",
    "W_O_diag": "unit -> peephole[o]",
}
_RESET_UPDATE_KERNEL = "(input + state) (gate:rz unit) -> input_weight + recurrent_weight"
_RESET_UPDATE_BIAS = "(gate:rz unit) -> input_bias"
_CANDIDATE_KERNEL = "(input + state) unit -> input_weight[n] + recurrent_weight[n]"
_CANDIDATE_BIAS = "unit -> input_bias[n]"
_RESET_UPDATE = {"gates/kernel": _RESET_UPDATE_KERNEL, "gates/bias": _RESET_UPDATE_BIAS}
_CANDIDATE = {"candidate/kernel": _CANDIDATE_KERNEL, "candidate/bias": _CANDIDATE_BIAS}
_GRU_1_0 = {
    "gates/weights": _RESET_UPDATE_KERNEL,
    "gates/biases": _RESET_UPDATE_BIAS,
    "candidate/weights": _CANDIDATE_KERNEL,
    "candidate/biases": _CANDIDATE_BIAS,
}
_GRU_0 = {
    "Gates/Linear/Matrix": _RESET_UPDATE_KERNEL,
    "Gates/Linear/Bias": _RESET_UPDATE_BIAS,
    "Candidate/Linear/Matrix": _CANDIDATE_KERNEL,
    "Candidate/Linear/Bias": _CANDIDATE_BIAS,
}
_GRU_BLOCK = {
    "w_ru": _RESET_UPDATE_KERNEL,
    "b_ru": _RESET_UPDATE_BIAS,
    "w_c": _CANDIDATE_KERNEL,
    "b_c": _CANDIDATE_BIAS,
}
_CANDIDATE_APART = {
    "candidate/input_projection/kernel": "input unit -> input_weight[n]",
    "candidate/input_projection/bias": "unit -> input_bias[n]",
    "candidate/hidden_projection/kernel": "state unit -> recurrent_weight[n]",
    "candidate/hidden_projection/bias": "unit -> recurrent_bias[n]",
}
_PLAIN = "(input + state) unit -> input_weight + recurrent_weight"
_PLAIN_BIAS = "unit -> input_bias"
_OFFSET = {"f": "forget_bias"}
_FUSED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_SIGMOID = {"recurrent_activation": "sigmoid"}
_MAPS = {"padding": "same", "channels_last": True}

BASIC_LSTM = Layout(
    "tensorflow", cells.LSTM, _GATED, gates="igfo", added=_OFFSET, implies=_SIGMOID, class_name="BasicLSTMCell"
)
BASIC_LSTM_1_0 = Layout(
    "tensorflow",
    cells.LSTM,
    _GATED_1_0,
    gates="igfo",
    added=_OFFSET,
    implies=_SIGMOID,
    class_name="BasicLSTMCell (1.0)",
)
BASIC_LSTM_0 = Layout(
    "tensorflow", cells.LSTM, _GATED_0, gates="igfo", added=_OFFSET, implies=_SIGMOID, class_name="BasicLSTMCell (0)"
)
LSTM = Layout(
    "tensorflow",
    cells.LSTM,
    _GATED | {"projection/kernel": _PROJECTION} | _PEEPHOLES,
    gates="igfo",
    added=_OFFSET,
    implies=_SIGMOID,
    class_name="LSTMCell",
)
LSTM_1_0 = Layout(
    "tensorflow",
    cells.LSTM,
    _GATED_1_0 | {"projection/weights": _PROJECTION} | _PEEPHOLES,
    gates="igfo",
    added=_OFFSET,
    implies=_SIGMOID,
    class_name="LSTMCell (1.0)",
)
LSTM_0 = Layout(
    "tensorflow", cells.LSTM, _WHOLE_0, gates="igfo", added=_OFFSET, implies=_SIGMOID, class_name="LSTMCell (0)"
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
GRU_BEFORE = Layout(
    "tensorflow",
    cells.GRU_RESET_BEFORE,
    _RESET_UPDATE | _CANDIDATE,
    gates="rzn",
    implies=_SIGMOID,
    class_name="GRUCell",
)
GRU_BEFORE_1_0 = Layout(
    "tensorflow", cells.GRU_RESET_BEFORE, _GRU_1_0, gates="rzn", implies=_SIGMOID, class_name="GRUCell (1.0)"
)
GRU_BEFORE_0 = Layout(
    "tensorflow", cells.GRU_RESET_BEFORE, _GRU_0, gates="rzn", implies=_SIGMOID, class_name="GRUCell (0)"
)
GRU_BLOCK = Layout(
    "tensorflow", cells.GRU_RESET_BEFORE, _GRU_BLOCK, gates="rzn", implies=_FUSED, class_name="GRUBlockCell"
)
GRU_CUDNN = Layout(
    "tensorflow",
    cells.GRU,
    _RESET_UPDATE | _CANDIDATE_APART,
    gates="rzn",
    implies=_FUSED,
    class_name="CudnnCompatibleGRUCell",
)
RNN = Layout("tensorflow", cells.RNN, {"kernel": _PLAIN, "bias": _PLAIN_BIAS}, class_name="BasicRNNCell")
RNN_1_0 = Layout("tensorflow", cells.RNN, {"weights": _PLAIN, "biases": _PLAIN_BIAS}, class_name="BasicRNNCell (1.0)")
RNN_0 = Layout(
    "tensorflow", cells.RNN, {"Linear/Matrix": _PLAIN, "Linear/Bias": _PLAIN_BIAS}, class_name="BasicRNNCell (0)"
)
CONV_LSTM1D = Layout(
    "tensorflow",
    cells.CONV_LSTM1D,
    {"kernel": "width (input + state) (gate unit) -> input_kernel + recurrent_kernel", "biases": _BIAS},
    gates="igfo",
    added=_OFFSET,
    implies=_FUSED,
    defaults=_MAPS,
    class_name="Conv1DLSTMCell",
)
CONV_LSTM2D = Layout(
    "tensorflow",
    cells.CONV_LSTM2D,
    {"kernel": "height width (input + state) (gate unit) -> input_kernel + recurrent_kernel", "biases": _BIAS},
    gates="igfo",
    added=_OFFSET,
    implies=_FUSED,
    defaults=_MAPS,
    class_name="Conv2DLSTMCell",
)
CONV_LSTM3D = Layout(
    "tensorflow",
    cells.CONV_LSTM3D,
    {"kernel": "depth height width (input + state) (gate unit) -> input_kernel + recurrent_kernel", "biases": _BIAS},
    gates="igfo",
    added=_OFFSET,
    implies=_FUSED,
    defaults=_MAPS,
    class_name="Conv3DLSTMCell",
)

_WAYS = {"forward": "fw", "backward": "bw"}

ARRANGEMENTS = (
    Arrangement("multi_rnn_cell/cell_{layer}", residual=".*"),
    Arrangement("MultiRNNCell/Cell{layer}", residual=".*"),
    Arrangement("bidirectional_rnn/{direction}", _WAYS, merge="pair"),
    Arrangement("BiRNN/{direction}", {"forward": "FW", "backward": "BW"}, merge="pair"),
    Arrangement("stack_bidirectional_rnn/cell_#/{direction}", _WAYS, merge="pair"),
    Arrangement("stack_bidirectional_rnn/cell_{layer}"),
)

LAYERS = {
    "BasicLSTMCell": (BASIC_LSTM, BASIC_LSTM_1_0, BASIC_LSTM_0),
    "LSTMCell": (LSTM, LSTM_1_0, LSTM_0),
    "LSTMBlockCell": (LSTM_BLOCK,),
    "LSTMBlockFusedCell": (LSTM_BLOCK,),
    "LSTMFusedCell": (LSTM_BLOCK,),
    "CudnnCompatibleLSTMCell": (LSTM_CUDNN,),
    "GRUCell": (GRU_BEFORE, GRU_BEFORE_1_0, GRU_BEFORE_0, GRU_BLOCK),
    "GRUBlockCell": (GRU_BLOCK,),
    "GRUBlockCellV2": (GRU_BEFORE,),
    "CudnnCompatibleGRUCell": (GRU_CUDNN,),
    "BasicRNNCell": (RNN, RNN_1_0, RNN_0),
    "ConvLSTMCell": (CONV_LSTM1D, CONV_LSTM2D, CONV_LSTM3D),
    "Conv1DLSTMCell": (CONV_LSTM1D,),
    "Conv2DLSTMCell": (CONV_LSTM2D,),
    "Conv3DLSTMCell": (CONV_LSTM3D,),
} | surroundings.LAYERS
REFUSED = surroundings.REFUSED
