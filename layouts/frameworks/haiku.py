"""Haiku: hk.LSTM, hk.GRU, hk.VanillaRNN. Names are paths below one module.

1. Weights are (input, units): the transpose of PyTorch's. Source: haiku._src.basic.Linear, `jnp.dot(inputs, w)`.
2. LSTM concatenates x and h, so `linear/w` is (input + state, gates × units) with blocks i, g, f, o. Source:
   haiku._src.recurrent.LSTM, `i, g, f, o = jnp.split(...)`.
3. LSTM always adds 1 to f when it runs (`jax.nn.sigmoid(f + 1)`): a fixed number, no argument, and not stored.
4. GRU blocks are z, r, n (there: a). It resets before the product, and h' = (1 - z) h + z n: its z has the opposite
   sense of PyTorch's. Source: the docstring of haiku._src.recurrent.GRU. nn.GRU computes no such layer.
5. LSTM and GRU have one bias; VanillaRNN has two, or one with `double_bias=False`.
6. VanillaRNN computes relu, and nothing else. LSTM and GRU compute tanh and σ, and nothing else.
7. Conv2DLSTM, blocks i, g, f, o, adds 1 to f when it runs, and has a bias on either convolution; they are summed.
8. DeepRNN adds no name of its own: its cores are `lstm`, `lstm_1`, … beside one another. ResetCore neither.

The layers around the cores are told in `layouts.frameworks.haiku_other`.
"""

from layouts import cells
from layouts.frameworks import haiku_other as other
from layouts.layout import Layout
from layouts.trees import Tree

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}

LSTM = Layout(
    "haiku",
    cells.LSTM,
    {
        "linear/w": "(input + state) (gate unit) -> input_weight + recurrent_weight",
        "linear/b": "(gate unit) -> input_bias",
    },
    gates="igfo",
    added={"f": 1.0},
    implies=_FIXED,
    class_name="LSTM",
)
GRU = Layout(
    "haiku",
    cells.GRU_RESET_BEFORE,
    {
        "w_i": "input (gate unit) -> input_weight",
        "w_h": "state (gate unit) -> recurrent_weight",
        "b": "(gate unit) -> input_bias",
    },
    gates="zrn",
    negated="z",
    implies=_FIXED,
    class_name="GRU",
)
RNN = Layout(
    "haiku",
    cells.RNN,
    {
        "linear/w": "input unit -> input_weight",
        "linear/b": "unit -> input_bias",
        "linear_1/w": "state unit -> recurrent_weight",
        "linear_1/b": "unit -> recurrent_bias",
    },
    implies={"activation": "relu"},
    class_name="VanillaRNN",
)
_BIASES = {"input_to_hidden/b": "(gate unit) -> input_bias", "hidden_to_hidden/b": "(gate unit) -> recurrent_bias"}
_OFFSET = {"f": 1.0}
CONV_LSTM1D = Layout(
    "haiku",
    cells.CONV_LSTM1D,
    {
        "input_to_hidden/w": "width input (gate unit) -> input_kernel",
        "hidden_to_hidden/w": "width state (gate unit) -> recurrent_kernel",
    }
    | _BIASES,
    gates="igfo",
    added=_OFFSET,
    implies=_FIXED,
    defaults=other.IMAGES,
    class_name="Conv1DLSTM",
)
CONV_LSTM2D = Layout(
    "haiku",
    cells.CONV_LSTM2D,
    {
        "input_to_hidden/w": "height width input (gate unit) -> input_kernel",
        "hidden_to_hidden/w": "height width state (gate unit) -> recurrent_kernel",
    }
    | _BIASES,
    gates="igfo",
    added=_OFFSET,
    implies=_FIXED,
    defaults=other.IMAGES,
    class_name="Conv2DLSTM",
)
CONV_LSTM3D = Layout(
    "haiku",
    cells.CONV_LSTM3D,
    {
        "input_to_hidden/w": "depth height width input (gate unit) -> input_kernel",
        "hidden_to_hidden/w": "depth height width state (gate unit) -> recurrent_kernel",
    }
    | _BIASES,
    gates="igfo",
    added=_OFFSET,
    implies=_FIXED,
    defaults=other.IMAGES,
    class_name="Conv3DLSTM",
)

LAYERS = {
    "LSTM": (LSTM,),
    "GRU": (GRU,),
    "VanillaRNN": (RNN,),
    "Conv1DLSTM": (CONV_LSTM1D,),
    "Conv2DLSTM": (CONV_LSTM2D,),
    "Conv3DLSTM": (CONV_LSTM3D,),
    **other.LAYERS_AROUND,
}
USUAL = other.USUAL
"""What is so unless somebody states otherwise."""

TREE = Tree(
    collections=("params", "state", "trainable_params", "non_trainable_params"),
    beside=("opt_state", "step", "rng", "key", "ema_params", "ema_state", "loss_scale"),
    optimizer=("opt_state",),
)
"""What `transform_with_state` gives, under the names that people save it by."""
