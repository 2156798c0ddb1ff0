"""Weights that PyTorch computes from other tensors whenever it uses them, worked out once where that is exact.

Weight normalisation keeps a direction v and a size g, w = v g / |v|: `{name}_g` and `{name}_v`, or since PyTorch 2
`parametrizations.{name}.original0` and `original1`. Pruning keeps `{name}_orig` and `{name}_mask`, w = orig mask. The
axes that |v| runs over are those on which g has one element. Anything else that computes a weight is refused by name.
Source: torch/nn/utils/weight_norm.py, parametrizations.py and prune.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from layouts import catalogue
from layouts.errors import NotRepresentable, printable

Arrays = dict[str, LazyArray]

_PARAMETRIZED = "parametrizations."


class Computed(NamedTuple):
    """Arrays with the computed ones in the place of what they are made of, what was done, and what cannot be."""

    arrays: Arrays
    remarks: tuple[str, ...]
    refused: Mapping[str, NotRepresentable]
    """The path of a module, and why its weights are not told."""


def compute(arrays: Mapping[str, LazyArray]) -> Computed:
    """Every array, those that are computed under the name that they have in a plain module."""
    found: Arrays = {}
    done: dict[str, list[str]] = {}
    refused: dict[str, NotRepresentable] = {}
    for name, array in arrays.items():
        target, recipe = _recipe(name, arrays)
        if recipe is not None:
            found[target] = recipe.make(target, arrays)
            done.setdefault(recipe.what, []).append(target)
        elif not target:
            found[name] = array
            module, why = _opaque(name, arrays)
            if module is not None:
                refused[module] = NotRepresentable(why, array=name)
    remarks = [f"computed by {what}: {', '.join(map(printable, names))}" for what, names in done.items()]
    return Computed(found, tuple(remarks), refused)


class _Recipe(NamedTuple):
    """How one weight is made of two arrays."""

    what: str
    first: str
    second: str
    function: Callable[[Array, Array], Array]

    def make(self, name: str, arrays: Mapping[str, LazyArray]) -> LazyArray:
        one, two = arrays[self.first], arrays[self.second]
        return LazyArray(name, two.shape, two.dtype, lambda: self.function(one.read(), two.read()), two.release)


def _normalised(size: Array, direction: Array) -> Array:
    """v g / |v|, worked out in float64 and rounded once."""
    v = direction.astype(np.float64)
    axes = tuple(axis for axis in range(v.ndim) if size.ndim == 0 or size.shape[axis] == 1)
    made: Array = v * (size.astype(np.float64) / np.sqrt((v * v).sum(axis=axes, keepdims=True)))
    return made.astype(direction.dtype)


def _pruned(mask: Array, original: Array) -> Array:
    made: Array = original * mask.astype(original.dtype)
    return made


_PAIRS = (
    ("weight normalisation", "{}_g", "{}_v", _normalised),
    ("pruning", "{}_mask", "{}_orig", _pruned),
)


def _recipe(name: str, arrays: Mapping[str, LazyArray]) -> tuple[str, _Recipe | None]:
    """The weight that this array is a part of, with its recipe where the array is the first part; else ''."""
    owner, _, last = name.rpartition(".")
    prefix = f"{owner}." if owner else ""
    module, parametrized, weight = prefix[:-1].rpartition(_PARAMETRIZED)
    if parametrized and last in ("original0", "original1"):
        parts = (f"{prefix}original0", f"{prefix}original1")
        return _made("weight normalisation", parts, f"{module}{weight}", name, arrays, _normalised)
    for what, one, two, function in _PAIRS:
        for tail in (one[2:], two[2:]):
            stem = last.removesuffix(tail)
            if stem != last and f"{prefix}{stem}" not in arrays and stem in catalogue.names("pytorch"):
                parts = (prefix + one.format(stem), prefix + two.format(stem))
                target, recipe = _made(what, parts, f"{prefix}{stem}", name, arrays, function)
                if target:
                    return target, recipe
    return "", None


def _made(
    what: str,
    parts: tuple[str, str],
    target: str,
    name: str,
    arrays: Mapping[str, LazyArray],
    function: Callable[[Array, Array], Array],
) -> tuple[str, _Recipe | None]:
    """The weight of two parts where both are there and their shapes agree; the recipe stands with the first."""
    if not all(part in arrays for part in parts) or target in arrays:
        return "", None
    one, two = (arrays[part].shape for part in parts)
    fit = one == two if function is _pruned else one == () or _is_norm(one, two)
    if not fit or not all(arrays[part].is_floating for part in parts):
        return "", None
    return target, _Recipe(what, *parts, function) if name == parts[0] else None


def _is_norm(one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    """Whether a shape is that of the sizes of these directions: one element for each place on at most one axis."""
    alike = len(one) == len(two) and all(a in (1, b) for a, b in zip(one, two, strict=True))
    return alike and sum(size > 1 for size in one) <= 1 and len(one) > 1


def _opaque(name: str, arrays: Mapping[str, LazyArray]) -> tuple[str | None, str]:
    """The module whose weight another parametrization or hook computes, and the refusal; None for any other array."""
    owner, _, last = name.rpartition(".")
    head, parametrized, _ = f".{name}".rpartition(f".{_PARAMETRIZED}")
    if parametrized:
        undo = "torch.nn.utils.parametrize.remove_parametrizations"
        return head[1:], f"{printable(name)} is a part of a parametrization that is not worked out here: {undo}"
    prefix = f"{owner}." if owner else ""
    stem = last.removesuffix("_orig")
    if stem != last and f"{prefix}{stem}_u" in arrays:
        undo = "torch.nn.utils.remove_spectral_norm"
        return owner, f"{printable(name)} is divided by a norm at every call (spectral normalisation): {undo}"
    return None, ""
