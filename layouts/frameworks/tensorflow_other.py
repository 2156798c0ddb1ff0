"""TensorFlow 1: the layers around the recurrent ones, of tf.layers and tf.contrib.layers, and cells that are refused.

1. Kernels are (…, in, out), transposed ones (…, out, in): source, tf.layers. Everything is channels last unless told.
2. tf.contrib.layers calls the arrays `weights` and `biases`, pads "SAME" and has ReLU behind a layer by default; in
   tf.layers it is "valid" and nothing. No array tells either.
3. Epsilon 1e-3 of batch norms, with a momentum of 0.99 in tf.layers and 0.999 in tf.contrib.layers, whose norm has no
   gamma by default; 1e-12 of contrib's layer_norm. Source: the signatures.
4. A table of embeddings is `embeddings` of contrib's embed_sequence, or a variable of its user's own name.
"""

from layouts import cells
from layouts.layout import Layout
from layouts.refusals import Refusal

_LAST = {"channels_last": True}
_SAME = _LAST | {"padding": "same"}
_NOTHING = {"activation": "linear"}
_RELU = {"activation": "relu"}
_BIAS = {"bias": "out -> bias"}
_BIASES = {"biases": "out -> bias"}
_DENSE = "in out -> weight"
_WIDTH = "width in out -> weight"
_MAP = "height width in out -> weight"
_VOLUME = "depth height width in out -> weight"
_NORM = {
    "gamma": "channel -> weight",
    "beta": "channel -> bias",
    "moving_mean": "channel -> running_mean",
    "moving_variance": "channel -> running_var",
}

DENSE = Layout("tensorflow", cells.LINEAR, {"kernel": _DENSE} | _BIAS, beside=_NOTHING, class_name="Dense")
FULLY_CONNECTED = Layout(
    "tensorflow", cells.LINEAR, {"weights": _DENSE} | _BIASES, beside=_RELU, class_name="fully_connected"
)
EMBEDDING = Layout(
    "tensorflow", cells.EMBEDDING, {"embeddings": "index feature -> weight"}, class_name="embed_sequence"
)
CONV1D = Layout(
    "tensorflow", cells.CONV1D, {"kernel": _WIDTH} | _BIAS, defaults=_LAST, beside=_NOTHING, class_name="Conv1D"
)
CONV2D = Layout(
    "tensorflow", cells.CONV2D, {"kernel": _MAP} | _BIAS, defaults=_LAST, beside=_NOTHING, class_name="Conv2D"
)
CONV3D = Layout(
    "tensorflow", cells.CONV3D, {"kernel": _VOLUME} | _BIAS, defaults=_LAST, beside=_NOTHING, class_name="Conv3D"
)
CONTRIB_CONV1D = Layout(
    "tensorflow", cells.CONV1D, {"weights": _WIDTH} | _BIASES, defaults=_SAME, beside=_RELU, class_name="Conv (1d)"
)
CONTRIB_CONV2D = Layout(
    "tensorflow", cells.CONV2D, {"weights": _MAP} | _BIASES, defaults=_SAME, beside=_RELU, class_name="Conv (2d)"
)
CONTRIB_CONV3D = Layout(
    "tensorflow", cells.CONV3D, {"weights": _VOLUME} | _BIASES, defaults=_SAME, beside=_RELU, class_name="Conv (3d)"
)
CONV2D_TRANSPOSE = Layout(
    "tensorflow",
    cells.CONV_TRANSPOSE2D,
    {"kernel": "height width out in -> weight"} | _BIAS,
    defaults=_LAST,
    beside=_NOTHING,
    class_name="Conv2DTranspose",
)
CONV3D_TRANSPOSE = Layout(
    "tensorflow",
    cells.CONV_TRANSPOSE3D,
    {"kernel": "depth height width out in -> weight"} | _BIAS,
    defaults=_LAST,
    beside=_NOTHING,
    class_name="Conv3DTranspose",
)
SEPARABLE_CONV1D = Layout(
    "tensorflow",
    cells.SEPARABLE_CONV1D,
    {
        "depthwise_kernel": "width in multiplier -> depthwise_weight",
        "pointwise_kernel": "1 (in multiplier) out -> pointwise_weight",
    }
    | _BIAS,
    defaults=_LAST,
    beside=_NOTHING,
    class_name="SeparableConv1D",
)
SEPARABLE_CONV2D = Layout(
    "tensorflow",
    cells.SEPARABLE_CONV2D,
    {
        "depthwise_kernel": "height width in multiplier -> depthwise_weight",
        "pointwise_kernel": "1 1 (in multiplier) out -> pointwise_weight",
    }
    | _BIAS,
    defaults=_LAST,
    beside=_NOTHING,
    class_name="SeparableConv2D",
)
BATCH_NORM = Layout(
    "tensorflow",
    cells.BATCH_NORM,
    _NORM,
    defaults={"epsilon": 1e-3, "momentum": 0.99, "axes": (-1,)},
    class_name="BatchNormalization",
)
CONTRIB_BATCH_NORM = Layout(
    "tensorflow",
    cells.BATCH_NORM,
    _NORM,
    defaults={"epsilon": 1e-3, "momentum": 0.999, "axes": (-1,)},
    class_name="BatchNorm",
)
LAYER_NORM = Layout(
    "tensorflow",
    cells.LAYER_NORM,
    {"gamma": "feature -> weight", "beta": "feature -> bias"},
    defaults={"epsilon": 1e-12},
    class_name="LayerNorm",
)

LAYERS = {
    "Dense": (DENSE,),
    "InputProjectionWrapper": (DENSE,),
    "OutputProjectionWrapper": (DENSE,),
    "fully_connected": (FULLY_CONNECTED,),
    "embed_sequence": (EMBEDDING,),
    "Conv1D": (CONV1D,),
    "Conv2D": (CONV2D,),
    "Conv3D": (CONV3D,),
    "Conv": (CONTRIB_CONV1D, CONTRIB_CONV2D, CONTRIB_CONV3D),
    "Conv2DTranspose": (CONV2D_TRANSPOSE,),
    "Conv3DTranspose": (CONV3D_TRANSPOSE,),
    "SeparableConv1D": (SEPARABLE_CONV1D,),
    "SeparableConv2D": (SEPARABLE_CONV2D,),
    "BatchNormalization": (BATCH_NORM,),
    "BatchNorm": (CONTRIB_BATCH_NORM,),
    "LayerNorm": (LAYER_NORM,),
}

_KERNEL = ("kernel", "bias", "weights", "biases")
_NORMS = tuple(
    f"{each}/{name}" for each in ("input", "transform", "forget", "output", "state") for name in ("gamma", "beta")
)
_ONE_EACH = "its recurrent weights are one number a unit, which no module computes"
REFUSED = (
    Refusal(
        "LayerNormBasicLSTMCell",
        _NORMS,
        "it normalises each gate and the cell before its functions, which no module computes",
        optional=_KERNEL,
    ),
    Refusal(
        "CoupledInputForgetGateLSTMCell",
        ("W_0", "B"),
        "its input gate is 1 minus its forget gate, which no module computes",
        optional=("W_F_diag", "W_O_diag", "w_f_diag", "w_o_diag", "projection/kernel", *_NORMS),
        named=True,
    ),
    Refusal(
        "CudnnLSTM",
        ("opaque_kernel",),
        "its one buffer is in an order that only one version of cuDNN knows: a checkpoint by a Saver has its variables",
    ),
    Refusal("UGRNNCell", (), "it mixes state and candidate by one gate, which no module computes", _KERNEL, named=True),
    Refusal("SRUCell", (), "its gates do not read the state, which no module computes", _KERNEL, named=True),
    Refusal(
        "IntersectionRNNCell", (), "it gates its outputs by its inputs, which no module computes", _KERNEL, named=True
    ),
    Refusal(
        "NASCell",
        ("kernel", "recurrent_kernel"),
        "it joins eight gates in a way of its own, which no module computes",
        optional=("bias", "projection/kernel"),
    ),
    Refusal("IndRNNCell", ("kernel_w", "kernel_u"), _ONE_EACH, optional=("bias",), named=True),
    Refusal("IndyLSTMCell", ("kernel_w", "kernel_u"), _ONE_EACH, optional=("bias",)),
    Refusal(
        "IndyGRUCell",
        ("gates/kernel_w", "gates/kernel_u", "candidate/kernel", "candidate/kernel_u"),
        _ONE_EACH,
        optional=("gates/bias", "candidate/bias"),
    ),
    Refusal(
        "GLSTMCell",
        ("group0/kernel", *(f"bias_{gate}" for gate in "ijfo")),
        "it cuts its input into groups, which no module computes",
        optional=tuple(f"group{k}/kernel" for k in range(1, 32)),
    ),
    Refusal(
        "AttentionCellWrapper",
        (
            "kernel",
            "attention/attn_w",
            "attention/attn_v",
            "attention/kernel",
            "attn_output_projection/kernel",
        ),
        "it attends over its own past outputs, which no module computes",
        optional=("bias", "attention/bias", "attn_output_projection/bias"),
    ),
)
"""Cells that are known and that no module here computes."""
