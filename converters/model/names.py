"""Layer paths of a source and keys of a state_dict: 'encoder/lstm' becomes 'encoder.lstm'. No patterns, no guessing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from layouts.errors import ConversionError, UnknownLayer, printable


def module_name(path: str) -> str:
    """The name of a module for a layer's path: '/' becomes '.', as in nested PyTorch modules."""
    return path.replace("\\", "/").replace("/", ".").strip(".")


def parameter_name(name: str) -> str:
    """The name of a parameter for an array that goes through under its own: without TensorFlow's ':0'."""
    return module_name(name.removesuffix(":0"))


_WORD = re.compile(r"[^\W\d]\w*|\d{1,9}")


def check_name(name: str) -> None:
    """Raise `ConversionError` for what no module can be called: a name is words, or numbers as in a Sequential."""
    if not all(_WORD.fullmatch(word) for word in name.split(".")):
        raise ConversionError(
            f"{printable(name)!r} is not a name for a module: expected identifiers and dots, such as 'encoder.rnn'"
        )


class Rename:
    """Renames whole names of layers, or of models that hold layers: `{"dense": "head", "encoder": "body.encoder"}`.

    Raises `UnknownLayer` for a name that no layer has, so that a slip of the pen is not silence.
    """

    def __init__(self, rename: Mapping[str, str], paths: Iterable[str], stack: Mapping[str, object]) -> None:
        self._rename = {module_name(old): module_name(new) for old, new in rename.items()}
        known = [module_name(path) for path in paths] + list(stack)
        for name in (*self._rename.values(), *map(module_name, stack)):
            check_name(name)
        for old in self._rename:
            if not any(name == old or name.startswith(f"{old}.") for name in known):
                raise UnknownLayer(
                    f"rename: no layer {printable(old)!r}; there are: {', '.join(map(printable, known))}"
                )

    def apply(self, path: str) -> str:
        """The module name of a layer; the longest name that fits is replaced."""
        name = module_name(path)
        for old in sorted(self._rename, key=len, reverse=True):
            if name == old or name.startswith(f"{old}."):
                return self._rename[old] + name[len(old) :]
        return name
