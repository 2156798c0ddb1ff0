"""Dataclasses whose methods are functions of this module, and are not compiled for each class anew.

`dataclasses.dataclass` writes and compiles up to six functions for every class when its module is imported: for the
hundred classes of a small conversion that took longer than the conversion. Fields, `replace`, `fields` and `asdict` are
those of `dataclasses`; what differs is that an instance is made a microsecond later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, field, fields, replace
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field", "fields", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, eq: bool = True) -> Any:
        """What `dataclasses.dataclass` does with these arguments; a method that the class has itself is kept."""
        if cls is None:
            return lambda later: _made(later, frozen, eq)
        return _made(cls, frozen, eq)


def _made(cls: type, frozen: bool, eq: bool) -> type:
    cls.__doc__ = cls.__doc__ or cls.__name__  # else the signature is put together for it
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    methods: dict[str, Any] = {"__init__": _initializer(cls), "__repr__": _repr}
    if eq:
        methods |= {"__eq__": _equal, "__hash__": _hash if frozen else None}
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(cls, name, method)
    return cls


def _initializer(cls: type) -> Callable[..., None]:
    """The `__init__` of a class. Raises `TypeError` for a field that is missing, unknown, or given twice."""
    held = fields(cls)
    names = tuple(each.name for each in held)
    defaults = {each.name: each.default for each in held if each.default is not MISSING}
    factories: dict[str, Any] = {e.name: e.default_factory for e in held if e.default_factory is not MISSING}
    after = hasattr(cls, "__post_init__")

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        own = self.__dict__
        own.update(zip(names, values, strict=False))
        for name in names[len(values) :]:
            if name in named:
                own[name] = named.pop(name)
            elif name in defaults:
                own[name] = defaults[name]
            elif name in factories:
                own[name] = factories[name]()
            else:
                raise TypeError(f"{cls.__name__}() misses its field {name!r}")
        if named or len(values) > len(names):
            raise TypeError(f"{cls.__name__}() takes {', '.join(names)}: {[*named] or 'more values'} is not of them")
        if after:
            self.__post_init__()

    return __init__


def _values(record: Any) -> tuple[Any, ...]:
    own = record.__dict__
    return tuple([own[name] for name in record.__match_args__])


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({shown})"


def _equal(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse_to_set(self: Any, name: str, value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
