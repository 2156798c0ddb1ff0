"""Keras: convolutions of every kind. How they differ from PyTorch is told in `layouts.frameworks.keras`.

`flipped` is True for a file of the Theano backend, which applies kernels as true convolutions; there Keras itself
flips the depthwise kernels beforehand, so these are stored as on TensorFlow. `dim_ordering` is an option of Keras 1
alone: "th" stores convolution kernels as PyTorch does.
"""

from layouts import cells
from layouts.layout import Layout

_CHANNELS_LAST = {"channels_last": True}
_ACTIVATED = {"activation": "linear"}
_BIAS = {"bias": "out -> bias"}
_WHOLE = {"groups": (1,)}
_B = {"b": "out -> bias"}
_THEANO = {"flipped": True}
_PLAIN = {"flipped": False}
_FIRST = _PLAIN | {"dim_ordering": "th"}
_LAST = _PLAIN | {"dim_ordering": "tf"}
_FIRST_FLIPPED = _THEANO | {"dim_ordering": "th"}
_LAST_FLIPPED = _THEANO | {"dim_ordering": "tf"}
_SEPARABLE_1D = {
    "depthwise_kernel": "width in multiplier -> depthwise_weight",
    "pointwise_kernel": "1 (in multiplier) out -> pointwise_weight",
} | _BIAS
_SEPARABLE_2D = {
    "depthwise_kernel": "height width in multiplier -> depthwise_weight",
    "pointwise_kernel": "1 1 (in multiplier) out -> pointwise_weight",
} | _BIAS

CONV1D = (
    Layout(
        "keras",
        cells.CONV1D,
        {"kernel": "width in out -> weight"} | _BIAS,
        when=_PLAIN,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Conv1D",
    ),
    Layout(
        "keras",
        cells.CONV1D,
        {"kernel": "~width in out -> weight"} | _BIAS,
        when=_THEANO,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Conv1D (Theano)",
    ),
    Layout(
        "keras",
        cells.CONV1D,
        {"W": "width 1 in out -> weight"} | _B,
        when=_PLAIN,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Convolution1D",
    ),
    Layout(
        "keras",
        cells.CONV1D,
        {"W": "~width 1 in out -> weight"} | _B,
        when=_THEANO,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Convolution1D (Theano)",
    ),
)
CONV2D = (
    Layout(
        "keras",
        cells.CONV2D,
        {"kernel": "height width in out -> weight"} | _BIAS,
        when=_PLAIN,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Conv2D",
    ),
    Layout(
        "keras",
        cells.CONV2D,
        {"kernel": "~height ~width in out -> weight"} | _BIAS,
        when=_THEANO,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Conv2D (Theano)",
    ),
    Layout(
        "keras",
        cells.CONV2D,
        {"W": "height width in out -> weight"} | _B,
        when=_LAST,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Convolution2D (tf)",
    ),
    Layout(
        "keras",
        cells.CONV2D,
        {"W": "out in height width -> weight"} | _B,
        when=_FIRST,
        beside=_ACTIVATED,
        class_name="Convolution2D (th)",
    ),
    Layout(
        "keras",
        cells.CONV2D,
        {"W": "~height ~width in out -> weight"} | _B,
        when=_LAST_FLIPPED,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Convolution2D (tf, Theano)",
    ),
    Layout(
        "keras",
        cells.CONV2D,
        {"W": "out in ~height ~width -> weight"} | _B,
        when=_FIRST_FLIPPED,
        beside=_ACTIVATED,
        class_name="Convolution2D (th, Theano)",
    ),
)
CONV3D = (
    Layout(
        "keras",
        cells.CONV3D,
        {"kernel": "depth height width in out -> weight"} | _BIAS,
        when=_PLAIN,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Conv3D",
    ),
    Layout(
        "keras",
        cells.CONV3D,
        {"kernel": "~depth ~height ~width in out -> weight"} | _BIAS,
        when=_THEANO,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Conv3D (Theano)",
    ),
    Layout(
        "keras",
        cells.CONV3D,
        {"W": "depth height width in out -> weight"} | _B,
        when=_LAST,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Convolution3D (tf)",
    ),
    Layout(
        "keras",
        cells.CONV3D,
        {"W": "out in depth height width -> weight"} | _B,
        when=_FIRST,
        beside=_ACTIVATED,
        class_name="Convolution3D (th)",
    ),
    Layout(
        "keras",
        cells.CONV3D,
        {"W": "~depth ~height ~width in out -> weight"} | _B,
        when=_LAST_FLIPPED,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Convolution3D (tf, Theano)",
    ),
    Layout(
        "keras",
        cells.CONV3D,
        {"W": "out in ~depth ~height ~width -> weight"} | _B,
        when=_FIRST_FLIPPED,
        beside=_ACTIVATED,
        class_name="Convolution3D (th, Theano)",
    ),
)
CONV1D_TRANSPOSE = (
    Layout(
        "keras",
        cells.CONV_TRANSPOSE1D,
        {"kernel": "width out in -> weight"} | _BIAS,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        computes=_WHOLE,
        class_name="Conv1DTranspose",
    ),
)
CONV2D_TRANSPOSE = (
    Layout(
        "keras",
        cells.CONV_TRANSPOSE2D,
        {"kernel": "height width out in -> weight"} | _BIAS,
        when=_PLAIN,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        computes=_WHOLE,
        class_name="Conv2DTranspose",
    ),
    Layout(
        "keras",
        cells.CONV_TRANSPOSE2D,
        {"kernel": "~height ~width out in -> weight"} | _BIAS,
        when=_THEANO,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Conv2DTranspose (Theano)",
    ),
    Layout(
        "keras",
        cells.CONV_TRANSPOSE2D,
        {"W": "height width in out -> weight"} | _B,
        when=_LAST,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Deconvolution2D (tf)",
    ),
    Layout(
        "keras",
        cells.CONV_TRANSPOSE2D,
        {"W": "out in height width -> weight"} | _B,
        when=_FIRST,
        beside=_ACTIVATED,
        class_name="Deconvolution2D (th)",
    ),
    Layout(
        "keras",
        cells.CONV_TRANSPOSE2D,
        {"W": "~height ~width in out -> weight"} | _B,
        when=_LAST_FLIPPED,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="Deconvolution2D (tf, Theano)",
    ),
    Layout(
        "keras",
        cells.CONV_TRANSPOSE2D,
        {"W": "out in ~height ~width -> weight"} | _B,
        when=_FIRST_FLIPPED,
        beside=_ACTIVATED,
        class_name="Deconvolution2D (th, Theano)",
    ),
)
CONV3D_TRANSPOSE = (
    Layout(
        "keras",
        cells.CONV_TRANSPOSE3D,
        {"kernel": "depth height width out in -> weight"} | _BIAS,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        computes=_WHOLE,
        class_name="Conv3DTranspose",
    ),
)
DEPTHWISE_CONV1D = (
    Layout(
        "keras",
        cells.DEPTHWISE_CONV1D,
        {"depthwise_kernel": "width in multiplier -> weight"} | _BIAS,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="DepthwiseConv1D",
    ),
    Layout(
        "keras",
        cells.DEPTHWISE_CONV1D,
        {"kernel": "width in multiplier -> weight"} | _BIAS,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="DepthwiseConv1D",
    ),
)
DEPTHWISE_CONV2D = (
    Layout(
        "keras",
        cells.DEPTHWISE_CONV2D,
        {"depthwise_kernel": "height width in multiplier -> weight"} | _BIAS,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="DepthwiseConv2D",
    ),
    Layout(
        "keras",
        cells.DEPTHWISE_CONV2D,
        {"kernel": "height width in multiplier -> weight"} | _BIAS,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="DepthwiseConv2D (Keras 3)",
    ),
)
SEPARABLE_CONV1D = (
    Layout(
        "keras",
        cells.SEPARABLE_CONV1D,
        _SEPARABLE_1D,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="SeparableConv1D",
    ),
)
SEPARABLE_CONV2D = (
    Layout(
        "keras",
        cells.SEPARABLE_CONV2D,
        _SEPARABLE_2D,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="SeparableConv2D",
    ),
)

LAYERS = {
    "Conv1D": CONV1D,
    "Convolution1D": CONV1D,
    "AtrousConvolution1D": CONV1D,
    "Conv2D": CONV2D,
    "Convolution2D": CONV2D,
    "AtrousConvolution2D": CONV2D,
    "Conv3D": CONV3D,
    "Convolution3D": CONV3D,
    "Conv1DTranspose": CONV1D_TRANSPOSE,
    "Conv2DTranspose": CONV2D_TRANSPOSE,
    "Deconvolution2D": CONV2D_TRANSPOSE,
    "Conv3DTranspose": CONV3D_TRANSPOSE,
    "DepthwiseConv1D": DEPTHWISE_CONV1D,
    "DepthwiseConv2D": DEPTHWISE_CONV2D,
    "SeparableConv1D": SEPARABLE_CONV1D,
    "SeparableConv2D": SEPARABLE_CONV2D,
}
USUAL = _PLAIN
"""What is so unless somebody states otherwise: the Theano backend went with Keras 2."""
