"""HDF5 files sound as HDF5 whose Keras names, lists and accounts are lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .cases import (
    KERNEL,
    LAYER,
    NAMES,
    SCOPE,
    SHAPES,
    WEIGHTS,
    h5_model,
    names,
    table,
    values,
)


def _attribute(folder: Path, where: str, name: str, value: Any, **options: Any) -> Path:
    """A model one attribute of which is replaced; None removes it."""

    def change(file: h5py.File) -> None:
        del file[where].attrs[name]
        if value is not None:
            file[where].attrs[name] = value

    return h5_model(folder / "model.h5", change, **options)


def _first_name(folder: Path, name: str | bytes) -> Path:
    """A model whose first weight name is replaced, the dataset staying where it was."""
    return _attribute(folder, LAYER, "weight_names", names(name, *NAMES[1:]))


def layer_names_missing(folder: Path) -> Path:
    """No list of layers (bad input: missing groups)."""
    return _attribute(folder, WEIGHTS, "layer_names", None)


def layer_names_a_scalar(folder: Path) -> Path:
    """The list of layers is one string, whose letters are no layers."""
    return _attribute(folder, WEIGHTS, "layer_names", "lstm")


def layer_names_of_two_axes(folder: Path) -> Path:
    """The list of layers is a table, whose order is nobody's (rule 3)."""
    return _attribute(folder, WEIGHTS, "layer_names", names("lstm").reshape(1, 1))


def layer_names_of_numbers(folder: Path) -> Path:
    """The list of layers is one of numbers."""
    return _attribute(folder, WEIGHTS, "layer_names", np.arange(1))


def layer_names_of_no_value(folder: Path) -> Path:
    """The list of layers has a type and no values, and the layer is there (rule 6)."""
    return _attribute(folder, WEIGHTS, "layer_names", h5py.Empty("S4"))


def version_of_numbers(folder: Path) -> Path:
    """The version, which decides what options mean, is a number."""
    return _attribute(folder, "/", "keras_version", 2.15)


def version_of_two_texts(folder: Path) -> Path:
    """The version is a list of two (rule 3)."""
    return _attribute(folder, WEIGHTS, "keras_version", names("1.2.2", "3.9.0"))


def backend_of_numbers(folder: Path) -> Path:
    """The backend, which decides whether kernels are flipped, is a number."""
    return _attribute(folder, "/", "backend", 1)


def model_config_a_list(folder: Path) -> Path:
    """The configuration is a list of texts."""
    return _attribute(folder, "/", "model_config", names("{}", "{}"))


def layer_names_of_missing_group(folder: Path) -> Path:
    """A layer is listed whose group is not there (bad input: missing groups)."""
    return _attribute(folder, WEIGHTS, "layer_names", names("lstm", "dense"))


def layer_names_twice(folder: Path) -> Path:
    """One layer is listed twice (row 6, rule 3)."""
    return _attribute(folder, WEIGHTS, "layer_names", names("lstm", "lstm"))


def layer_names_with_a_gap(folder: Path) -> Path:
    """The list is split as Keras does, and its second part is gone (rule 6)."""

    def change(file: h5py.File) -> None:
        del file[WEIGHTS].attrs["layer_names"]
        file[WEIGHTS].attrs["layer_names0"] = names("lstm")
        file[WEIGHTS].attrs["layer_names2"] = names("dense")

    return h5_model(folder / "model.h5", change)


def layer_names_whole_and_split(folder: Path) -> Path:
    """The list stands there whole and split, and the two differ (rule 6)."""

    def change(file: h5py.File) -> None:
        file[WEIGHTS].attrs["layer_names0"] = names("dense")

    return h5_model(folder / "model.h5", change)


def layer_names_by_the_hundred_thousand(folder: Path) -> Path:
    """100,000 layers are listed and one exists (rule 5: bounded counts)."""
    many = names("lstm", *(f"layer_{index}" for index in range(100_000)))
    return _attribute(folder, WEIGHTS, "layer_names", many, libver="latest")


def layer_not_listed(folder: Path) -> Path:
    """A layer with weights is in no list: they would be dropped in silence (rule 6)."""

    def change(file: h5py.File) -> None:
        file.copy(file[LAYER], f"{WEIGHTS}/lstm_1")

    return h5_model(folder / "model.h5", change)


def weight_not_listed(folder: Path) -> Path:
    """A weight of the layer is in no list: it would be dropped in silence (row 8, rule 6)."""

    def change(file: h5py.File) -> None:
        file[f"{SCOPE}/peephole:0"] = np.ones(5, "<f4")

    return h5_model(folder / "model.h5", change)


def weight_names_missing(folder: Path) -> Path:
    """A layer without a list of weights, its datasets there (rule 6)."""
    return _attribute(folder, LAYER, "weight_names", None)


def weight_names_empty(folder: Path) -> Path:
    """A layer with an empty list of weights, its datasets there (rule 6)."""
    return _attribute(folder, LAYER, "weight_names", np.zeros(0))


def weight_names_a_scalar(folder: Path) -> Path:
    """The list of weights is one string."""
    return _attribute(folder, LAYER, "weight_names", NAMES[0])


def weight_names_of_two_axes(folder: Path) -> Path:
    """The list of weights is a table (rule 3)."""
    return _attribute(folder, LAYER, "weight_names", names(*NAMES).reshape(3, 1))


def weight_names_of_two_axes_in_parts(folder: Path) -> Path:
    """The list of weights is split, and its second part is a table (rule 3)."""

    def change(file: h5py.File) -> None:
        del file[LAYER].attrs["weight_names"]
        file[LAYER].attrs["weight_names0"] = names(NAMES[0])
        file[LAYER].attrs["weight_names1"] = names(*NAMES[1:]).reshape(1, 2)

    return h5_model(folder / "model.h5", change)


def weight_names_of_integers(folder: Path) -> Path:
    """The list of weights is one of numbers."""
    return _attribute(folder, LAYER, "weight_names", np.arange(3))


def weight_names_of_missing_weight(folder: Path) -> Path:
    """A weight is listed whose dataset is not there."""
    return _attribute(folder, LAYER, "weight_names", names(*NAMES, "lstm/peephole:0"))


def weight_names_twice(folder: Path) -> Path:
    """One weight is listed twice (row 6, rule 3)."""
    return _attribute(folder, LAYER, "weight_names", names(*NAMES, NAMES[0]))


def weight_name_of_a_parent(folder: Path) -> Path:
    """A weight name climbs out of its layer by '..' (rule 2)."""
    return _first_name(folder, "../lstm/lstm/kernel:0")


def weight_name_absolute(folder: Path) -> Path:
    """A weight name begins at the root of the file (rule 2)."""
    return _first_name(folder, "/" + KERNEL)


def weight_name_with_dots(folder: Path) -> Path:
    """A weight name has components '.' and '', so one object has many names (rule 2)."""
    return _first_name(folder, "./lstm//kernel:0")


def weight_name_with_nul(folder: Path) -> Path:
    """A weight name has a zero byte, where C readers end it and others do not (rule 8)."""
    return _first_name(folder, b"lstm/kernel:0\0/../bias:0")


def weight_name_with_control_characters(folder: Path) -> Path:
    """A weight name clears the terminal and forges a second line of output (rule 8)."""
    return _renamed(folder, "lstm/\x1b[2J\r\nOK: converted\x07:0")


def weight_name_with_direction_marks(folder: Path) -> Path:
    """A weight name turns the direction of text, so that it reads as another (rule 8)."""
    return _renamed(folder, "lstm/\u202elenrek\u202c:0")


def weight_name_of_bad_utf8(folder: Path) -> Path:
    """A weight name is no UTF-8 (rule 8)."""
    return _first_name(folder, b"lstm/\xff\xfe:0")


def weight_name_empty(folder: Path) -> Path:
    """A weight name is empty: the layer's own group."""
    return _first_name(folder, b"")


def weight_name_of_20_kilobytes(folder: Path) -> Path:
    """A weight name of 20,000 letters: an error must shorten it (rule 8)."""
    return _first_name(folder, "k" * 20_000)


def weight_name_twice_in_a_crowd(folder: Path) -> Path:
    """The last of 60,000 weight names stands there already: compare each with each, and hours pass (rule 5)."""
    listed = names(*(f"w{number}" for number in range(60_000)), "w59999")

    def change(file: h5py.File) -> None:
        del file[LAYER].attrs["weight_names"]
        for part, start in enumerate(range(0, len(listed), 8000)):
            file[LAYER].attrs[f"weight_names{part}"] = listed[start : start + 8000]

    return h5_model(folder / "model.h5", change)


def weight_name_collides(folder: Path) -> Path:
    """Two layers, `a/b` and `a.b`, have one key in a state_dict (rule 6)."""

    def change(file: h5py.File) -> None:
        del file.attrs["model_config"]
        for layer in ("a/b", "a.b"):
            file.copy(file[LAYER], f"{WEIGHTS}/{layer}")
        file[WEIGHTS].attrs["layer_names"] = names("lstm", "a/b", "a.b")

    return h5_model(folder / "model.h5", change)


def _renamed(folder: Path, name: str) -> Path:
    """A model whose kernel really has this name."""

    def change(file: h5py.File) -> None:
        file.move(KERNEL, f"{LAYER}/{name}")
        file[LAYER].attrs["weight_names"] = names(name, *NAMES[1:])

    return h5_model(folder / "model.h5", change)


def weights_not_of_this_layer(folder: Path) -> Path:
    """A layer called LSTM whose weights are a GRU's (rule 7)."""

    def change(file: h5py.File) -> None:
        for name in SHAPES:
            data = values(name)[..., :15]
            del file[f"{SCOPE}/{name}:0"]
            file[f"{SCOPE}/{name}:0"] = data

    return h5_model(folder / "model.h5", change)


CASES = table(
    "hdf5",
    {
        layer_names_missing: "layer_names",
        layer_names_a_scalar: "layer_names",
        layer_names_of_two_axes: "list of names",
        layer_names_of_numbers: "list of names",
        layer_names_of_no_value: "no listed layer",
        version_of_numbers: "keras_version",
        version_of_two_texts: "keras_version",
        backend_of_numbers: "backend",
        model_config_a_list: "model_config",
        layer_names_of_missing_group: "no such group",
        layer_names_twice: "twice",
        layer_names_with_a_gap: "gap",
        layer_names_whole_and_split: "layer_names",
        layer_names_by_the_hundred_thousand: "model_weights",
        layer_not_listed: "no listed layer",
        weight_not_listed: "no listed layer",
        weight_names_missing: "weight_names",
        weight_names_empty: "no listed layer",
        weight_names_a_scalar: "weight_names",
        weight_names_of_two_axes: "list of names",
        weight_names_of_two_axes_in_parts: "list of names",
        weight_names_of_integers: "weight_names",
        weight_names_of_missing_weight: "no such dataset",
        weight_names_twice: "twice",
        weight_name_of_a_parent: "name",
        weight_name_absolute: "name",
        weight_name_with_dots: "name",
        weight_name_with_nul: "name",
        weight_name_with_control_characters: "\\\\x1b",
        weight_name_with_direction_marks: "\\\\u202e",
        weight_name_of_bad_utf8: "name",
        weight_name_empty: "name",
        weight_name_of_20_kilobytes: "no such dataset",
        weight_name_twice_in_a_crowd: "twice",
        weight_name_collides: "a.b",
        weights_not_of_this_layer: "shape",
    },
)
