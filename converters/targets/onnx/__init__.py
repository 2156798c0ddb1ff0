"""ONNX as a destination: the arrays of its nodes, and the graph around them."""

from converters.targets.target import Target

TARGET = Target(
    "onnx",
    "ONNX",
    library="ONNX",
    package="the operator {}",
    holder="a node's arrays",
    lacks={
        "projection": ("projection", "its state is projected, and the LSTM of ONNX has no projection"),
    },
    suffixes=(".onnx", ".npz"),
    channels_last=True,
)
