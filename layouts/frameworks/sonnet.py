"""Sonnet: the cores of version 2 and the LSTM of version 1, and the layers around them. Names are those of variables.

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
8. Convolutions are channels last and pad "SAME" unless told otherwise. A transposed one stores (height, width, out,
   in), as TensorFlow does. The arrays of a convolution look the same: `transposed` tells them apart.
9. Norms say `scale` and `offset`. The averages of BatchNorm keep axes of one, and stand beside counters that inference
   does not read. Epsilon is 1e-5 in every norm. Source: sonnet.src.batch_norm, moving_averages.
10. A checkpoint's keys are attributes, of which some begin with '_': `_w_i` of the variable `lstm/w_i`.
"""

from layouts import cells
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
_IMAGES = {"padding": "same", "channels_last": True}
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
    defaults=_IMAGES,
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
    defaults=_IMAGES,
    class_name="Conv2DLSTM",
)

_BIAS = {"b": "out -> bias"}
LINEAR = Layout("sonnet", cells.LINEAR, {"w": "in out -> weight"} | _BIAS, class_name="Linear")
_FORWARD = {"transposed": False}
_TRANSPOSED = {"transposed": True}
CONV1D = Layout(
    "sonnet",
    cells.CONV1D,
    {"w": "width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=_IMAGES,
    class_name="Conv1D",
)
CONV2D = Layout(
    "sonnet",
    cells.CONV2D,
    {"w": "height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=_IMAGES,
    class_name="Conv2D",
)
CONV3D = Layout(
    "sonnet",
    cells.CONV3D,
    {"w": "depth height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=_IMAGES,
    class_name="Conv3D",
)
CONV_TRANSPOSE1D = Layout(
    "sonnet",
    cells.CONV_TRANSPOSE1D,
    {"w": "width out in -> weight"} | _BIAS,
    when=_TRANSPOSED,
    defaults=_IMAGES,
    class_name="Conv1DTranspose",
)
CONV_TRANSPOSE2D = Layout(
    "sonnet",
    cells.CONV_TRANSPOSE2D,
    {"w": "height width out in -> weight"} | _BIAS,
    when=_TRANSPOSED,
    defaults=_IMAGES,
    class_name="Conv2DTranspose",
)
EMBED = Layout("sonnet", cells.EMBEDDING, {"embeddings": "index feature -> weight"}, class_name="Embed")
_EPSILON = {"epsilon": 1e-5}
_LAST = _EPSILON | {"axes": (-1,)}
LAYER_NORM = Layout(
    "sonnet",
    cells.LAYER_NORM,
    {"scale": "feature -> weight", "offset": "feature -> bias"},
    defaults=_EPSILON,
    class_name="LayerNorm",
)
GROUP_NORM = Layout(
    "sonnet",
    cells.GROUP_NORM,
    {"scale": "channel -> weight", "offset": "channel -> bias"},
    defaults=_LAST,
    class_name="GroupNorm",
)
_COUNTERS = (
    "moving_mean/counter",
    "moving_mean/hidden",
    "moving_variance/counter",
    "moving_variance/hidden",
    "moving_mean/_counter",
    "moving_mean/_hidden",
    "moving_variance/_counter",
    "moving_variance/_hidden",
)
_AFFINE = {"scale": "channel -> weight", "offset": "channel -> bias"}
BATCH_NORM_2D = Layout(
    "sonnet",
    cells.BATCH_NORM,
    _AFFINE
    | {
        "moving_mean/average": "1 1 1 channel -> running_mean",
        "moving_variance/average": "1 1 1 channel -> running_var",
    },
    defaults=_LAST | {"momentum": 0.999},
    ignored=_COUNTERS,
    class_name="BatchNorm (images)",
)
BATCH_NORM_1D = Layout(
    "sonnet",
    cells.BATCH_NORM,
    _AFFINE
    | {"moving_mean/average": "1 1 channel -> running_mean", "moving_variance/average": "1 1 channel -> running_var"},
    defaults=_LAST | {"momentum": 0.999},
    ignored=_COUNTERS,
    class_name="BatchNorm (sequences)",
)
BATCH_NORM_0D = Layout(
    "sonnet",
    cells.BATCH_NORM,
    _AFFINE
    | {"moving_mean/average": "1 channel -> running_mean", "moving_variance/average": "1 channel -> running_var"},
    defaults=_LAST | {"momentum": 0.999},
    ignored=_COUNTERS,
    class_name="BatchNorm (vectors)",
)

LAYERS = {
    "LSTM": (LSTM, LSTM_ATTRIBUTES, LSTM_OLD),
    "UnrolledLSTM": (LSTM, LSTM_ATTRIBUTES),
    "GRU": (GRU, GRU_ATTRIBUTES),
    "VanillaRNN": (RNN, RNN_ATTRIBUTES),
    "Conv1DLSTM": (CONV_LSTM1D,),
    "Conv2DLSTM": (CONV_LSTM2D,),
    "Linear": (LINEAR,),
    "Conv1D": (CONV1D,),
    "Conv2D": (CONV2D,),
    "Conv3D": (CONV3D,),
    "Conv1DTranspose": (CONV_TRANSPOSE1D,),
    "Conv2DTranspose": (CONV_TRANSPOSE2D,),
    "Embed": (EMBED,),
    "LayerNorm": (LAYER_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "BatchNorm": (BATCH_NORM_2D, BATCH_NORM_1D, BATCH_NORM_0D),
}
USUAL = {"transposed": False}
"""What is so unless somebody states otherwise."""
