"""Folder names of TensorFlow 2.12 to 2.14, as later versions would count them.

There a model keeps its layers in `_layer_checkpoint_dependencies`. In 2.12 and 2.13 a layer with weights stands in that
container twice, as `layer_with_weights-0` and as `layer-0`, and the counter of its class counts both: the second LSTM
is `lstm_2`. A layer without weights stands there once: the second Dropout is `dropout_1`. 2.14 counts every layer once.
Every layer has a folder, if an empty one, so the order of the numbers is that of the layers either way. Source:
`_save_container_state` of `saving_lib.py`, `Functional._layer_checkpoint_dependencies`; files of all three versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise

from layouts.errors import CoverageError, printable

CONTAINER = "_layer_checkpoint_dependencies"
_COUNTED = re.compile(r"(.+?)(?:_(\d{1,6}))?")
_LATER = "layers"
"""What the container is called from TensorFlow 2.15 and Keras 3 on."""


class Counter:
    """Translates the folders of one file; knows all of them, and which have arrays in or below them."""

    def __init__(self, groups: Iterable[str], arrays: Iterable[str]) -> None:
        self._filled = {above for path in arrays for above in _and_above(path)}
        self._members: dict[str, dict[str, dict[int, str]]] = {}
        for path in dict.fromkeys(above for group in groups for above in _and_above(group)):
            container, _, name = path.rpartition("/")
            if container.rpartition("/")[2] == CONTAINER:
                base, number = _COUNTED.fullmatch(name).groups()  # type: ignore[union-attr]
                self._members.setdefault(container, {}).setdefault(base, {})[int(number or 0)] = name
        self._renamed: dict[str, Mapping[str, str]] = {
            container: self._recount(container, classes) for container, classes in self._members.items()
        }

    def later(self, folder: str) -> str:
        """The same folder as later versions would name it."""
        found: list[str] = []
        words = folder.split("/")
        for end, word in enumerate(words):
            names = self._renamed.get("/".join(words[:end]), {})
            found.append(_LATER if word == CONTAINER else names.get(word, word))
        return "/".join(found)

    def _recount(self, container: str, classes: Mapping[str, Mapping[int, str]]) -> dict[str, str]:
        renamed: dict[str, str] = {}
        for base, names in classes.items():
            if self._twice(container, names):
                ordered = [names[number] for number in sorted(names)]
                renamed |= {name: f"{base}_{k}" if k else base for k, name in enumerate(ordered)}
        return renamed

    def _twice(self, container: str, names: Mapping[int, str]) -> bool:
        """Whether layers with weights were counted twice. Raises where neither way of counting gives the numbers."""
        numbers = sorted(names)
        once = numbers == list(range(len(numbers)))
        steps = list(pairwise(numbers))
        filled = {number: f"{container}/{names[number]}" in self._filled for number in numbers}
        twice = numbers[0] == 0 and all(step - n == 2 or (step - n == 1 and not filled[n]) for n, step in steps)
        if not once and not twice:
            listed = ", ".join(printable(names[number]) for number in numbers[:5])
            raise CoverageError(
                f"{printable(container)}: ambiguous: which layers these folders belong to cannot be told from their "
                f"numbers: {listed}. A layer shared by two models may be stored in another of them"
            )
        return twice


def _and_above(path: str) -> Iterable[str]:
    words = path.split("/")
    return ("/".join(words[:end]) for end in range(1, len(words) + 1))
