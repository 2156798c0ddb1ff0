"""Flax: the cells of linen and of nnx. Names are paths below one cell.

1. Kernels are (input, units): the transpose of PyTorch's. Source: flax.linen.Dense, `jnp.dot(inputs, kernel)`.
2. linen keeps one Dense a gate: `ii`, `if`, `ig`, `io` on the input, `hi` … `ho` on the state. OptimizedLSTMCell joins
   them when it runs and stores them apart, under the same names. Source: flax.linen.recurrent.
3. nnx.LSTMCell calls the forget kernel of the input `if_`, since `if` is a word of Python; nnx.OptimizedLSTMCell
   stores joined blocks, i, f, g, o, as `dense_i` and `dense_h`. Source: flax.nnx.nn.recurrent.
4. An LSTM has one bias, on the Dense of the state; the equation adds it to the rest, so it is an `input_bias` here.
5. linen.GRUCell has biases on `ir`, `iz`, `in`, and on `hn` alone of the state: that one stands inside r (…), as
   PyTorch's second bias of n. nnx.GRUCell, blocks r, z, n, has none there. h' = (1 - z) n + z h in both.
6. ConvLSTMCell, blocks i, g, f, o, adds 1 to f when it runs, and has a bias on either convolution, which are summed.
   Nothing is added in any other cell. Activations default to tanh and σ, and are options.
7. `SimpleCell(residual=True)` adds h inside tanh: its recurrent kernel lacks the identity. No array tells; not
   described. MGUCell computes what no module of PyTorch does: it is known by name, and refused.
8. The carry is (c, h), PyTorch's states (h, c).
9. `nn.scan` over cells, one on another, puts the number of the layer on an axis before all others: such cells read what
   the one below gives, so their input is as wide as their state. `nn.vmap` puts cells side by side in the same arrays:
   cut those apart before. Source: flax.linen.transforms.scan, `variable_axes`.

The layers around the cells are told in `layouts.frameworks.flax_other`.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.frameworks import flax_other as other
from layouts.layout import Layout
from layouts.refusals import Refusal
from layouts.trees import Tree

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
_SCANNED = {"scanned": True}
LSTM_SCANNED = Layout(
    "flax",
    cells.LSTM,
    {name: f"layer {pattern}" for name, pattern in LSTM.arrays.items()},
    gates="ifgo",
    when=_SCANNED,
    class_name="LSTMCell (linen, scanned)",
)
LSTM_NNX_SCANNED = Layout(
    "flax",
    cells.LSTM,
    {name: f"layer {pattern}" for name, pattern in LSTM_NNX.arrays.items()},
    gates="ifgo",
    when=_SCANNED,
    class_name="LSTMCell (nnx, scanned)",
)
LSTM_JOINED_SCANNED = Layout(
    "flax",
    cells.LSTM,
    {name: f"layer {pattern}" for name, pattern in LSTM_JOINED.arrays.items()},
    gates="ifgo",
    when=_SCANNED,
    class_name="OptimizedLSTMCell (nnx, scanned)",
)
GRU_SCANNED = Layout(
    "flax",
    cells.GRU,
    {name: f"layer {pattern}" for name, pattern in GRU.arrays.items()},
    gates="rzn",
    when=_SCANNED,
    class_name="GRUCell (linen, scanned)",
)
GRU_JOINED_SCANNED = Layout(
    "flax",
    cells.GRU,
    {name: f"layer {pattern}" for name, pattern in GRU_JOINED.arrays.items()},
    gates="rzn",
    when=_SCANNED,
    class_name="GRUCell (nnx, scanned)",
)
RNN_SCANNED = Layout(
    "flax",
    cells.RNN,
    {name: f"layer {pattern}" for name, pattern in RNN.arrays.items()},
    when=_SCANNED,
    class_name="SimpleCell (linen, scanned)",
)
RNN_NNX_SCANNED = Layout(
    "flax",
    cells.RNN,
    {name: f"layer {pattern}" for name, pattern in RNN_NNX.arrays.items()},
    when=_SCANNED,
    class_name="SimpleCell (nnx, scanned)",
)

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_BIASES = {"ih/bias": "(gate unit) -> input_bias", "hh/bias": "(gate unit) -> recurrent_bias"}
CONV_LSTM1D = Layout(
    "flax",
    cells.CONV_LSTM1D,
    {
        "ih/kernel": "width input (gate unit) -> input_kernel",
        "hh/kernel": "width state (gate unit) -> recurrent_kernel",
    }
    | _BIASES,
    gates="igfo",
    added={"f": 1.0},
    implies=_FIXED,
    defaults=other.IMAGES,
    class_name="ConvLSTMCell (1d)",
)
CONV_LSTM2D = Layout(
    "flax",
    cells.CONV_LSTM2D,
    {
        "ih/kernel": "height width input (gate unit) -> input_kernel",
        "hh/kernel": "height width state (gate unit) -> recurrent_kernel",
    }
    | _BIASES,
    gates="igfo",
    added={"f": 1.0},
    implies=_FIXED,
    defaults=other.IMAGES,
    class_name="ConvLSTMCell (2d)",
)

ARRANGEMENTS = (
    Arrangement("{direction}/cell", {"forward": "forward_rnn", "backward": "backward_rnn"}, merge="concat"),
)

LAYERS = {
    "LSTMCell": (LSTM, LSTM_NNX, LSTM_SCANNED, LSTM_NNX_SCANNED),
    "OptimizedLSTMCell": (LSTM, LSTM_JOINED, LSTM_SCANNED, LSTM_JOINED_SCANNED),
    "GRUCell": (GRU, GRU_JOINED, GRU_SCANNED, GRU_JOINED_SCANNED),
    "SimpleCell": (RNN, RNN_NNX, RNN_SCANNED, RNN_NNX_SCANNED),
    "ConvLSTMCell": (CONV_LSTM1D, CONV_LSTM2D),
    **other.LAYERS_AROUND,
}
REFUSED = (
    *other.REFUSED,
    Refusal(
        "MGUCell",
        ("if/kernel", "if/bias", "in/kernel", "in/bias", "hf/kernel", "hn/kernel"),
        "a minimal gated unit has one gate, and no module computes it",
        optional=("hn/bias",),
    ),
)
USUAL = {"scanned": True, **other.USUAL}
"""What is so unless somebody states otherwise: an axis before those of a cell is one of layers, one on another."""

TREE = Tree(
    collections=("params", "batch_stats"),
    beside=(
        *("opt_state", "step", "epoch", "ema_params", "params_ema", "dynamic_scale", "metrics"),
        *("cache", "intermediates", "rng", "key", "dropout_rng", "dropout_key"),
    ),
    optimizer=("opt_state",),
    keys=("rngs",),
    key_parts=("key", "count"),
    leaf="value",
)
"""linen's collections, what a TrainState holds beside them, and the keys of an nnx state, whose Param has a `value`."""
