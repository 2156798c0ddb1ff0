"""Core ML: layers of its neural networks, by the fields of their messages, and operations of its programs (MIL).

1. Weights are (gates × units, input) or one matrix a gate, (units, input): nothing is transposed. Source:
   NeuralNetwork.proto and the operations' documentation in coremltools.
2. MIL `lstm`: blocks i, f, o, g; one bias, the sum of two; peepholes i, f, o; the second direction as `…_back`. Source:
   coremltools' iOS15 operation lstm.
3. MIL `gru`: blocks r, n, z, and resets before the product, unless `reset_after`, which has a second bias; `bias` is
   then the one on the state. h' = (1 - z) n + z h. Source: coremltools' iOS18 operation gru, and its test against
   PyTorch.
4. The layers of networks have a field a gate; the candidate is called blockInput in an LSTM, outputGate in a GRU, which
   resets before the product. `forgetBias` adds 1 to f when the layer runs. Source: NeuralNetwork.proto.
   coremltools writes a GRU of PyTorch as a loop, which is proved step by step: an array for every gate and side.
5. Activations stand in the file. Cells may be clipped, which acts on the cell and not on what goes into gates.
6. An embedding is (feature, index) in a network, (index, feature) as the constant that MIL's `gather` reads.
7. Convolutions are channels first, (out, in, height, width), deconvolutions (in, out, height, width).
"""

from layouts import cells
from layouts.layout import Layout

_MATRICES = {
    "{direction}{gate}WeightMatrix": "unit input -> input_weight",
    "{direction}{gate}RecursionMatrix": "unit state -> recurrent_weight",
    "{direction}{gate}BiasVector": "unit -> input_bias",
}
_PEEPHOLES = {
    "{direction}inputGatePeepholeVector": "unit -> peephole[i]",
    "{direction}forgetGatePeepholeVector": "unit -> peephole[f]",
    "{direction}outputGatePeepholeVector": "unit -> peephole[o]",
}
_WAYS = {"direction": {"forward": "", "backward": "backward/"}}
_SPELLED = {"gate": {"i": "inputGate", "f": "forgetGate", "g": "blockInput", "o": "outputGate"}} | _WAYS
_SPELLED_GRU = {"gate": {"r": "resetGate", "z": "updateGate", "n": "outputGate"}} | _WAYS

NETWORK_LSTM = Layout(
    "coreml",
    cells.LSTM,
    _MATRICES | _PEEPHOLES,
    gates="ifgo",
    spelling=_SPELLED,
    when={"forget_bias": False},
    class_name="uniDirectionalLSTM",
)
NETWORK_LSTM_OFFSET = Layout(
    "coreml",
    cells.LSTM,
    _MATRICES | _PEEPHOLES,
    gates="ifgo",
    spelling=_SPELLED,
    when={"forget_bias": True},
    added={"f": 1.0},
    class_name="uniDirectionalLSTM (forgetBias)",
)
NETWORK_GRU = Layout(
    "coreml", cells.GRU_RESET_BEFORE, _MATRICES, gates="rzn", spelling=_SPELLED_GRU, class_name="GRU (network)"
)
NETWORK_RNN = Layout(
    "coreml",
    cells.RNN,
    {
        "weightMatrix": "unit input -> input_weight",
        "recursionMatrix": "unit state -> recurrent_weight",
        "biasVector": "unit -> input_bias",
    },
    class_name="simpleRecurrent",
)


_BACK = {"direction": {"forward": "", "backward": "_back"}}
_GATED = {
    "weight_ih": "(gate unit) input -> input_weight",
    "weight_hh": "(gate unit) state -> recurrent_weight",
    "bias": "(gate unit) -> input_bias",
}
LSTM = Layout(
    "coreml",
    cells.LSTM,
    {
        "weight_ih{direction}": "(gate unit) input -> input_weight",
        "weight_hh{direction}": "(gate unit) state -> recurrent_weight",
        "bias{direction}": "(gate unit) -> input_bias",
        "peephole{direction}": "(gate:ifo unit) -> peephole",
    },
    gates="ifog",
    spelling=_BACK,
    class_name="lstm",
)
GRU_BEFORE = Layout(
    "coreml", cells.GRU_RESET_BEFORE, _GATED, gates="rnz", when={"reset_after": False}, class_name="gru"
)
GRU = Layout(
    "coreml",
    cells.GRU,
    {
        "weight_ih": "(gate unit) input -> input_weight",
        "weight_hh": "(gate unit) state -> recurrent_weight",
        "input_bias": "(gate unit) -> input_bias",
        "bias": "(gate unit) -> recurrent_bias",
    },
    gates="rnz",
    when={"reset_after": True},
    class_name="gru (reset_after)",
)
GRU_LOOP = Layout(
    "coreml",
    cells.GRU,
    {
        "{gate}/weight_ih": "unit input -> input_weight",
        "{gate}/weight_hh": "unit state -> recurrent_weight",
        "{gate}/bias_ih": "unit -> input_bias",
        "{gate}/bias_hh": "unit -> recurrent_bias",
    },
    gates="rzn",
    implies={"activation": "tanh", "recurrent_activation": "sigmoid"},
    class_name="gru (a loop)",
)
RNN = Layout(
    "coreml",
    cells.RNN,
    {
        "weight_ih": "unit input -> input_weight",
        "weight_hh": "unit state -> recurrent_weight",
        "bias": "unit -> input_bias",
    },
    class_name="rnn",
)

_BIAS = {"bias": "out -> bias"}
LINEAR = Layout("coreml", cells.LINEAR, {"weight": "out in -> weight"} | _BIAS, class_name="linear")
EMBEDDING = Layout("coreml", cells.EMBEDDING, {"table": "index feature -> weight"}, class_name="gather")
NETWORK_EMBEDDING = Layout("coreml", cells.EMBEDDING, {"weights": "feature index -> weight"}, class_name="embedding")
CONV1D = Layout("coreml", cells.CONV1D, {"weight": "out in width -> weight"} | _BIAS, class_name="conv (1d)")
CONV2D = Layout("coreml", cells.CONV2D, {"weight": "out in height width -> weight"} | _BIAS, class_name="conv")
CONV_TRANSPOSE2D = Layout(
    "coreml", cells.CONV_TRANSPOSE2D, {"weight": "in out height width -> weight"} | _BIAS, class_name="conv_transpose"
)
BATCH_NORM = Layout(
    "coreml",
    cells.BATCH_NORM,
    {
        "gamma": "channel -> weight",
        "beta": "channel -> bias",
        "mean": "channel -> running_mean",
        "variance": "channel -> running_var",
    },
    class_name="batch_norm",
)
LAYER_NORM = Layout(
    "coreml", cells.LAYER_NORM, {"gamma": "feature -> weight", "beta": "feature -> bias"}, class_name="layer_norm"
)
PRELU = Layout("coreml", cells.PRELU, {"alpha": "channel -> weight"}, class_name="prelu")

LAYERS = {
    "lstm": (LSTM,),
    "gru": (GRU_BEFORE, GRU, GRU_LOOP),
    "rnn": (RNN,),
    "linear": (LINEAR,),
    "gather": (EMBEDDING,),
    "conv": (CONV1D, CONV2D),
    "conv_transpose": (CONV_TRANSPOSE2D,),
    "batch_norm": (BATCH_NORM,),
    "layer_norm": (LAYER_NORM,),
    "prelu": (PRELU,),
    "uniDirectionalLSTM": (NETWORK_LSTM, NETWORK_LSTM_OFFSET),
    "biDirectionalLSTM": (NETWORK_LSTM, NETWORK_LSTM_OFFSET),
    "GRU": (NETWORK_GRU,),
    "simpleRecurrent": (NETWORK_RNN,),
    "innerProduct": (LINEAR,),
    "embedding": (NETWORK_EMBEDDING,),
    "convolution": (CONV2D, CONV_TRANSPOSE2D),
    "batchnorm": (BATCH_NORM,),
    "layerNormalization": (LAYER_NORM,),
    "PReLU": (PRELU,),
}
