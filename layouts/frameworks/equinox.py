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
7. ConvTranspose stores (out, in / groups, height, width) and correlates where PyTorch convolves: its kernel is
   backwards, its channels are swapped. The arrays of a Conv look the same: `transposed` tells them apart. Source:
   equinox.nn.ConvTranspose.
8. Epsilon of LayerNorm, GroupNorm and RMSNorm is 1e-5. BatchNorm keeps its averages in a separate State: not
   described.
9. A file of leaves has no names: `ORDERS` has those of every class, in the order of its fields.
10. MultiheadAttention keeps a Linear for query, key, value and output, whose outputs or inputs are heads × width; none
   has a bias unless told.
"""

from layouts import cells
from layouts.layout import Layout
from layouts.refusals import Refusal

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
_FORWARD = {"transposed": False}
_TRANSPOSED = {"transposed": True}
CONV1D = Layout(
    "equinox",
    cells.CONV1D,
    {"weight": "out in width -> weight", "bias": "out 1 -> bias"},
    when=_FORWARD,
    class_name="Conv1d",
)
CONV2D = Layout(
    "equinox",
    cells.CONV2D,
    {"weight": "out in height width -> weight", "bias": "out 1 1 -> bias"},
    when=_FORWARD,
    class_name="Conv2d",
)
CONV3D = Layout(
    "equinox",
    cells.CONV3D,
    {"weight": "out in depth height width -> weight", "bias": "out 1 1 1 -> bias"},
    when=_FORWARD,
    class_name="Conv3d",
)
CONV_TRANSPOSE1D = Layout(
    "equinox",
    cells.CONV_TRANSPOSE1D,
    {"weight": "out in ~width -> weight", "bias": "out 1 -> bias"},
    when=_TRANSPOSED,
    class_name="ConvTranspose1d",
)
CONV_TRANSPOSE2D = Layout(
    "equinox",
    cells.CONV_TRANSPOSE2D,
    {"weight": "out in ~height ~width -> weight", "bias": "out 1 1 -> bias"},
    when=_TRANSPOSED,
    class_name="ConvTranspose2d",
)
ATTENTION = Layout(
    "equinox",
    cells.ATTENTION,
    {
        "{role}_proj.weight": "(head key) in -> input_weight",
        "{role}_proj.bias": "(head key) -> input_bias",
        "output_proj.weight": "out (head key) -> output_weight",
        "output_proj.bias": "out -> output_bias",
    },
    class_name="MultiheadAttention",
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
    "Conv3d": (CONV3D,),
    "ConvTranspose1d": (CONV_TRANSPOSE1D,),
    "ConvTranspose2d": (CONV_TRANSPOSE2D,),
    "MultiheadAttention": (ATTENTION,),
    "Embedding": (EMBEDDING,),
    "LayerNorm": (LAYER_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "RMSNorm": (RMS_NORM,),
}
_STATE = "its averages are in a State beside the module, not among its arrays"
REFUSED = (
    Refusal(
        "BatchNorm",
        ("ema_first_time_index/init",),
        _STATE,
        optional=("weight", "bias", "ema_state_index/init", "ema_state_index/init/0", "ema_state_index/init/1"),
    ),
    Refusal(
        "BatchNorm",
        ("batch_counter/init",),
        _STATE,
        optional=("weight", "bias", "batch_state_index/init", "batch_state_index/init/0", "batch_state_index/init/1"),
    ),
    Refusal("PReLU", ("negative_slope",), "its one slope is an array without axes: give it to nn.PReLU(1) by hand"),
)
USUAL = {"transposed": False}
"""What is so unless somebody states otherwise."""
SETTINGS = {"eps": "epsilon", "groups": "groups", "num_heads": "head", "stride": "strides", "dilation": "dilation"}
"""Fields of modules that a tree of one may hold beside its arrays."""

_PROJECTED = ("query_proj", "key_proj", "value_proj", "output_proj")
ORDERS = {
    "LSTMCell": (("weight_ih", "unit input"), ("weight_hh", "unit state"), ("bias", "? unit")),
    "GRUCell": (("weight_ih", "unit input"), ("weight_hh", "unit state"), ("bias", "? unit"), ("bias_n", "? unit")),
    "Linear": (("weight", "out in"), ("bias", "? out")),
    "Conv1d": (("weight", "out in width"), ("bias", "? out 1")),
    "Conv2d": (("weight", "out in height width"), ("bias", "? out 1 1")),
    "Conv3d": (("weight", "out in depth height width"), ("bias", "? out 1 1 1")),
    "ConvTranspose1d": (("weight", "out in width"), ("bias", "? out 1")),
    "ConvTranspose2d": (("weight", "out in height width"), ("bias", "? out 1 1")),
    "Embedding": (("weight", "index feature"),),
    "LayerNorm": (("weight", "? feature"), ("bias", "? feature")),
    "GroupNorm": (("weight", "? channel"), ("bias", "? channel")),
    "RMSNorm": (("weight", "? feature"), ("bias", "? feature")),
    "MultiheadAttention": tuple(
        entry for name in _PROJECTED for entry in ((f"{name}.weight", "out in"), (f"{name}.bias", "? out"))
    ),
}
"""The arrays of every class in the order in which they are written, each with its axes; '?' where one may lack it."""
