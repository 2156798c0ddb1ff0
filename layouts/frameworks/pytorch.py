"""PyTorch: the target, and one more framework in the table.

1. Recurrent weights are (gates × units, input): outputs first, one block of rows a gate. Source: the docstrings of
   torch.nn.LSTM, GRU and RNN (`W_ii|W_if|W_ig|W_io`, `W_ir|W_iz|W_in`).
2. There are two biases, `bias_ih` and `bias_hh`, or none (`bias=False`); never one.
3. Layer and direction live in the array's name: `weight_ih_l{layer}`, backwards with `_reverse`.
4. σ and tanh are fixed in nn.LSTM and nn.GRU; nn.RNN computes tanh or relu.
5. A layer without a module of its own becomes what a person would write: a separable convolution is two convolutions,
   `depthwise` with groups, and `pointwise`.
6. `num_batches_tracked` counts training steps, which no other framework stores: 0.
7. Epsilon is 1e-5; RMSNorm has none, and takes that of its numbers. Momentum 0.1 is the share of the new statistics:
   0.9 of the old ones stay. A convolution in groups, or a depthwise one, is stored as any other.
"""

from layouts import cells
from layouts.layout import Layout

_SPELL = {"direction": {"forward": "", "backward": "_reverse"}}
_GRU = {"activation": ("tanh",), "recurrent_activation": ("sigmoid",), "clip": (None,)}
_LSTM = _GRU | {
    "output_activation": (None, "tanh"),
    "input_forget": (False,),
    "cell_clip": (None,),
    "projection_clip": (None,),
}
_RNN = {"activation": ("tanh", "relu"), "clip": (None,)}
_STACK = {
    "weight_ih_l{layer}{direction}": "(gate unit) input -> input_weight",
    "weight_hh_l{layer}{direction}": "(gate unit) state -> recurrent_weight",
    "bias_ih_l{layer}{direction}": "(gate unit) -> input_bias",
    "bias_hh_l{layer}{direction}": "(gate unit) -> recurrent_bias",
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
_RNN_CELL = {
    "weight_ih": "unit input -> input_weight",
    "weight_hh": "unit state -> recurrent_weight",
    "bias_ih": "unit -> input_bias",
    "bias_hh": "unit -> recurrent_bias",
}
_PROJECTION = {"weight_hr_l{layer}{direction}": "state unit -> projection"}

LSTM = Layout(
    "pytorch", cells.LSTM, _STACK | _PROJECTION, gates="ifgo", spelling=_SPELL, computes=_LSTM, class_name="LSTM"
)
GRU = Layout("pytorch", cells.GRU, _STACK, gates="rzn", spelling=_SPELL, computes=_GRU, class_name="GRU")
RNN = Layout("pytorch", cells.RNN, _RNN_STACK, spelling=_SPELL, computes=_RNN, class_name="RNN")
LSTM_CELL = Layout("pytorch", cells.LSTM, _CELL, gates="ifgo", computes=_LSTM, class_name="LSTMCell")
GRU_CELL = Layout("pytorch", cells.GRU, _CELL, gates="rzn", computes=_GRU, class_name="GRUCell")
RNN_CELL = Layout("pytorch", cells.RNN, _RNN_CELL, computes=_RNN, class_name="RNNCell")

LINEAR = Layout("pytorch", cells.LINEAR, {"weight": "out in -> weight", "bias": "out -> bias"}, class_name="Linear")
_ON_TWO_AXES = {"heads": True}
LINEAR_TO_HEADS = Layout(
    "pytorch",
    cells.LINEAR_TO_HEADS,
    {"weight": "(head key) in -> weight", "bias": "(head key) -> bias"},
    when=_ON_TWO_AXES,
    class_name="Linear",
)
LINEAR_FROM_HEADS = Layout(
    "pytorch",
    cells.LINEAR_FROM_HEADS,
    {"weight": "out (head key) -> weight", "bias": "out -> bias"},
    when=_ON_TWO_AXES,
    class_name="Linear",
)
EMBEDDING = Layout("pytorch", cells.EMBEDDING, {"weight": "index feature -> weight"}, class_name="Embedding")

_BIAS = {"bias": "out -> bias"}
CONV1D = Layout("pytorch", cells.CONV1D, {"weight": "out in width -> weight"} | _BIAS, class_name="Conv1d")
CONV2D = Layout("pytorch", cells.CONV2D, {"weight": "out in height width -> weight"} | _BIAS, class_name="Conv2d")
CONV3D = Layout("pytorch", cells.CONV3D, {"weight": "out in depth height width -> weight"} | _BIAS, class_name="Conv3d")
CONV_TRANSPOSE1D = Layout(
    "pytorch", cells.CONV_TRANSPOSE1D, {"weight": "in out width -> weight"} | _BIAS, class_name="ConvTranspose1d"
)
CONV_TRANSPOSE2D = Layout(
    "pytorch", cells.CONV_TRANSPOSE2D, {"weight": "in out height width -> weight"} | _BIAS, class_name="ConvTranspose2d"
)
CONV_TRANSPOSE3D = Layout(
    "pytorch",
    cells.CONV_TRANSPOSE3D,
    {"weight": "in out depth height width -> weight"} | _BIAS,
    class_name="ConvTranspose3d",
)
_GROUPED = {"grouped": True}
_ALL = {"bias": "(group out) -> bias"}
CONV_TRANSPOSE1D_GROUPED = Layout(
    "pytorch",
    cells.CONV_TRANSPOSE1D_GROUPED,
    {"weight": "in out width -> weight"} | _ALL,
    when=_GROUPED,
    class_name="ConvTranspose1d",
)
CONV_TRANSPOSE2D_GROUPED = Layout(
    "pytorch",
    cells.CONV_TRANSPOSE2D_GROUPED,
    {"weight": "in out height width -> weight"} | _ALL,
    when=_GROUPED,
    class_name="ConvTranspose2d",
)
CONV_TRANSPOSE3D_GROUPED = Layout(
    "pytorch",
    cells.CONV_TRANSPOSE3D_GROUPED,
    {"weight": "in out depth height width -> weight"} | _ALL,
    when=_GROUPED,
    class_name="ConvTranspose3d",
)
_DEPTHWISE = {"depthwise": True}
DEPTHWISE_CONV1D = Layout(
    "pytorch",
    cells.DEPTHWISE_CONV1D,
    {"weight": "(in multiplier) 1 width -> weight"} | _BIAS,
    when=_DEPTHWISE,
    class_name="Conv1d",
)
DEPTHWISE_CONV2D = Layout(
    "pytorch",
    cells.DEPTHWISE_CONV2D,
    {"weight": "(in multiplier) 1 height width -> weight"} | _BIAS,
    when=_DEPTHWISE,
    class_name="Conv2d",
)
SEPARABLE_CONV1D = Layout(
    "pytorch",
    cells.SEPARABLE_CONV1D,
    {
        "depthwise.weight": "(in multiplier) 1 width -> depthwise_weight",
        "pointwise.weight": "out (in multiplier) 1 -> pointwise_weight",
        "pointwise.bias": "out -> bias",
    },
    class_name="Conv1d",
)
SEPARABLE_CONV2D = Layout(
    "pytorch",
    cells.SEPARABLE_CONV2D,
    {
        "depthwise.weight": "(in multiplier) 1 height width -> depthwise_weight",
        "pointwise.weight": "out (in multiplier) 1 1 -> pointwise_weight",
        "pointwise.bias": "out -> bias",
    },
    class_name="Conv2d",
)

_EPSILON = {"epsilon": 1e-5}
_COUNTED = {"num_batches_tracked": 0}
_AFFINE = {"weight": "channel -> weight", "bias": "channel -> bias"}
_RUNNING = {"running_mean": "channel -> running_mean", "running_var": "channel -> running_var"}
BATCH_NORM = Layout(
    "pytorch",
    cells.BATCH_NORM,
    _AFFINE | _RUNNING,
    defaults={"epsilon": 1e-5, "momentum": 0.9},
    constants=_COUNTED,
    class_name="BatchNorm",
)
GROUP_NORM = Layout("pytorch", cells.GROUP_NORM, _AFFINE, defaults=_EPSILON, class_name="GroupNorm")
_DEVIATION = {"rms_scaling": (False,)}
LAYER_NORM = Layout(
    "pytorch",
    cells.LAYER_NORM,
    {"weight": "feature -> weight", "bias": "feature -> bias"},
    defaults=_EPSILON,
    computes=_DEVIATION,
    class_name="LayerNorm",
)
LAYER_NORM_2D = Layout(
    "pytorch",
    cells.LAYER_NORM_2D,
    {"weight": "row feature -> weight", "bias": "row feature -> bias"},
    defaults=_EPSILON,
    computes=_DEVIATION,
    class_name="LayerNorm",
)
LAYER_NORM_3D = Layout(
    "pytorch",
    cells.LAYER_NORM_3D,
    {"weight": "plane row feature -> weight", "bias": "plane row feature -> bias"},
    defaults=_EPSILON,
    computes=_DEVIATION,
    class_name="LayerNorm",
)
RMS_NORM = Layout("pytorch", cells.RMS_NORM, {"weight": "feature -> weight"}, class_name="RMSNorm")
PRELU = Layout("pytorch", cells.PRELU, {"weight": "channel -> weight"}, class_name="PReLU")

ATTENTION = Layout(
    "pytorch",
    cells.ATTENTION,
    {
        "in_proj_weight": "(role head key) in -> input_weight",
        "in_proj_bias": "(role head key) -> input_bias",
        "out_proj.weight": "out (head key) -> output_weight",
        "out_proj.bias": "out -> output_bias",
    },
    equal=(("head key", "in"), ("out", "in")),
    class_name="MultiheadAttention",
)
ATTENTION_OF_WIDTHS = Layout(
    "pytorch",
    cells.ATTENTION_OF_WIDTHS,
    {
        "q_proj_weight": "(head key) in -> query_weight",
        "k_proj_weight": "(head key) key_in -> key_weight",
        "v_proj_weight": "(head key) value_in -> value_weight",
        "in_proj_bias": "(role head key) -> input_bias",
        "out_proj.weight": "out (head key) -> output_weight",
        "out_proj.bias": "out -> output_bias",
    },
    equal=(("head key", "in"), ("out", "in")),
    class_name="MultiheadAttention",
)

LAYERS = {
    "LSTM": (LSTM,),
    "GRU": (GRU,),
    "RNN": (RNN,),
    "LSTMCell": (LSTM_CELL,),
    "GRUCell": (GRU_CELL,),
    "RNNCell": (RNN_CELL,),
    "Linear": (LINEAR, LINEAR_TO_HEADS, LINEAR_FROM_HEADS),
    "Embedding": (EMBEDDING,),
    "Conv1d": (CONV1D, DEPTHWISE_CONV1D, SEPARABLE_CONV1D),
    "Conv2d": (CONV2D, DEPTHWISE_CONV2D, SEPARABLE_CONV2D),
    "Conv3d": (CONV3D,),
    "ConvTranspose1d": (CONV_TRANSPOSE1D, CONV_TRANSPOSE1D_GROUPED),
    "ConvTranspose2d": (CONV_TRANSPOSE2D, CONV_TRANSPOSE2D_GROUPED),
    "ConvTranspose3d": (CONV_TRANSPOSE3D, CONV_TRANSPOSE3D_GROUPED),
    "BatchNorm1d": (BATCH_NORM,),
    "BatchNorm2d": (BATCH_NORM,),
    "BatchNorm3d": (BATCH_NORM,),
    "SyncBatchNorm": (BATCH_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "LayerNorm": (LAYER_NORM, LAYER_NORM_2D, LAYER_NORM_3D),
    "RMSNorm": (RMS_NORM,),
    "PReLU": (PRELU,),
    "MultiheadAttention": (ATTENTION, ATTENTION_OF_WIDTHS),
}
USUAL = {"heads": False, "grouped": False, "depthwise": False}
"""What is so unless somebody states otherwise: arrays of convolutions in groups look like those of any other."""
