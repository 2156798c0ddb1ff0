"""MXNet: Gluon's recurrent layers and cells, the older symbolic ones, and the layers around them.

1. Weights are (gates × units, input), blocks in PyTorch's order, i, f, g (there: c), o and r, z, n (there: o), with a
   bias on the input and one on the state. Nothing is transposed. Source: mxnet.gluon.rnn.rnn_cell.
2. GRU resets after the product, h' = (1 - z) n + z h. Source: GRUCell.hybrid_forward.
3. A recurrent layer names its arrays in four ways: `l0_i2h_weight`, backwards `r0_…` (`collect_params`, `export`, the
   symbolic cells); `_unfused.0.i2h_weight`, and with two directions `_unfused.0.l_cell.…`, `.r_cell.…`
   (`save_parameters`); one array a gate, `l0_i2h_i_weight` (`mx.rnn.save_rnn_checkpoint`); or all in one vector
   `parameters`, which is cut into the first before it comes here. Source: the methods of these names.
4. In names of the first kind, and in those of layers around them, the layer's own name ends in '_': `lstm0_`.
5. `h2r_weight` is a projection, (projected, units). Source: gluon.contrib.rnn.LSTMPCell.
6. rnn.RNN computes relu unless told otherwise; RNNCell tanh. rnn.LSTM and rnn.GRU compute σ and tanh and nothing else;
   those of the cells are arguments.
   `forget_bias` of the symbolic LSTMCell acts on the initial value only.
7. Convolutions are channels first, (out, in, height, width), and do not pad. Transposed ones (in, out, …).
8. Norms say gamma and beta; epsilon is 1e-5, momentum 0.9. The symbolic BatchNorm calls its averages `moving_mean` and
   `moving_var`, has an epsilon of 1e-3, and `fix_gamma=True`: then it computes as if gamma were 1, whatever is stored.
   So does Gluon's with `scale=False`. Source: src/operator/nn/batch_norm-inl.h.
9. GroupNorm of version 2 has one gamma for each channel, as PyTorch's. That of version 1 has one for each group: its
   arrays have to be repeated for the channels of a group before. No array tells the number of either. Source:
   gluon.nn.basic_layers.GroupNorm, `shape=(num_groups,)`.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.layout import Layout

SEPARATORS = "/._"
"""What stands between the path of a layer and the name of an array in it."""
USUAL = {"scale": True}

_SHORT = {"direction": {"forward": "l", "backward": "r"}}
_LONG = {"direction": {"forward": "l_cell", "backward": "r_cell"}}
_SPELLED = {"gate": {"i": "_i", "f": "_f", "g": "_c", "o": "_o"}} | _SHORT
_SPELLED_GRU = {"gate": {"r": "_r", "z": "_z", "n": "_o"}} | _SHORT
_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_NUMBERED = {
    "{direction}{layer}_i2h_weight": "(gate unit) input -> input_weight",
    "{direction}{layer}_h2h_weight": "(gate unit) state -> recurrent_weight",
    "{direction}{layer}_i2h_bias": "(gate unit) -> input_bias",
    "{direction}{layer}_h2h_bias": "(gate unit) -> recurrent_bias",
}
_UNFUSED = {
    "_unfused.{layer}.i2h_weight": "(gate unit) input -> input_weight",
    "_unfused.{layer}.h2h_weight": "(gate unit) state -> recurrent_weight",
    "_unfused.{layer}.i2h_bias": "(gate unit) -> input_bias",
    "_unfused.{layer}.h2h_bias": "(gate unit) -> recurrent_bias",
}
_UNFUSED_BOTH = {
    "_unfused.{layer}.{direction}.i2h_weight": "(gate unit) input -> input_weight",
    "_unfused.{layer}.{direction}.h2h_weight": "(gate unit) state -> recurrent_weight",
    "_unfused.{layer}.{direction}.i2h_bias": "(gate unit) -> input_bias",
    "_unfused.{layer}.{direction}.h2h_bias": "(gate unit) -> recurrent_bias",
}
_BY_GATE = {
    "{direction}{layer}_i2h{gate}_weight": "unit input -> input_weight",
    "{direction}{layer}_h2h{gate}_weight": "unit state -> recurrent_weight",
    "{direction}{layer}_i2h{gate}_bias": "unit -> input_bias",
    "{direction}{layer}_h2h{gate}_bias": "unit -> recurrent_bias",
}
_CELL = {
    "i2h_weight": "(gate unit) input -> input_weight",
    "h2h_weight": "(gate unit) state -> recurrent_weight",
    "i2h_bias": "(gate unit) -> input_bias",
    "h2h_bias": "(gate unit) -> recurrent_bias",
}
_CELL_BY_GATE = {
    "i2h{gate}_weight": "unit input -> input_weight",
    "h2h{gate}_weight": "unit state -> recurrent_weight",
    "i2h{gate}_bias": "unit -> input_bias",
    "h2h{gate}_bias": "unit -> recurrent_bias",
}
_RNN_NUMBERED = {
    "{direction}{layer}_i2h_weight": "unit input -> input_weight",
    "{direction}{layer}_h2h_weight": "unit state -> recurrent_weight",
    "{direction}{layer}_i2h_bias": "unit -> input_bias",
    "{direction}{layer}_h2h_bias": "unit -> recurrent_bias",
}
_RNN_UNFUSED = {
    "_unfused.{layer}.i2h_weight": "unit input -> input_weight",
    "_unfused.{layer}.h2h_weight": "unit state -> recurrent_weight",
    "_unfused.{layer}.i2h_bias": "unit -> input_bias",
    "_unfused.{layer}.h2h_bias": "unit -> recurrent_bias",
}
_RNN_UNFUSED_BOTH = {
    "_unfused.{layer}.{direction}.i2h_weight": "unit input -> input_weight",
    "_unfused.{layer}.{direction}.h2h_weight": "unit state -> recurrent_weight",
    "_unfused.{layer}.{direction}.i2h_bias": "unit -> input_bias",
    "_unfused.{layer}.{direction}.h2h_bias": "unit -> recurrent_bias",
}
_RNN_CELL = {
    "i2h_weight": "unit input -> input_weight",
    "h2h_weight": "unit state -> recurrent_weight",
    "i2h_bias": "unit -> input_bias",
    "h2h_bias": "unit -> recurrent_bias",
}
_PROJECTED = _NUMBERED | {"{direction}{layer}_h2r_weight": "state unit -> projection"}
_PROJECTED_UNFUSED = _UNFUSED | {"_unfused.{layer}.h2r_weight": "state unit -> projection"}
_PROJECTED_BOTH = _UNFUSED_BOTH | {"_unfused.{layer}.{direction}.h2r_weight": "state unit -> projection"}

LSTM = (
    Layout("mxnet", cells.LSTM, _PROJECTED, gates="ifgo", implies=_FIXED, spelling=_SHORT, class_name="LSTM"),
    Layout("mxnet", cells.LSTM, _PROJECTED_UNFUSED, gates="ifgo", implies=_FIXED, class_name="LSTM (saved parameters)"),
    Layout(
        "mxnet",
        cells.LSTM,
        _PROJECTED_BOTH,
        gates="ifgo",
        implies=_FIXED,
        spelling=_LONG,
        class_name="LSTM (saved parameters, both directions)",
    ),
    Layout(
        "mxnet",
        cells.LSTM,
        _BY_GATE,
        gates="ifgo",
        implies=_FIXED,
        spelling=_SPELLED,
        class_name="LSTM (an array a gate)",
    ),
)
GRU = (
    Layout("mxnet", cells.GRU, _NUMBERED, gates="rzn", implies=_FIXED, spelling=_SHORT, class_name="GRU"),
    Layout("mxnet", cells.GRU, _UNFUSED, gates="rzn", implies=_FIXED, class_name="GRU (saved parameters)"),
    Layout(
        "mxnet",
        cells.GRU,
        _UNFUSED_BOTH,
        gates="rzn",
        implies=_FIXED,
        spelling=_LONG,
        class_name="GRU (saved parameters, both directions)",
    ),
    Layout(
        "mxnet",
        cells.GRU,
        _BY_GATE,
        gates="rzn",
        implies=_FIXED,
        spelling=_SPELLED_GRU,
        class_name="GRU (an array a gate)",
    ),
)
_RELU = {"activation": "relu"}
_EITHER = {"activation": ("relu", "tanh")}
RNN = (
    Layout("mxnet", cells.RNN, _RNN_NUMBERED, spelling=_SHORT, defaults=_RELU, computes=_EITHER, class_name="RNN"),
    Layout("mxnet", cells.RNN, _RNN_UNFUSED, defaults=_RELU, class_name="RNN (saved parameters)"),
    Layout(
        "mxnet",
        cells.RNN,
        _RNN_UNFUSED_BOTH,
        spelling=_LONG,
        defaults=_RELU,
        class_name="RNN (saved parameters, both directions)",
    ),
)
LSTM_CELL = (
    Layout(
        "mxnet",
        cells.LSTM,
        _CELL | {"h2r_weight": "state unit -> projection"},
        gates="ifgo",
        class_name="LSTMCell",
    ),
    Layout(
        "mxnet", cells.LSTM, _CELL_BY_GATE, gates="ifgo", spelling=_SPELLED, class_name="LSTMCell (an array a gate)"
    ),
)
GRU_CELL = (
    Layout("mxnet", cells.GRU, _CELL, gates="rzn", class_name="GRUCell"),
    Layout(
        "mxnet", cells.GRU, _CELL_BY_GATE, gates="rzn", spelling=_SPELLED_GRU, class_name="GRUCell (an array a gate)"
    ),
)
RNN_CELL = Layout("mxnet", cells.RNN, _RNN_CELL, class_name="RNNCell")

_BIAS = {"bias": "out -> bias"}
DENSE = Layout("mxnet", cells.LINEAR, {"weight": "out in -> weight"} | _BIAS, class_name="Dense")
EMBEDDING = Layout("mxnet", cells.EMBEDDING, {"weight": "index feature -> weight"}, class_name="Embedding")
CONV1D = Layout("mxnet", cells.CONV1D, {"weight": "out in width -> weight"} | _BIAS, class_name="Conv1D")
CONV2D = Layout("mxnet", cells.CONV2D, {"weight": "out in height width -> weight"} | _BIAS, class_name="Conv2D")
CONV3D = Layout("mxnet", cells.CONV3D, {"weight": "out in depth height width -> weight"} | _BIAS, class_name="Conv3D")
CONV_TRANSPOSE1D = Layout(
    "mxnet", cells.CONV_TRANSPOSE1D, {"weight": "in out width -> weight"} | _BIAS, class_name="Conv1DTranspose"
)
CONV_TRANSPOSE2D = Layout(
    "mxnet", cells.CONV_TRANSPOSE2D, {"weight": "in out height width -> weight"} | _BIAS, class_name="Conv2DTranspose"
)

_CHANNELS = {"gamma": "channel -> weight", "beta": "channel -> bias"}
_EPSILON = {"epsilon": 1e-5}
_MOVING = {"moving_mean": "channel -> running_mean", "moving_var": "channel -> running_var"}
_SYMBOLIC = {"epsilon": 1e-3, "momentum": 0.9}
_RUNNING = {"running_mean": "channel -> running_mean", "running_var": "channel -> running_var"}
_GLUON = _EPSILON | {"momentum": 0.9}
BATCH_NORM = Layout(
    "mxnet", cells.BATCH_NORM, _CHANNELS | _RUNNING, when={"scale": True}, defaults=_GLUON, class_name="BatchNorm"
)
BATCH_NORM_UNSCALED = Layout(
    "mxnet",
    cells.BATCH_NORM,
    {"beta": "channel -> bias"} | _RUNNING,
    when={"scale": False},
    ignored=("gamma",),
    defaults=_GLUON,
    class_name="BatchNorm (scale=False)",
)
BATCH_NORM_SYMBOLIC = Layout(
    "mxnet",
    cells.BATCH_NORM,
    _CHANNELS | _MOVING,
    when={"fix_gamma": False},
    defaults=_SYMBOLIC,
    class_name="BatchNorm (symbolic)",
)
BATCH_NORM_FIXED = Layout(
    "mxnet",
    cells.BATCH_NORM,
    {"beta": "channel -> bias"} | _MOVING,
    when={"fix_gamma": True},
    ignored=("gamma",),
    defaults=_SYMBOLIC,
    class_name="BatchNorm (symbolic, gamma fixed)",
)
LAYER_NORM = Layout(
    "mxnet",
    cells.LAYER_NORM,
    {"gamma": "feature -> weight", "beta": "feature -> bias"},
    defaults=_EPSILON,
    class_name="LayerNorm",
)
GROUP_NORM = Layout("mxnet", cells.GROUP_NORM, _CHANNELS, defaults=_EPSILON, class_name="GroupNorm")
PRELU = Layout("mxnet", cells.PRELU, {"alpha": "channel -> weight"}, class_name="PReLU")

_CELLS = {"LSTMCell": "LSTMCell", "GRUCell": "GRUCell", "RNNCell": "RNNCell"}
ARRANGEMENTS = (
    Arrangement("{direction}", {"forward": "l_cell", "backward": "r_cell"}, _CELLS, merge="concat"),
    Arrangement("{layer}", classes=_CELLS, residual=r"(.*\.)?base_cell"),
)

LAYERS = {
    "LSTM": LSTM,
    "GRU": GRU,
    "RNN": RNN,
    "LSTMCell": LSTM_CELL,
    "LSTMPCell": LSTM_CELL,
    "GRUCell": GRU_CELL,
    "RNNCell": (RNN_CELL,),
    "Dense": (DENSE,),
    "Embedding": (EMBEDDING,),
    "Conv1D": (CONV1D,),
    "Conv2D": (CONV2D,),
    "Conv3D": (CONV3D,),
    "Conv1DTranspose": (CONV_TRANSPOSE1D,),
    "Conv2DTranspose": (CONV_TRANSPOSE2D,),
    "BatchNorm": (BATCH_NORM, BATCH_NORM_UNSCALED, BATCH_NORM_SYMBOLIC, BATCH_NORM_FIXED),
    "LayerNorm": (LAYER_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "PReLU": (PRELU,),
}
