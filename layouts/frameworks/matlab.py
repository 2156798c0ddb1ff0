"""MATLAB's Deep Learning Toolbox: lstmLayer, bilstmLayer, gruLayer and the layers around them, by their properties.

MATLAB does not run here: what follows is read in its documentation, and was not compared with its outputs.

1. Weights are (gates × units, input), as PyTorch's; every array has two axes or more, so a bias is (gates × units, 1).
2. LSTM: blocks i, f, g, o. Source: the property InputWeights of lstmLayer. The earliest releases had g, i, f, o.
3. bilstmLayer has both directions one after the other, forward first, and gives them concatenated. Source: the property
   InputWeights of bilstmLayer.
4. GRU: blocks r, z, n. ResetGateMode: "after-multiplication" (usual, one bias, outside of the reset),
   "before-multiplication" (another equation), "recurrent-bias-after-multiplication" (6 × units: a bias for the input,
   then one for the state). h' = (1 - z) n + z h. Source: the algorithm section of gruLayer.
5. HiddenState and CellState are the states before the first step: others than zeros are only left out on demand.
6. Convolutions are channels last, (height, width, in, out), and cross-correlate. Source: convolution2dLayer.
7. Epsilon of norms is 1e-5. Scale and Offset of a norm have axes of one before the channels.
8. `hard-sigmoid` is clip(0.2 x + 0.5, 0, 1). Source: GateActivationFunction.
"""

from layouts import cells
from layouts.layout import Layout
from layouts.refusals import Refusal

UNVERIFIED = "MATLAB's layouts are read in its documentation: nothing was compared with what MATLAB computes"

_SETTINGS = ("InputSize", "NumHiddenUnits", "HasStateInputs", "HasStateOutputs")
_RATES = (
    *("InputWeightsLearnRateFactor", "RecurrentWeightsLearnRateFactor", "BiasLearnRateFactor", "WeightLearnRateFactor"),
    *("InputWeightsL2Factor", "RecurrentWeightsL2Factor", "BiasL2Factor", "WeightL2Factor"),
    *("OffsetLearnRateFactor", "ScaleLearnRateFactor", "OffsetL2Factor", "ScaleL2Factor", "NumInputs", "NumOutputs"),
)
_LEARNED = (
    "the layer starts from a state of its own, which stands in no state_dict: state initial_state=given of the layer "
    "to leave it out, and pass it to the module as {}"
)
_H, _C = {"HiddenState": _LEARNED.format("h0")}, {"CellState": _LEARNED.format("c0")}
_ZERO, _GIVEN = {"initial_state": "zero"}, {"initial_state": "given"}
_WEIGHTS = {
    "InputWeights": "(gate unit) input -> input_weight",
    "RecurrentWeights": "(gate unit) state -> recurrent_weight",
}
_ONE = _WEIGHTS | {"Bias": "(gate unit) 1 -> input_bias"}
_TWO = _WEIGHTS | {"Bias": "(side gate unit) 1 -> {side}_bias"}
_EITHER = {
    "InputWeights": "(direction gate unit) input -> input_weight",
    "RecurrentWeights": "(direction gate unit) state -> recurrent_weight",
    "Bias": "(direction gate unit) 1 -> input_bias",
}
_IGNORED = (*_SETTINGS, *_RATES)

LSTM = Layout(
    "matlab", cells.LSTM, _EITHER, gates="ifgo", when=_ZERO, zero=_H | _C, ignored=_IGNORED, class_name="lstmLayer"
)
LSTM_GIVEN = Layout(
    "matlab",
    cells.LSTM,
    _EITHER,
    gates="ifgo",
    when=_GIVEN,
    ignored=(*_IGNORED, *_H, *_C),
    class_name="lstmLayer (states given)",
)
_AFTER, _BEFORE = {"reset_gate_mode": "after-multiplication"}, {"reset_gate_mode": "before-multiplication"}
GRU = Layout(
    "matlab", cells.GRU, _ONE, gates="rzn", when=_ZERO | _AFTER, zero=_H, ignored=_IGNORED, class_name="gruLayer"
)
GRU_SECOND = Layout(
    "matlab",
    cells.GRU,
    _TWO,
    gates="rzn",
    when=_ZERO,
    zero=_H,
    ignored=_IGNORED,
    class_name="gruLayer (recurrent bias after multiplication)",
)
GRU_BEFORE = Layout(
    "matlab",
    cells.GRU_RESET_BEFORE,
    _ONE,
    gates="rzn",
    when=_ZERO | _BEFORE,
    zero=_H,
    ignored=_IGNORED,
    class_name="gruLayer (reset before multiplication)",
)

_BESIDE = (*_RATES, "OutputSize", "NumFilters", "NumChannels", "FilterSize", "Stride", "DilationFactor", "PaddingSize")
DENSE = Layout(
    "matlab",
    cells.LINEAR,
    {"Weights": "out in -> weight", "Bias": "out 1 -> bias"},
    ignored=(*_BESIDE, "InputSize"),
    class_name="fullyConnectedLayer",
)
_LAST = {"channels_last": True}
CONV1D = Layout(
    "matlab",
    cells.CONV1D,
    {"Weights": "width in out -> weight", "Bias": "1 out -> bias"},
    defaults=_LAST,
    ignored=_BESIDE,
    class_name="convolution1dLayer",
)
CONV2D = Layout(
    "matlab",
    cells.CONV2D,
    {"Weights": "height width in out -> weight", "Bias": "1 1 out -> bias"},
    defaults=_LAST,
    ignored=_BESIDE,
    class_name="convolution2dLayer",
)
BATCH_NORM = Layout(
    "matlab",
    cells.BATCH_NORM,
    {
        "Scale": "1 1 channel -> weight",
        "Offset": "1 1 channel -> bias",
        "TrainedMean": "1 1 channel -> running_mean",
        "TrainedVariance": "1 1 channel -> running_var",
    },
    defaults={"epsilon": 1e-5, "axes": (-1,)},
    ignored=(*_RATES, "NumChannels", "Epsilon", "MeanDecay", "VarianceDecay"),
    class_name="batchNormalizationLayer",
)

USUAL = {"initial_state": "zero", "reset_gate_mode": "after-multiplication"}
REFUSED = (
    Refusal(
        "lstmProjectedLayer",
        ("InputWeights", "RecurrentWeights", "Bias", "InputProjector", "OutputProjector"),
        "it projects its input and its output by matrices of its own, and no module computes it",
        (*_IGNORED, *_H, *_C),
    ),
)
LAYERS = {
    "lstmLayer": (LSTM, LSTM_GIVEN),
    "bilstmLayer": (LSTM, LSTM_GIVEN),
    "gruLayer": (GRU, GRU_SECOND, GRU_BEFORE),
    "fullyConnectedLayer": (DENSE,),
    "convolution1dLayer": (CONV1D,),
    "convolution2dLayer": (CONV2D,),
    "batchNormalizationLayer": (BATCH_NORM,),
}
