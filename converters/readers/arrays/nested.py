"""A mapping of arrays, as deep as it goes, as arrays by full name; what of it is no array is told apart.

Keys are names, numbers of a list, the paths of `flax.traverse_util.flatten_dict` and of JAX's trees, which are tuples,
or such a path as `jax.tree_util.keystr` writes it: `.layers[0]['cell'].weight`. Words are joined by '/'. A module of
Equinox counts as a mapping of its fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import LazyArray, in_memory
from converters.readers.pytorch import held
from layouts.errors import ConversionError, CoverageError, printable

_STEP = r"\.[A-Za-z_]\w*|\[\d+\]|\['[^'\]]*'\]|\[\"[^\"\]]*\"\]"
_PATH = re.compile(rf"(?=\.|[^\[]*\[)(?:[A-Za-z_]\w*)?(?:{_STEP})+")
_PLAIN = (bool, int, float, complex, str, bytes)
"""Numbers and words of Python: settings of a module, and no weights."""
_WAYS = ("asnumpy", "numpy", "get_value", "array")
"""How arrays of MXNet, tinygrad, Theano and Chainer give their numbers to NumPy."""
_UNREADABLE = (TypeError, ValueError, RuntimeError, BufferError)
"""What NumPy raises for memory that it cannot read."""
_DEEPEST = 100


class Given(NamedTuple):
    """Arrays by full name, and by theirs the settings that stand among them."""

    arrays: dict[str, LazyArray]
    settings: dict[str, Any]


def given(source: Mapping[Any, Any]) -> Given:
    """Everything that a mapping holds. Raises `ConversionError`, `CoverageError` where one name is there twice."""
    found = Given({}, {})
    for name, value in _leaves(source, "", _DEEPEST):
        if name in found.arrays or name in found.settings:
            raise CoverageError(f"{printable(name)} is there twice", array=name)
        if _is_setting(value):
            found.settings[name] = value
        else:
            found.arrays[name] = _lazy(name, value)
    return found


def _leaves(source: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping and no list of such, by its full name. None stands for what is not there."""
    if not depth:
        raise ConversionError(f"mappings stand in one another more than {_DEEPEST} deep")
    for key, value in source.items():
        name, parts = prefix + _name(key), _parts(value)
        if parts is not None:
            yield from _leaves(parts, f"{name}/", depth - 1)
        elif value is not None:
            yield name, value


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """What a mapping, a module of Equinox or a list holds by name or number; None for what is one value."""
    if isinstance(value, Mapping):
        return value
    if is_record(value):
        return fields(value)
    if isinstance(value, list | tuple) and any(map(_has_parts, value)):
        return dict(enumerate(value))
    return None


def _has_parts(value: Any) -> bool:
    """Whether a member of a list is one by itself: an array with axes, or what holds some."""
    return bool(getattr(value, "shape", ())) or _parts(value) is not None


def is_record(value: Any) -> bool:
    """Whether a value is a dataclass with fields, as the modules of Equinox are."""
    return is_dataclass(value) and not isinstance(value, type | LazyArray) and not hasattr(value, "shape")


def fields(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that are there."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__ if hasattr(record, name)}


def _name(key: Any) -> str:
    """A key as a path. Raises `ConversionError` where it is none."""
    if isinstance(key, tuple):
        return "/".join(map(_name, key))
    for attribute in ("key", "name", "idx"):
        key = getattr(key, attribute, key)
    if isinstance(key, bytes):
        key = key.decode("utf-8", "replace")
    if not isinstance(key, str | int) or isinstance(key, bool):
        raise ConversionError(f"the keys of a mapping of arrays are names; found {printable(repr(key))}")
    text = str(key)
    return "/".join(re.findall(r"[^\[\]'\".]+", text)) if _PATH.fullmatch(text) else text


def _is_setting(value: Any) -> bool:
    """Whether a value is no array: a number or word of Python, several of them, or a function."""
    if isinstance(value, list | tuple):
        return not any(isinstance(each, float) for each in value) and all(map(_is_setting, value))
    function = callable(value) and isinstance(getattr(value, "__name__", None), str) and not hasattr(value, "shape")
    return function or (isinstance(value, _PLAIN) and not isinstance(value, np.generic))


def _lazy(name: str, value: Any) -> LazyArray:
    """A value as an array, or where NumPy has no numbers for one element, as the keys of JAX, as an object.

    Raises `ConversionError` where it has none for several.
    """
    if isinstance(value, LazyArray):
        return value
    if held.is_tensor(value):
        return held.as_array(name, value)
    try:
        array = np.asarray(_numbers(value))
    except _UNREADABLE as error:
        if getattr(value, "shape", ()) or isinstance(value, list | tuple):
            raise _unreadable(name, value) from error
        array = np.empty((), object)
    if array.dtype == object and bool(getattr(value, "shape", ())):
        raise _unreadable(name, value)
    return in_memory(name, array)


def _numbers(value: Any) -> Any:
    """What NumPy reads as numbers: a value itself, or what one that is no array of NumPy's gives for it."""
    if not hasattr(value, "__array__"):
        ways = (getattr(value, name) for name in _WAYS if hasattr(value, name))
        value = next((way() if callable(way) else way for way in ways), value)
    return value


def _unreadable(name: str, value: Any) -> ConversionError:
    what = f"{type(value).__module__}.{type(value).__name__}"
    kind = f" of {printable(str(value.dtype))}" if hasattr(value, "dtype") else ""
    return ConversionError(
        f"{printable(name)} is a {printable(what)}{kind}, and NumPy reads no numbers in it: give it as float32",
        array=name,
    )
