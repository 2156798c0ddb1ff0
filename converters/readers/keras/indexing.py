"""`x[:, -1, 2:]` of a configuration as neutral operations, one axis at a time."""

from __future__ import annotations

from typing import Any

from converters.model import operations as op
from converters.model.graph import Shape


def indexed(key: Any, shape: Shape | None) -> list[op.Operation] | None:
    """The operations of an index; None where one of its words is not known, or picks from the batch."""
    words = [_word(each) for each in (key if isinstance(key, list) else [key])]
    if "?" in [word for word in words if isinstance(word, str)]:
        return None
    steps: list[op.Operation] = []
    axis, spread = 0, _spread(words, shape)
    if spread is None:
        return None
    for word in spread:
        step = _step(word, axis)
        if step == "?":
            return None
        if isinstance(step, op.Take | op.AddAxis | op.Reverse):
            steps.append(step)
        axis += not isinstance(word, int)
    return steps or [op.Identity()]


def _word(value: Any) -> Any:
    """One place of an index: a whole number, a slice, "new" for a new axis, `...`, or "?"."""
    if value is None:
        return "new"
    if isinstance(value, dict) and value.get("class_name") == "__ellipsis__":
        return Ellipsis
    if value is Ellipsis or isinstance(value, slice):
        return value
    if isinstance(value, dict) and set(value) <= {"start", "stop", "step"}:
        return slice(value.get("start"), value.get("stop"), value.get("step"))
    return value if isinstance(value, int) and not isinstance(value, bool) else "?"


def _spread(words: list[Any], shape: Shape | None) -> list[Any] | None:
    """The index with `...` written out."""
    if Ellipsis not in [word for word in words if not isinstance(word, slice)]:
        return words
    if shape is None:
        return None
    place = next(k for k, word in enumerate(words) if word is Ellipsis)
    taken = sum(1 for word in words if word is not Ellipsis and word != "new")
    return [*words[:place], *[slice(None)] * (len(shape) - taken), *words[place + 1 :]]


def _step(word: Any, axis: int) -> op.Operation | str | None:
    if word == "new":
        return op.AddAxis(axis)
    if isinstance(word, int):
        return op.Take(axis, index=word) if axis else "?"
    numbers = (word.start, word.stop, word.step)
    if not all(n is None or (isinstance(n, int) and not isinstance(n, bool)) for n in numbers):
        return "?"
    if word == slice(None) or (word.start in (None, 0) and word.stop is None and word.step in (None, 1)):
        return None
    if word.step == -1 and word.start is None and word.stop is None:
        return op.Reverse(axis) if axis else "?"
    return op.Take(axis, word.start or 0, word.stop, word.step or 1) if axis and (word.step or 1) > 0 else "?"
