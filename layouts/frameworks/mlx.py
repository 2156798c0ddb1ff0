"""MLX: nn.LSTM, nn.GRU and nn.RNN, and the layers around them. Names are attributes, joined by dots.

1. Weights are (gates × units, input), blocks in PyTorch's order: i, f, g, o and r, z, n. Nothing is transposed.
   Source: `mx.split` in mlx.nn.LSTM and GRU.
2. One bias. GRU has a second one, `bhn`, for the candidate alone; it stands inside r (…), as PyTorch's. A layer
   without bias has neither.
3. One layer and one direction; there are no projections. LSTM gives the cell's state of every step beside the outputs.
4. nn.RNN takes any function as its nonlinearity, tanh unless told otherwise. Those of LSTM and GRU are fixed.
5. Convolutions read channels last: weights are (out, width, in), and (out, height, width, in). The transposed ones have
   the same axes, so that no shape tells them apart. They do not pad.
6. BatchNorm, GroupNorm and InstanceNorm have the channels last. Epsilon is 1e-5, that of RMSNorm too.
7. GroupNorm deals the channels out to the groups in turn, unless `pytorch_compatible` is set: then as PyTorch does.
8. MultiHeadAttention has no bias by default. Its projections are Linear layers.
9. QuantizedLinear keeps packed whole numbers, with `scales` and `biases` for every group of them.
Source: the modules of mlx.nn, 0.32.
"""

from layouts import cells
from layouts.layout import Layout
from layouts.refusals import Refusal

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_GATED = {"Wx": "(gate unit) input -> input_weight", "Wh": "(gate unit) state -> recurrent_weight"}
LSTM = Layout(
    "mlx",
    cells.LSTM,
    _GATED | {"bias": "(gate unit) -> input_bias"},
    gates="ifgo",
    implies=_FIXED,
    class_name="LSTM",
)
GRU = Layout(
    "mlx",
    cells.GRU,
    _GATED | {"b": "(gate unit) -> input_bias", "bhn": "unit -> recurrent_bias[n]"},
    gates="rzn",
    implies=_FIXED,
    class_name="GRU",
)
RNN = Layout(
    "mlx",
    cells.RNN,
    {"Wxh": "unit input -> input_weight", "Whh": "unit state -> recurrent_weight", "bias": "unit -> input_bias"},
    class_name="RNN",
)

_BIAS = {"bias": "out -> bias"}
_LAST = {"channels_last": True}
LINEAR = Layout("mlx", cells.LINEAR, {"weight": "out in -> weight"} | _BIAS, class_name="Linear")
EMBEDDING = Layout("mlx", cells.EMBEDDING, {"weight": "index feature -> weight"}, class_name="Embedding")
CONV1D = Layout("mlx", cells.CONV1D, {"weight": "out width in -> weight"} | _BIAS, defaults=_LAST, class_name="Conv1d")
CONV2D = Layout(
    "mlx", cells.CONV2D, {"weight": "out height width in -> weight"} | _BIAS, defaults=_LAST, class_name="Conv2d"
)
CONV3D = Layout(
    "mlx", cells.CONV3D, {"weight": "out depth height width in -> weight"} | _BIAS, defaults=_LAST, class_name="Conv3d"
)
CONV_TRANSPOSE1D = Layout(
    "mlx",
    cells.CONV_TRANSPOSE1D,
    {"weight": "out width in -> weight"} | _BIAS,
    defaults=_LAST,
    class_name="ConvTranspose1d",
)
CONV_TRANSPOSE2D = Layout(
    "mlx",
    cells.CONV_TRANSPOSE2D,
    {"weight": "out height width in -> weight"} | _BIAS,
    defaults=_LAST,
    class_name="ConvTranspose2d",
)
CONV_TRANSPOSE3D = Layout(
    "mlx",
    cells.CONV_TRANSPOSE3D,
    {"weight": "out depth height width in -> weight"} | _BIAS,
    defaults=_LAST,
    class_name="ConvTranspose3d",
)

_EPSILON = {"epsilon": 1e-5}
_CHANNELS = {"weight": "channel -> weight", "bias": "channel -> bias"}
_AXIS = {"axes": (-1,)}
BATCH_NORM = Layout(
    "mlx",
    cells.BATCH_NORM,
    _CHANNELS | {"running_mean": "channel -> running_mean", "running_var": "channel -> running_var"},
    defaults=_AXIS | _EPSILON | {"momentum": 0.9},
    class_name="BatchNorm",
)
GROUP_NORM = Layout(
    "mlx",
    cells.GROUP_NORM,
    _CHANNELS,
    when={"pytorch_compatible": True},
    defaults=_AXIS | _EPSILON,
    class_name="GroupNorm",
)
INSTANCE_NORM = Layout(
    "mlx", cells.GROUP_NORM, _CHANNELS, defaults=_AXIS | _EPSILON, implies={"groups": -1}, class_name="InstanceNorm"
)
LAYER_NORM = Layout(
    "mlx",
    cells.LAYER_NORM,
    {"weight": "feature -> weight", "bias": "feature -> bias"},
    defaults=_EPSILON,
    class_name="LayerNorm",
)
RMS_NORM = Layout("mlx", cells.RMS_NORM, {"weight": "feature -> weight"}, defaults=_EPSILON, class_name="RMSNorm")
PRELU = Layout("mlx", cells.PRELU, {"weight": "channel -> weight"}, class_name="PReLU")
ATTENTION = Layout(
    "mlx",
    cells.ATTENTION,
    {
        "{role}_proj.weight": "(head key) in -> input_weight",
        "{role}_proj.bias": "(head key) -> input_bias",
        "out_proj.weight": "out (head key) -> output_weight",
        "out_proj.bias": "out -> output_bias",
    },
    class_name="MultiHeadAttention",
)

REFUSED = (
    Refusal(
        "QuantizedLinear",
        ("weight", "scales", "biases"),
        "its weights are packed whole numbers: save the layer as it was before it was quantized",
        optional=("bias",),
    ),
)
USUAL = {"pytorch_compatible": False}
LAYERS = {
    "LSTM": (LSTM,),
    "GRU": (GRU,),
    "RNN": (RNN,),
    "Linear": (LINEAR,),
    "Embedding": (EMBEDDING,),
    "Conv1d": (CONV1D,),
    "Conv2d": (CONV2D,),
    "Conv3d": (CONV3D,),
    "ConvTranspose1d": (CONV_TRANSPOSE1D,),
    "ConvTranspose2d": (CONV_TRANSPOSE2D,),
    "ConvTranspose3d": (CONV_TRANSPOSE3D,),
    "BatchNorm": (BATCH_NORM,),
    "LayerNorm": (LAYER_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "InstanceNorm": (INSTANCE_NORM,),
    "RMSNorm": (RMS_NORM,),
    "PReLU": (PRELU,),
    "MultiHeadAttention": (ATTENTION,),
}
