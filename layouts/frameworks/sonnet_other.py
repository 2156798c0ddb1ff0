"""Sonnet: the layers that stand around the cores, of which `layouts.frameworks.sonnet` tells.

1. Convolutions are channels last and pad "SAME" unless told otherwise. A transposed one stores (height, width, out,
   in), as TensorFlow does. The arrays of a convolution look the same: `transposed` tells them apart.
2. Norms say `scale` and `offset`. The averages of BatchNorm keep axes of one, and stand beside counters that inference
   does not read. Epsilon is 1e-5 in every norm. Source: sonnet.src.batch_norm, moving_averages.
"""

from layouts import cells
from layouts.layout import Layout

IMAGES = {"padding": "same", "channels_last": True}
_BIAS = {"b": "out -> bias"}
LINEAR = Layout("sonnet", cells.LINEAR, {"w": "in out -> weight"} | _BIAS, class_name="Linear")
_FORWARD = {"transposed": False}
_TRANSPOSED = {"transposed": True}
CONV1D = Layout(
    "sonnet",
    cells.CONV1D,
    {"w": "width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv1D",
)
CONV2D = Layout(
    "sonnet",
    cells.CONV2D,
    {"w": "height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv2D",
)
CONV3D = Layout(
    "sonnet",
    cells.CONV3D,
    {"w": "depth height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv3D",
)
CONV_TRANSPOSE1D = Layout(
    "sonnet",
    cells.CONV_TRANSPOSE1D,
    {"w": "width out in -> weight"} | _BIAS,
    when=_TRANSPOSED,
    defaults=IMAGES,
    class_name="Conv1DTranspose",
)
CONV_TRANSPOSE2D = Layout(
    "sonnet",
    cells.CONV_TRANSPOSE2D,
    {"w": "height width out in -> weight"} | _BIAS,
    when=_TRANSPOSED,
    defaults=IMAGES,
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

LAYERS_AROUND = {
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
