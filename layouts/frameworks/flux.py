"""Flux (Julia): the cells of 0.16 and Dense, by the fields of their structs.

Flux does not run here: what follows is read in its source, and was not compared with its outputs.

1. Weights are (gates × units, input), as PyTorch's. Julia keeps arrays column by column: what is dumped as it lies in
   memory reads transposed elsewhere. Source: src/layers/recurrent.jl.
2. LSTMCell: Wi, Wh and one bias; blocks i, f, g, o.
3. GRUCell: Wi, Wh and one bias `b`, outside of the reset; blocks r, z, n; reset after, h' = (1 - z) n + z h. GRUv3Cell
   resets before the product, with the state's matrix of n apart, `Wh_h̃`.
4. RNNCell: Wi, Wh, bias, and tanh unless it is made with another function.
"""

from layouts import cells
from layouts.layout import Layout

UNVERIFIED = "Flux's layouts are read in its source: nothing was compared with what Flux computes"

_GATED = {"Wi": "(gate unit) input -> input_weight", "Wh": "(gate unit) state -> recurrent_weight"}
_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_BIAS = "(gate unit) -> input_bias"

LSTM = Layout(
    "flux",
    cells.LSTM,
    _GATED | {"bias": _BIAS},
    gates="ifgo",
    implies=_FIXED,
    class_name="LSTMCell",
)
GRU = Layout("flux", cells.GRU, _GATED | {"b": _BIAS}, gates="rzn", implies=_FIXED, class_name="GRUCell")
GRU_BEFORE = Layout(
    "flux",
    cells.GRU_RESET_BEFORE,
    {
        "Wi": "(gate unit) input -> input_weight",
        "Wh": "(gate:rz unit) state -> recurrent_weight",
        "Wh_h̃": "unit state -> recurrent_weight[n]",
        "b": _BIAS,
    },
    gates="rzn",
    implies=_FIXED,
    class_name="GRUv3Cell",
)
RNN = Layout(
    "flux",
    cells.RNN,
    {"Wi": "unit input -> input_weight", "Wh": "unit state -> recurrent_weight", "bias": "unit -> input_bias"},
    class_name="RNNCell",
)
DENSE = Layout("flux", cells.LINEAR, {"weight": "out in -> weight", "bias": "out -> bias"}, class_name="Dense")

LAYERS = {
    "LSTMCell": (LSTM,),
    "GRUCell": (GRU,),
    "GRUv3Cell": (GRU_BEFORE,),
    "RNNCell": (RNN,),
    "Dense": (DENSE,),
}
