"""Keras as a destination: the arrays of its layers, its files of weights, and whole models of Keras 3."""

from dataclasses import replace

from converters.targets.target import Target

TARGET = Target(
    "keras",
    "Keras 3",
    package="keras.layers.{}",
    suffixes=(".keras", ".weights.h5", ".h5", ".hdf5", ".npz"),
    channels_last=True,
    lacks={
        **{
            f"locally_connected{n}d": (f"LocallyConnected{n}D", f"Keras 3 has no LocallyConnected{n}D any more")
            for n in (1, 2)
        },
        "peephole": ("peepholes", "it has peepholes, and no layer of Keras 3 has them"),
    },
)
KERAS2 = replace(TARGET, title="Keras 2", functions={"hard_sigmoid_1/6": "hard_sigmoid_0.2"}, lacks={})
"""The same layers with the functions of Keras 2 and 1: only weights are written for it."""
