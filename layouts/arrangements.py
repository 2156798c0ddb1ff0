"""How the wrappers of a framework name the cells of one recurrent stack: by a number or a direction in their paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from layouts.errors import LayoutError
from layouts.layout import DIRECTIONS
from layouts.records import dataclass, field

RESIDUAL = "residual"
"""What is stated of the cells of a stack whose output is added to what they read."""
_SEPARATOR = re.compile(r"[/.]")
_ANY = r"\d{1,6}"
_LABEL = re.compile(r"\{(layer|direction|number)\}")


class Place(NamedTuple):
    """Where a cell stands in a stack: the path of the stack, the value of the label, and the path below it."""

    stack: str
    value: Any
    rest: str


@dataclass(frozen=True, eq=False)
class Arrangement:
    """A wrapper's path, in which one segment holds a label: 'multi_rnn_cell/cell_{layer}', 'bidirectional/{direction}'.

    Labels: `layer`, counted from 0; `direction`, spelled as `spelling` says; `number`, which counts layers, or where
    there are two directions those of every layer in turn. What stands before the label stays the path of the stack. A #
    is any number, which stays in the path.
    """

    path: str
    spelling: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    """The classes that stand under it, and what a stack of two directions is called; any where there is none."""
    merge: str = ""
    """How two directions become one output, as `Call.merge` has it: "concat", or "pair" where nothing merges them."""
    residual: str = ""
    """The paths below it, as a regular expression, of cells that may stand in a wrapper which adds what they read to
    their output, and which leaves no other trace; '' where there is no such wrapper."""

    def __post_init__(self) -> None:
        if len(_LABEL.findall(self.path)) != 1 or "{" in _LABEL.sub("", self.path):
            raise LayoutError(f"arrangement {self.path!r}: a path with one of {{layer}}, {{direction}}, {{number}}")
        if self.label == "direction" and [*self.spelling] != [*DIRECTIONS]:
            raise LayoutError(f"arrangement {self.path!r}: spelling tells {' and '.join(DIRECTIONS)}")

    @property
    def label(self) -> str:
        """What the path tells: 'layer', 'direction' or 'number'."""
        return _LABEL.findall(self.path)[0]  # type: ignore[no-any-return]

    @cached_property
    def _segments(self) -> list[re.Pattern[str]]:
        words = "|".join(map(re.escape, self.spelling.values())) if self.label == "direction" else r"\d{1,6}"
        texts = (_LABEL.split(segment) for segment in self.path.split("/"))
        return [
            re.compile(f"({words})".join(re.escape(each).replace(r"\#", _ANY) for each in text[::2])) for text in texts
        ]

    def place(self, path: str) -> Place | None:
        """The place that a path tells, the innermost where it tells several; None where it tells none."""
        words = _SEPARATOR.split(path)
        ends = [match.start() for match in _SEPARATOR.finditer(path)] + [len(path)]
        count = len(self._segments)
        for first in range(len(words) - count, -1, -1):
            found = [form.fullmatch(w) for form, w in zip(self._segments, words[first : first + count], strict=True)]
            if all(found):
                at, value = next((k, match[1]) for k, match in enumerate(found) if match and match.re.groups)
                start = ends[first + at - 1] if first + at else 0
                return Place(path[:start], self._value(value), path[ends[first + count - 1] + 1 :])
        return None

    def _value(self, spelled: str) -> Any:
        if self.label != "direction":
            return int(spelled)
        return next(value for value, text in self.spelling.items() if text == spelled)
