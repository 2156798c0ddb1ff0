"""The source of the drop-in layers as one file, to stand beside a module that needs them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable
from importlib import import_module

_PACKAGE = "converters.torch.nn"
_RECURRENT = ("activations", "loops", "recurrent")
_FILES = {
    "LSTM": (*_RECURRENT, "lstm"),
    "GRU": (*_RECURRENT, "gru"),
    "RNN": (*_RECURRENT, "rnn"),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), ("activations", "loops", "conv_lstm")),
    **dict.fromkeys(("LocallyConnected1D", "LocallyConnected2D"), ("locally_connected",)),
    **dict.fromkeys(("Attention", "MultiheadAttention"), ("attention",)),
    **dict.fromkeys(("EinsumDense", "Normalization", "PReLU"), ("elementwise",)),
}
"""The files that each class needs, in the order in which they may stand in one."""
_ORDER = (
    *("activations", "loops", "recurrent", "lstm", "gru", "rnn", "conv_lstm", "locally_connected"),
    *("attention", "elementwise"),
)
_HEAD = '''"""Layers that torch.nn does not have, out of gateport's converters.nn (Apache-2.0)."""

# ruff: noqa: B905, E731, RUF100, UP006, UP035, UP045
# TorchScript reads annotations of the forms List, Optional, Tuple.
'''


def source(classes: Collection[str]) -> str:
    """One file with these classes: the files of the package one after another, their imports at the top."""
    files = {name for one in classes for name in _FILES[one]}
    texts = [inspect.getsource(import_module(f"{_PACKAGE}.{name}")) for name in _ORDER if name in files]
    bodies = [re.sub(r"\bloops\.", "", _body(text)) for text in texts]
    return "\n".join([_HEAD, *_imports(texts), "", "\n\n\n".join(bodies), ""])


_IMPORT = re.compile(r"^(?:from (\S+) import (.+)|import (\S+))$", re.MULTILINE)


def _body(text: str) -> str:
    """A file without its docstring and imports."""
    return _IMPORT.sub("", text.split('"""', 2)[2]).strip("\n")


def _imports(texts: Iterable[str]) -> list[str]:
    """The imports of several files, sorted, without those of the package itself."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for text in texts:
        for module, listed, whole in _IMPORT.findall(text):
            if whole:
                plain.add(whole)
            elif not module.startswith(_PACKAGE):
                names.setdefault(module, set()).update(listed.split(", "))

    def lines(ours: bool) -> list[str]:
        first = [f"import {name}" for name in sorted(plain) if name.startswith("torch") is ours]
        return first + [
            f"from {module} import {', '.join(sorted(found, key=_sorting))}"
            for module, found in sorted(names.items())
            if module.startswith("torch") is ours
        ]

    return [*lines(False), "", *lines(True)]


def _sorting(name: str) -> tuple[bool, str]:
    return (not name[0].isupper(), name)
