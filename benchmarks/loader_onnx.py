"""The onnx package alone: load the model, and write its arrays under their own names.

    python benchmarks/loader_onnx.py model.onnx model.safetensors

The result has the layout of ONNX: turning it into what `nn.LSTM` loads is still to be done.
"""

import sys

import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file


def main(source, output):
    save_file({tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(source).graph.initializer}, output)


if __name__ == "__main__":
    main(*sys.argv[1:])
