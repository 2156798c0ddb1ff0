"""burn: Lstm, Gru, Linear and Embedding, by the fields of their records.

burn does not run here: what follows is read in its source, and was not compared with its outputs.

1. A gate is a pair of Linear layers, `input_transform` and `hidden_transform`, each with a bias; a Linear keeps
   (in, out). Source: burn-core/src/nn/rnn/gate_controller.rs.
2. Lstm: h = o tanh(c), c = f c + i g, with the gates input_gate, forget_gate, output_gate and cell_gate (g). Source:
   nn/rnn/lstm.rs.
3. Gru: h' = (1 - z) n + z h, with update_gate (z), reset_gate (r) and new_gate (n). Newer releases reset after the
   product by default (`reset_after`); earlier ones always before it. Source: nn/rnn/gru.rs.
4. BiLstm has one Lstm in each of its fields `forward` and `reverse`.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.layout import Layout

UNVERIFIED = "burn's layouts are read in its source: nothing was compared with what burn computes"

_GATES = {
    "{gate}/input_transform/weight": "input unit -> input_weight",
    "{gate}/input_transform/bias": "unit -> input_bias",
    "{gate}/hidden_transform/weight": "state unit -> recurrent_weight",
    "{gate}/hidden_transform/bias": "unit -> recurrent_bias",
}
_LSTM = {"gate": {"i": "input_gate", "f": "forget_gate", "g": "cell_gate", "o": "output_gate"}}
_GRU = {"gate": {"r": "reset_gate", "z": "update_gate", "n": "new_gate"}}
_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}

LSTM = Layout("burn", cells.LSTM, _GATES, gates="ifgo", spelling=_LSTM, implies=_FIXED, class_name="Lstm")
GRU = Layout(
    "burn",
    cells.GRU,
    _GATES,
    gates="rzn",
    spelling=_GRU,
    when={"reset_after": True},
    implies=_FIXED,
    class_name="Gru",
)
GRU_BEFORE = Layout(
    "burn",
    cells.GRU_RESET_BEFORE,
    _GATES,
    gates="rzn",
    spelling=_GRU,
    when={"reset_after": False},
    implies=_FIXED,
    class_name="Gru (reset before)",
)
LINEAR = Layout("burn", cells.LINEAR, {"weight": "in out -> weight", "bias": "out -> bias"}, class_name="Linear")
EMBEDDING = Layout("burn", cells.EMBEDDING, {"weight": "index feature -> weight"}, class_name="Embedding")

ARRANGEMENTS = (Arrangement("{direction}", {"forward": "forward", "backward": "reverse"}, merge="concat"),)

LAYERS = {
    "Lstm": (LSTM,),
    "Gru": (GRU, GRU_BEFORE),
    "Linear": (LINEAR,),
    "Embedding": (EMBEDDING,),
}
USUAL = {"reset_after": True}
"""What is so unless somebody states otherwise."""
