"""Somebody's own module out of his own Python file. This runs the file: it is meant to, and it is said everywhere."""

from __future__ import annotations

import inspect
import sys
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from converters.torch.proving import stored
from layouts.errors import ConversionError, UnreadableCheckpoint, printable

_NUMBERS = count(1)
_PRIVATE = "_gateport_own_"
_USUAL = "Model"
_WEIGHTS = (".safetensors", ".pt", ".pth", ".npz")


def module_from(place: str, weights: str | None = None, *, trained: bool = False) -> nn.Module:
    """The module at `file.py:Class`, `file.py:function`, `file.py`, or in a folder that `port` made (its `model.py`).

    RUNS THE FILE, as Python would. A class or a function is called without arguments; what is a module already is taken
    as it is; without a name it is `Model`, or the one class of modules that the file defines. Weights are loaded
    strictly where `weights` names a file, or where one stands beside `model.py` under its name and the module was made
    here: `model.safetensors` or `model.pt`.

    trained: a class alone, without a file of weights, is refused: it would be as its constructor leaves it.
    """
    file, name = _file_and_name(place)
    found = _object(_run(file), name, file)
    module = _made(found, place) if callable(found) and not isinstance(found, nn.Module) else found
    if not isinstance(module, nn.Module):
        raise ConversionError(f"{printable(place)}: {type(module).__name__} is no nn.Module")
    file_of_weights = Path(weights) if weights else _beside(file) if isinstance(found, type) else None
    if file_of_weights is not None:
        _load(module, file_of_weights)
    elif trained and isinstance(found, type):
        raise ConversionError(
            f"{printable(place)}: no weights are named, and none stand beside it: name a file (--weights model.pt), "
            "or a function that makes the module with its weights"
        )
    return module.eval()


def _made(found: Any, place: str) -> Any:
    """What a class or a function gives. Raises `ConversionError` for one that has to be told more."""
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise ConversionError(
            f"{printable(place)} cannot be called without arguments ({error}): write a function that makes the module, "
            "and name it in the place of the class"
        ) from None
    return found()


def _load(module: nn.Module, file: Path) -> None:
    try:
        module.load_state_dict(stored(file, file.suffix), strict=True)
    except RuntimeError as error:  # keys or shapes that are not the module's
        told = "; ".join(line.strip() for line in str(error).splitlines())
        raise ConversionError(
            f"the weights in {printable(str(file))} do not fit the module, see `gateport plan`: {told}", path=str(file)
        ) from error


def _file_and_name(place: str) -> tuple[Path, str]:
    """The file and the name in it; a colon of a drive (C:) separates nothing."""
    path = Path(place)
    if path.is_dir():
        return path / "model.py", ""
    head, colon, tail = place.rpartition(":")
    if colon and tail.isidentifier() and not path.exists():
        path, name = Path(head), tail
    else:
        name = ""
    path = path / "model.py" if path.is_dir() else path
    if not path.is_file():
        raise UnreadableCheckpoint(f"{printable(place)}: there is no such file", path=str(path))
    return path, name


def _run(file: Path) -> ModuleType:
    """Import a file under a private name, with its folder first on the path while it runs."""
    name = f"{_PRIVATE}{next(_NUMBERS)}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UnreadableCheckpoint(f"{printable(str(file))}: this is no Python file", path=str(file))
    module, folder, before = module_from_spec(spec), file.resolve().parent, set(sys.modules)
    sys.modules[name] = module
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
        _forget(folder, before)
    return module


def _forget(folder: Path, before: set[str]) -> None:
    """What the file imported from beside it is its own: another folder has other modules of the same names."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).resolve().parent == folder and not name.startswith(_PRIVATE):
            del sys.modules[name]


def _object(module: ModuleType, name: str, file: Path) -> Any:
    if name:
        if not hasattr(module, name):
            raise ConversionError(f"{printable(str(file))} defines no {printable(name)}", path=str(file))
        return getattr(module, name)
    if hasattr(module, _USUAL):
        return getattr(module, _USUAL)
    own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    classes = [each for each in own if issubclass(each, nn.Module)]
    if len(classes) != 1:
        known = ", ".join(each.__name__ for each in classes) or "none"
        raise ConversionError(
            f"{printable(str(file))}: state which class, as in {file.name}:{_USUAL}; modules in it: {known}",
            path=str(file),
        )
    return classes[0]


def _beside(file: Path) -> Path | None:
    return next((each for end in _WEIGHTS if (each := file.with_suffix(end)).is_file()), None)
