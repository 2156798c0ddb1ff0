"""`.keras` archives and `.weights.h5`: folders by class and counter, arrays by number (`layers/lstm_1/cell/vars/0`).

The folder of a layer says nothing of its name; the configuration maps one to the other. Numbers count the variables of
a layer, trainable ones first. How TensorFlow 2.12 and 2.13 counted the folders, `counting` tells.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.readers.hdf5.group import Group
from converters.readers.keras.config import Container, Leaf
from converters.readers.keras.counting import Counter
from converters.readers.keras.layers import assemble, check_elements, check_known, expected_names, needs_arrays, unknown
from converters.readers.keras.semantics import Version
from layouts.errors import ConversionError, CoverageError, UnsafeCheckpoint, printable

_ATTENTION = {"query": "query", "key": "key", "value": "value", "output": "attention_output"}

_SWITCHES = ("use_bias", "center", "scale")
"""Options that switch arrays off."""

Folders = dict[str, dict[int, LazyArray]]


def folders(*roots: Group) -> Folders:
    """Every `vars` folder of one file, or of all shards together: folder -> number -> array."""
    found: Folders = {}
    arrays = [array for root in roots for array in root.walk()]
    counter = _counter(roots, arrays)
    for array in arrays:
        path, _, number = _slashes(array.name).rpartition("/")
        folder = counter.later(path.removesuffix("vars").rstrip("/"))
        if not path.endswith("vars") or not number.isdigit() or len(number) > 6:
            raise CoverageError(f"{printable(array.name)} is not a numbered variable of a layer", array=array.name)
        if int(number) in found.setdefault(folder, {}):
            raise UnsafeCheckpoint(f"{printable(array.name)} is stored twice", array=array.name)
        found[folder][int(number)] = array
    return found


def _counter(roots: Sequence[Group], arrays: Sequence[LazyArray]) -> Counter:
    groups = (_slashes(group.path) for root in roots for group in root.below())
    return Counter(groups, (_slashes(array.name) for array in arrays))


def _slashes(path: str) -> str:
    """A path as it is written anywhere but on Windows, where TensorFlow joins folders with backslashes."""
    return path.replace("\\", "/")


def is_numbered(root: Group) -> bool:
    """Whether a file keeps its arrays in folders named `vars`."""
    return any(_slashes(array.name).split("/")[-2:-1] == ["vars"] for array in root.walk())


def layer_names(root: Group) -> dict[str, str]:
    """Folder -> the layer's own name, where the file (Keras 3.6 and later) tells it."""
    named = ((_slashes(group.path), group.attributes.get("name")) for group in root.below())
    return {
        path.removesuffix("vars").rstrip("/"): text
        for path, text in named
        if path.endswith("vars") and isinstance(text, str)
    }


def read_layers(stored: Folders, model: Container, version: Version) -> Iterator[Layer]:
    """The layers of a file with a configuration, in model order; every stored array belongs to one of them."""
    left = {folder: variables for folder, variables in stored.items() if variables}
    ordered = sorted(left)
    for leaf in model.leaves():
        shares = {folder: left.pop(folder) for folder in _below(leaf.storage, ordered) if folder in left}
        if "SpectralNormalization" in "".join(leaf.wrappers):
            left.pop(leaf.storage.removesuffix("/layer"), None)
        if shares:
            yield _layer(leaf, shares, version)
        elif needs_arrays(leaf):
            raise CoverageError(
                f"{printable(leaf.path)}: the file stores no arrays for this {leaf.kind} "
                f"(expected under {printable(leaf.storage)})",
                layer=leaf.path,
            )
    if left:
        listed = ", ".join(printable(folder or "/") for folder in list(left)[:5])
        raise CoverageError(f"the model configuration has no layer for the arrays under {listed}")


def _below(storage: str, ordered: Sequence[str]) -> list[str]:
    """A folder and all below it, out of an ordered list; '0' is the letter after '/'."""
    start, stop = bisect_left(ordered, f"{storage}/"), bisect_left(ordered, f"{storage}0")
    own = bisect_left(ordered, storage)
    return [*(ordered[own : own + 1] if ordered[own : own + 1] == [storage] else ()), *ordered[start:stop]]


def _layer(leaf: Leaf, shares: Folders, version: Version) -> Layer:
    everything = {array.name: array for variables in shares.values() for array in variables.values()}
    try:
        check_known(leaf)
        check_elements(everything, leaf.class_name)
        cells = [_cell(leaf, number, shares) for number in range(len(leaf.cells))]
        if sum(map(len, cells)) != len(everything):
            raise CoverageError(
                f"it stores {len(everything)} arrays; its configuration describes {sum(map(len, cells))}"
            )
    except ConversionError as error:
        return unknown(leaf, everything, error)
    return assemble(leaf, cells, version)


def _cell(leaf: Leaf, number: int, shares: Folders) -> dict[str, LazyArray]:
    cell = leaf.cells[number]
    if cell.class_name == "MultiHeadAttention":
        return dict(_attention(leaf, shares))
    variables = shares.get(leaf.storage + cell.folder, {})
    names = expected_names(cell.class_name, cell.config, len(variables))
    if names is None or sorted(variables) != list(range(len(variables))):
        stated = ", ".join(f"{key}={cell.config[key]}" for key in _SWITCHES if key in cell.config)
        what = f"{printable(cell.class_name)}{f' with {stated}' if stated else ''}"
        raise CoverageError(f"no layout of {what} has {len(variables)} arrays", layer=leaf.path)
    return {name: variables[k] for k, name in enumerate(names)}


def _attention(leaf: Leaf, shares: Mapping[str, Mapping[int, LazyArray]]) -> Iterator[tuple[str, LazyArray]]:
    for folder, variables in shares.items():
        role = _ATTENTION.get(folder.rpartition("/")[2].removesuffix("_dense").lstrip("_"))
        for number, array in variables.items():
            yield f"{role or folder}/{('kernel', 'bias')[number] if number < 2 else number}", array
