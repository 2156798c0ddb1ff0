"""Flax: the cells of linen and of nnx, and the layers around them. Names are paths below one cell or layer.

1. Kernels are (input, units): the transpose of PyTorch's. Source: flax.linen.Dense, `jnp.dot(inputs, kernel)`.
2. linen keeps one Dense a gate: `ii`, `if`, `ig`, `io` on the input, `hi` … `ho` on the state. OptimizedLSTMCell joins
   them when it runs and stores them apart, under the same names. Source: flax.linen.recurrent.
3. nnx.LSTMCell calls the forget kernel of the input `if_`, since `if` is a word of Python; nnx.OptimizedLSTMCell
   stores joined blocks, i, f, g, o, as `dense_i` and `dense_h`. Source: flax.nnx.nn.recurrent.
4. An LSTM has one bias, on the Dense of the state; the equation adds it to the rest, so it is an `input_bias` here.
5. linen.GRUCell has biases on `ir`, `iz`, `in`, and on `hn` alone of the state: that one stands inside r (…), as
   PyTorch's second bias of n. nnx.GRUCell, blocks r, z, n, has none there. h' = (1 - z) n + z h in both.
6. Nothing is added when a cell runs (only ConvLSTMCell adds 1 to f). Activations default to tanh and σ, and are
   options.
7. `SimpleCell(residual=True)` adds h inside tanh: its recurrent kernel lacks the identity. No array tells; not
   described.
8. The carry is (c, h), PyTorch's states (h, c). nnx states also hold `rngs/…`, which are no weights.
9. Convolutions are channels last, (height, width, in, out), and pad "SAME" unless told otherwise. BatchNorm keeps
   `mean` and `var` in `batch_stats`. Epsilon: 1e-6 in LayerNorm, GroupNorm and RMSNorm, 1e-5 in BatchNorm, whose
   momentum is 0.99; GroupNorm has 32 groups. Source: flax.linen.normalization.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.layout import Layout

_STATE = {"h{gate}/kernel": "state unit -> recurrent_weight", "h{gate}/bias": "unit -> input_bias"}
_INPUT_NNX = {
    "ii/kernel": "input unit -> input_weight[i]",
    "if_/kernel": "input unit -> input_weight[f]",
    "ig/kernel": "input unit -> input_weight[g]",
    "io/kernel": "input unit -> input_weight[o]",
}
_JOINED = {
    "dense_i/kernel": "input (gate unit) -> input_weight",
    "dense_h/kernel": "state (gate unit) -> recurrent_weight",
}
_GRU_APART = {
    "i{gate}/kernel": "input unit -> input_weight",
    "i{gate}/bias": "unit -> input_bias",
    "h{gate}/kernel": "state unit -> recurrent_weight",
    "hn/bias": "unit -> recurrent_bias[n]",
}
_INPUT = {"i{gate}/kernel": "input unit -> input_weight"}

LSTM = Layout("flax", cells.LSTM, _INPUT | _STATE, gates="ifgo", class_name="LSTMCell (linen)")
LSTM_NNX = Layout("flax", cells.LSTM, _INPUT_NNX | _STATE, gates="ifgo", class_name="LSTMCell (nnx)")
LSTM_JOINED = Layout(
    "flax",
    cells.LSTM,
    _JOINED | {"dense_h/bias": "(gate unit) -> input_bias"},
    gates="ifgo",
    class_name="OptimizedLSTMCell (nnx)",
)
GRU = Layout("flax", cells.GRU, _GRU_APART, gates="rzn", class_name="GRUCell (linen)")
GRU_JOINED = Layout(
    "flax", cells.GRU, _JOINED | {"dense_i/bias": "(gate unit) -> input_bias"}, gates="rzn", class_name="GRUCell (nnx)"
)
RNN = Layout(
    "flax",
    cells.RNN,
    {
        "i/kernel": "input unit -> input_weight",
        "h/kernel": "state unit -> recurrent_weight",
        "i/bias": "unit -> input_bias",
    },
    class_name="SimpleCell (linen)",
)
RNN_NNX = Layout(
    "flax",
    cells.RNN,
    {
        "dense_i/kernel": "input unit -> input_weight",
        "dense_h/kernel": "state unit -> recurrent_weight",
        "dense_i/bias": "unit -> input_bias",
    },
    class_name="SimpleCell (nnx)",
)

_BIAS = {"bias": "out -> bias"}
DENSE = Layout("flax", cells.LINEAR, {"kernel": "in out -> weight"} | _BIAS, class_name="Dense")
_IMAGES = {"padding": "same", "channels_last": True}
CONV1D = Layout(
    "flax", cells.CONV1D, {"kernel": "width in out -> weight"} | _BIAS, defaults=_IMAGES, class_name="Conv (1d)"
)
CONV2D = Layout(
    "flax", cells.CONV2D, {"kernel": "height width in out -> weight"} | _BIAS, defaults=_IMAGES, class_name="Conv (2d)"
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

ARRANGEMENTS = (
    Arrangement("{direction}/cell", {"forward": "forward_rnn", "backward": "backward_rnn"}, merge="concat"),
)

LAYERS = {
    "LSTMCell": (LSTM, LSTM_NNX),
    "OptimizedLSTMCell": (LSTM, LSTM_JOINED),
    "GRUCell": (GRU, GRU_JOINED),
    "SimpleCell": (RNN, RNN_NNX),
    "Dense": (DENSE,),
    "Linear": (DENSE,),
    "Conv": (CONV1D, CONV2D),
    "Embed": (EMBED,),
    "LayerNorm": (LAYER_NORM,),
    "RMSNorm": (RMS_NORM,),
    "GroupNorm": (GROUP_NORM,),
    "BatchNorm": (BATCH_NORM,),
}
