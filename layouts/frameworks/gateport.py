"""PyTorch's names and order for recurrent cells that no module of torch.nn computes, for modules of one's own.

1. Everything is laid out as in `layouts.frameworks.pytorch`, so a state_dict reads the same.
2. A reset-before GRU adds its two biases in every gate; PyTorch's nn.GRU computes another equation.
3. Peepholes of an LSTM stand in one more array, blocks i, f, o: no module of torch.nn has them.
4. A ConvLSTM has kernels for matrices, (out, in, …) as those of nn.Conv2d, and one bias.
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

LAYERS = {
    "LSTM": (LSTM,),
    "GRU": (GRU_RESET_BEFORE,),
    "ConvLSTM1D": (CONV_LSTM1D,),
    "ConvLSTM2D": (CONV_LSTM2D,),
    "ConvLSTM3D": (CONV_LSTM3D,),
}
