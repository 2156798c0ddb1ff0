"""PaddlePaddle: nn.LSTM, nn.GRU, nn.SimpleRNN, their cells and wrappers, and the layers around them.

1. Recurrent weights are PyTorch's: (gates × units, input), blocks i, f, g, o and r, z, c (n), two biases. Nothing is
   transposed. Source: `paddle.split` and `paddle.chunk` in LSTMCell.forward and GRUCell.forward.
2. A recurrent layer has its arrays twice in a state_dict: `weight_ih_l0`, backwards `…_reverse`, and
   `0.cell.weight_ih`, or with two directions `0.cell_fw.weight_ih` and `0.cell_bw.weight_ih`. The names of the first
   kind are dealt out in the order of the parameters and are wrong where there is a projection and a second layer; the
   second are right, and the first are left out where they are there. Source: RNNBase.__init__ and flatten_parameters.
3. A projection is `weight_ho`, (units, projected): the transpose of PyTorch's.
4. A layer without biases stores zeros for them under the names of the second kind. Source: create_parameter in
   LSTMCell.__init__, with `attr=None` and a constant of 0; ran.
5. RNN(cell) holds its cell as `cell`; BiRNN as `cell_fw` and `cell_bw`.
6. SimpleRNN computes tanh or relu.
7. Linear is (in, out), PyTorch's transpose; so are the projections of MultiHeadAttention. Convolutions are PyTorch's.
8. BatchNorm calls its statistics `_mean` and `_variance`; momentum 0.9 is the share of the old ones. Epsilon is 1e-5.
   InstanceNorm says `scale`. LayerNorm stores its weights flat, whatever axes it is over.
9. bfloat16 is saved as whole numbers of two bytes, under no name: it is not read.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.layout import Layout

_SPELL = {"direction": {"forward": "", "backward": "_reverse"}}
_WAYS = {"forward": "cell_fw", "backward": "cell_bw"}
_BY_CELL = {"direction": _WAYS}
_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_STACK = {
    "weight_ih_l{layer}{direction}": "(gate unit) input -> input_weight",
    "weight_hh_l{layer}{direction}": "(gate unit) state -> recurrent_weight",
    "bias_ih_l{layer}{direction}": "(gate unit) -> input_bias",
    "bias_hh_l{layer}{direction}": "(gate unit) -> recurrent_bias",
}
_CELLS = {
    "{layer}.cell.weight_ih": "(gate unit) input -> input_weight",
    "{layer}.cell.weight_hh": "(gate unit) state -> recurrent_weight",
    "{layer}.cell.bias_ih": "(gate unit) -> input_bias",
    "{layer}.cell.bias_hh": "(gate unit) -> recurrent_bias",
}
_BOTH = {
    "{layer}.{direction}.weight_ih": "(gate unit) input -> input_weight",
    "{layer}.{direction}.weight_hh": "(gate unit) state -> recurrent_weight",
    "{layer}.{direction}.bias_ih": "(gate unit) -> input_bias",
    "{layer}.{direction}.bias_hh": "(gate unit) -> recurrent_bias",
}
_CELL = {
    "weight_ih": "(gate unit) input -> input_weight",
    "weight_hh": "(gate unit) state -> recurrent_weight",
    "bias_ih": "(gate unit) -> input_bias",
    "bias_hh": "(gate unit) -> recurrent_bias",
}
_RNN_STACK = {
    "weight_ih_l{layer}{direction}": "unit input -> input_weight",
    "weight_hh_l{layer}{direction}": "unit state -> recurrent_weight",
    "bias_ih_l{layer}{direction}": "unit -> input_bias",
    "bias_hh_l{layer}{direction}": "unit -> recurrent_bias",
}
_RNN_CELLS = {
    "{layer}.cell.weight_ih": "unit input -> input_weight",
    "{layer}.cell.weight_hh": "unit state -> recurrent_weight",
    "{layer}.cell.bias_ih": "unit -> input_bias",
    "{layer}.cell.bias_hh": "unit -> recurrent_bias",
}
_RNN_BOTH = {
    "{layer}.{direction}.weight_ih": "unit input -> input_weight",
    "{layer}.{direction}.weight_hh": "unit state -> recurrent_weight",
    "{layer}.{direction}.bias_ih": "unit -> input_bias",
    "{layer}.{direction}.bias_hh": "unit -> recurrent_bias",
}
_RNN_CELL = {
    "weight_ih": "unit input -> input_weight",
    "weight_hh": "unit state -> recurrent_weight",
    "bias_ih": "unit -> input_bias",
    "bias_hh": "unit -> recurrent_bias",
}
_PROJECTED = _CELLS | {"{layer}.cell.weight_ho": "unit state -> projection"}
_PROJECTED_BOTH = _BOTH | {"{layer}.{direction}.weight_ho": "unit state -> projection"}
_PROJECTED_CELL = _CELL | {"weight_ho": "unit state -> projection"}

LSTM = (
    Layout("paddle", cells.LSTM, _STACK, gates="ifgo", implies=_FIXED, spelling=_SPELL, class_name="LSTM"),
    Layout("paddle", cells.LSTM, _PROJECTED, gates="ifgo", implies=_FIXED, class_name="LSTM (cells)"),
    Layout(
        "paddle",
        cells.LSTM,
        _PROJECTED_BOTH,
        gates="ifgo",
        implies=_FIXED,
        spelling=_BY_CELL,
        class_name="LSTM (cells of both directions)",
    ),
)
GRU = (
    Layout("paddle", cells.GRU, _STACK, gates="rzn", implies=_FIXED, spelling=_SPELL, class_name="GRU"),
    Layout("paddle", cells.GRU, _CELLS, gates="rzn", implies=_FIXED, class_name="GRU (cells)"),
    Layout(
        "paddle",
        cells.GRU,
        _BOTH,
        gates="rzn",
        implies=_FIXED,
        spelling=_BY_CELL,
        class_name="GRU (cells of both directions)",
    ),
)
_EITHER = {"activation": ("tanh", "relu")}
RNN = (
    Layout("paddle", cells.RNN, _RNN_STACK, spelling=_SPELL, computes=_EITHER, class_name="SimpleRNN"),
    Layout("paddle", cells.RNN, _RNN_CELLS, class_name="SimpleRNN (cells)"),
    Layout("paddle", cells.RNN, _RNN_BOTH, spelling=_BY_CELL, class_name="SimpleRNN (cells of both directions)"),
)
LSTM_CELL = Layout("paddle", cells.LSTM, _PROJECTED_CELL, gates="ifgo", implies=_FIXED, class_name="LSTMCell")
GRU_CELL = Layout("paddle", cells.GRU, _CELL, gates="rzn", implies=_FIXED, class_name="GRUCell")
RNN_CELL = Layout("paddle", cells.RNN, _RNN_CELL, class_name="SimpleRNNCell")

_BIAS = {"bias": "out -> bias"}
LINEAR = Layout("paddle", cells.LINEAR, {"weight": "in out -> weight"} | _BIAS, class_name="Linear")
EMBEDDING = Layout("paddle", cells.EMBEDDING, {"weight": "index feature -> weight"}, class_name="Embedding")
CONV1D = Layout("paddle", cells.CONV1D, {"weight": "out in width -> weight"} | _BIAS, class_name="Conv1D")
CONV2D = Layout("paddle", cells.CONV2D, {"weight": "out in height width -> weight"} | _BIAS, class_name="Conv2D")
CONV3D = Layout("paddle", cells.CONV3D, {"weight": "out in depth height width -> weight"} | _BIAS, class_name="Conv3D")
CONV_TRANSPOSE1D = Layout(
    "paddle", cells.CONV_TRANSPOSE1D, {"weight": "in out width -> weight"} | _BIAS, class_name="Conv1DTranspose"
)
CONV_TRANSPOSE2D = Layout(
    "paddle", cells.CONV_TRANSPOSE2D, {"weight": "in out height width -> weight"} | _BIAS, class_name="Conv2DTranspose"
)
CONV_TRANSPOSE3D = Layout(
    "paddle",
    cells.CONV_TRANSPOSE3D,
    {"weight": "in out depth height width -> weight"} | _BIAS,
    class_name="Conv3DTranspose",
)

_EPSILON = {"epsilon": 1e-5}
_CHANNELS = {"weight": "channel -> weight", "bias": "channel -> bias"}
BATCH_NORM = Layout(
    "paddle",
    cells.BATCH_NORM,
    _CHANNELS | {"_mean": "channel -> running_mean", "_variance": "channel -> running_var"},
    defaults=_EPSILON | {"momentum": 0.9},
    class_name="BatchNorm",
)
GROUP_NORM = Layout("paddle", cells.GROUP_NORM, _CHANNELS, defaults=_EPSILON, class_name="GroupNorm")
INSTANCE_NORM = Layout(
    "paddle",
    cells.GROUP_NORM,
    {"scale": "channel -> weight", "bias": "channel -> bias"},
    defaults=_EPSILON,
    implies={"groups": -1},
    class_name="InstanceNorm1D",
)
LAYER_NORM = Layout(
    "paddle",
    cells.LAYER_NORM,
    {"weight": "feature -> weight", "bias": "feature -> bias"},
    defaults=_EPSILON | {"axes": (-1,)},
    class_name="LayerNorm",
)
PRELU = Layout("paddle", cells.PRELU, {"_weight": "channel -> weight"}, class_name="PReLU")
_OUTPUT = {"out_proj.weight": "(head key) out -> output_weight", "out_proj.bias": "out -> output_bias"}
_ROLES = {"role": {"query": "q", "key": "k", "value": "v"}}
ATTENTION = Layout(
    "paddle",
    cells.ATTENTION,
    {"{role}_proj.weight": "in (head key) -> input_weight", "{role}_proj.bias": "(head key) -> input_bias"} | _OUTPUT,
    spelling=_ROLES,
    class_name="MultiHeadAttention",
)
ATTENTION_OF_WIDTHS = Layout(
    "paddle",
    cells.ATTENTION_OF_WIDTHS,
    {
        "q_proj.weight": "in (head key) -> query_weight",
        "k_proj.weight": "key_in (head key) -> key_weight",
        "v_proj.weight": "value_in (head key) -> value_weight",
        "{role}_proj.bias": "(head key) -> input_bias",
    }
    | _OUTPUT,
    spelling=_ROLES,
    class_name="MultiHeadAttention (of widths)",
)

ARRANGEMENTS = (Arrangement("{direction}", _WAYS, merge="concat"),)

LAYERS = {
    "LSTM": LSTM,
    "GRU": GRU,
    "SimpleRNN": RNN,
    "LSTMCell": (LSTM_CELL,),
    "GRUCell": (GRU_CELL,),
    "SimpleRNNCell": (RNN_CELL,),
    "Linear": (LINEAR,),
    "Embedding": (EMBEDDING,),
    "Conv1D": (CONV1D,),
    "Conv2D": (CONV2D,),
    "Conv3D": (CONV3D,),
    "Conv1DTranspose": (CONV_TRANSPOSE1D,),
    "Conv2DTranspose": (CONV_TRANSPOSE2D,),
    "Conv3DTranspose": (CONV_TRANSPOSE3D,),
    "BatchNorm": (BATCH_NORM,),
    "BatchNorm1D": (BATCH_NORM,),
    "BatchNorm2D": (BATCH_NORM,),
    "BatchNorm3D": (BATCH_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "InstanceNorm1D": (INSTANCE_NORM,),
    "InstanceNorm2D": (INSTANCE_NORM,),
    "LayerNorm": (LAYER_NORM,),
    "PReLU": (PRELU,),
    "MultiHeadAttention": (ATTENTION, ATTENTION_OF_WIDTHS),
}
