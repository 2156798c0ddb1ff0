"""What any pickle of weights may name: arrays of NumPy and JAX, dictionaries, and plain data beside them.

Objects of the last kind are kept as they stand and never looked into. Sources: `__reduce__` of the classes that are
named; JAX's `jax._src.array.Array.__reduce__`, which gives NumPy's own reduction and the abstract value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from converters.readers.pickled.numpy_arrays import NUMPY, NumpyArray
from converters.readers.pickled.records import Arguments, Global, Inert
from converters.readers.pickled.stack import Find
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

_LONGEST_TUPLE = 16


def table(*groups: Iterable[Global]) -> Find:
    """A lookup in these groups of names."""
    found: Mapping[tuple[str, str], Global] = {(one.module, one.name): one for group in groups for one in group}
    return lambda module, name: found.get((module, name))


def _dictionary(arguments: Arguments) -> dict[Any, Any]:
    """An empty dictionary, or one of a dictionary or of pairs; a first argument that is a type makes defaults."""
    given = arguments[1:] if arguments and (arguments[0] is None or isinstance(arguments[0], Global)) else arguments
    if not given:
        return {}
    if isinstance(given[0], dict):
        return given[0]
    if not isinstance(given[0], list | tuple):
        raise UnreadableCheckpoint("the pickle is damaged: it makes a dictionary of what is none")
    pairs = [tuple(pair) for pair in given[0] if isinstance(pair, list | tuple) and len(pair) == 2]
    if len(pairs) != len(given[0]) or not all(isinstance(key, str | int) for key, _ in pairs):
        raise UnreadableCheckpoint("the pickle is damaged: it makes a dictionary of what are no pairs")
    if len({key for key, _ in pairs}) != len(pairs):
        raise UnsafeCheckpoint("the pickle makes a dictionary in which a key stands twice")
    return dict(pairs)


def _list(arguments: Arguments) -> list[Any]:
    """An empty list for a queue that is filled later, or the one that it is made of."""
    match arguments:
        case () | ((),) | ((), _):
            return []
        case (list() as values, *_):
            return values
    raise UnreadableCheckpoint("the pickle is damaged: it makes a queue of what is no list")


def _tuple(arguments: Arguments) -> tuple[Any, ...]:
    """`tuple(values)`, as Paddle writes a tensor: its name and its array."""
    match arguments:
        case (list() | tuple() as values,) if len(values) <= _LONGEST_TUPLE:
            return tuple(values)
    raise UnreadableCheckpoint("the pickle is damaged: it makes a tuple of what is no list")


def _jax_array(arguments: Arguments) -> NumpyArray:
    """`_reconstruct_array(function, arguments, state, aval)`: an array of NumPy, and its state."""
    match arguments:
        case (Global(call=call), tuple() as own, tuple() as state, *_) if call is not None:
            array = call(own)
            if isinstance(array, NumpyArray):
                array.build(state)
                return array
    raise UnreadableCheckpoint("the pickle is damaged: what it builds is no array of JAX")


def inert(module: str, *names: str) -> Iterable[Global]:
    """Classes whose objects are kept unseen."""
    for name in names:
        yield Global(module, name, _keeper(f"{module}.{name}"))


def _keeper(kind: str) -> Callable[[Arguments], Inert]:
    return lambda arguments: Inert(kind, arguments)


_PYTHON_2 = ("builtins", "__builtin__")
PLAIN = (
    Global("collections", "OrderedDict", _dictionary),
    Global("collections", "defaultdict", _dictionary),
    Global("collections", "Counter", _dictionary),
    Global("collections", "deque", _list),
    Global("flax.core.frozen_dict", "FrozenDict", _dictionary),
    Global("haiku._src.data_structures", "FlatMapping", _dictionary),
    Global("haiku._src.data_structures", "FlatMap", _dictionary),
    *(Global(module, "dict", _dictionary) for module in _PYTHON_2),
    *(Global(module, "tuple", _tuple) for module in _PYTHON_2),
    *(one for module in _PYTHON_2 for one in inert(module, "set", "frozenset", "complex", "bytearray", "slice")),
    *(Global(module, name) for module in _PYTHON_2 for name in ("int", "float", "list", "str", "bool")),
    Global("jax._src.array", "_reconstruct_array", _jax_array),
    Global("jax._src.device_array", "reconstruct_device_array", _jax_array),
    *inert("jax._src.core", "ShapedArray"),
    *inert("argparse", "Namespace"),
    *inert("types", "SimpleNamespace"),
    *inert("pathlib", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"),
    *inert("pathlib._local", "PosixPath", "PurePosixPath", "WindowsPath"),
    *inert("datetime", "datetime", "timedelta", "date"),
)
"""Python's and JAX's, beside NumPy's own."""

ARRAYS = table(NUMPY, PLAIN)
"""What a pickle of arrays of NumPy may name."""
