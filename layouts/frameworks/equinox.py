"""Equinox: eqx.nn.LSTMCell, eqx.nn.GRUCell, and the layers around them. Names are fields of one module, joined by
dots.

1. Weights are (gates × units, input), blocks in PyTorch's order: i, f, g, o and r, z, n. Nothing is transposed.
   Source: `jnp.split(...)` in equinox.nn.LSTMCell and GRUCell.
2. One bias. GRUCell has a second one, `bias_n`, for the candidate alone; it stands inside r (…), as PyTorch's. The
   first is added to W x. Source: GRUCell.__call__.
3. GRU: h' = n + z (h - n), which is PyTorch's (1 - z) n + z h in other words.
4. tanh and σ are fixed; nothing is added when a cell runs.
5. There is no simple RNN, no scan over time, no second direction: the names above a cell are the user's.
6. A convolution keeps axes of one behind its bias, (out, 1, 1). Source: equinox.nn.Conv.
7. Epsilon of LayerNorm, GroupNorm and RMSNorm is 1e-5. BatchNorm keeps its averages in a separate State: not described.
"""

from layouts import cells
from layouts.layout import Layout

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_GATED = {
    "weight_ih": "(gate unit) input -> input_weight",
    "weight_hh": "(gate unit) state -> recurrent_weight",
    "bias": "(gate unit) -> input_bias",
}

LSTM = Layout("equinox", cells.LSTM, _GATED, gates="ifgo", implies=_FIXED, class_name="LSTMCell")
GRU = Layout(
    "equinox",
    cells.GRU,
    _GATED | {"bias_n": "unit -> recurrent_bias[n]"},
    gates="rzn",
    implies=_FIXED,
    class_name="GRUCell",
)

LINEAR = Layout("equinox", cells.LINEAR, {"weight": "out in -> weight", "bias": "out -> bias"}, class_name="Linear")
CONV1D = Layout(
    "equinox", cells.CONV1D, {"weight": "out in width -> weight", "bias": "out 1 -> bias"}, class_name="Conv1d"
)
CONV2D = Layout(
    "equinox", cells.CONV2D, {"weight": "out in height width -> weight", "bias": "out 1 1 -> bias"}, class_name="Conv2d"
)
EMBEDDING = Layout("equinox", cells.EMBEDDING, {"weight": "index feature -> weight"}, class_name="Embedding")
_AFFINE = {"weight": "feature -> weight", "bias": "feature -> bias"}
_BY_CHANNEL = {"weight": "channel -> weight", "bias": "channel -> bias"}
_EPSILON = {"epsilon": 1e-5}
LAYER_NORM = Layout("equinox", cells.LAYER_NORM, _AFFINE, defaults=_EPSILON, class_name="LayerNorm")
GROUP_NORM = Layout("equinox", cells.GROUP_NORM, _BY_CHANNEL, defaults=_EPSILON, class_name="GroupNorm")
RMS_NORM = Layout("equinox", cells.RMS_NORM, {"weight": "feature -> weight"}, defaults=_EPSILON, class_name="RMSNorm")

LAYERS = {
    "LSTMCell": (LSTM,),
    "GRUCell": (GRU,),
    "Linear": (LINEAR,),
    "Conv1d": (CONV1D,),
    "Conv2d": (CONV2D,),
    "Embedding": (EMBEDDING,),
    "LayerNorm": (LAYER_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "RMSNorm": (RMS_NORM,),
}
