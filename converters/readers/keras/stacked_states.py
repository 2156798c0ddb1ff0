"""In which order a stack of cells gives and takes its states: from the first cell, or from the last one.

Keras counted them from the last cell before 2.2.3, and does so since then where `reverse_state_order` says it. In
tf.keras the order changed while it called itself 2.1.6, so that such a file does not tell. Source: `StackedRNNCells` of
Keras 2.1.6, 2.2.2, 2.2.3 and 2.3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.model.layers import Layer, Part
from converters.readers.keras.config import Config
from converters.readers.keras.draft import Flow
from converters.readers.keras.semantics import Version
from converters.readers.keras.site import Site

_FROM_THE_FIRST = (2, 2, 3)


def why_not_known(site: Site) -> str:
    """Why nobody can tell the order of the states of this layer; '' where it is known, or there is one cell."""
    old = site.version.number < _FROM_THE_FIRST
    if not _is_stack(site) or not old or (site.version.number and not site.version.tensorflow):
        return ""
    return "its stack of cells counts its states from the first or from the last, which this version does not tell"


def counted_from_the_last(site: Site) -> bool:
    """Whether the states of the last cell of a stack come first."""
    return _is_stack(site) and (_is_old(site.version) or any(map(_says_so, _stacks(site.leaf.config))))


def _is_stack(site: Site) -> bool:
    return site.layer is not None and any(part.layer for part in site.layer.parts)


def _is_old(version: Version) -> bool:
    return bool(version.number) and version.number < _FROM_THE_FIRST


def _says_so(cell: Config) -> bool:
    inner = cell.get("config")
    return isinstance(inner, dict) and inner.get("reverse_state_order") is True


def _stacks(config: Config) -> list[Config]:
    """The configuration of the stack of a layer, or of the layer inside a Bidirectional."""
    layer = config.get("layer")
    inner = layer.get("config") if isinstance(layer, dict) else config
    cell = inner.get("cell") if isinstance(inner, dict) else None
    return [cell] if isinstance(cell, dict) else []


def count(part: Part) -> int:
    """How many states a cell has: h, or h and c."""
    return 2 if "lstm" in part.cell.name else 1


def from_the_first(layer: Layer, states: Sequence[Flow]) -> list[Flow]:
    """States as a file counts them from the last cell of each direction, from the first."""
    return _turned(states, [list(reversed(stack)) for stack in _directions(layer)])


def from_the_last(layer: Layer, states: Sequence[Flow]) -> list[Flow]:
    """States from the first cell of each direction, as a file counts them from the last."""
    return _turned(states, _directions(layer))


def _directions(layer: Layer) -> list[list[Part]]:
    """The cells of each direction, from the first."""
    found: dict[str, list[Part]] = {}
    for part in layer.parts:
        found.setdefault(part.direction, []).append(part)
    return list(found.values())


def _turned(states: Sequence[Flow], directions: Sequence[Sequence[Part]]) -> list[Flow]:
    """The states of the cells of each direction in the opposite order, cell by cell."""
    left, made = list(states), []
    for stack in directions:
        groups = []
        for part in stack if left else ():
            groups.append(left[: count(part)])
            del left[: count(part)]
        made += [state for group in reversed(groups) for state in group]
    return made
