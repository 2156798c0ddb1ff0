"""`converters.nn`: the drop-in layers, under the name by which plans and messages call them."""

from converters.torch.nn import (
    ACTIVATIONS,
    GRU,
    LSTM,
    RNN,
    Attention,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    EinsumDense,
    LocallyConnected1D,
    LocallyConnected2D,
    MultiheadAttention,
    Normalization,
    PReLU,
)

__all__ = [
    "ACTIVATIONS",
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "EinsumDense",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "MultiheadAttention",
    "Normalization",
    "PReLU",
]
