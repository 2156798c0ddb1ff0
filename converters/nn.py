"""`converters.nn`: the drop-in layers, under the name by which plans and messages call them."""

from converters.torch.nn import ACTIVATIONS, GRU, LSTM, RNN, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D

__all__ = ["ACTIVATIONS", "GRU", "LSTM", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]
