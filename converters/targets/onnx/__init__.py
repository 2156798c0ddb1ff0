"""ONNX as a destination: the arrays of its nodes, and the graph around them."""

from converters.targets.target import Target

TARGET = Target(
    "onnx",
    "ONNX",
    library="ONNX",
    package="the operator {}",
    holder="a node's arrays",
    lacks={
        **dict.fromkeys(("conv_lstm1d", "conv_lstm2d", "conv_lstm3d"), ("ConvLSTM", "ONNX has no ConvLSTM")),
        **dict.fromkeys(
            ("locally_connected1d", "locally_connected2d"),
            ("LocallyConnected", "ONNX has no convolution with a kernel for every place of its output"),
        ),
        "projection": ("projection", "its state is projected, and the LSTM of ONNX has no projection"),
    },
    suffixes=(".onnx", ".npz"),
    channels_last=True,
)
