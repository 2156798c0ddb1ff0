"""Keras 1, 2, tf.keras and 3, and their CuDNN layers.

1. Kernels are (input, gates × units): inputs first, so every matrix is the transpose of PyTorch's. Source: `build` of
   the recurrent layers; outputs compared in the tests for every version.
2. LSTM blocks stand in PyTorch's order i, f, g (Keras: c), o; GRU blocks are z, r, n (Keras: h).
3. One bias. Only a GRU with reset_after has two, as the rows of one array (2, 3 × units).
4. `unit_forget_bias` acts on the initial value only; nothing is added when the layer runs.
5. Keras 1 stores one array for every gate (`W_i`, `U_i`, `b_i`), or packed ones with consume_less='gpu'.
6. The CuDNN layers keep two biases in one axis, blocks of the input kernel as reshaped buffers, and blocks of the
   recurrent kernel already transposed.
7. Convolutions are channels last: (height, width, in, out); transposed ones (height, width, out, in). On the Theano
   backend kernels are applied flipped, so they are stored backwards along every spatial axis.
8. BatchNormalization of Keras 1 calls the variance `running_std`.
9. Epsilon: 1e-3 in BatchNormalization, LayerNormalization and GroupNormalization, 1e-6 in RMSNormalization; momentum
   0.99. Gates of Keras 1 default to its hard_sigmoid, clip(0.2 x + 0.5). Dense and convolutions may have an activation
   of their own, which no array tells. Source: the constructors.
10. hard_sigmoid is clip(x / 6 + 0.5) since Keras 3 and was clip(0.2 x + 0.5) before. The one of an argument times 1.2
   is the other, so gates whose weights and biases are written times 1.2 compute the old one. Not so the function of an
   LSTM's candidate, which acts on its cell too. Source: `keras.activations` of both.
11. LocallyConnected1D and LocallyConnected2D, until Keras 2, have a kernel for every place of the output, its window
   flattened. Source: the constructors and `local_conv` of the backends.
"""

from layouts import cells
from layouts.arrangements import Arrangement
from layouts.custom import BlockBuffers
from layouts.frameworks import keras_attention, keras_convolutions, keras_local, keras_maps, keras_other
from layouts.layout import Custom, Layout

_KERNELS = {
    "kernel": "input (gate unit) -> input_weight",
    "recurrent_kernel": "state (gate unit) -> recurrent_weight",
}
_BIAS = {"bias": "(gate unit) -> input_bias"}
_BIASES = {"bias": "(side gate unit) -> {side}_bias"}
_TWO_BIASES = {"bias": "side (gate unit) -> {side}_bias"}
_CUDNN: dict[str, str | Custom] = {
    "kernel": BlockBuffers(),
    "recurrent_kernel": "unit (gate state) -> recurrent_weight",
    **_BIASES,
}
_PEEPHOLES = {
    "input_gate_peephole_weights": "unit -> peephole[i]",
    "forget_gate_peephole_weights": "unit -> peephole[f]",
    "output_gate_peephole_weights": "unit -> peephole[o]",
}
_GATES_APART = {
    "W_{gate}": "input unit -> input_weight",
    "U_{gate}": "state unit -> recurrent_weight",
    "b_{gate}": "unit -> input_bias",
}
_PACKED = {
    "W": "input (gate unit) -> input_weight",
    "U": "state (gate unit) -> recurrent_weight",
    "b": "(gate unit) -> input_bias",
}
_LSTM_LETTERS = {"gate": {"g": "c"}}
_GRU_LETTERS = {"gate": {"n": "h"}}
_FUSED = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_KERAS1 = {"recurrent_activation": "hard_sigmoid_0.2"}
_BIASED = ("bias",)
_FUNCTIONS = (
    *("tanh", "sigmoid", "linear", "relu", "hard_sigmoid_1/6", "softsign", "softplus", "elu", "selu", "silu"),
    *("exponential", "gelu", "softmax", "log_softmax", "relu6", "hard_silu", "hard_tanh", "mish", "celu"),
    *("log_sigmoid", "hard_shrink", "soft_shrink", "tanh_shrink", "leaky_relu"),
)
_COMPUTED = {"activation": _FUNCTIONS, "recurrent_activation": _FUNCTIONS, "clip": (None,)}
_LSTM = _COMPUTED | {"output_activation": (None,), "input_forget": (False,)}
_CUDNN_LSTM = {"clip": (None,), "output_activation": (None,), "input_forget": (False,)}
_GATED = ("recurrent_activation",)
_EITHER = ("activation", "recurrent_activation")

LSTM = Layout("keras", cells.LSTM, _KERNELS | _BIAS, gates="ifgo", computes=_LSTM, stretches=_GATED, class_name="LSTM")
LSTM_PEEPHOLE = Layout(
    "keras",
    cells.LSTM,
    _KERNELS | _BIAS | _PEEPHOLES,
    gates="ifgo",
    computes=_LSTM,
    stretches=_GATED,
    class_name="PeepholeLSTMCell",
)
LSTM_CUDNN = Layout(
    "keras",
    cells.LSTM,
    _CUDNN,
    gates="ifgo",
    implies=_FUSED,
    always=_BIASED,
    computes=_CUDNN_LSTM,
    class_name="CuDNNLSTM",
)
LSTM_APART = Layout(
    "keras",
    cells.LSTM,
    _GATES_APART,
    gates="igfo",
    spelling=_LSTM_LETTERS,
    defaults=_KERAS1,
    class_name="LSTM (Keras 1)",
)
LSTM_PACKED = Layout("keras", cells.LSTM, _PACKED, gates="ifgo", defaults=_KERAS1, class_name="LSTM (Keras 1, gpu)")

GRU = Layout(
    "keras",
    cells.GRU,
    _KERNELS | _TWO_BIASES,
    gates="zrn",
    when={"reset_after": True},
    computes=_COMPUTED,
    stretches=_EITHER,
    class_name="GRU (reset after)",
)
GRU_BEFORE = Layout(
    "keras",
    cells.GRU_RESET_BEFORE,
    _KERNELS | _BIAS,
    gates="zrn",
    when={"reset_after": False},
    computes=_COMPUTED,
    stretches=_EITHER,
    class_name="GRU (reset before)",
)
GRU_CUDNN = Layout(
    "keras",
    cells.GRU,
    _CUDNN,
    gates="zrn",
    implies=_FUSED,
    always=_BIASED,
    computes={"clip": (None,)},
    class_name="CuDNNGRU",
)
GRU_APART = Layout(
    "keras",
    cells.GRU_RESET_BEFORE,
    _GATES_APART,
    gates="zrn",
    spelling=_GRU_LETTERS,
    defaults=_KERAS1,
    class_name="GRU (Keras 1)",
)
GRU_PACKED = Layout(
    "keras", cells.GRU_RESET_BEFORE, _PACKED, gates="zrn", defaults=_KERAS1, class_name="GRU (Keras 1, gpu)"
)

RNN = Layout(
    "keras",
    cells.RNN,
    {
        "kernel": "input unit -> input_weight",
        "recurrent_kernel": "state unit -> recurrent_weight",
        "bias": "unit -> input_bias",
    },
    computes={"activation": _FUNCTIONS, "clip": (None,)},
    stretches=("activation",),
    class_name="SimpleRNN",
)
RNN_KERAS1 = Layout(
    "keras",
    cells.RNN,
    {"W": "input unit -> input_weight", "U": "state unit -> recurrent_weight", "b": "unit -> input_bias"},
    class_name="SimpleRNN (Keras 1)",
)

_WAYS = {"forward": "forward", "backward": "backward"}
ARRANGEMENTS = tuple(
    Arrangement(f"{{direction}}_{layer}{number}", _WAYS, merge="concat")
    for layer in ("lstm", "gru", "simple_rnn")
    for number in ("", "_#")
)

LAYERS = {
    "LSTM": (LSTM, LSTM_APART, LSTM_PACKED),
    "LSTMCell": (LSTM,),
    "PeepholeLSTMCell": (LSTM_PEEPHOLE,),
    "CuDNNLSTM": (LSTM_CUDNN,),
    "GRU": (GRU, GRU_BEFORE, GRU_APART, GRU_PACKED),
    "GRUCell": (GRU, GRU_BEFORE),
    "CuDNNGRU": (GRU_CUDNN,),
    "SimpleRNN": (RNN, RNN_KERAS1),
    "SimpleRNNCell": (RNN,),
    **keras_maps.MAPS,
    **keras_convolutions.LAYERS,
    **keras_local.LAYERS,
    **keras_attention.LAYERS,
    **keras_other.LAYERS,
}
USUAL = keras_convolutions.USUAL | keras_local.USUAL
