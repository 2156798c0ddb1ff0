"""Haiku: the layers that stand around the cores, of which `layouts.frameworks.haiku` tells.

1. Convolutions are channels last, (height, width, in, out), and pad "SAME" unless told otherwise. Source:
   haiku._src.conv.ConvND.
2. Norms say `scale` and `offset`. BatchNorm keeps axes of one in every array, as many as the input has; its averages
   stand in the state, beside counters that inference does not read. Epsilon is 1e-5 in every norm; what BatchNorm keeps
   of its old averages has no default. Source: haiku._src.batch_norm, group_norm, layer_norm, moving_averages.
3. A transposed convolution stores (height, width, out, in), and correlates where PyTorch convolves: its kernel is
   backwards. The arrays of a convolution look the same: `transposed` tells them apart. Source: haiku ConvNDTranspose.
4. InstanceNorm is a group norm of one group a channel; how many groups a GroupNorm has, no array tells.
5. MultiHeadAttention keeps a Linear for query, key and value, whose outputs are heads × width.
"""

from layouts import cells
from layouts.layout import Layout

IMAGES = {"padding": "same", "channels_last": True}
_BIAS = {"b": "out -> bias"}
_WHOLE = {"groups": (1,)}
_COUNTERS = ("~/mean_ema/counter", "~/mean_ema/hidden", "~/var_ema/counter", "~/var_ema/hidden")
LINEAR = Layout("haiku", cells.LINEAR, {"w": "in out -> weight"} | _BIAS, class_name="Linear")
_FORWARD = {"transposed": False}
_TRANSPOSED = {"transposed": True}
CONV1D = Layout(
    "haiku",
    cells.CONV1D,
    {"w": "width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv1D",
)
CONV2D = Layout(
    "haiku",
    cells.CONV2D,
    {"w": "height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv2D",
)
CONV3D = Layout(
    "haiku",
    cells.CONV3D,
    {"w": "depth height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv3D",
)
CONV_TRANSPOSE1D = Layout(
    "haiku",
    cells.CONV_TRANSPOSE1D,
    {"w": "~width out in -> weight"} | _BIAS,
    when=_TRANSPOSED,
    defaults=IMAGES,
    computes=_WHOLE,
    class_name="Conv1DTranspose",
)
CONV_TRANSPOSE2D = Layout(
    "haiku",
    cells.CONV_TRANSPOSE2D,
    {"w": "~height ~width out in -> weight"} | _BIAS,
    when=_TRANSPOSED,
    defaults=IMAGES,
    computes=_WHOLE,
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
INSTANCE_NORM = Layout(
    "haiku",
    cells.GROUP_NORM,
    {"scale": "channel -> weight", "offset": "channel -> bias"},
    defaults=_LAST,
    implies={"groups": -1},
    class_name="InstanceNorm",
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

LAYERS_AROUND = {
    "Linear": (LINEAR,),
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
    "InstanceNorm": (INSTANCE_NORM,),
    "BatchNorm": (BATCH_NORM_2D, BATCH_NORM_1D, BATCH_NORM_0D),
}
USUAL = {"transposed": False}
"""What is so unless somebody states otherwise."""
