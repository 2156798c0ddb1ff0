"""Drop-in layers for what torch.nn cannot compute: hard_sigmoid gates, reset-before GRU, peepholes, ConvLSTM, heads.

`LSTM`, `GRU` and `RNN` take the arguments of their namesakes in torch.nn, have the same parameter names, shapes, states
and outputs, accept packed sequences, and add keywords for what differs. With the defaults they run torch.nn's kernel.
`layer(x, lengths=lengths)` is a packed sequence that compilers and exporters take: what counts is in front.
`ConvLSTM1D`, `ConvLSTM2D` and `ConvLSTM3D`, `LocallyConnected1D` and `LocallyConnected2D` have no namesake there: they
are those of Keras, channels first.
`MultiheadAttention` has heads of any width, and `Attention` learned numbers in its scores; `PReLU` has a slope for
every element; `Normalization` and `EinsumDense` are those of Keras.

All are plain PyTorch: trainable, and they work under torch.jit.script, torch.compile and torch.export. From torch 2.13
on, compilers get one loop over the steps: the time axis may be dynamic, and long sequences compile as fast as short.

Equations: `layouts.cells`, with the activations of `layouts.reference` by the same names.
"""

from converters.torch.nn.activations import ACTIVATIONS
from converters.torch.nn.attention import Attention, MultiheadAttention
from converters.torch.nn.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from converters.torch.nn.elementwise import EinsumDense, Normalization, PReLU
from converters.torch.nn.gru import GRU
from converters.torch.nn.locally_connected import LocallyConnected1D, LocallyConnected2D
from converters.torch.nn.lstm import LSTM
from converters.torch.nn.rnn import RNN

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
