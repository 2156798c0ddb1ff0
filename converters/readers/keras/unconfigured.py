"""Weights without a configuration: which arrays belong together as one layer, by their names or their folders.

What class such a layer is, `inference` tells.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.readers.keras.config import snake_case
from converters.readers.keras.inference import Arrays, infer
from converters.readers.keras.joining import joined
from converters.readers.keras.layers import array_names, expected_names, name_of
from converters.readers.keras.legacy import Weights
from converters.readers.keras.numbered import Folders
from converters.readers.keras.semantics import RECURRENT, Version
from converters.readers.keras.statements import Statements
from layouts import catalogue

_CELL_FOLDER = re.compile(r"/(?:(forward|backward)_layer)?/?(?:cell(?:/cells/[^/]+)?)?$")
_ROLE_FOLDER = re.compile(r"/_?(query|key|value|output)_dense$")


def from_groups(
    groups: Sequence[tuple[str, Weights]], version: Version, flipped: bool, statements: Statements
) -> Iterator[Layer]:
    """The layers of a weights-only legacy file."""
    for group, weights in groups:
        blocks: dict[str, Weights] = {}
        for weight, array in weights:
            blocks.setdefault(_block(weight), []).append((weight, array))
        merged = joined(blocks)
        shorts = _shorts(group, merged)
        for block, members in merged.items():
            path = group if len(merged) == 1 else f"{group}/{shorts[block]}"
            placed = [(side, cell) for side, member in members for cell in _cells(member)]
            directions = _with_depths([side for side, _ in placed])
            everything = {name: array for _, member in members for name, array in member}
            cells = [cell for _, cell in placed]
            yield infer(path, cells, directions, version, statements, everything, flipped=flipped)


def _block(weight: str) -> str:
    """What an array's name says besides the array itself: the layer and the folder of its cell."""
    folder, _, base = weight.removesuffix(":0").rpartition("/")
    if folder:
        roles = ("query", "key", "value", "attention_output")
        return folder.rpartition("/")[0] if folder.rpartition("/")[2] in roles else folder
    name = name_of(weight, _every_name())
    return re.sub(rf"_{name}(_\d{{1,9}})?$", "", base) if name else base


def _shorts(group: str, blocks: Iterable[str]) -> dict[str, str]:
    """The folder of every block without the model and the group around it, and without the cell inside it."""
    short = {block: _trimmed(block, group) for block in blocks}
    times = Counter(short.values())
    return {block: name if times[name] == 1 else block for block, name in short.items()}


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


def from_folders(
    stored: Folders, names: Mapping[str, str], version: Version, statements: Statements
) -> Iterator[Layer]:
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
        class_name = statements.class_of(path) or _class_of_folder(folder)
        if class_name == "MultiHeadAttention":
            cells = [_attention(share)]
        else:
            cells = [_named(class_name, share[f], f != folder) for f in ordered]
        directions = _with_depths(["backward" if "backward_layer" in folder else "forward" for folder in ordered])
        yield infer(path, cells, directions, version, statements, everything, class_name=class_name)


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
