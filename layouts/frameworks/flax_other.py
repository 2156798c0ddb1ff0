"""Flax: the layers that stand around the cells. How cells differ from PyTorch's is told in `layouts.flax`.

1. Convolutions are channels last, (height, width, in, out), and pad "SAME" unless told otherwise. BatchNorm keeps
   `mean` and `var` in `batch_stats`. Epsilon: 1e-6 in LayerNorm, GroupNorm and RMSNorm, 1e-5 in BatchNorm, whose
   momentum is 0.99; GroupNorm has 32 groups. Source: flax.linen.normalization.
2. ConvTranspose stores (height, width, in, out) too, and correlates where PyTorch convolves: its kernel is backwards.
   With `transpose_kernel=True` it stores (height, width, out, in), and turns it itself. The arrays of a Conv look the
   same: `transposed` tells them apart. Source: jax.lax.conv_transpose.
3. Attention keeps (in, heads, width) for query, key and value, and (heads, width, out) behind them.
4. DenseGeneral keeps its kernel with as many axes as it reads and makes, (in, heads, width) or (heads, width, out),
   which nn.Linear has on one axis each. Arrays alone look like those of other layers, so its class has to be told.
5. InstanceNorm is a group norm of one group a channel. A PReLU has one slope, an array without axes.
6. A layer in `nn.scan` has an axis of layers before its own, as a cell has.
"""

from layouts import cells
from layouts.layout import Layout
from layouts.refusals import Refusal

IMAGES = {"padding": "same", "channels_last": True}
_BIAS = {"bias": "out -> bias"}
_WHOLE = {"groups": (1,)}
DENSE = Layout("flax", cells.LINEAR, {"kernel": "in out -> weight"} | _BIAS, class_name="Dense")
_FORWARD = {"transposed": False}
_TURNED = {"transposed": True, "transpose_kernel": False}
_AS_STORED = {"transposed": True, "transpose_kernel": True}
CONV1D = Layout(
    "flax",
    cells.CONV1D,
    {"kernel": "width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv (1d)",
)
CONV2D = Layout(
    "flax",
    cells.CONV2D,
    {"kernel": "height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv (2d)",
)
CONV3D = Layout(
    "flax",
    cells.CONV3D,
    {"kernel": "depth height width in out -> weight"} | _BIAS,
    when=_FORWARD,
    defaults=IMAGES,
    class_name="Conv (3d)",
)
CONV_TRANSPOSE1D = Layout(
    "flax",
    cells.CONV_TRANSPOSE1D,
    {"kernel": "~width in out -> weight"} | _BIAS,
    when=_TURNED,
    defaults=IMAGES,
    computes=_WHOLE,
    class_name="ConvTranspose (1d)",
)
CONV_TRANSPOSE2D = Layout(
    "flax",
    cells.CONV_TRANSPOSE2D,
    {"kernel": "~height ~width in out -> weight"} | _BIAS,
    when=_TURNED,
    defaults=IMAGES,
    computes=_WHOLE,
    class_name="ConvTranspose (2d)",
)
CONV_TRANSPOSE1D_AS_STORED = Layout(
    "flax",
    cells.CONV_TRANSPOSE1D,
    {"kernel": "width out in -> weight"} | _BIAS,
    when=_AS_STORED,
    defaults=IMAGES,
    computes=_WHOLE,
    class_name="ConvTranspose (1d, transpose_kernel)",
)
CONV_TRANSPOSE2D_AS_STORED = Layout(
    "flax",
    cells.CONV_TRANSPOSE2D,
    {"kernel": "height width out in -> weight"} | _BIAS,
    when=_AS_STORED,
    defaults=IMAGES,
    computes=_WHOLE,
    class_name="ConvTranspose (2d, transpose_kernel)",
)
ATTENTION = Layout(
    "flax",
    cells.ATTENTION,
    {
        "{role}/kernel": "in head key -> input_weight",
        "{role}/bias": "head key -> input_bias",
        "out/kernel": "head key out -> output_weight",
        "out/bias": "out -> output_bias",
    },
    class_name="MultiHeadDotProductAttention",
)
ATTENTION_OF_WIDTHS = Layout(
    "flax",
    cells.ATTENTION_OF_WIDTHS,
    {
        "query/kernel": "in head key -> query_weight",
        "key/kernel": "key_in head key -> key_weight",
        "value/kernel": "value_in head key -> value_weight",
        "{role}/bias": "head key -> input_bias",
        "out/kernel": "head key out -> output_weight",
        "out/bias": "out -> output_bias",
    },
    class_name="MultiHeadDotProductAttention",
)
EMBED = Layout("flax", cells.EMBEDDING, {"embedding": "index feature -> weight"}, class_name="Embed")
_SMALL = {"epsilon": 1e-6}
LAYER_NORM = Layout(
    "flax",
    cells.LAYER_NORM,
    {"scale": "feature -> weight", "bias": "feature -> bias"},
    defaults=_SMALL,
    class_name="LayerNorm",
)
RMS_NORM = Layout("flax", cells.RMS_NORM, {"scale": "feature -> weight"}, defaults=_SMALL, class_name="RMSNorm")
_AFFINE = {"scale": "channel -> weight", "bias": "channel -> bias"}
_RUNNING = {"mean": "channel -> running_mean", "var": "channel -> running_var"}
_LAST = {"axes": (-1,)}
BATCH_NORM = Layout(
    "flax",
    cells.BATCH_NORM,
    _AFFINE | _RUNNING,
    defaults=_LAST | {"epsilon": 1e-5, "momentum": 0.99},
    class_name="BatchNorm",
)
GROUP_NORM = Layout("flax", cells.GROUP_NORM, _AFFINE, defaults=_LAST | _SMALL | {"groups": 32}, class_name="GroupNorm")

INSTANCE_NORM = Layout(
    "flax",
    cells.GROUP_NORM,
    _AFFINE,
    defaults=_LAST | _SMALL,
    implies={"groups": -1},
    class_name="InstanceNorm",
)
_ON_TWO_AXES = {"heads": True}
DENSE_TO_HEADS = Layout(
    "flax",
    cells.LINEAR_TO_HEADS,
    {"kernel": "in head key -> weight", "bias": "head key -> bias"},
    when=_ON_TWO_AXES,
    class_name="DenseGeneral (two axes out)",
)
DENSE_FROM_HEADS = Layout(
    "flax",
    cells.LINEAR_FROM_HEADS,
    {"kernel": "head key out -> weight", "bias": "out -> bias"},
    when=_ON_TWO_AXES,
    class_name="DenseGeneral (two axes in)",
)

_SCANNED = {"scanned": True, "heads": False}
DENSE_SCANNED = Layout(
    "flax",
    cells.LINEAR,
    {"kernel": "layer in out -> weight", "bias": "layer out -> bias"},
    when=_SCANNED,
    always=("bias",),
    class_name="Dense (scanned)",
)
LAYER_NORM_SCANNED = Layout(
    "flax",
    cells.LAYER_NORM,
    {"scale": "layer feature -> weight", "bias": "layer feature -> bias"},
    when=_SCANNED,
    defaults=_SMALL,
    class_name="LayerNorm (scanned)",
)
REFUSED = (
    Refusal("PReLU", ("negative_slope",), "its one slope is an array without axes: give it to nn.PReLU(1) by hand"),
)

LAYERS_AROUND = {
    "Dense": (DENSE, DENSE_SCANNED),
    "Linear": (DENSE, DENSE_SCANNED),
    "DenseGeneral": (DENSE_TO_HEADS, DENSE_FROM_HEADS),
    "LinearGeneral": (DENSE_TO_HEADS, DENSE_FROM_HEADS),
    "Conv": (CONV1D, CONV2D, CONV3D),
    "ConvTranspose": (
        CONV_TRANSPOSE1D,
        CONV_TRANSPOSE2D,
        CONV_TRANSPOSE1D_AS_STORED,
        CONV_TRANSPOSE2D_AS_STORED,
    ),
    "MultiHeadDotProductAttention": (ATTENTION, ATTENTION_OF_WIDTHS),
    "MultiHeadAttention": (ATTENTION, ATTENTION_OF_WIDTHS),
    "SelfAttention": (ATTENTION,),
    "Embed": (EMBED,),
    "LayerNorm": (LAYER_NORM, LAYER_NORM_SCANNED),
    "RMSNorm": (RMS_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "InstanceNorm": (INSTANCE_NORM,),
    "BatchNorm": (BATCH_NORM,),
}
USUAL = {"heads": False, "transposed": False, "transpose_kernel": False}
