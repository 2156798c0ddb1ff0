"""JSON from a stranger: bounded before it is parsed, never executed, no key twice."""

from __future__ import annotations

import json
from typing import Any

from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_MOST_BYTES = 40 << 20
_MOST_VALUES = 1_000_000
_DEEPEST = 100


def parse_json(data: memoryview | str, what: str, path: str) -> Any:
    """Parse a JSON text of at most 40 MB, a million values and 100 levels. `what` names it in errors."""
    if len(data) > _MOST_BYTES:
        raise UnsafeCheckpoint(f"{what} is too large: {len(data)} bytes, and the limit is {_MOST_BYTES}", path=path)
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        if text.count(",") + text.count("[") + text.count("{") > _MOST_VALUES:
            raise UnsafeCheckpoint(f"{what} holds more than {_MOST_VALUES} values", path=path)
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        raise UnsafeCheckpoint(f"{what} is nested too deeply", path=path) from None
    except ValueError as error:
        if isinstance(error, UnsafeCheckpoint):
            raise
        raise UnreadableCheckpoint(f"{what} is not valid JSON: {printable(error)}", path=path) from None
    if _deeper_than(value, _DEEPEST):
        raise UnsafeCheckpoint(f"{what} is nested deeper than {_DEEPEST} levels", path=path)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} appears twice in one object")
        found[key] = value
    return found


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        children: list[Any] = []
        for item in level:
            if isinstance(item, dict | list):
                children.extend(item.values() if isinstance(item, dict) else item)
        level = children
        if not level:
            return False
    return True
