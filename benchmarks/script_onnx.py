"""The conversion of an ONNX file as one writes it by hand for exactly this model: onnx, NumPy, safetensors.

    python benchmarks/script_onnx.py m model.onnx model.safetensors

It knows the layers, their gate order and their names, and checks nothing.
"""

import os
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file
from script import BIDIRECTIONAL, LSTM


def lstm(arrays, name):
    """ONNX has the gates in the order i o f g, and both biases in one array."""
    state = {}
    for way, suffix in enumerate(("", "_reverse")[: len(arrays[f"{name}.W"])]):
        both = np.split(arrays[f"{name}.B"][way], 2)
        rows = {"weight_ih": arrays[f"{name}.W"][way], "weight_hh": arrays[f"{name}.R"][way]}
        rows |= {"bias_ih": both[0], "bias_hh": both[1]}
        for key, blocks in rows.items():
            i, o, f, g = np.split(blocks, 4)
            state[f"{name}.{key}_l0{suffix}"] = np.concatenate([i, f, g, o])
    return state


def main(size, source, output, sync=""):
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(source).graph.initializer}
    state = {}
    if size != "s":
        state["embedding.weight"] = arrays["embedding.data"]
    for name in (*BIDIRECTIONAL[size], *LSTM[size]):
        state |= lstm(arrays, name)
    if size not in ("l", "xl"):
        state |= {
            "dense.weight": np.ascontiguousarray(arrays["dense.matrix"].T),
            "dense.bias": arrays["dense.bias_of_all"],
        }
    save_file(state, output)
    if sync:
        descriptor = os.open(output, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
