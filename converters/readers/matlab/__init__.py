"""MATLAB's `.mat`: the properties of layers, saved as variables or structs of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.matlab import level5, level73
from converters.readers.matlab.level5 import Variable
from converters.readers.opened import Opened, Request
from layouts.errors import CoverageError, UnreadableCheckpoint, printable

_WORDS = {
    "tanh": "tanh",
    "softsign": "softsign",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "hard-sigmoid": "hard_sigmoid_0.2",
}
_OPTIONS = {"StateActivationFunction": "activation", "GateActivationFunction": "recurrent_activation"}
_RESET, _MODES = "ResetGateMode", ("after-multiplication", "before-multiplication")
"""What the arrays do not tell: the third mode, with a second bias, is told by the size of the bias."""


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of the arrays of a MAT-file. Raises `UnreadableCheckpoint` where it holds objects alone."""
    is_hdf5 = opened.is_hdf5
    variables = list((level73 if is_hdf5 else level5).read_variables(opened.source))
    arrays, others = _arrays(variables)
    if not arrays:
        raise UnreadableCheckpoint(
            f"this MAT-file holds no arrays of numbers ({_named(variables)}): a network is an object of MATLAB's own; "
            "save the properties of its layers, such as s.lstm.InputWeights = net.Layers(2).InputWeights",
            path=opened.path,
        )
    container = "MAT-file (7.3)" if is_hdf5 else "MAT-file"
    found = checkpoint_of(opened.path, container, arrays, "matlab", {**_told(variables), **request.assume})
    return replace(found, unused=(*found.unused, *others))


def _arrays(variables: Iterable[Variable]) -> tuple[dict[str, LazyArray], tuple[str, ...]]:
    """The arrays of numbers by path, without those that hold none; and the paths of what is no array."""
    arrays: dict[str, LazyArray] = {}
    others = []
    for path, value in variables:
        if value is None:
            others.append(path)
        elif isinstance(value, LazyArray) and value.size and arrays.setdefault(path, value) is not value:
            raise CoverageError(f"two variables are called {printable(path)}", array=path)
    return arrays, tuple(others)


def _told(variables: Iterable[Variable]) -> Mapping[str, str]:
    """What the texts of a layer's struct say of it, as a caller states it."""
    return dict(_statements(variables))


def _statements(variables: Iterable[Variable]) -> Iterator[tuple[str, str]]:
    for path, value in variables:
        owner, _, name = path.rpartition("/")
        key = f"{owner.replace('/', '.')}." if owner else ""
        if isinstance(value, str) and name in _OPTIONS and value in _WORDS:
            yield key + _OPTIONS[name], _WORDS[value]
        elif isinstance(value, str) and name == _RESET and value in _MODES:
            yield f"{key}reset_gate_mode", value


def _named(variables: Iterable[Variable]) -> str:
    return ", ".join(printable(variable.path or "an object") for variable in variables)[:120] or "it is empty"
