"""The paths of layers, of which no two may be the same."""

from __future__ import annotations


class Paths:
    """The paths that are taken so far."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, name: str) -> str:
        """The name, or where it is taken the first free one with a number behind it."""
        path, count = name, 1
        while path in self._taken:
            path, count = f"{name}_{count}", count + 1
        self._taken.add(path)
        return path
