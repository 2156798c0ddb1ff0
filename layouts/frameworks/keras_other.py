"""Keras: the layers that stand around the recurrent ones. How they differ from PyTorch is told in `layouts.keras`.

`flipped` is True for a file of the Theano backend, which applies kernels as true convolutions; there Keras itself
flips the depthwise kernels beforehand, so these are stored as on TensorFlow. `dim_ordering` is an
option of Keras 1 alone: "th" stores convolution kernels as PyTorch does.
"""

from layouts import cells
from layouts.layout import Layout

_CHANNELS_LAST = {"channels_last": True}
_BATCH = {"epsilon": 1e-3, "momentum": 0.99, "axes": (-1,)}
_LAYER = {"epsilon": 1e-3}
_GROUPS = {"epsilon": 1e-3, "groups": 32, "axes": (-1,)}
_RMS = {"epsilon": 1e-6}
_ACTIVATED = {"activation": "linear"}
_BIAS = {"bias": "out -> bias"}
_B = {"b": "out -> bias"}
_THEANO = {"flipped": True}
_PLAIN = {"flipped": False}
_FIRST = _PLAIN | {"dim_ordering": "th"}
_LAST = _PLAIN | {"dim_ordering": "tf"}
_FIRST_FLIPPED = _THEANO | {"dim_ordering": "th"}
_LAST_FLIPPED = _THEANO | {"dim_ordering": "tf"}
_AFFINE = {"gamma": "channel -> weight", "beta": "channel -> bias"}
_MOVING = {"moving_mean": "channel -> running_mean", "moving_variance": "channel -> running_var"}
_RUNNING = {"running_mean": "channel -> running_mean", "running_std": "channel -> running_var"}
_RENORM = ("moving_stddev", "renorm_mean", "renorm_stddev")
_SEPARABLE_1D = {
    "depthwise_kernel": "width in multiplier -> depthwise_weight",
    "pointwise_kernel": "1 (in multiplier) out -> pointwise_weight",
} | _BIAS
_SEPARABLE_2D = {
    "depthwise_kernel": "height width in multiplier -> depthwise_weight",
    "pointwise_kernel": "1 1 (in multiplier) out -> pointwise_weight",
} | _BIAS

DENSE = (
    Layout("keras", cells.LINEAR, {"kernel": "in out -> weight"} | _BIAS, beside=_ACTIVATED, class_name="Dense"),
    Layout("keras", cells.LINEAR, {"W": "in out -> weight"} | _B, beside=_ACTIVATED, class_name="Dense (Keras 1)"),
)
EMBEDDING = (
    Layout("keras", cells.EMBEDDING, {"embeddings": "index feature -> weight"}, class_name="Embedding"),
    Layout("keras", cells.EMBEDDING, {"W": "index feature -> weight"}, class_name="Embedding (Keras 1)"),
)
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
BATCH_NORM = (
    Layout(
        "keras", cells.BATCH_NORM, _AFFINE | _MOVING, ignored=_RENORM, defaults=_BATCH, class_name="BatchNormalization"
    ),
    Layout("keras", cells.BATCH_NORM, _AFFINE | _RUNNING, defaults=_BATCH, class_name="BatchNormalization (Keras 1)"),
)
LAYER_NORM = (
    Layout(
        "keras",
        cells.LAYER_NORM,
        {"gamma": "feature -> weight", "beta": "feature -> bias"},
        defaults=_LAYER,
        class_name="LayerNormalization",
    ),
    Layout(
        "keras",
        cells.LAYER_NORM_2D,
        {"gamma": "row feature -> weight", "beta": "row feature -> bias"},
        defaults=_LAYER,
        class_name="LayerNormalization",
    ),
    Layout(
        "keras",
        cells.LAYER_NORM_3D,
        {"gamma": "plane row feature -> weight", "beta": "plane row feature -> bias"},
        defaults=_LAYER,
        class_name="LayerNormalization",
    ),
)
GROUP_NORM = (Layout("keras", cells.GROUP_NORM, _AFFINE, defaults=_GROUPS, class_name="GroupNormalization"),)
RMS_NORM = (
    Layout("keras", cells.RMS_NORM, {"scale": "feature -> weight"}, defaults=_RMS, class_name="RMSNormalization"),
)
PRELU = (
    Layout("keras", cells.PRELU, {"alpha": "1 channel -> weight"}, class_name="PReLU"),
    Layout("keras", cells.PRELU, {"alpha": "1 1 channel -> weight"}, class_name="PReLU"),
    Layout("keras", cells.PRELU, {"alpha": "1 1 1 channel -> weight"}, class_name="PReLU"),
    Layout("keras", cells.PRELU, {"alpha": "channel -> weight"}, class_name="PReLU"),
    Layout("keras", cells.PRELU_BY_ELEMENT, {"alpha": "row channel -> weight"}, class_name="PReLU (by element)"),
    Layout(
        "keras", cells.PRELU_BY_ELEMENT_2D, {"alpha": "row column channel -> weight"}, class_name="PReLU (by element)"
    ),
    Layout("keras", cells.PRELU, {"alphas": "1 channel -> weight"}, class_name="PReLU (Keras 1)"),
    Layout("keras", cells.PRELU, {"alphas": "1 1 channel -> weight"}, class_name="PReLU (Keras 1)"),
    Layout("keras", cells.PRELU, {"alphas": "channel -> weight"}, class_name="PReLU (Keras 1)"),
    Layout("keras", cells.PRELU_BY_ELEMENT, {"alphas": "row channel -> weight"}, class_name="PReLU (Keras 1)"),
    Layout(
        "keras", cells.PRELU_BY_ELEMENT_2D, {"alphas": "row column channel -> weight"}, class_name="PReLU (Keras 1)"
    ),
)
NORMALIZATION = (
    Layout(
        "keras",
        cells.NORMALIZATION,
        {"mean": "feature -> mean", "variance": "feature -> variance"},
        ignored=("count",),
        class_name="Normalization",
    ),
    Layout(
        "keras",
        cells.NORMALIZATION_OF_ALL,
        {"mean": "-> mean", "variance": "-> variance"},
        ignored=("count",),
        class_name="Normalization (of all)",
    ),
)
EINSUM_DENSE = (
    Layout(
        "keras",
        cells.EINSUM_2_1,
        {"kernel": "one two -> weight", "bias": "first -> bias"},
        beside=_ACTIVATED,
        class_name="EinsumDense",
    ),
    Layout(
        "keras",
        cells.EINSUM_2_2,
        {"kernel": "one two -> weight", "bias": "first second -> bias"},
        beside=_ACTIVATED,
        class_name="EinsumDense",
    ),
    Layout(
        "keras",
        cells.EINSUM_3_1,
        {"kernel": "one two three -> weight", "bias": "first -> bias"},
        beside=_ACTIVATED,
        class_name="EinsumDense",
    ),
    Layout(
        "keras",
        cells.EINSUM_3_2,
        {"kernel": "one two three -> weight", "bias": "first second -> bias"},
        beside=_ACTIVATED,
        class_name="EinsumDense",
    ),
)
ATTENTION = (
    Layout(
        "keras",
        cells.ATTENTION,
        {
            "{role}/kernel": "in head key -> input_weight",
            "{role}/bias": "head key -> input_bias",
            "attention_output/kernel": "head key out -> output_weight",
            "attention_output/bias": "out -> output_bias",
        },
        class_name="MultiHeadAttention",
    ),
    Layout(
        "keras",
        cells.ATTENTION_OF_WIDTHS,
        {
            "query/kernel": "in head key -> query_weight",
            "key/kernel": "key_in head key -> key_weight",
            "value/kernel": "value_in head key -> value_weight",
            "{role}/bias": "head key -> input_bias",
            "attention_output/kernel": "head key out -> output_weight",
            "attention_output/bias": "out -> output_bias",
        },
        class_name="MultiHeadAttention",
    ),
    Layout(
        "keras",
        cells.ATTENTION_OF_VALUE_WIDTH,
        {
            "query/kernel": "in head key -> query_weight",
            "query/bias": "head key -> query_bias",
            "key/kernel": "key_in head key -> key_weight",
            "key/bias": "head key -> key_bias",
            "value/kernel": "value_in head value -> value_weight",
            "value/bias": "head value -> value_bias",
            "attention_output/kernel": "head value out -> output_weight",
            "attention_output/bias": "out -> output_bias",
        },
        class_name="MultiHeadAttention",
    ),
)
DOT_ATTENTION = (
    Layout("keras", cells.DOT_ATTENTION, {"scale": "-> scale"}, class_name="Attention"),
    Layout(
        "keras",
        cells.CONCAT_ATTENTION,
        {"scale": "-> scale", "concat_score_weight": "-> score_weight"},
        class_name="Attention (concat)",
    ),
)
ADDITIVE_ATTENTION = (
    Layout("keras", cells.ADDITIVE_ATTENTION, {"scale": "feature -> scale"}, class_name="AdditiveAttention"),
)
LAYERS = {
    "Dense": DENSE,
    "TimeDistributedDense": DENSE,
    "Embedding": EMBEDDING,
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
    "BatchNormalization": BATCH_NORM,
    "SyncBatchNormalization": BATCH_NORM,
    "LayerNormalization": LAYER_NORM,
    "GroupNormalization": GROUP_NORM,
    "RMSNormalization": RMS_NORM,
    "PReLU": PRELU,
    "Normalization": NORMALIZATION,
    "EinsumDense": EINSUM_DENSE,
    "MultiHeadAttention": ATTENTION,
    "Attention": DOT_ATTENTION,
    "AdditiveAttention": ADDITIVE_ATTENTION,
}
USUAL = _PLAIN
"""What is so unless somebody states otherwise: the Theano backend went with Keras 2."""
