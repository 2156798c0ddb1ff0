"""pyfive's parsers of structure, and nothing else of it.

Its package imports, for its own access to data, sockets, mail and metadata of packages: more than all else that a small
file needs. So the modules of its parsers are run as a copy of our own, in which what they import of one another is this
copy; whoever imports pyfive gets the whole of it, untouched.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from importlib.machinery import PathFinder, SourceFileLoader
from types import ModuleType, SimpleNamespace
from typing import Any

from layouts.errors import MissingDependency

_PACKAGE = "pyfive"


class _Silent:
    """Stands for `logging`: what a parser says of a stranger's file is an error of ours, or nothing."""

    def __getattr__(self, _: str) -> _Silent:
        return self

    def __call__(self, *_: object, **__: object) -> _Silent:
        return self

    def __bool__(self) -> bool:
        return False


_WITHOUT = {"h5d": SimpleNamespace(DatasetID=None), "logging": _Silent()}
"""What is not loaded for the parsers: the module of its access to data, of which they import one name and call it for
data alone, and logging, which takes as long to import as all of them."""


class _Copy:
    """Modules of a package, each loaded once, when it is asked for."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._loaded: dict[str, Any] = dict(_WITHOUT)

    def module(self, name: str) -> Any:
        if name not in self._loaded:
            full = f"{_PACKAGE}.{name}"
            loader = SourceFileLoader(full, f"{self._folder}/{name}.py")
            module = self._loaded[name] = ModuleType(full)
            known = vars(builtins) | {"__import__": self._importing()}
            module.__dict__.update(__package__=_PACKAGE, __builtins__=known)
            loader.exec_module(module)
        return self._loaded[name]

    def _importing(self) -> Callable[..., Any]:
        """What stands for `import` in these modules."""

        def importing(name: str, own: Any = None, local: Any = None, names: Any = (), level: int = 0) -> Any:
            inner = name if level else name.removeprefix(f"{_PACKAGE}.")
            ours = level or inner != name or name in _WITHOUT
            return self.module(inner) if ours else builtins.__import__(name, own, local, names)

        return importing


def _found() -> _Copy:
    """Raises `MissingDependency` where pyfive is not installed."""
    spec = PathFinder.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("HDF5 files are read with pyfive, which is not installed: pip install pyfive")
    return _Copy(spec.submodule_search_locations[0])


_COPY = _found()
BTreeV1Groups: Any = _COPY.module("btree").BTreeV1Groups
BTreeV1RawDataChunks: Any = _COPY.module("btree").BTreeV1RawDataChunks
UNDEFINED_ADDRESS: int = _COPY.module("core").UNDEFINED_ADDRESS
DataObjects: Any = _COPY.module("dataobjects").DataObjects
GlobalHeap: Any = _COPY.module("misc_low_level").GlobalHeap
Heap: Any = _COPY.module("misc_low_level").Heap
SuperBlock: Any = _COPY.module("misc_low_level").SuperBlock
SymbolTable: Any = _COPY.module("misc_low_level").SymbolTable
