"""ONNX: its LSTM, GRU and RNN nodes, and the nodes around them that hold weights.

Sources: the operators' schemas and their texts, opset 1 to 28; outputs compared with onnxruntime 1.31 in the tests.

1. An array is known by the input of the node that it feeds, by the schema's newest name: the names in a file are free.
2. Matrices are (direction, gates × units, input): outputs first as in PyTorch, with an axis for one or two directions.
3. LSTM blocks are i, o, f, g (ONNX: c), and peepholes P are i, o, f; GRU blocks are z, r, n (ONNX: h).
4. Both biases stand on one axis of B, that of the input first; without B they are zero.
5. linear_before_reset = 1 is PyTorch's GRU; 0, the default, is reset before, with the second bias outside the reset.
6. Activations, clip and input_forget are free. `clip` limits what goes into f and g, peepholes and biases included, and
   never what goes into an LSTM's h; input_forget makes f = 1 - i, and the weights of f have no effect.
7. Directions "reverse" and "bidirectional" give outputs in the order of the input, as PyTorch does.
8. Gemm's B is (out, in) with transB = 1 and (in, out) without; a MatMul's is (in, out), and its bias belongs to the
   Add that follows: here it is called `bias`.
9. BatchNormalization called its statistics `mean` and `var` before opset 14. GroupNormalization of opset 18 has one
   scale and bias a group, not a channel. InstanceNormalization is a GroupNorm with one channel a group.
10. A slope of PRelu is aligned with the last axes of its input: "channel 1 1" is axis 1 of (batch, channel, …, …).
11. A ConvTranspose with groups has out / groups on the second axis of W, as PyTorch, and all of out in B.
12. Depthwise, separable and locally connected convolutions, ConvLSTM, attention, dense layers of any equation and the
   like are no nodes of their own: the arrays of the nodes that compute them, for writing alone (`written`).
13. Epsilon is 1e-5 everywhere, momentum 0.9 of the old statistics; both are attributes of the node, as clip and
    activations are.
"""

from layouts import cells
from layouts.layout import Layout

_GATED = {
    "W": "direction (gate unit) input -> input_weight",
    "R": "direction (gate unit) state -> recurrent_weight",
    "B": "direction (side gate unit) -> {side}_bias",
}
_PEEPHOLES = {"P": "direction (gate:iof unit) -> peephole"}
_PLAIN = {
    "W": "direction unit input -> input_weight",
    "R": "direction unit state -> recurrent_weight",
    "B": "direction (side unit) -> {side}_bias",
}
_AFTER = {"linear_before_reset": 1}
_BEFORE = {"linear_before_reset": 0}

_CLIPPED = {"clip": None}
_ATTRIBUTES = _CLIPPED | {"output_activation": None, "input_forget": False}

_FUNCTIONS = (
    "tanh",
    "sigmoid",
    "relu",
    "linear",
    "leaky_relu_0.01",
    "hard_sigmoid_0.2",
    "hard_sigmoid_1/6",
    "softsign",
    "softplus",
    "elu",
)
_GATES = {"activation": _FUNCTIONS, "recurrent_activation": _FUNCTIONS}
_ALL_GATES = _GATES | {"output_activation": (None, *_FUNCTIONS)}

LSTM = Layout(
    "onnx",
    cells.LSTM,
    _GATED | _PEEPHOLES,
    gates="iofg",
    defaults=_ATTRIBUTES,
    computes=_ALL_GATES,
    class_name="LSTM",
)
GRU = Layout(
    "onnx",
    cells.GRU,
    _GATED,
    gates="zrn",
    when=_AFTER,
    defaults=_CLIPPED,
    computes=_GATES,
    class_name="GRU (reset after)",
)
GRU_BEFORE = Layout(
    "onnx",
    cells.GRU_RESET_BEFORE,
    _GATED,
    gates="zrn",
    when=_BEFORE,
    defaults=_CLIPPED,
    computes=_GATES,
    class_name="GRU (reset before)",
)
RNN = Layout("onnx", cells.RNN, _PLAIN, defaults=_CLIPPED, computes={"activation": _FUNCTIONS}, class_name="RNN")

_OUT_IN = {"B": "out in -> weight"}
_IN_OUT = {"B": "in out -> weight"}
_C = {"C": "out -> bias"}
_ROW = {"C": "1 out -> bias"}
_TRANSPOSED = {"transB": 1}
_AS_IT_IS = {"transB": 0}
GEMM = (
    Layout("onnx", cells.LINEAR, _OUT_IN | _C, when=_TRANSPOSED, class_name="Gemm"),
    Layout("onnx", cells.LINEAR, _OUT_IN | _ROW, when=_TRANSPOSED, class_name="Gemm"),
    Layout("onnx", cells.LINEAR, _IN_OUT | _C, when=_AS_IT_IS, class_name="Gemm"),
    Layout("onnx", cells.LINEAR, _IN_OUT | _ROW, when=_AS_IT_IS, class_name="Gemm"),
)
MATMUL = Layout("onnx", cells.LINEAR, _IN_OUT | {"bias": "out -> bias"}, class_name="MatMul")
GATHER = Layout("onnx", cells.EMBEDDING, {"data": "index feature -> weight"}, class_name="Gather")

_B = {"B": "out -> bias"}
CONV = (
    Layout("onnx", cells.CONV1D, {"W": "out in width -> weight"} | _B, class_name="Conv"),
    Layout("onnx", cells.CONV2D, {"W": "out in height width -> weight"} | _B, class_name="Conv"),
    Layout("onnx", cells.CONV3D, {"W": "out in depth height width -> weight"} | _B, class_name="Conv"),
)
_GROUPED = {"grouped": True}
_ALL = {"B": "(group out) -> bias"}
CONV_TRANSPOSE = (
    Layout("onnx", cells.CONV_TRANSPOSE1D, {"W": "in out width -> weight"} | _B, class_name="ConvTranspose"),
    Layout("onnx", cells.CONV_TRANSPOSE2D, {"W": "in out height width -> weight"} | _B, class_name="ConvTranspose"),
    Layout(
        "onnx", cells.CONV_TRANSPOSE3D, {"W": "in out depth height width -> weight"} | _B, class_name="ConvTranspose"
    ),
    Layout(
        "onnx",
        cells.CONV_TRANSPOSE1D_GROUPED,
        {"W": "in out width -> weight"} | _ALL,
        when=_GROUPED,
        class_name="ConvTranspose",
    ),
    Layout(
        "onnx",
        cells.CONV_TRANSPOSE2D_GROUPED,
        {"W": "in out height width -> weight"} | _ALL,
        when=_GROUPED,
        class_name="ConvTranspose",
    ),
    Layout(
        "onnx",
        cells.CONV_TRANSPOSE3D_GROUPED,
        {"W": "in out depth height width -> weight"} | _ALL,
        when=_GROUPED,
        class_name="ConvTranspose",
    ),
)

_AFFINE = {"scale": "channel -> weight", "B": "channel -> bias"}
_STATISTICS = {"input_mean": "channel -> running_mean", "input_var": "channel -> running_var"}
_EPSILON = {"epsilon": 1e-5}
BATCH_NORM = Layout(
    "onnx",
    cells.BATCH_NORM,
    _AFFINE | _STATISTICS,
    defaults=_EPSILON | {"momentum": 0.9},
    class_name="BatchNormalization",
)
INSTANCE_NORM = Layout(
    "onnx",
    cells.GROUP_NORM,
    _AFFINE,
    implies={"groups": -1},
    defaults=_EPSILON,
    class_name="InstanceNormalization",
)
GROUP_NORM = Layout(
    "onnx",
    cells.GROUP_NORM,
    {"scale": "channel -> weight", "bias": "channel -> bias"},
    defaults=_EPSILON,
    class_name="GroupNormalization",
)
_LAYER_NORM = "LayerNormalization"
LAYER_NORM = (
    Layout(
        "onnx",
        cells.LAYER_NORM,
        {"Scale": "feature -> weight", "B": "feature -> bias"},
        defaults=_EPSILON,
        class_name=_LAYER_NORM,
    ),
    Layout(
        "onnx",
        cells.LAYER_NORM_2D,
        {"Scale": "row feature -> weight", "B": "row feature -> bias"},
        defaults=_EPSILON,
        class_name=_LAYER_NORM,
    ),
    Layout(
        "onnx",
        cells.LAYER_NORM_3D,
        {"Scale": "plane row feature -> weight", "B": "plane row feature -> bias"},
        defaults=_EPSILON,
        class_name=_LAYER_NORM,
    ),
)
RMS_NORM = Layout(
    "onnx", cells.RMS_NORM, {"scale": "feature -> weight"}, defaults=_EPSILON, class_name="RMSNormalization"
)
PRELU = (
    Layout("onnx", cells.PRELU, {"slope": "channel -> weight"}, class_name="PRelu"),
    Layout("onnx", cells.PRELU, {"slope": "channel 1 -> weight"}, class_name="PRelu"),
    Layout("onnx", cells.PRELU, {"slope": "channel 1 1 -> weight"}, class_name="PRelu"),
    Layout("onnx", cells.PRELU, {"slope": "channel 1 1 1 -> weight"}, class_name="PRelu"),
)

_WRITTEN = {"written": True}
_EACH = "(in multiplier) 1"
_ALONE = (
    Layout(
        "onnx",
        cells.DEPTHWISE_CONV1D,
        {"W": f"{_EACH} width -> weight"} | _B,
        when=_WRITTEN,
        class_name="Conv (depthwise)",
    ),
    Layout(
        "onnx",
        cells.DEPTHWISE_CONV2D,
        {"W": f"{_EACH} height width -> weight"} | _B,
        when=_WRITTEN,
        class_name="Conv (depthwise)",
    ),
    Layout(
        "onnx",
        cells.SEPARABLE_CONV1D,
        {
            "depthwise W": f"{_EACH} width -> depthwise_weight",
            "pointwise W": "out (in multiplier) 1 -> pointwise_weight",
        }
        | _B,
        when=_WRITTEN,
        class_name="Conv (separable)",
    ),
    Layout(
        "onnx",
        cells.SEPARABLE_CONV2D,
        {
            "depthwise W": f"{_EACH} height width -> depthwise_weight",
            "pointwise W": "out (in multiplier) 1 1 -> pointwise_weight",
        }
        | _B,
        when=_WRITTEN,
        class_name="Conv (separable)",
    ),
)
_OUTPUT = {"output B": "(head key) out -> output_weight", "output bias": "out -> output_bias"}
_OF_VALUES = {"output B": "(head value) out -> output_weight", "output bias": "out -> output_bias"}
_HEADS = (
    Layout(
        "onnx",
        cells.ATTENTION,
        {"{role} B": "in (head key) -> input_weight", "{role} bias": "(head key) -> input_bias"} | _OUTPUT,
        when=_WRITTEN,
        class_name="MatMul (attention)",
    ),
    Layout(
        "onnx",
        cells.ATTENTION_OF_WIDTHS,
        {
            "query B": "in (head key) -> query_weight",
            "key B": "key_in (head key) -> key_weight",
            "value B": "value_in (head key) -> value_weight",
            "{role} bias": "(head key) -> input_bias",
        }
        | _OUTPUT,
        when=_WRITTEN,
        class_name="MatMul (attention)",
    ),
    Layout(
        "onnx",
        cells.ATTENTION_OF_VALUE_WIDTH,
        {
            "query B": "in (head key) -> query_weight",
            "key B": "key_in (head key) -> key_weight",
            "value B": "value_in (head value) -> value_weight",
            "query bias": "(head key) -> query_bias",
            "key bias": "(head key) -> key_bias",
            "value bias": "(head value) -> value_bias",
        }
        | _OF_VALUES,
        when=_WRITTEN,
        class_name="MatMul (attention)",
    ),
)
_SCORES = (
    Layout("onnx", cells.DOT_ATTENTION, {"scale": "-> scale"}, when=_WRITTEN, class_name="MatMul (scaled attention)"),
    Layout(
        "onnx",
        cells.ADDITIVE_ATTENTION,
        {"scale": "feature -> scale"},
        when=_WRITTEN,
        class_name="MatMul (additive attention)",
    ),
    Layout(
        "onnx",
        cells.CONCAT_ATTENTION,
        {"scale": "-> scale", "score_weight": "-> score_weight"},
        when=_WRITTEN,
        class_name="MatMul (concat attention)",
    ),
)
_NORMALIZATION = (
    Layout(
        "onnx",
        cells.NORMALIZATION,
        {"mean": "feature -> mean", "variance": "feature -> variance"},
        when=_WRITTEN,
        class_name="BatchNormalization (statistics alone)",
    ),
    Layout(
        "onnx",
        cells.NORMALIZATION_OF_ALL,
        {"mean": "-> mean", "variance": "-> variance"},
        when=_WRITTEN,
        class_name="BatchNormalization (statistics alone)",
    ),
)
_SLOPES = (
    Layout("onnx", cells.PRELU_BY_ELEMENT, {"slope": "row channel -> weight"}, when=_WRITTEN, class_name="PRelu"),
    Layout(
        "onnx",
        cells.PRELU_BY_ELEMENT_2D,
        {"slope": "row column channel -> weight"},
        when=_WRITTEN,
        class_name="PRelu",
    ),
)
_EINSUM = tuple(
    Layout(
        "onnx",
        cell,
        {"W": f"{weight} -> weight", "bias": f"{bias} -> bias"},
        when=_WRITTEN,
        class_name="MatMul (einsum)",
    )
    for cell, weight, bias in (
        (cells.EINSUM_2_1, "one two", "first"),
        (cells.EINSUM_2_2, "one two", "first second"),
        (cells.EINSUM_3_1, "one two three", "first"),
        (cells.EINSUM_3_2, "one two three", "first second"),
    )
)
_MAPS = tuple(
    Layout(
        "onnx",
        cell,
        {
            "W": f"(gate unit) input {space} -> input_kernel",
            "R": f"(gate unit) state {space} -> recurrent_kernel",
            "B": "(gate unit) -> input_bias",
        },
        gates="ifgo",
        when=_WRITTEN,
        class_name="Conv (ConvLSTM)",
    )
    for cell, space in (
        (cells.CONV_LSTM1D, "width"),
        (cells.CONV_LSTM2D, "height width"),
        (cells.CONV_LSTM3D, "depth height width"),
    )
)
_LOCAL = (
    Layout(
        "onnx",
        cells.LOCALLY_CONNECTED1D,
        {"W": "column out in width -> weight", "B": "out column -> bias"},
        when=_WRITTEN,
        class_name="Gather (locally connected)",
    ),
    Layout(
        "onnx",
        cells.LOCALLY_CONNECTED2D,
        {"W": "row column out in height width -> weight", "B": "out row column -> bias"},
        when=_WRITTEN,
        class_name="Gather (locally connected)",
    ),
)

LAYERS = {
    "LSTM": (LSTM,),
    "GRU": (GRU, GRU_BEFORE),
    "RNN": (RNN,),
    "MatMul": (MATMUL,),
    "Gemm": GEMM,
    "Gather": (GATHER,),
    "Conv": CONV,
    "ConvTranspose": CONV_TRANSPOSE,
    "BatchNormalization": (BATCH_NORM,),
    "GroupNormalization": (GROUP_NORM,),
    "InstanceNormalization": (INSTANCE_NORM,),
    "LayerNormalization": LAYER_NORM,
    "RMSNormalization": (RMS_NORM,),
    "PRelu": PRELU,
    "Conv (written)": (*_ALONE, *_MAPS),
    "MatMul (written)": (*_HEADS, *_SCORES, *_EINSUM),
    "Gather (written)": _LOCAL,
    "BatchNormalization (written)": _NORMALIZATION,
    "PRelu (written)": _SLOPES,
}
USUAL = {"grouped": False, "written": False}
"""What is so unless somebody states otherwise."""
