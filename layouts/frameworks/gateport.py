"""PyTorch's names and order for recurrent cells that no module of torch.nn computes, for modules of one's own.

1. Everything is laid out as in `layouts.frameworks.pytorch`, so a state_dict reads the same.
2. A reset-before GRU adds its two biases in every gate; PyTorch's nn.GRU computes another equation.
3. Peepholes of an LSTM stand in one more array, blocks i, f, o: no module of torch.nn has them.
4. Heads whose values have a width of their own have three biases, and not the one of nn.MultiheadAttention.
5. A ConvLSTM has kernels for matrices, (out, in, …) as those of nn.Conv2d, and one bias.
6. A locally connected layer has such a kernel for each place of its output, and a bias (out, …) as wide as its output.
"""

from layouts import cells
from layouts.frameworks import pytorch
from layouts.layout import Layout

_SPELL = pytorch.LSTM.spelling

GRU_RESET_BEFORE = Layout(
    "gateport",
    cells.GRU_RESET_BEFORE,
    pytorch.GRU.arrays,
    gates="rzn",
    spelling=_SPELL,
    when={"reset_after": False},
    computes=pytorch.GRU.computes,
    class_name="GRU",
)
LSTM = Layout(
    "gateport",
    cells.LSTM,
    {**pytorch.LSTM.arrays, "weight_p_l{layer}{direction}": "(gate:ifo unit) -> peephole"},
    gates="ifgo",
    spelling=_SPELL,
    computes=pytorch.LSTM.computes,
    class_name="LSTM",
)
CONV_LSTM1D = Layout(
    "gateport",
    cells.CONV_LSTM1D,
    {
        "weight_ih_l0": "(gate unit) input width -> input_kernel",
        "weight_hh_l0": "(gate unit) state width -> recurrent_kernel",
        "bias_ih_l0": "(gate unit) -> input_bias",
    },
    gates="ifgo",
    class_name="ConvLSTM1D",
)
CONV_LSTM2D = Layout(
    "gateport",
    cells.CONV_LSTM2D,
    {
        "weight_ih_l0": "(gate unit) input height width -> input_kernel",
        "weight_hh_l0": "(gate unit) state height width -> recurrent_kernel",
        "bias_ih_l0": "(gate unit) -> input_bias",
    },
    gates="ifgo",
    class_name="ConvLSTM2D",
)
CONV_LSTM3D = Layout(
    "gateport",
    cells.CONV_LSTM3D,
    {
        "weight_ih_l0": "(gate unit) input depth height width -> input_kernel",
        "weight_hh_l0": "(gate unit) state depth height width -> recurrent_kernel",
        "bias_ih_l0": "(gate unit) -> input_bias",
    },
    gates="ifgo",
    class_name="ConvLSTM3D",
)
LOCALLY_CONNECTED1D = Layout(
    "gateport",
    cells.LOCALLY_CONNECTED1D,
    {"weight": "column out in width -> weight", "bias": "out column -> bias"},
    class_name="LocallyConnected1D",
)
LOCALLY_CONNECTED2D = Layout(
    "gateport",
    cells.LOCALLY_CONNECTED2D,
    {"weight": "row column out in height width -> weight", "bias": "out row column -> bias"},
    class_name="LocallyConnected2D",
)
ATTENTION_OF_VALUE_WIDTH = Layout(
    "gateport",
    cells.ATTENTION_OF_VALUE_WIDTH,
    {
        "q_proj_weight": "(head key) in -> query_weight",
        "k_proj_weight": "(head key) key_in -> key_weight",
        "v_proj_weight": "(head value) value_in -> value_weight",
        "q_proj_bias": "(head key) -> query_bias",
        "k_proj_bias": "(head key) -> key_bias",
        "v_proj_bias": "(head value) -> value_bias",
        "out_proj.weight": "out (head value) -> output_weight",
        "out_proj.bias": "out -> output_bias",
    },
    class_name="MultiheadAttention",
)
DOT_ATTENTION = Layout("gateport", cells.DOT_ATTENTION, {"scale": "-> scale"}, class_name="Attention")
ADDITIVE_ATTENTION = Layout("gateport", cells.ADDITIVE_ATTENTION, {"scale": "feature -> scale"}, class_name="Attention")
CONCAT_ATTENTION = Layout(
    "gateport",
    cells.CONCAT_ATTENTION,
    {"scale": "-> scale", "score_weight": "-> score_weight"},
    class_name="Attention",
)
PRELU_BY_ELEMENT = Layout("gateport", cells.PRELU_BY_ELEMENT, {"weight": "row channel -> weight"}, class_name="PReLU")
PRELU_BY_ELEMENT_2D = Layout(
    "gateport", cells.PRELU_BY_ELEMENT_2D, {"weight": "row column channel -> weight"}, class_name="PReLU"
)
NORMALIZATION = Layout(
    "gateport",
    cells.NORMALIZATION,
    {"mean": "feature -> mean", "variance": "feature -> variance"},
    class_name="Normalization",
)
NORMALIZATION_OF_ALL = Layout(
    "gateport",
    cells.NORMALIZATION_OF_ALL,
    {"mean": "-> mean", "variance": "-> variance"},
    class_name="Normalization",
)
_ONE, _TWO = {"bias": "first -> bias"}, {"bias": "first second -> bias"}
EINSUM_2_1 = Layout("gateport", cells.EINSUM_2_1, {"weight": "one two -> weight"} | _ONE, class_name="EinsumDense")
EINSUM_2_2 = Layout("gateport", cells.EINSUM_2_2, {"weight": "one two -> weight"} | _TWO, class_name="EinsumDense")
EINSUM_3_1 = Layout(
    "gateport", cells.EINSUM_3_1, {"weight": "one two three -> weight"} | _ONE, class_name="EinsumDense"
)
EINSUM_3_2 = Layout(
    "gateport", cells.EINSUM_3_2, {"weight": "one two three -> weight"} | _TWO, class_name="EinsumDense"
)

LAYERS = {
    "LSTM": (LSTM,),
    "GRU": (GRU_RESET_BEFORE,),
    "ConvLSTM1D": (CONV_LSTM1D,),
    "ConvLSTM2D": (CONV_LSTM2D,),
    "ConvLSTM3D": (CONV_LSTM3D,),
    "LocallyConnected1D": (LOCALLY_CONNECTED1D,),
    "LocallyConnected2D": (LOCALLY_CONNECTED2D,),
    "MultiheadAttention": (ATTENTION_OF_VALUE_WIDTH,),
    "Attention": (DOT_ATTENTION, ADDITIVE_ATTENTION, CONCAT_ATTENTION),
    "PReLU": (PRELU_BY_ELEMENT, PRELU_BY_ELEMENT_2D),
    "Normalization": (NORMALIZATION, NORMALIZATION_OF_ALL),
    "EinsumDense": (EINSUM_2_1, EINSUM_2_2, EINSUM_3_1, EINSUM_3_2),
}
