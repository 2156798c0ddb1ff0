"""TensorFlow Lite: the fused recurrent operations, and the layers around them, by what each input of an operation is.

1. Matrices are (unit, input), one a gate, as blocks of PyTorch's; FULLY_CONNECTED is (out, in). Source: the comments of
   the inputs in tensorflow/lite/kernels/unidirectional_sequence_lstm.cc and fully_connected.cc.
2. Gates are input, forget, cell (g) and output. One bias each; nothing is added when the operation runs: what adds a
   forget offset elsewhere has it in the bias here.
3. Peepholes are `cell_to_input`, `cell_to_forget` and `cell_to_output`; a projection is (state, unit), and its bias
   has no place in PyTorch. Without the matrices of the input gate it is 1 minus the forget gate: not described.
4. `cell_clip` and `proj_clip` limit the cell and the projection; the fused activation is that of candidate and cell.
5. CONV_2D is (out, height, width, in), DEPTHWISE_CONV_2D (1, height, width, out); both are channels last.
6. LSTM and RNN are one step of the same. With kernel_type BASIC an LSTM has one matrix, (4 × unit, input + unit), whose
   gates are input, cell, forget and output, as those of TensorFlow 1. Source: LstmCell in reference/reference_ops.h.
7. Quantized matrices are (q - zero point) × scale, one scale for all or one for each row. Names here are those of the
   inputs in the source above.
"""

from layouts import cells
from layouts.layout import Layout

_GATES = {"gate": {"i": "input", "f": "forget", "g": "cell", "o": "output"}}

LSTM = Layout(
    "tflite",
    cells.LSTM,
    {
        "input_to_{gate}_weights": "unit input -> input_weight",
        "recurrent_to_{gate}_weights": "unit state -> recurrent_weight",
        "{gate}_gate_bias": "unit -> input_bias",
        "cell_to_input_weights": "unit -> peephole[i]",
        "cell_to_forget_weights": "unit -> peephole[f]",
        "cell_to_output_weights": "unit -> peephole[o]",
        "projection_weights": "state unit -> projection",
    },
    gates="ifgo",
    spelling=_GATES,
    implies={"recurrent_activation": "sigmoid"},
    class_name="UNIDIRECTIONAL_SEQUENCE_LSTM",
)
BASIC_LSTM = Layout(
    "tflite",
    cells.LSTM,
    {
        "weights": "(gate unit) (input + state) -> input_weight + recurrent_weight",
        "biases": "(gate unit) -> input_bias",
    },
    gates="igfo",
    implies={"recurrent_activation": "sigmoid", "activation": "tanh"},
    class_name="BASIC_LSTM",
)
RNN = Layout(
    "tflite",
    cells.RNN,
    {
        "input_weights": "unit input -> input_weight",
        "recurrent_weights": "unit state -> recurrent_weight",
        "bias": "unit -> input_bias",
    },
    class_name="UNIDIRECTIONAL_SEQUENCE_RNN",
)
_BIAS = {"bias": "out -> bias"}
_ACTIVATED = {"activation": "linear"}
_LAST = {"channels_last": True}
FULLY_CONNECTED = Layout(
    "tflite", cells.LINEAR, {"weights": "out in -> weight"} | _BIAS, beside=_ACTIVATED, class_name="FULLY_CONNECTED"
)
CONV_2D = Layout(
    "tflite",
    cells.CONV2D,
    {"filter": "out height width in -> weight"} | _BIAS,
    defaults=_LAST,
    beside=_ACTIVATED,
    class_name="CONV_2D",
)
DEPTHWISE_CONV_2D = Layout(
    "tflite",
    cells.DEPTHWISE_CONV2D,
    {"filter": "1 height width (in multiplier) -> weight"} | _BIAS,
    defaults=_LAST,
    beside=_ACTIVATED,
    class_name="DEPTHWISE_CONV_2D",
)
EMBEDDING = Layout("tflite", cells.EMBEDDING, {"value": "index feature -> weight"}, class_name="EMBEDDING_LOOKUP")

LAYERS = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (LSTM,),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (LSTM,),
    "LSTM": (LSTM,),
    "BASIC_LSTM": (BASIC_LSTM,),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (RNN,),
    "RNN": (RNN,),
    "BIDIRECTIONAL_SEQUENCE_RNN": (RNN,),
    "FULLY_CONNECTED": (FULLY_CONNECTED,),
    "CONV_2D": (CONV_2D,),
    "DEPTHWISE_CONV_2D": (DEPTHWISE_CONV_2D,),
    "EMBEDDING_LOOKUP": (EMBEDDING,),
    "GATHER": (EMBEDDING,),
}
