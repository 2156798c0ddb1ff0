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

_LSTM = {
    "Wx": "(gate unit) input -> input_weight",
    "Wh": "(gate unit) state -> recurrent_weight",
    "b": "(gate unit) -> input_bias",
}
_RNN = {
    "x2h": "unit input -> input_weight",
    "h2h": "unit state -> recurrent_weight",
    "hb": "unit -> input_bias",
}
_GATES = {
    "x2{gate}": "unit input -> input_weight",
    "h2{gate}": "unit state -> recurrent_weight",
    "b{gate}": "unit -> input_bias",
}
_OFFSET, _SPELLED = {"f": 1.0}, {"gate": {"z": "z", "r": "r", "n": "h"}}
_TANH = {"activation": "tanh"}

LSTM = Layout(
    "dynet",
    cells.LSTM,
    {f"{{layer}}/{name}": axes for name, axes in _LSTM.items()},
    gates="ifog",
    added=_OFFSET,
    implies=_FIXED,
    class_name="VanillaLSTMBuilder",
)
LSTM_ALONE = Layout(
    "dynet", cells.LSTM, _LSTM, gates="ifog", added=_OFFSET, implies=_FIXED, class_name="VanillaLSTMBuilder (one layer)"
)
RNN = Layout(
    "dynet",
    cells.RNN,
    {f"{{layer}}/{name}": axes for name, axes in _RNN.items()},
    implies=_TANH,
    class_name="SimpleRNNBuilder",
)
RNN_ALONE = Layout("dynet", cells.RNN, _RNN, implies=_TANH, class_name="SimpleRNNBuilder (one layer)")
GRU = Layout(
    "dynet",
    cells.GRU_RESET_BEFORE,
    {f"{{layer}}/{name}": axes for name, axes in _GATES.items()},
    gates="zrn",
    spelling=_SPELLED,
    negated="z",
    implies=_FIXED,
    class_name="GRUBuilder",
)
GRU_ALONE = Layout(
    "dynet",
    cells.GRU_RESET_BEFORE,
    _GATES,
    gates="zrn",
    spelling=_SPELLED,
    negated="z",
    implies=_FIXED,
    class_name="GRUBuilder (one layer)",
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
    "VanillaLSTMBuilder": (LSTM, LSTM_ALONE),
    "CompactVanillaLSTMBuilder": (LSTM, LSTM_ALONE),
    "BiRNNBuilder": (LSTM, RNN, GRU),
    "SimpleRNNBuilder": (RNN, RNN_ALONE),
    "GRUBuilder": (GRU, GRU_ALONE),
    "Linear": (LINEAR,),
    "LookupParameters": (LOOKUP,),
}
