"""CNTK: the blocks of its layers library, by the names of their parameters.

1. Weights are (input, gates × units), `times(x, W)`: the transpose of PyTorch's. A file has the sizes in reverse.
   Source: cntk.layers.blocks.
2. LSTM: W on the input, H on the state, one bias b; blocks i, g, f, o. Nothing is added when it runs. Source: `_LSTM`
   of cntk.layers.blocks.
3. Peepholes Ci, Cf see the old cell, Co the new one. P projects, (units, projected). A self-stabilized block scales by
   a function of alpha: known by name, and refused.
4. GRU: W blocks z, r, n; H for z and r, H1 for n; resets before the product, h' = (1 - z) n + z h. Source: GRU of
   cntk.layers.blocks.
5. RNNStep computes σ unless told otherwise; the functions that a block computes are read from its file.
6. LayerNormalization adds epsilon to the deviation, not to the variance: no module of PyTorch's computes that.
7. Convolutions are (out, in, height, width), with a bias (out, 1, 1).
"""

from layouts import cells
from layouts.layout import Layout
from layouts.refusals import Refusal

_GATED = {
    "W": "input (gate unit) -> input_weight",
    "H": "state (gate unit) -> recurrent_weight",
    "b": "(gate unit) -> input_bias",
}
LSTM = Layout(
    "cntk",
    cells.LSTM,
    _GATED
    | {
        "P": "unit state -> projection",
        "Ci": "unit -> peephole[i]",
        "Cf": "unit -> peephole[f]",
        "Co": "unit -> peephole[o]",
    },
    gates="igfo",
    class_name="LSTM",
)
GRU = Layout(
    "cntk",
    cells.GRU_RESET_BEFORE,
    {
        "W": "input (gate unit) -> input_weight",
        "H": "state (gate:zr unit) -> recurrent_weight",
        "H1": "state unit -> recurrent_weight[n]",
        "b": "(gate unit) -> input_bias",
    },
    gates="zrn",
    class_name="GRU",
)
RNN = Layout(
    "cntk",
    cells.RNN,
    {"W": "input unit -> input_weight", "H": "state unit -> recurrent_weight", "b": "unit -> input_bias"},
    defaults={"activation": "sigmoid"},
    class_name="RNNStep",
)
DENSE = Layout("cntk", cells.LINEAR, {"W": "in out -> weight", "b": "out -> bias"}, class_name="Dense")
EMBEDDING = Layout("cntk", cells.EMBEDDING, {"E": "index feature -> weight"}, class_name="Embedding")
CONV1D = Layout(
    "cntk", cells.CONV1D, {"W": "out in width -> weight", "b": "out 1 -> bias"}, class_name="Convolution (1d)"
)
CONV2D = Layout(
    "cntk", cells.CONV2D, {"W": "out in height width -> weight", "b": "out 1 1 -> bias"}, class_name="Convolution"
)
BATCH_NORM = Layout(
    "cntk",
    cells.BATCH_NORM,
    {
        "scale": "channel -> weight",
        "bias": "channel -> bias",
        "aggregate_mean": "channel -> running_mean",
        "aggregate_variance": "channel -> running_var",
    },
    defaults={"epsilon": 1e-5},
    ignored=("aggregate_count",),
    class_name="BatchNormalization",
)
REFUSED = (
    Refusal(
        "LSTM (self-stabilized)",
        ("W", "H", "b", "alpha"),
        "it scales its state by a learned number, which no module computes",
    ),
    Refusal(
        "LayerNormalization",
        ("scale", "bias"),
        "it adds epsilon to the deviation and not to the variance, which no module computes",
    ),
)
LAYERS = {
    "LSTM": (LSTM,),
    "GRU": (GRU,),
    "RNNStep": (RNN,),
    "Dense": (DENSE,),
    "Embedding": (EMBEDDING,),
    "Convolution": (CONV1D, CONV2D),
    "BatchNormalization": (BATCH_NORM,),
}
