"""Chainer: the NStep links, links.LSTM and links.GRU, and the links around them. Names are paths below one link.

1. Weights are (units, input), as PyTorch's. Source: chainer.functions.linear.
2. An NStep link is a list of links, one a layer and direction (number = layer × directions + direction, forward
   first); a layout describes one of them. Each gate has arrays of its own, and there are two biases. NStepLSTM: w0 …
   w3 on the input are i, f, g, o; w4 … w7 on the state the same. Source: `_lstm` in chainer.functions.rnn.n_step_lstm.
   NStepGRU: w0, w1, w2 are r, z, n, and w3, w4, w5; reset after, as PyTorch.
3. NStepRNNTanh and NStepRNNReLU: w0 on the input, w1 on the state; the class fixes the activation.
4. links.LSTM interleaves its rows: unit u has the rows 4u … 4u + 3, g, i, f, o. Source: `_extract_gates` in
   chainer.functions.rnn.lstm. One bias, in `upward`. `forget_bias_init` acts on the initial value only.
5. links.GRU has one link a gate, W for the input and U for the state, each with a bias; no suffix is the candidate. It
   resets before the product, and h' = (1 - z) h + z n, the opposite sense of PyTorch's z. Source: links.rnn.gru.
6. links.GRU, alias StatefulGRU, leaves out every U, its bias too, on the first step after `reset_state`; StatelessGRU
   never does. From h = 0 on the two are one where the biases of U and U_z are zero, since r, whatever it is, meets
   h = 0; else only StatelessGRU has a layout. Source: `StatefulGRU.forward` in links.rnn.gru.
7. Peepholes of StatefulPeepholeLSTM are full matrices: known by name, and refused. Zoneout does nothing at inference.
8. Convolutions are channels first, (out, in, height, width), as PyTorch's, deconvolutions (in, out, height, width), and
   do not pad. A depthwise one is (multiplier, in, height, width). Source: the links of these names.
9. Epsilon: 2e-5 in BatchNormalization, whose decay is 0.9 and whose `N` counts, 1e-6 in LayerNormalization, 1e-5 in
   GroupNormalization.
10. A snapshot of a trainer keeps the links of a model below `updater/model:main`.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.layout import Layout
from layouts.refusals import Refusal

_FIXED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_PAIR = {
    "w0": "unit input -> input_weight",
    "w1": "unit state -> recurrent_weight",
    "b0": "unit -> input_bias",
    "b1": "unit -> recurrent_bias",
}

NSTEP_LSTM = Layout(
    "chainer",
    cells.LSTM,
    {
        "w0": "unit input -> input_weight[i]",
        "w4": "unit state -> recurrent_weight[i]",
        "w1": "unit input -> input_weight[f]",
        "w5": "unit state -> recurrent_weight[f]",
        "w2": "unit input -> input_weight[g]",
        "w6": "unit state -> recurrent_weight[g]",
        "w3": "unit input -> input_weight[o]",
        "w7": "unit state -> recurrent_weight[o]",
        "b0": "unit -> input_bias[i]",
        "b4": "unit -> recurrent_bias[i]",
        "b1": "unit -> input_bias[f]",
        "b5": "unit -> recurrent_bias[f]",
        "b2": "unit -> input_bias[g]",
        "b6": "unit -> recurrent_bias[g]",
        "b3": "unit -> input_bias[o]",
        "b7": "unit -> recurrent_bias[o]",
    },
    gates="ifgo",
    implies=_FIXED,
    class_name="NStepLSTM",
)
NSTEP_GRU = Layout(
    "chainer",
    cells.GRU,
    {
        "w0": "unit input -> input_weight[r]",
        "w3": "unit state -> recurrent_weight[r]",
        "w1": "unit input -> input_weight[z]",
        "w4": "unit state -> recurrent_weight[z]",
        "w2": "unit input -> input_weight[n]",
        "w5": "unit state -> recurrent_weight[n]",
        "b0": "unit -> input_bias[r]",
        "b3": "unit -> recurrent_bias[r]",
        "b1": "unit -> input_bias[z]",
        "b4": "unit -> recurrent_bias[z]",
        "b2": "unit -> input_bias[n]",
        "b5": "unit -> recurrent_bias[n]",
    },
    gates="rzn",
    implies=_FIXED,
    class_name="NStepGRU",
)
NSTEP_RNN_TANH = Layout("chainer", cells.RNN, _PAIR, implies={"activation": "tanh"}, class_name="NStepRNNTanh")
NSTEP_RNN_RELU = Layout("chainer", cells.RNN, _PAIR, implies={"activation": "relu"}, class_name="NStepRNNReLU")
LSTM = Layout(
    "chainer",
    cells.LSTM,
    {
        "upward/W": "(unit gate) input -> input_weight",
        "upward/b": "(unit gate) -> input_bias",
        "lateral/W": "(unit gate) state -> recurrent_weight",
    },
    gates="gifo",
    implies=_FIXED,
    class_name="LSTM",
)
_LINKS = {
    "W{gate}/W": "unit input -> input_weight",
    "W{gate}/b": "unit -> input_bias",
    "U{gate}/W": "unit state -> recurrent_weight",
}
_SKIPPED = (
    "a stateful GRU of Chainer leaves out the products with its state, and this bias with them, on the first step "
    "after reset_state, and no module computes that. If this is a StatelessGRU, state stateful=false of the layer"
)
GRU = Layout(
    "chainer",
    cells.GRU_RESET_BEFORE,
    _LINKS | {"U_r/b": "unit -> recurrent_bias[r]"},
    gates="rzn",
    spelling={"gate": {"r": "_r", "z": "_z", "n": ""}},
    negated="z",
    when={"stateful": True},
    implies=_FIXED,
    zero={"U/b": _SKIPPED, "U_z/b": _SKIPPED},
    class_name="GRU",
)
STATELESS_GRU = Layout(
    "chainer",
    cells.GRU_RESET_BEFORE,
    _LINKS | {"U{gate}/b": "unit -> recurrent_bias"},
    gates="rzn",
    spelling={"gate": {"r": "_r", "z": "_z", "n": ""}},
    negated="z",
    when={"stateful": False},
    implies=_FIXED,
    class_name="StatelessGRU",
)

_BIAS = {"b": "out -> bias"}
LINEAR = Layout("chainer", cells.LINEAR, {"W": "out in -> weight"} | _BIAS, class_name="Linear")
EMBED = Layout("chainer", cells.EMBEDDING, {"W": "index feature -> weight"}, class_name="EmbedID")
CONV1D = Layout("chainer", cells.CONV1D, {"W": "out in width -> weight"} | _BIAS, class_name="Convolution1D")
CONV2D = Layout("chainer", cells.CONV2D, {"W": "out in height width -> weight"} | _BIAS, class_name="Convolution2D")
CONV3D = Layout(
    "chainer", cells.CONV3D, {"W": "out in depth height width -> weight"} | _BIAS, class_name="Convolution3D"
)
DECONV1D = Layout(
    "chainer", cells.CONV_TRANSPOSE1D, {"W": "in out width -> weight"} | _BIAS, class_name="Deconvolution1D"
)
DECONV2D = Layout(
    "chainer", cells.CONV_TRANSPOSE2D, {"W": "in out height width -> weight"} | _BIAS, class_name="Deconvolution2D"
)
DEPTHWISE = Layout(
    "chainer",
    cells.DEPTHWISE_CONV2D,
    {"W": "multiplier in height width -> weight"} | _BIAS,
    class_name="DepthwiseConvolution2D",
)
_CHANNELS = {"gamma": "channel -> weight", "beta": "channel -> bias"}
BATCH_NORM = Layout(
    "chainer",
    cells.BATCH_NORM,
    _CHANNELS | {"avg_mean": "channel -> running_mean", "avg_var": "channel -> running_var"},
    defaults={"epsilon": 2e-5, "momentum": 0.9},
    ignored=("N",),
    class_name="BatchNormalization",
)
LAYER_NORM = Layout(
    "chainer",
    cells.LAYER_NORM,
    {"gamma": "feature -> weight", "beta": "feature -> bias"},
    defaults={"epsilon": 1e-6},
    class_name="LayerNormalization",
)
GROUP_NORM = Layout("chainer", cells.GROUP_NORM, _CHANNELS, defaults={"epsilon": 1e-5}, class_name="GroupNormalization")

USUAL = {"stateful": True}
REFUSED = (
    Refusal(
        "StatefulPeepholeLSTM",
        ("upward/W", "upward/b", "lateral/W", "peep_i/W", "peep_f/W", "peep_o/W"),
        "its peepholes are full matrices, which no module computes",
    ),
    Refusal(
        "StatefulMGU",
        ("W_f/W", "W_f/b", "W_h/W", "W_h/b"),
        "a minimal gated unit has one gate, and no module computes it",
    ),
    Refusal(
        "ChildSumTreeLSTM", ("W_x/W", "W_x/b", "W_h_aio/W", "W_h_f/W"), "it runs over trees, and no module computes it"
    ),
    Refusal(
        "NaryTreeLSTM",
        ("W_x/W", "W_x/b", "W_h/W"),
        "it runs over trees, and no module computes it",
    ),
)

ARRANGEMENTS = (
    Arrangement(
        "{number}",
        classes={
            "NStepLSTM": "NStepBiLSTM",
            "NStepGRU": "NStepBiGRU",
            "NStepRNNTanh": "NStepBiRNNTanh",
            "NStepRNNReLU": "NStepBiRNNReLU",
        },
        merge="concat",
    ),
)

LAYERS = {
    "NStepLSTM": (NSTEP_LSTM,),
    "NStepBiLSTM": (NSTEP_LSTM,),
    "NStepGRU": (NSTEP_GRU,),
    "NStepBiGRU": (NSTEP_GRU,),
    "NStepRNNTanh": (NSTEP_RNN_TANH,),
    "NStepBiRNNTanh": (NSTEP_RNN_TANH,),
    "NStepRNNReLU": (NSTEP_RNN_RELU,),
    "NStepBiRNNReLU": (NSTEP_RNN_RELU,),
    "LSTM": (LSTM,),
    "StatelessLSTM": (LSTM,),
    "StatefulZoneoutLSTM": (LSTM,),
    "GRU": (GRU,),
    "StatefulGRU": (GRU,),
    "StatelessGRU": (STATELESS_GRU,),
    "Linear": (LINEAR,),
    "EmbedID": (EMBED,),
    "Convolution1D": (CONV1D,),
    "Convolution2D": (CONV2D,),
    "DilatedConvolution2D": (CONV2D,),
    "Convolution3D": (CONV3D,),
    "Deconvolution1D": (DECONV1D,),
    "Deconvolution2D": (DECONV2D,),
    "DepthwiseConvolution2D": (DEPTHWISE,),
    "BatchNormalization": (BATCH_NORM,),
    "LayerNormalization": (LAYER_NORM,),
    "GroupNormalization": (GROUP_NORM,),
}
