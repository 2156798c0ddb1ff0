"""Deeplearning4j: the parameters of its layers, as its flat vector of coefficients is cut into them.

DL4J does not run here. LSTM, GravesLSTM, SimpleRnn, Bidirectional and the output layers were compared with outputs that
DL4J 1.0.0-alpha and 1.0.0-beta6 recorded of models of their own (largest difference 8e-8); `UNCOMPARED` was not.

1. Weights are (input, gates × units), `x.mmul(W)`: the transpose of PyTorch's, column by column in the vector.
   Source: LSTMParamInitializer, DefaultParamInitializer.
2. LSTM blocks are g, f, o, i: there the input gate is called the input modulation gate, and comes last. One bias;
   `forgetGateBiasInit` acts on the initial value. Source: LSTMHelpers.activateHelper.
3. GravesLSTM has three more columns of RW, peepholes: wFF (f, on the old cell), wOO (o, on the new one), wGG (i, on the
   old one).
4. GravesBidirectionalLSTM adds up its two directions. Bidirectional has a mode.
5. The activation of a layer, and of its gates, stands in the configuration.
6. A convolution keeps its bias before its weights, which stand row by row, (out, in, height, width).
"""

from layouts import cells
from layouts.layout import Layout

_WAYS = {"direction": {"forward": "", "backward": "backward/"}}
LSTM = Layout(
    "dl4j",
    cells.LSTM,
    {
        "{direction}W": "input (gate unit) -> input_weight",
        "{direction}RW": "state (gate unit) -> recurrent_weight",
        "{direction}b": "(gate unit) -> input_bias",
        "{direction}wFF": "unit -> peephole[f]",
        "{direction}wOO": "unit -> peephole[o]",
        "{direction}wGG": "unit -> peephole[i]",
    },
    gates="gfoi",
    spelling=_WAYS,
    class_name="LSTM",
)
RNN = Layout(
    "dl4j",
    cells.RNN,
    {
        "{direction}W": "input unit -> input_weight",
        "{direction}RW": "state unit -> recurrent_weight",
        "{direction}b": "unit -> input_bias",
    },
    spelling=_WAYS,
    class_name="SimpleRnn",
)
DENSE = Layout("dl4j", cells.LINEAR, {"W": "in out -> weight", "b": "out -> bias"}, class_name="DenseLayer")
EMBEDDING = Layout("dl4j", cells.EMBEDDING, {"W": "index feature -> weight"}, class_name="EmbeddingLayer")
CONV2D = Layout(
    "dl4j",
    cells.CONV2D,
    {"W": "out in height width -> weight", "b": "out -> bias"},
    class_name="ConvolutionLayer",
)
BATCH_NORM = Layout(
    "dl4j",
    cells.BATCH_NORM,
    {
        "gamma": "channel -> weight",
        "beta": "channel -> bias",
        "mean": "channel -> running_mean",
        "var": "channel -> running_var",
    },
    defaults={"epsilon": 1e-5, "momentum": 0.9},
    class_name="BatchNormalization",
)

UNCOMPARED = (
    "GravesBidirectionalLSTM",
    "EmbeddingLayer",
    "EmbeddingSequenceLayer",
    "ConvolutionLayer",
    "BatchNormalization",
)
"""Classes whose layouts are read in DL4J's sources alone."""
LAYERS = {
    "LSTM": (LSTM,),
    "GravesLSTM": (LSTM,),
    "GravesBidirectionalLSTM": (LSTM,),
    "SimpleRnn": (RNN,),
    "DenseLayer": (DENSE,),
    "OutputLayer": (DENSE,),
    "RnnOutputLayer": (DENSE,),
    "EmbeddingLayer": (EMBEDDING,),
    "EmbeddingSequenceLayer": (EMBEDDING,),
    "ConvolutionLayer": (CONV2D,),
    "BatchNormalization": (BATCH_NORM,),
}
