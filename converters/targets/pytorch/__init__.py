"""PyTorch as a destination: a state_dict for modules of torch.nn, and for the drop-ins of `converters.nn`."""

from converters.targets.pytorch.constructors import constructor, drop_in
from converters.targets.pytorch.notes import notes
from converters.targets.target import Target

_RESET_BEFORE = "a GRU with {variant} resets the state before the matrix product, and nn.GRU after it"
_LOCAL = "torch.nn has no convolution with a kernel for every place of its output"
_NORMALIZATION = "torch.nn has no layer that divides by stored deviations alone"

TARGET = Target(
    "pytorch",
    "PyTorch",
    frameworks=("pytorch", "gateport"),
    library="torch.nn",
    package="nn.{}",
    drop_ins="converters.nn",
    holder="a state_dict",
    separator=".",
    lacks={
        "gru_reset_before": ("reset before", _RESET_BEFORE),
        **dict.fromkeys(("conv_lstm1d", "conv_lstm2d", "conv_lstm3d"), ("ConvLSTM", "torch.nn has no ConvLSTM")),
        **dict.fromkeys(("locally_connected1d", "locally_connected2d"), ("LocallyConnected", _LOCAL)),
        "attention_of_value_width": ("value width", "its values are wider or narrower than its keys"),
        **dict.fromkeys(
            ("dot_attention", "additive_attention", "concat_attention"),
            ("attention", "torch.nn has no attention with learned numbers in its scores"),
        ),
        **dict.fromkeys(("normalization", "normalization_of_all"), ("Normalization", _NORMALIZATION)),
        **dict.fromkeys(
            ("prelu_by_element", "prelu_by_element_2d"),
            ("slopes by element", "it has a slope for every element, and nn.PReLU one for each channel"),
        ),
        **dict.fromkeys(
            ("einsum_2_1", "einsum_2_2", "einsum_3_1", "einsum_3_2"),
            ("EinsumDense", "torch.nn has no dense layer of any equation"),
        ),
        "peephole": ("peepholes", "it has peepholes, and nn.LSTM has none"),
    },
    constructor=constructor,
    drop_in=drop_in,
    notes=notes,
    turns=True,
    keeps_own=True,
    suffixes=(".safetensors", ".pt", ".pth", ".npz"),
)
