"""DyNet: the parameters of its builders, each layer under its number.

1. Weights are (gates × units, input), as PyTorch's; a file has the elements of every array column by column.
2. VanillaLSTMBuilder (LSTMBuilder of Python) and CompactVanillaLSTMBuilder: blocks i, f, o, g. They add 1 to f when
   they run, and do not store it. One bias. Source: `VanillaLSTMBuilder::add_input_impl` in dynet/lstm.cc, and run.
3. SimpleRNNBuilder computes tanh.
4. GRUBuilder has arrays of its own for every gate and resets before the product, h' = (1 - z) h + z n: its z has the
   opposite sense of PyTorch's. Source: `GRUBuilder::add_input_impl` in dynet/gru.cc.
5. CoupledLSTMBuilder and FastLSTMBuilder have f = 1 - i and weights from the cell to the gates: known by name, refused.
6. Parameters are stored as `_0`, `_1`, … below the name of their builder, in the order of `BUILDERS`, layer by layer.
   BiRNNBuilder has builders for each layer, forward and backward in turn: `birnn/vanilla-lstm-builder`, `…_1`.
7. A lookup parameter is (feature, index). What a user adds by hand has a name of his own, or a number.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.layout import Layout
from layouts.refusals import Refusal

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}

LSTM = Layout(
    "dynet",
    cells.LSTM,
    {
        "{layer}/Wx": "(gate unit) input -> input_weight",
        "{layer}/Wh": "(gate unit) state -> recurrent_weight",
        "{layer}/b": "(gate unit) -> input_bias",
    },
    gates="ifog",
    added={"f": 1.0},
    implies=_FIXED,
    class_name="VanillaLSTMBuilder",
)
RNN = Layout(
    "dynet",
    cells.RNN,
    {
        "{layer}/x2h": "unit input -> input_weight",
        "{layer}/h2h": "unit state -> recurrent_weight",
        "{layer}/hb": "unit -> input_bias",
    },
    implies={"activation": "tanh"},
    class_name="SimpleRNNBuilder",
)
GRU = Layout(
    "dynet",
    cells.GRU_RESET_BEFORE,
    {
        "{layer}/x2{gate}": "unit input -> input_weight",
        "{layer}/h2{gate}": "unit state -> recurrent_weight",
        "{layer}/b{gate}": "unit -> input_bias",
    },
    gates="zrn",
    spelling={"gate": {"z": "z", "r": "r", "n": "h"}},
    negated="z",
    implies=_FIXED,
    class_name="GRUBuilder",
)
LINEAR = Layout("dynet", cells.LINEAR, {"W": "out in -> weight", "b": "out -> bias"}, class_name="Linear (W and b)")
LOOKUP = Layout("dynet", cells.EMBEDDING, {"lookup": "feature index -> weight"}, class_name="LookupParameters")

_COUPLED = ("x2i", "h2i", "c2i", "bi", "x2o", "h2o", "c2o", "bo", "x2c", "h2c", "bc")
_GRU = ("x2z", "h2z", "bz", "x2r", "h2r", "br", "x2h", "h2h", "bh")
BUILDERS = {
    "vanilla-lstm-builder": ("Wx", "Wh", "b"),
    "compact-vanilla-lstm-builder": ("Wx", "Wh", "b"),
    "simple-rnn-builder": ("x2h", "h2h", "hb"),
    "gru-builder": _GRU,
    "lstm-builder": _COUPLED,
    "fast-lstm-builder": _COUPLED,
}
"""What the folders of builders are called, and their arrays of one layer in order."""

REFUSED = (
    Refusal(
        "CoupledLSTMBuilder",
        _COUPLED,
        "its forget gate is 1 - i, and its gates see the cell through weights of their own: no module computes it",
    ),
)
_BOTH = {
    "VanillaLSTMBuilder": "BiRNNBuilder",
    "SimpleRNNBuilder": "BiRNNBuilder",
    "GRUBuilder": "BiRNNBuilder",
}
ARRANGEMENTS = (
    Arrangement("{direction}", {"forward": "forward", "backward": "backward"}, _BOTH, merge="concat"),
    Arrangement("{layer}", classes=_BOTH),
)
LAYERS = {
    "VanillaLSTMBuilder": (LSTM,),
    "CompactVanillaLSTMBuilder": (LSTM,),
    "BiRNNBuilder": (LSTM, RNN, GRU),
    "SimpleRNNBuilder": (RNN,),
    "GRUBuilder": (GRU,),
    "Linear": (LINEAR,),
    "LookupParameters": (LOOKUP,),
}
