"""PyTorch as a destination: a state_dict for modules of torch.nn, and for the drop-ins of `converters.nn`."""

from converters.targets.pytorch.constructors import constructor, drop_in
from converters.targets.pytorch.notes import notes
from converters.targets.target import Target

_RESET_BEFORE = "a GRU with {variant} resets the state before the matrix product, and nn.GRU after it"

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
        "peephole": ("peepholes", "it has peepholes, and nn.LSTM has none"),
    },
    constructor=constructor,
    drop_in=drop_in,
    notes=notes,
    keeps_own=True,
    suffixes=(".safetensors", ".pt", ".pth", ".npz"),
)
