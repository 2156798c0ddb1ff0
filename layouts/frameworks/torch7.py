"""Torch7: modules of nn and of Element Research's rnn, by the fields of their objects.

Torch7 does not run here: what follows is read in the sources of rnn and nn, and was not compared with their outputs.

1. Linear is (out, in), as PyTorch's.
2. FastLSTM: one Linear on the input, i2g, one without a bias on the state, o2g; blocks i, g, f, o. Source:
   FastLSTM.lua.
3. SeqLSTM: x and h are concatenated, weight (input + state, gates × units), blocks i, f, o, g. Source: SeqLSTM.lua.
4. SeqGRU: the same, blocks r, z (there: u), n; resets before the product, h' = (1 - u) n + u h. Source: SeqGRU.lua.
5. GRU: i2g and o2g for r and z, then a Linear and a LinearNoBias for n. Source: `SeqGRU:toGRU`.
6. LSTM has peepholes as modules of their own: known by its class, and refused.
7. Convolutions are (out, in, height, width). Epsilon of norms is 1e-5, and 0.1 the share of new statistics.
"""

from layouts import cells
from layouts.layout import Layout

UNVERIFIED = "Torch7's layouts are read in the sources of nn and rnn: nothing was compared with what Torch7 computes"

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
FAST_LSTM = Layout(
    "torch7",
    cells.LSTM,
    {
        "i2g/weight": "(gate unit) input -> input_weight",
        "i2g/bias": "(gate unit) -> input_bias",
        "o2g/weight": "(gate unit) state -> recurrent_weight",
    },
    gates="igfo",
    implies=_FIXED,
    class_name="FastLSTM",
)
_SEQUENCE = {
    "weight": "(input + state) (gate unit) -> input_weight + recurrent_weight",
    "bias": "(gate unit) -> input_bias",
}
SEQ_LSTM = Layout("torch7", cells.LSTM, _SEQUENCE, gates="ifog", implies=_FIXED, class_name="SeqLSTM")
SEQ_GRU = Layout("torch7", cells.GRU_RESET_BEFORE, _SEQUENCE, gates="rzn", implies=_FIXED, class_name="SeqGRU")
GRU = Layout(
    "torch7",
    cells.GRU_RESET_BEFORE,
    {
        "i2g/weight": "(gate:rz unit) input -> input_weight",
        "i2g/bias": "(gate:rz unit) -> input_bias",
        "o2g/weight": "(gate:rz unit) state -> recurrent_weight",
        "candidate/weight": "unit input -> input_weight[n]",
        "candidate/bias": "unit -> input_bias[n]",
        "reset/weight": "unit state -> recurrent_weight[n]",
    },
    gates="rzn",
    implies=_FIXED,
    class_name="GRU",
)
LINEAR = Layout("torch7", cells.LINEAR, {"weight": "out in -> weight", "bias": "out -> bias"}, class_name="Linear")
LOOKUP = Layout("torch7", cells.EMBEDDING, {"weight": "index feature -> weight"}, class_name="LookupTable")
CONV2D = Layout(
    "torch7",
    cells.CONV2D,
    {"weight": "out in height width -> weight", "bias": "out -> bias"},
    class_name="SpatialConvolution",
)
BATCH_NORM = Layout(
    "torch7",
    cells.BATCH_NORM,
    {
        "weight": "channel -> weight",
        "bias": "channel -> bias",
        "running_mean": "channel -> running_mean",
        "running_var": "channel -> running_var",
    },
    defaults={"epsilon": 1e-5, "momentum": 0.9},
    class_name="BatchNormalization",
)

LAYERS = {
    "FastLSTM": (FAST_LSTM,),
    "SeqLSTM": (SEQ_LSTM,),
    "SeqGRU": (SEQ_GRU,),
    "GRU": (GRU,),
    "Linear": (LINEAR,),
    "LinearNoBias": (LINEAR,),
    "LookupTable": (LOOKUP,),
    "SpatialConvolution": (CONV2D,),
    "BatchNormalization": (BATCH_NORM,),
    "SpatialBatchNormalization": (BATCH_NORM,),
}
