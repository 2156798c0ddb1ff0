"""Where the arrays of a model stand in the files of Keras: folders counted by class, or groups of layers by name.

`.weights.h5`, also inside `.keras`: `layers/lstm_1/cell/vars/0`, the class in snake case and a counter in the order of
the model's layers. `.h5`: a group a layer, `weight_names` in the order of its variables. Formats: `docs/formats.md`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from converters.model.tree import Leaf, Text, Tree
from converters.targets.keras.network.sketch import Config, Entry
from converters.targets.keras.network.work import Array

VERSION = "3.15.0"
"""The version whose words are written."""


Arrays = Mapping[str, Array]
"""The planned arrays by their keys."""


class Group(NamedTuple):
    """A layer of a model as a `.h5` file keeps it: the folder within its own, and the key, of every array in order."""

    name: str
    class_name: str
    arrays: Sequence[tuple[str, str]]


def groups(entries: Iterable[Entry]) -> Iterator[Group]:
    """The groups of a model's layers; functions in the place of layers have none."""
    for entry in entries:
        if entry.is_layer:
            arrays = [(inner, key) for inner, keys in entry.arrays.items() for key in keys]
            yield Group(entry.name, entry.class_name, arrays)


def snake_case(name: str) -> str:
    """The folder of a class: LSTM -> lstm, SimpleRNN -> simple_rnn, PReLU -> p_re_lu."""
    apart = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", apart).lower()


def folders(slots: Iterable[Entry]) -> Iterator[tuple[str, Entry]]:
    """The folder of every layer, in the order of the model."""
    counts: dict[str, int] = {}
    for slot in slots:
        base = snake_case(slot.class_name)
        counts[base] = counts.get(base, -1) + 1
        yield f"layers/{base}_{counts[base]}" if counts[base] else f"layers/{base}", slot


def numbered(entries: Sequence[Entry], arrays: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Tree:
    """The tree of a `.weights.h5` file for a model of these layers."""
    leaves: list[Leaf] = []
    attributes: dict[str, dict[str, Text]] = {"vars": {"name": "model"}}
    numbers: dict[str, int] = {}
    for folder, slot in folders(entry for entry in entries if entry.is_layer):
        attributes[f"{folder}/vars"] = {"name": slot.name}
        for inner, keys in slot.arrays.items():
            places = (f"{folder}{inner}/vars/{number}" for number in range(len(keys)))
            if _class_of(slot) in COUNTED:
                numbers[f"{folder}{inner}/vars/{len(keys)}"] = 0
            leaves += (leaf(place, arrays[key], shapes) for place, key in zip(places, keys, strict=True))
    return Tree(tuple(leaves), ("vars",), attributes, numbers)


COUNTED = ("Normalization",)
"""Layers that keep a count of what they were adapted to behind their arrays; 0 for what is not known."""


def _class_of(slot: Entry) -> str:
    """The class of a layer, within the wrappers that bring it to every step."""
    config = slot.config
    class_name = slot.class_name
    while class_name == "TimeDistributed":
        class_name, config = config["layer"]["class_name"], config["layer"]["config"]
    return class_name


def leaf(path: str, array: Array, shapes: Mapping[str, tuple[int, ...]]) -> Leaf:
    """A planned array at its place, in the shape that it has there."""
    return Leaf(path, array.key, shapes.get(array.key, array.shape), array.dtype)


def by_layer(
    layers: Iterable[Group],
    arrays: Arrays,
    shapes: Mapping[str, tuple[int, ...]],
    root: str = "",
    version: str = VERSION,
) -> Tree:
    """The tree of a `.h5` file: every layer a group, its variables in their order.

    Version and backend are bytes of a fixed length: Keras 2 decodes them without asking.
    """
    leaves: list[Leaf] = []
    attributes: dict[str, dict[str, Text]] = {}
    names: list[str] = []
    numbers: dict[str, int] = {}
    for layer in layers:
        group = f"{root}/{layer.name}".strip("/")
        names.append(layer.name)
        found = [(_name(layer.name, inner, arrays[key].name), arrays[key]) for inner, key in layer.arrays]
        counted = [f"{layer.name}/count"] if layer.class_name in COUNTED else []
        numbers.update((f"{group}/{name}", 0) for name in counted)
        attributes[group] = {"weight_names": (*(name for name, _ in found), *counted)}
        leaves += (leaf(f"{group}/{name}", array, shapes) for name, array in found)
    told: dict[str, Text] = {"layer_names": tuple(names), "backend": b"tensorflow", "keras_version": version.encode()}
    return Tree(tuple(leaves), (), {root: told, **attributes}, numbers)


def _name(layer: str, inner: str, name: str) -> str:
    """The name of a variable as its own path tells it: a projection of attention has another than its folder."""
    return f"{layer}{inner.rpartition('/')[0] if '/' in name else inner}/{name}"


def archive(tree: Tree, config: Config) -> Tree:
    """The tree of a `.keras` archive, with the texts that stand beside the weights."""
    told = {"keras_version": VERSION}
    beside = {"metadata.json": json.dumps(told), "config.json": json.dumps(config, ensure_ascii=False)}
    return replace(tree, beside=beside)


def whole(tree: Tree, config: Config) -> Tree:
    """The tree of a `.h5` file that holds the configuration too."""
    told: dict[str, Text] = {
        "model_config": json.dumps(config, ensure_ascii=False),
        "keras_version": VERSION.encode(),
        "backend": b"tensorflow",
    }
    root = {**tree.attributes.get("", {}), **told}
    return replace(tree, attributes={**tree.attributes, "": root})
