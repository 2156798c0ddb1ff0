"""Haiku: hk.LSTM, hk.GRU, hk.VanillaRNN, and the layers around them. Names are paths below one module.

1. Weights are (input, units): the transpose of PyTorch's. Source: haiku._src.basic.Linear, `jnp.dot(inputs, w)`.
2. LSTM concatenates x and h, so `linear/w` is (input + state, gates × units) with blocks i, g, f, o. Source:
   haiku._src.recurrent.LSTM, `i, g, f, o = jnp.split(...)`.
3. LSTM always adds 1 to f when it runs (`jax.nn.sigmoid(f + 1)`): a fixed number, no argument, and not stored.
4. GRU blocks are z, r, n (there: a). It resets before the product, and h' = (1 - z) h + z n: its z has the opposite
   sense of PyTorch's. Source: the docstring of haiku._src.recurrent.GRU. nn.GRU computes no such layer.
5. LSTM and GRU have one bias; VanillaRNN has two, or one with `double_bias=False`.
6. VanillaRNN computes relu, and nothing else. LSTM and GRU compute tanh and σ, and nothing else.
7. Convolutions are channels last, (height, width, in, out), and pad "SAME" unless told otherwise. Source:
   haiku._src.conv.ConvND.
8. Norms say `scale` and `offset`. BatchNorm keeps axes of one in every array, as many as the input has; its averages
   stand in the state, beside counters that inference does not read. Epsilon is 1e-5 in every norm; what BatchNorm keeps
   of its old averages has no default. Source: haiku._src.batch_norm, group_norm, layer_norm, moving_averages.
9. A transposed convolution stores (height, width, out, in), and correlates where PyTorch convolves: its kernel is
   backwards. The arrays of a convolution look the same: `transposed` tells them apart. Source: haiku ConvNDTranspose.
10. Conv2DLSTM, blocks i, g, f, o, adds 1 to f when it runs, and has a bias on either convolution; they are summed.
11. MultiHeadAttention keeps a Linear for query, key and value, whose outputs are heads × width.
12. DeepRNN adds no name of its own: its cores are `lstm`, `lstm_1`, … beside one another. ResetCore neither.
"""

from layouts import cells
from layouts.layout import Layout
from layouts.trees import Tree

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}

LSTM = Layout(
    "haiku",
    cells.LSTM,
    {
        "linear/w": "(input + state) (gate unit) -> input_weight + recurrent_weight",
        "linear/b": "(gate unit) -> input_bias",
    },
    gates="igfo",
    added={"f": 1.0},
    implies=_FIXED,
    class_name="LSTM",
)
GRU = Layout(
    "haiku",
    cells.GRU_RESET_BEFORE,
    {
        "w_i": "input (gate unit) -> input_weight",
        "w_h": "state (gate unit) -> recurrent_weight",
        "b": "(gate unit) -> input_bias",
    },
    gates="zrn",
    negated="z",
    implies=_FIXED,
    class_name="GRU",
)
RNN = Layout(
    "haiku",
    cells.RNN,
    {
        "linear/w": "input unit -> input_weight",
        "linear/b": "unit -> input_bias",
        "linear_1/w": "state unit -> recurrent_weight",
        "linear_1/b": "unit -> recurrent_bias",
    },
    implies={"activation": "relu"},
    class_name="VanillaRNN",
)
_IMAGES = {"padding": "same", "channels_last": True}
_BIASES = {"input_to_hidden/b": "(gate unit) -> input_bias", "hidden_to_hidden/b": "(gate unit) -> recurrent_bias"}
_OFFSET = {"f": 1.0}
CONV_LSTM1D = Layout(
    "haiku",
    cells.CONV_LSTM1D,
    {
        "input_to_hidden/w": "width input (gate unit) -> input_kernel",
        "hidden_to_hidden/w": "width state (gate unit) -> recurrent_kernel",
    }
    | _BIASES,
    gates="igfo",
    added=_OFFSET,
    implies=_FIXED,
    defaults=_IMAGES,
    class_name="Conv1DLSTM",
)
CONV_LSTM2D = Layout(
    "haiku",
    cells.CONV_LSTM2D,
    {
        "input_to_hidden/w": "height width input (gate unit) -> input_kernel",
        "hidden_to_hidden/w": "height width state (gate unit) -> recurrent_kernel",
    }
    | _BIASES,
    gates="igfo",
    added=_OFFSET,
    implies=_FIXED,
    defaults=_IMAGES,
    class_name="Conv2DLSTM",
)
CONV_LSTM3D = Layout(
    "haiku",
    cells.CONV_LSTM3D,
    {
        "input_to_hidden/w": "depth height width input (gate unit) -> input_kernel",
        "hidden_to_hidden/w": "depth height width state (gate unit) -> recurrent_kernel",
    }
    | _BIASES,
    gates="igfo",
    added=_OFFSET,
    implies=_FIXED,
    defaults=_IMAGES,
    class_name="Conv3DLSTM",
)

_BIAS = {"b": "out -> bias"}
_COUNTERS = ("~/mean_ema/counter", "~/mean_ema/hidden", "~/var_ema/counter", "~/var_ema/hidden")
LINEAR = Layout("haiku", cells.LINEAR, {"w": "in out -> weight"} | _BIAS, class_name="Linear")
_FORWARD = {"transposed": False}
_TRANSPOSED = {"transposed": True}
CONV1D = Layout(
    "haiku",
    cells.CONV1D,
    {"w": "width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=_IMAGES,
    class_name="Conv1D",
)
CONV2D = Layout(
    "haiku",
    cells.CONV2D,
    {"w": "height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=_IMAGES,
    class_name="Conv2D",
)
CONV3D = Layout(
    "haiku",
    cells.CONV3D,
    {"w": "depth height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=_IMAGES,
    class_name="Conv3D",
)
CONV_TRANSPOSE1D = Layout(
    "haiku",
    cells.CONV_TRANSPOSE1D,
    {"w": "~width out in -> weight"} | _BIAS,
    when=_TRANSPOSED,
    defaults=_IMAGES,
    class_name="Conv1DTranspose",
)
CONV_TRANSPOSE2D = Layout(
    "haiku",
    cells.CONV_TRANSPOSE2D,
    {"w": "~height ~width out in -> weight"} | _BIAS,
    when=_TRANSPOSED,
    defaults=_IMAGES,
    class_name="Conv2DTranspose",
)
ATTENTION = Layout(
    "haiku",
    cells.ATTENTION,
    {
        "{role}/w": "in (head key) -> input_weight",
        "{role}/b": "(head key) -> input_bias",
        "linear/w": "(head key) out -> output_weight",
        "linear/b": "out -> output_bias",
    },
    class_name="MultiHeadAttention",
)
EMBED = Layout("haiku", cells.EMBEDDING, {"embeddings": "index feature -> weight"}, class_name="Embed")
_EPSILON = {"epsilon": 1e-5}
_LAST = _EPSILON | {"axes": (-1,)}
LAYER_NORM = Layout(
    "haiku",
    cells.LAYER_NORM,
    {"scale": "feature -> weight", "offset": "feature -> bias"},
    defaults=_EPSILON,
    class_name="LayerNorm",
)
RMS_NORM = Layout("haiku", cells.RMS_NORM, {"scale": "feature -> weight"}, defaults=_EPSILON, class_name="RMSNorm")
GROUP_NORM = Layout(
    "haiku",
    cells.GROUP_NORM,
    {"scale": "channel -> weight", "offset": "channel -> bias"},
    defaults=_LAST,
    class_name="GroupNorm",
)
BATCH_NORM_2D = Layout(
    "haiku",
    cells.BATCH_NORM,
    {
        "scale": "1 1 1 channel -> weight",
        "offset": "1 1 1 channel -> bias",
        "~/mean_ema/average": "1 1 1 channel -> running_mean",
        "~/var_ema/average": "1 1 1 channel -> running_var",
    },
    defaults=_LAST,
    ignored=_COUNTERS,
    class_name="BatchNorm (images)",
)
BATCH_NORM_1D = Layout(
    "haiku",
    cells.BATCH_NORM,
    {
        "scale": "1 1 channel -> weight",
        "offset": "1 1 channel -> bias",
        "~/mean_ema/average": "1 1 channel -> running_mean",
        "~/var_ema/average": "1 1 channel -> running_var",
    },
    defaults=_LAST,
    ignored=_COUNTERS,
    class_name="BatchNorm (sequences)",
)

BATCH_NORM_0D = Layout(
    "haiku",
    cells.BATCH_NORM,
    {
        "scale": "1 channel -> weight",
        "offset": "1 channel -> bias",
        "~/mean_ema/average": "1 channel -> running_mean",
        "~/var_ema/average": "1 channel -> running_var",
    },
    defaults=_LAST,
    ignored=_COUNTERS,
    class_name="BatchNorm (vectors)",
)

LAYERS = {
    "LSTM": (LSTM,),
    "GRU": (GRU,),
    "VanillaRNN": (RNN,),
    "Linear": (LINEAR,),
    "Conv1DLSTM": (CONV_LSTM1D,),
    "Conv2DLSTM": (CONV_LSTM2D,),
    "Conv3DLSTM": (CONV_LSTM3D,),
    "Conv1D": (CONV1D,),
    "Conv2D": (CONV2D,),
    "Conv3D": (CONV3D,),
    "Conv1DTranspose": (CONV_TRANSPOSE1D,),
    "Conv2DTranspose": (CONV_TRANSPOSE2D,),
    "MultiHeadAttention": (ATTENTION,),
    "Embed": (EMBED,),
    "LayerNorm": (LAYER_NORM,),
    "RMSNorm": (RMS_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "BatchNorm": (BATCH_NORM_2D, BATCH_NORM_1D, BATCH_NORM_0D),
}
USUAL = {"transposed": False}
"""What is so unless somebody states otherwise."""

TREE = Tree(
    collections=("params", "state", "trainable_params", "non_trainable_params"),
    beside=("opt_state", "step", "rng", "key", "ema_params", "ema_state", "loss_scale"),
    optimizer=("opt_state",),
)
"""What `transform_with_state` gives, under the names that people save it by."""
