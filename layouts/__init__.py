"""What every framework's arrays mean: cells, layouts, and the notation. Facts as data; needs NumPy alone.

from layouts import keras, pytorch, repack
pytorch_arrays = repack(keras.LSTM, pytorch.LSTM, {"kernel": …, "recurrent_kernel": …, "bias": …})
"""

from layouts.cells import Cell, Piece, Slot
from layouts.layout import Layout
from layouts.repack import pack, repack, unpack

__all__ = ["Cell", "Layout", "Piece", "Slot", "pack", "repack", "unpack"]
