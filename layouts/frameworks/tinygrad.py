"""tinygrad: nn.LSTMCell and the layers around it. Names are attributes, joined by dots.

1. LSTMCell is PyTorch's: (gates × units, input), blocks i, f, g, o, two biases or none. Source: `gates.chunk(4)` in
   tinygrad.nn.LSTMCell.__call__.
2. There is no GRU, no simple RNN, no layer over time and no second direction: the names above a cell are the user's.
3. Convolutions, Linear, Embedding and norms have PyTorch's names and axes; channels are the second axis.
4. BatchNorm counts its batches in an array of one element, PyTorch in one without axes.
5. An Embedding that has been called keeps the numbers of its rows as `arange`.
6. Epsilon is 1e-5, of RMSNorm 1e-6. `momentum` 0.1 is the share of the new statistics.
Source: tinygrad/nn/__init__.py, 0.10.
"""

from layouts import cells
from layouts.layout import Layout

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
LSTM = Layout(
    "tinygrad",
    cells.LSTM,
    {
        "weight_ih": "(gate unit) input -> input_weight",
        "weight_hh": "(gate unit) state -> recurrent_weight",
        "bias_ih": "(gate unit) -> input_bias",
        "bias_hh": "(gate unit) -> recurrent_bias",
    },
    gates="ifgo",
    implies=_FIXED,
    class_name="LSTMCell",
)

_BIAS = {"bias": "out -> bias"}
LINEAR = Layout("tinygrad", cells.LINEAR, {"weight": "out in -> weight"} | _BIAS, class_name="Linear")
EMBEDDING = Layout(
    "tinygrad", cells.EMBEDDING, {"weight": "index feature -> weight"}, ignored=("arange",), class_name="Embedding"
)
CONV1D = Layout("tinygrad", cells.CONV1D, {"weight": "out in width -> weight"} | _BIAS, class_name="Conv1d")
CONV2D = Layout("tinygrad", cells.CONV2D, {"weight": "out in height width -> weight"} | _BIAS, class_name="Conv2d")
CONV_TRANSPOSE1D = Layout(
    "tinygrad", cells.CONV_TRANSPOSE1D, {"weight": "in out width -> weight"} | _BIAS, class_name="ConvTranspose1d"
)
CONV_TRANSPOSE2D = Layout(
    "tinygrad",
    cells.CONV_TRANSPOSE2D,
    {"weight": "in out height width -> weight"} | _BIAS,
    class_name="ConvTranspose2d",
)
_CHANNELS = {"weight": "channel -> weight", "bias": "channel -> bias"}
_EPSILON = {"epsilon": 1e-5}
BATCH_NORM = Layout(
    "tinygrad",
    cells.BATCH_NORM,
    _CHANNELS | {"running_mean": "channel -> running_mean", "running_var": "channel -> running_var"},
    defaults=_EPSILON | {"momentum": 0.9},
    ignored=("num_batches_tracked",),
    class_name="BatchNorm",
)
GROUP_NORM = Layout("tinygrad", cells.GROUP_NORM, _CHANNELS, defaults=_EPSILON, class_name="GroupNorm")
INSTANCE_NORM = Layout(
    "tinygrad", cells.GROUP_NORM, _CHANNELS, defaults=_EPSILON, implies={"groups": -1}, class_name="InstanceNorm"
)
LAYER_NORM = Layout(
    "tinygrad",
    cells.LAYER_NORM,
    {"weight": "feature -> weight", "bias": "feature -> bias"},
    defaults=_EPSILON,
    class_name="LayerNorm",
)
RMS_NORM = Layout(
    "tinygrad", cells.RMS_NORM, {"weight": "feature -> weight"}, defaults={"epsilon": 1e-6}, class_name="RMSNorm"
)

LAYERS = {
    "LSTMCell": (LSTM,),
    "Linear": (LINEAR,),
    "Embedding": (EMBEDDING,),
    "Conv1d": (CONV1D,),
    "Conv2d": (CONV2D,),
    "ConvTranspose1d": (CONV_TRANSPOSE1D,),
    "ConvTranspose2d": (CONV_TRANSPOSE2D,),
    "BatchNorm": (BATCH_NORM,),
    "LayerNorm": (LAYER_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "InstanceNorm": (INSTANCE_NORM,),
    "RMSNorm": (RMS_NORM,),
}
