"""Which of the dictionaries of a checkpoint is the model's state_dict, and what beside it is left out by name.

People save a state_dict alone, or in a dictionary with an optimizer, an epoch, averaged weights and settings. A
state_dict is a dictionary with a floating-point array of at least one axis under a name. Where there are several, it is
a question for the caller: `state_dict` of `assume`, with the path of one, or "all" for all of them by their paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.pickled.records import Record
from converters.readers.source import Source
from layouts.errors import CheckpointError, ConversionError, NotRepresentable, UnknownLayer, UnsafeCheckpoint, printable
from layouts.records import dataclass, replace

OPTION = "state_dict"
"""What a caller states to choose one."""
_ALL, _TOP = "all", "top"
_DEEPEST = 4
_MOST_ARRAYS = 100_000
_LISTED = 20
_LOOKED_AT = 16
"""How many entries of a list are looked at to tell whether it holds tensors."""


@dataclass(frozen=True, eq=False)
class Held:
    """An array in memory, as a `Record`."""

    array: LazyArray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def lazy(self, name: str, _: Source) -> LazyArray:
        """The array under this name."""
        return replace(self.array, name=name)


class State(NamedTuple):
    """Arrays by full name, what is left out, and what a person has to know."""

    arrays: dict[str, LazyArray]
    unused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def choose(value: Any, source: Source, assume: Mapping[str, Any]) -> State:
    """The state_dict in what was read. Raises `UnknownLayer` where there are several, `CheckpointError` where none."""
    if not isinstance(value, dict):
        what = "one array without a name" if isinstance(value, Record) else f"a {type(value).__name__}"
        raise CheckpointError(f"the file holds {what}, and no state_dict: save model.state_dict()", path=source.path)
    found = dict(_states(value, (), set()))
    if not found:
        raise CheckpointError("no dictionary in the file holds weights by name", path=source.path)
    names = {printable(".".join(path)) or _TOP: path for path in found}
    stated = assume.get(OPTION)
    if len(found) == 1 and stated is None:
        chosen = next(iter(found))
    elif stated == _ALL:
        return _all(found, value, source)
    elif stated in names:
        chosen = names[str(stated)]
    else:
        raise _question(names, stated, source)
    arrays, extra = _arrays(found[chosen], source, "")
    where = ".".join(chosen)
    remarks = (f"the weights are those of its entry {printable(where)!r}",) if where else ()
    beside = _beside(value, chosen) if where else ()
    return State(arrays, extra, remarks + _left_out(beside))


def _question(names: Mapping[str, Any], stated: object, source: Source) -> ConversionError:
    listed = ", ".join([*names][:_LISTED]) + ", …" * (len(names) > _LISTED)
    said = f"assume={{'{OPTION}': '{next(iter(names))}'}}"
    if stated is not None:
        text = f"assume={{'{OPTION}': {printable(repr(stated))}}}: no such state_dict; there are: {listed}"
    else:
        text = f"several state_dicts in one file: {listed}. State which: {said}; '{_ALL}' takes all, by their paths"
    return UnknownLayer(text, path=source.path)


def _states(
    value: dict[Any, Any], path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[Any, Any]]]:
    """Every dictionary with weights under names, once, by its path; an optimizer's numbers its parameters."""
    seen.add(id(value))
    if any(isinstance(name, str) and _is_weight(item) for name, item in value.items()):
        yield path, value
    if len(path) < _DEEPEST and not _is_optimizer(value):
        for name, item in value.items():
            if isinstance(name, str) and isinstance(item, dict) and id(item) not in seen:
                yield from _states(item, (*path, name), seen)


def _is_optimizer(value: Mapping[Any, Any]) -> bool:
    return "param_groups" in value


def _is_weight(value: Any) -> bool:
    """Whether a value is, as far as it is told, an array of numbers with a fraction and at least one axis."""
    if not isinstance(value, Record):
        return _is_packed(value)
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", (1,))
    return bool(shape) and (dtype is None or dtype.kind == "f" or dtype.name.startswith(("bfloat", "float")))


def _is_packed(value: Any) -> bool:
    """Whether a value is several tensors in one, as quantized modules keep them."""
    return isinstance(value, tuple | list) and any(isinstance(part, Record) for part in value[:_LOOKED_AT])


def _arrays(state: Mapping[Any, Any], source: Source, prefix: str) -> tuple[dict[str, LazyArray], tuple[str, ...]]:
    """The arrays of one state_dict, and the names of entries that are none."""
    found: dict[str, LazyArray] = {}
    others: list[str] = []
    for name, item in state.items():
        if isinstance(item, Record) and isinstance(name, str):
            found[prefix + name] = item.lazy(prefix + name, source)
        elif _is_packed(item):
            raise NotRepresentable(
                f"{printable(name)} holds packed parameters of a quantized module: save the float module's state_dict",
                path=source.path,
                array=printable(name),
            )
        else:
            others.append(f"{prefix}{name}")
    if len(found) > _MOST_ARRAYS:
        raise UnsafeCheckpoint(f"the file holds {len(found)} arrays", path=source.path)
    return found, tuple(others)


def _all(found: Mapping[tuple[str, ...], Any], value: Mapping[Any, Any], source: Source) -> State:
    """All state_dicts as one, each under its path."""
    arrays: dict[str, LazyArray] = {}
    others: tuple[str, ...] = ()
    for path, state in found.items():
        own, extra = _arrays(state, source, "".join(f"{name}." for name in path))
        extra = tuple(name for name in extra if not any(".".join(other).startswith(name) for other in found))
        twice = next((name for name in own if name in arrays), None)
        if twice is not None:
            raise UnsafeCheckpoint(f"{printable(twice)} stands twice in the file", path=source.path)
        arrays, others = arrays | own, others + extra
    beside = [str(name) for name in value if not any(path[:1] == (name,) for path in found) and () not in found]
    return State(arrays, others, _left_out(beside))


def _beside(value: Mapping[Any, Any], chosen: tuple[str, ...]) -> list[str]:
    """What stands beside the chosen state_dict, on every level above it."""
    found: list[str] = []
    for depth, name in enumerate(chosen):
        found += [".".join((*chosen[:depth], str(other))) for other in value if other != name]
        value = value[name]
    return found


def _left_out(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return ()
    listed = ", ".join(map(printable, names[:_LISTED])) + ", …" * (len(names) > _LISTED)
    return (f"left out, for it is beside the weights: {listed}",)
