"""The conversion as one writes it by hand for exactly this model: h5py, NumPy, safetensors.

    python benchmarks/script.py m model.h5 model.safetensors

It knows the layers, their gate order and their names, and checks nothing.
"""

import io
import os
import sys
import zipfile

import h5py
import numpy as np
from safetensors.numpy import save_file


def transposed(dataset):
    return np.ascontiguousarray(dataset[()].T)


def lstm(kernel, recurrent_kernel, bias, prefix, suffix=""):
    """Keras and PyTorch both have the gates in the order i f g o; PyTorch has two biases that it adds."""
    return {
        f"{prefix}.weight_ih_l0{suffix}": transposed(kernel),
        f"{prefix}.weight_hh_l0{suffix}": transposed(recurrent_kernel),
        f"{prefix}.bias_ih_l0{suffix}": bias[()],
        f"{prefix}.bias_hh_l0{suffix}": np.zeros(bias.shape, bias.dtype),
    }


def dense(kernel, bias, prefix):
    return {f"{prefix}.weight": transposed(kernel), f"{prefix}.bias": bias[()]}


def from_hdf5(file, size):
    def cell(name, side=""):
        folder = file[f"model_weights/{name}/sequential/{name}/{side}lstm_cell"]
        return folder["kernel"], folder["recurrent_kernel"], folder["bias"]

    def weights(name):
        return file[f"model_weights/{name}/sequential/{name}"]

    state = {}
    if size != "s":
        state["embedding.weight"] = weights("embedding")["embeddings"][()]
    for name in BIDIRECTIONAL[size]:
        state |= lstm(*cell(name, "forward_lstm/"), name)
        state |= lstm(*cell(name, "backward_lstm/"), name, "_reverse")
    for name in LSTM[size]:
        state |= lstm(*cell(name), name)
    if size not in ("l", "xl"):
        state |= dense(weights("dense")["kernel"], weights("dense")["bias"], "dense")
    return state


def from_archive(path, size):
    with zipfile.ZipFile(path) as archive:
        return from_weights(h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r"), size)


def from_weights(file, size):
    def cell(name, side=""):
        folder = file[f"layers/{name}/{side}cell/vars"]
        return folder["0"], folder["1"], folder["2"]

    state = {}
    if size != "s":
        state["embedding.weight"] = file["layers/embedding/vars/0"][()]
    for name in BIDIRECTIONAL[size]:
        state |= lstm(*cell(name, "forward_layer/"), name)
        state |= lstm(*cell(name, "backward_layer/"), name, "_reverse")
    for name in LSTM[size]:
        state |= lstm(*cell(name), name)
    if size not in ("l", "xl"):
        state |= dense(file["layers/dense/vars/0"], file["layers/dense/vars/1"], "dense")
    return state


BIDIRECTIONAL = {
    "tiny": ["bidirectional"],
    "s": [],
    "m": ["bidirectional", "bidirectional_1", "bidirectional_2"],
    "l": [],
    "xl": [],
}
LSTM = {
    "tiny": ["lstm"],
    "s": ["lstm"],
    "m": [],
    "l": ["lstm", "lstm_1", "lstm_2", "lstm_3"],
    "xl": ["lstm", *(f"lstm_{number}" for number in range(1, 8))],
}


def main(size, source, output, sync=""):
    if source.endswith(".keras"):
        save_file(from_archive(source, size), output)
    else:
        with h5py.File(source, "r") as file:
            save_file((from_weights if source.endswith(".weights.h5") else from_hdf5)(file, size), output)
    if sync:
        descriptor = os.open(output, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
