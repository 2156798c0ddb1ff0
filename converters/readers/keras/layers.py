"""From a leaf of the configuration and its stored arrays to a `Layer`: layout, options by version, facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cache
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.readers.keras.config import CellConfig, Leaf
from converters.readers.keras.contradictions import check_input, check_names, check_reset, check_sizes, switched_on
from converters.readers.keras.semantics import GRUS, LOCALLY_CONNECTED, Version, call, conditions, options
from layouts import catalogue
from layouts.errors import ConversionError, CoverageError, NotRepresentable, ShapeError, UnknownLayer, printable
from layouts.layout import Layout
from layouts.options import Convolution

Arrays = Mapping[str, LazyArray]


def candidates(class_name: str) -> tuple[Layout, ...]:
    """The layouts a Keras class may have; none for a class that is not known."""
    return catalogue.layers("keras").get(class_name, ())


@cache
def array_names(class_name: str) -> frozenset[str]:
    """Every name an array of this class may have, in any version of Keras."""
    return frozenset(
        name for layout in candidates(class_name) for name in (*(e.name for e in layout.entries()), *layout.ignored)
    )


def expected_names(class_name: str, config: Mapping[str, Any], count: int) -> list[str] | None:
    """The arrays of a layer in file order, as its configuration switches them on; None when no layout has `count`."""
    for layout in candidates(class_name):
        names = [entry.name for entry in layout.entries() if switched_on(entry.name, config)]
        if count in (len(names), len(names) + len(layout.ignored)):
            return [*names, *layout.ignored][:count]
    return None


def needs_arrays(leaf: Leaf) -> bool:
    """Whether a layer of this class cannot do without stored arrays."""
    if leaf.class_name == "Normalization" and leaf.config.get("mean") is not None:
        return False
    slots = [(layout.cell.slots, layout.slots) for layout in candidates(leaf.cells[0].class_name)[:1]]
    required = any(not table[name].optional for table, names in slots for name in names if name in table)
    return required or any(switched_on(name, leaf.config) for name in _OPTIONAL.get(leaf.class_name, ()) if slots)


_OPTIONAL = {
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "RMSNormalization"), ("gamma", "beta")),
    "Attention": ("scale", "concat_score_weight"),
    "AdditiveAttention": ("scale",),
}
"""Classes that may have no array at all, and those that they have where nothing switches them off."""


def name_of(weight: str, known: Set[str]) -> str | None:
    """The layout's name of a stored array: the tail of its path, or of 'lstm_1_W_i' as Keras 1 writes it."""
    parts = weight.removesuffix(":0").split("/")
    tails = ["/".join(parts[-2:]), parts[-1]]
    found = next((tail for tail in tails if tail in known), None)
    if found is None:
        stem = re.sub(r"_\d{1,9}$", "", parts[-1])
        tails = [tail for base in (parts[-1], stem) for tail in _tails(base) if tail in known]
        found = tails[0] if tails else None
    return found


def _tails(base: str) -> Iterator[str]:
    """'lstm_1_W_i' -> itself, '1_W_i', 'W_i', 'i': longest first."""
    words = base.split("_")
    return ("_".join(words[start:]) for start in range(len(words)))


def split_cells(leaf: Leaf, weights: Sequence[tuple[str, LazyArray]]) -> list[dict[str, LazyArray]]:
    """Name the arrays of a leaf and cut them into its cells: a new cell begins where a name comes again."""
    if "SpectralNormalization" in "".join(leaf.wrappers):
        weights = [(name, array) for name, array in weights if not name.removesuffix(":0").endswith("/vector_u")]
    check_known(leaf)
    check_elements(dict(weights), leaf.class_name)
    cells: list[dict[str, LazyArray]] = [{}]
    for weight, array in weights:
        class_name = leaf.cells[min(len(cells), len(leaf.cells)) - 1].class_name
        known = array_names(class_name)
        name = name_of(weight, known)
        if name is None:
            listed = ", ".join(sorted(known)) or "none"
            raise UnknownLayer(f"{class_name} has no array {printable(weight)!r}; it may have: {listed}", array=weight)
        if name in cells[-1]:
            cells.append({})
        cells[-1][name] = array
    if len(cells) != len(leaf.cells):
        raise CoverageError(f"its arrays make {len(cells)} cells; its configuration has {len(leaf.cells)}")
    return cells


def assemble(leaf: Leaf, cells: Sequence[Arrays], version: Version, *, flipped: bool = False) -> Layer:
    """A `Layer` out of the named arrays of each cell; what is not recognised becomes an unknown layer that says why."""
    try:
        for arrays in cells:
            check_elements(arrays, leaf.class_name)
        pairs = zip(leaf.cells, cells, strict=True)
        parts = tuple(_part(cell, arrays, version, flipped) for cell, arrays in pairs)
        check_input(leaf, parts)
    except ConversionError as error:
        return unknown(leaf, {a.name: a for arrays in cells for a in arrays.values()}, error)
    return Layer(leaf.path, leaf.kind, parts, call(leaf, version))


def unknown(leaf: Leaf, arrays: Arrays, error: ConversionError) -> Layer:
    """A layer whose arrays no layout describes."""
    error.layer = leaf.path
    return Layer(leaf.path, leaf.kind, unknown=error, arrays=arrays)


def _part(cell: CellConfig, arrays: Arrays, version: Version, flipped: bool) -> Part:
    if cell.class_name in LOCALLY_CONNECTED:
        return _local_part(cell, arrays, version)
    known = conditions(cell.class_name, cell.config) | {"flipped": flipped}
    shapes = {name: array.shape for name, array in arrays.items()}
    after = check_reset(cell, shapes) if cell.class_name in GRUS else None
    if after is not None:
        known["reset_after"] = after
    if cell.class_name == "BatchNormalization" and cell.config.get("mode", 0) != 0:
        raise NotRepresentable(
            f"BatchNormalization of Keras 1 with mode={cell.config['mode']} normalises by the statistics of its own "
            "input; nn.BatchNorm uses the stored ones"
        )
    layout = catalogue.choose("keras", cell.class_name, known, shapes)
    computed = options(cell.class_name, cell.config, version, layout)
    return _checked(cell, Part(layout, arrays, computed, direction=cell.direction, layer=cell.depth))


def _checked(cell: CellConfig, part: Part) -> Part:
    """The part, whose arrays are those that its configuration makes."""
    part.pieces()
    check_names(cell, part.layout, part.arrays)
    check_sizes(cell, part)
    return part


def _local_part(cell: CellConfig, arrays: Arrays, version: Version) -> Part:
    """A layer without shared kernels, whose configuration tells what no shape of its arrays does."""
    from converters.readers.keras.locally_connected import settled

    found = settled(cell, arrays)
    shapes = {name: array.shape for name, array in found.arrays.items()}
    layout = catalogue.choose("keras", cell.class_name, conditions(cell.class_name, cell.config), shapes)
    computed = options(cell.class_name, cell.config, version, layout)
    assert isinstance(computed, Convolution)
    return _checked(cell, Part(layout, found.arrays, found.options(computed), given=found.sizes))


def check_known(leaf: Leaf) -> None:
    """Raise `UnknownLayer` when no layout describes a class of this layer."""
    for cell in leaf.cells:
        if not candidates(cell.class_name):
            raise UnknownLayer(f"no layout describes the class {printable(cell.class_name)}")


def check_elements(arrays: Arrays, class_name: str = "") -> None:
    """Weights are floating point; anything else is refused by name, but for the number of batches that was counted."""
    for name, array in arrays.items():
        if not array.is_floating and not (class_name in _COUNTED and array.shape == ()):
            raise _not_floating(name, array)
    if {"bfloat16", "float16"} <= {array.dtype.name for array in arrays.values()}:
        raise ShapeError("its arrays mix bfloat16 and float16, which have no common form")


_COUNTED = {"Normalization"}
"""Classes that store how many batches their statistics are of."""


def _not_floating(name: str, array: LazyArray) -> ConversionError:
    if array.dtype.itemsize == 1:
        return NotRepresentable(
            f"{name} holds {array.dtype} numbers: the layer was quantized, and PyTorch's modules have no such form. "
            "Save the model before `quantize()` and convert that file",
            array=array.name,
        )
    return ShapeError(f"{name} holds {array.dtype} numbers; weights are floating point", array=array.name)
