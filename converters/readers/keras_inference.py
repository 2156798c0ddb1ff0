"""Weights without a configuration: what names and shapes tell for certain, and what they do not.

A kernel and a recurrent kernel give the number of gates, so the cell is certain; a bias of 8 blocks is CuDNN's, one of
two rows a GRU's with reset_after. Activations are in no array: they are assumed to be the defaults of the file's
version, said aloud, and can be stated by the user.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from converters.arrays import LazyArray
from converters.checkpoint import Layer
from converters.readers.keras_config import CellConfig, Leaf, snake_case
from converters.readers.keras_layers import (
    array_names,
    assemble,
    candidates,
    expected_names,
    name_of,
    unknown,
    with_assumptions,
)
from converters.readers.keras_legacy import Weights
from converters.readers.keras_numbered import Folders
from converters.readers.keras_semantics import RECURRENT, Version
from layouts import catalogue
from layouts.errors import ConversionError, UnknownLayer, printable
from layouts.layout import Layout

Arrays = dict[str, LazyArray]
Stated = Mapping[str, str]
"""Layer -> class, as the user states it."""

_BLOCKS = {4: "LSTM", 3: "GRU", 1: "SimpleRNN"}
_CUDNN = {("LSTM", 8): "CuDNNLSTM", ("GRU", 6): "CuDNNGRU"}
_CELL_FOLDER = re.compile(r"/(?:(forward|backward)_layer)?/?(?:cell(?:/cells/[^/]+)?)?$")
_ROLE_FOLDER = re.compile(r"/_?(query|key|value|output)_dense$")
_COMMON = {"Dense", "Embedding", "BatchNormalization", "LayerNormalization", "PReLU", "RMSNormalization"}


def from_groups(
    groups: Sequence[tuple[str, Weights]], version: Version, flipped: bool, stated: Stated
) -> Iterator[Layer]:
    """The layers of a weights-only legacy file."""
    for group, weights in groups:
        blocks: dict[str, Weights] = {}
        for weight, array in weights:
            blocks.setdefault(_block(weight), []).append((weight, array))
        merged = _merge_directions(blocks)
        for block, members in merged.items():
            path = group if len(merged) == 1 else f"{group}/{_short(block, group, merged)}"
            placed = [(side, cell) for side, member in members for cell in _cells(member)]
            directions = _with_depths([side for side, _ in placed])
            everything = {name: array for _, member in members for name, array in member}
            yield _infer(path, [cell for _, cell in placed], directions, version, stated, everything, flipped)


def _block(weight: str) -> str:
    """What an array's name says besides the array itself: the layer and the folder of its cell."""
    folder, _, base = weight.removesuffix(":0").rpartition("/")
    if folder:
        roles = ("query", "key", "value", "attention_output")
        return folder.rpartition("/")[0] if folder.rpartition("/")[2] in roles else folder
    name = name_of(weight, _every_name())
    return re.sub(rf"_{name}(_\d{{1,9}})?$", "", base) if name else base


def _short(block: str, group: str, blocks: Iterable[str]) -> str:
    """The folder of a block without the model and the group around it, and without the cell inside it."""
    return (
        block
        if sum(_trimmed(other, group) == _trimmed(block, group) for other in blocks) > 1
        else _trimmed(block, group)
    )


def _trimmed(block: str, group: str) -> str:
    words = block.split("/")
    if group in words[:-1]:
        words = words[words.index(group) + 1 :]
    if len(words) > 1 and "cell" in words[-1]:
        words.pop()
    return "/".join(words)


@cache
def _every_name() -> frozenset[str]:
    return frozenset(name for class_name in catalogue.layers("keras") for name in array_names(class_name))


def _merge_directions(blocks: Mapping[str, Weights]) -> dict[str, list[tuple[str, Weights]]]:
    """Blocks of one bidirectional layer, one for each cell, joined under its name; each with its direction."""
    merged: dict[str, list[tuple[str, Weights]]] = {}
    for block, weights in blocks.items():
        words = block.split("/")
        side = next((k for k, word in enumerate(words) if word.startswith(("forward_", "backward_"))), None)
        if side is None or _other_side(words, side) not in _sides(blocks, side):
            merged.setdefault(block, []).append(("forward", weights))
        else:
            owner, way = "/".join(words[:side]) or words[side][8:], words[side].partition("_")[0]
            merged.setdefault(owner, []).append((way, weights))
    return merged


def _other_side(words: Sequence[str], side: int) -> str:
    forward = words[side].startswith("forward_")
    name = words[side].removeprefix("forward_" if forward else "backward_")
    return "/".join((*words[:side], f"{'backward' if forward else 'forward'}_{name}"))


def _sides(blocks: Mapping[str, Weights], side: int) -> set[str]:
    return {"/".join(block.split("/")[: side + 1]) for block in blocks}


def _cells(weights: Weights) -> Iterator[Arrays]:
    """The named arrays of one block, cut where a name comes again."""
    cell: Arrays = {}
    for weight, array in weights:
        name = name_of(weight, _every_name()) or weight
        if name in cell:
            yield cell
            cell = {}
        cell[name] = array
    yield cell


def from_folders(stored: Folders, names: Mapping[str, str], version: Version, stated: Stated) -> Iterator[Layer]:
    """The layers of a `.weights.h5` file, or of an archive whose model is a subclass and so lists no layers."""
    layers: dict[str, Folders] = {}
    for folder, variables in stored.items():
        owner = _ROLE_FOLDER.sub("", folder) if _ROLE_FOLDER.search(folder) else _CELL_FOLDER.sub("", folder)
        layers.setdefault(owner, {})[folder] = variables
    paths = {folder: _path(folder, names) for folder in layers}
    counts = Counter(paths.values())
    for folder, share in layers.items():
        path = paths[folder] if counts[paths[folder]] == 1 else folder
        everything = {array.name: array for variables in share.values() for array in variables.values()}
        ordered = sorted((f for f in share if share[f]), key=lambda f: "backward_layer" in f)
        if not ordered:
            continue
        class_name = stated.get(path) or _class_of_folder(folder)
        if class_name == "MultiHeadAttention":
            cells = [_attention(share)]
        else:
            cells = [_named(class_name, share[f], f != folder) for f in ordered]
        directions = _with_depths(["backward" if "backward_layer" in folder else "forward" for folder in ordered])
        yield _infer(
            path, cells, directions, version, {path: class_name, **stated} if class_name else stated, everything
        )


def _with_depths(sides: Sequence[str]) -> list[tuple[str, int]]:
    """Direction and depth of cells, out of the direction of each."""
    return [(side, sides[:number].count(side)) for number, side in enumerate(sides)]


def _path(folder: str, names: Mapping[str, str]) -> str:
    """Names where the file tells them, else the folders, without the words that only hold layers together."""
    words, found = folder.split("/"), []
    for end in range(1, len(words) + 1):
        if words[end - 1] != "layers":
            found.append(names.get("/".join(words[:end]), words[end - 1]))
    return "/".join(found) or folder


def _class_of_folder(folder: str) -> str:
    """The class that Keras names such a folder after, or '' where it is an attribute of somebody's class."""
    base = re.sub(r"_\d{1,6}$", "", folder.rpartition("/")[2])
    return _folder_classes().get(base, "")


@cache
def _folder_classes() -> dict[str, str]:
    return {snake_case(name): name for name in catalogue.layers("keras")}


def _attention(share: Folders) -> Arrays:
    found: Arrays = {}
    for folder, variables in share.items():
        match = _ROLE_FOLDER.search(folder)
        role = "attention_output" if match and match[1] == "output" else match[1] if match else folder
        found |= {f"{role}/{('kernel', 'bias')[k] if k < 2 else k}": array for k, array in variables.items()}
    return found


def _named(class_name: str, variables: Mapping[int, LazyArray], is_cell: bool) -> Arrays:
    """Numbered arrays under the names of their class, or of the only class their shapes allow."""
    arrays = [variables[k] for k in sorted(variables)]
    ranks = [len(array.shape) for array in arrays]
    names = expected_names(class_name, {}, len(arrays)) if class_name and class_name not in _WRAPPED else None
    names = names or _expected_without_bias(class_name, len(arrays))
    if is_cell or (class_name in RECURRENT and ranks[:2] == [2, 2]):
        names = ["kernel", "recurrent_kernel", "bias"][: len(arrays)]
    elif names is None and ranks in ([2, 1], [3, 1], [4, 1], [5, 1]):
        names = ["kernel", "bias"]
    if names is None or len(names) != len(arrays):
        names = [str(number) for number in sorted(variables)]
    return dict(zip(names, arrays, strict=True))


_WRAPPED = {"Bidirectional", "TimeDistributed", "RNN"}


def _expected_without_bias(class_name: str, count: int) -> list[str] | None:
    return expected_names(class_name, {"use_bias": False}, count) if class_name else None


def _infer(
    path: str,
    cells: Sequence[Arrays],
    directions: Sequence[tuple[str, int]],
    version: Version,
    stated: Stated,
    everything: Mapping[str, LazyArray],
    flipped: bool = False,
) -> Layer:
    """A layer from the names and shapes of its arrays, saying what was inferred and what was assumed."""
    name = path.rpartition("/")[2]
    try:
        found = [(stated[path], True) if path in stated else _class_of(cell, name) for cell in cells]
    except ConversionError as error:
        return unknown(Leaf(path, path, "", "unknown", {}, (CellConfig("unknown", {}),)), everything, error)
    classes = [class_name for class_name, _ in found]
    configs = [_config(class_name, cell, version) for class_name, cell in zip(classes, cells, strict=True)]
    parts = tuple(
        CellConfig(class_name, config, "", direction, depth)
        for class_name, config, (direction, depth) in zip(classes, configs, directions, strict=True)
    )
    outer = "Bidirectional" if parts[-1].direction == "backward" else "RNN" if len(parts) > 1 else classes[0]
    layer = assemble(Leaf(path, path, "", outer, {}, parts), cells, version, flipped=flipped)
    if layer.unknown:
        return layer
    inferred = f"{classes[0]} from the names and shapes of its arrays"
    if not layer.recurrent:
        return with_assumptions(layer, {} if all(certain for _, certain in found) else {"class": classes[0]}, inferred)
    implied = dict(layer.parts[0].layout.implies)
    assumed = {key: value for key, value in layer.parts[0].options.items() if key not in implied}
    if any("bias" in cell for cell in cells) or classes[0] not in ("GRU", "GRUCell"):
        assumed.pop("reset_after", None)
    return with_assumptions(layer, assumed, inferred)


def _config(class_name: str, arrays: Arrays, version: Version) -> dict[str, Any]:
    """The little configuration that shapes imply; without a bias a GRU's variant is its version's default."""
    if "W" in arrays and "b" in arrays and len(arrays["W"].shape) > 2:
        first, last, out = arrays["W"].shape[0], arrays["W"].shape[-1], arrays["b"].shape[0]
        return {"dim_ordering": "th"} if first == out != last else {}
    if class_name not in ("GRU", "GRUCell"):
        return {}
    bias = arrays.get("bias")
    default = version.tensorflow or version.major >= 3 or version.number >= (2, 4) or not version.number
    return {"reset_after": len(bias.shape) == 2 if bias is not None else default}


def _class_of(arrays: Arrays, name: str) -> tuple[str, bool]:
    """The class of these names and shapes, and whether they are certain of it; `UnknownLayer` where they tell none."""
    if {"kernel", "recurrent_kernel"} <= set(arrays):
        return _recurrent_class(arrays), True
    if {"W", "U"} <= set(arrays):
        return _BLOCKS.get(_gates(arrays["W"], arrays["U"]), "") or _nothing(arrays), True
    if "W" in arrays and (hint := _default_name(name)):
        return hint, True
    if set(arrays) == {"W"}:
        return _nothing(arrays), False
    if "W" in arrays and len(arrays["W"].shape) > 2:
        return _keras1_convolution(arrays), False
    if "kernel" in arrays and len(arrays["kernel"].shape) > 2:
        return _convolution(arrays, name)
    ranks = {key: len(array.shape) for key, array in arrays.items()}
    fitting = [c for c in catalogue.layers("keras") if _described_by(c, ranks)]
    common = [c for c in fitting if c in _COMMON or c in RECURRENT or len(fitting) == 1] or fitting
    return (
        (common[0], len(common) == 1 or common[0] in ("Dense", "BatchNormalization"))
        if common
        else (_nothing(arrays), False)
    )


def _default_name(name: str) -> str:
    """The class after which Keras 1 named a layer by itself: 'convolution2d_1' is a Convolution2D."""
    classes = {class_name.lower(): class_name for class_name in catalogue.layers("keras")}
    return classes.get(re.sub(r"_\d{1,6}$", "", name), "")


def _described_by(class_name: str, ranks: Mapping[str, int]) -> bool:
    return any(
        all(expected.get(key) == rank for key, rank in ranks.items()) and _complete(layout, ranks)
        for layout, expected in _expected_ranks(class_name)
    )


@cache
def _expected_ranks(class_name: str) -> list[tuple[Layout, dict[str, int]]]:
    """Every layout of a class with the rank of each of its arrays."""
    return [(layout, {e.name: len(e.pattern.axes) for e in layout.entries()}) for layout in candidates(class_name)]


def _complete(layout: Layout, ranks: Mapping[str, int]) -> bool:
    slots = layout.cell.slots
    needed = [
        e.name
        for e in layout.entries()
        if not all(slots[t.template].optional for t in e.pattern.targets if t.template in slots)
    ]
    return all(name in ranks for name in needed)


def _recurrent_class(arrays: Arrays) -> str:
    class_name = _BLOCKS.get(_gates(arrays["kernel"], arrays["recurrent_kernel"]), "")
    bias = arrays.get("bias")
    units = arrays["recurrent_kernel"].shape[0]
    if bias is not None and len(bias.shape) == 1 and units:
        class_name = _CUDNN.get((class_name, bias.shape[0] // units), class_name)
    return class_name or _nothing(arrays)


def _gates(kernel: LazyArray, recurrent: LazyArray) -> int:
    if len(kernel.shape) != 2 or len(recurrent.shape) != 2 or not recurrent.shape[0]:
        return 0
    gates, rest = divmod(recurrent.shape[1], recurrent.shape[0])
    return 0 if rest else gates


def _keras1_convolution(arrays: Arrays) -> str:
    """A convolution of two or three axes, when the bias tells its outputs; a transposed one looks the same."""
    rank, ends = len(arrays["W"].shape), (arrays["W"].shape[0], arrays["W"].shape[-1])
    outputs = arrays["b"].shape[:1] if "b" in arrays else ()
    line = rank == 4 and arrays["W"].shape[1] == 1
    if (
        rank not in (4, 5)
        or not outputs
        or sum(end == outputs[0] for end in ends) != 1
        or (line and ends[1] == outputs[0])
    ):
        return _nothing(arrays)
    return f"Convolution{rank - 2}D"


def _convolution(arrays: Arrays, name: str) -> tuple[str, bool]:
    *_, before, last = arrays["kernel"].shape
    bias = arrays["bias"].shape[0] if "bias" in arrays and len(arrays["bias"].shape) == 1 else None
    dims = len(arrays["kernel"].shape) - 2
    if dims > 3 or (bias is not None and bias not in (before, last)):
        return _nothing(arrays), False
    transposed = bias == before != last or (bias in (None, before) and "transpose" in name)
    return f"Conv{dims}DTranspose" if transposed else f"Conv{dims}D", bias is not None and before != last


def _nothing(arrays: Arrays) -> str:
    listed = ", ".join(f"{printable(name)} {array.shape}" for name, array in arrays.items())
    raise UnknownLayer(
        f"the file has no configuration, and the arrays {listed} do not tell the layer's class: "
        "state it with --assume LAYER.class=CLASS"
    )
