"""What is in an HDF5 file: groups with their text attributes, arrays located and not read, and what was left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.model.arrays import LazyArray
from layouts.errors import UnreadableCheckpoint
from layouts.records import dataclass, field


@dataclass
class Group:
    """One group: its text attributes, what it holds by name, and the names in it that were not looked into."""

    path: str
    attributes: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    arrays: dict[str, LazyArray] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)

    def group(self, path: str) -> Group | None:
        """The group below this one at a path of names separated by '/'."""
        found: Group | None = self
        for name in path.split("/"):
            found = found.groups.get(name) if found else None
        return found

    def array(self, path: str) -> LazyArray | None:
        """The array below this group at a path of names separated by '/'."""
        folder, _, name = path.rpartition("/")
        group = self.group(folder) if folder else self
        return group.arrays.get(name) if group else None

    def text(self, name: str) -> str:
        """An attribute that is one text; '' where there is none."""
        value = self.attributes.get(name, "")
        if not isinstance(value, str):
            raise UnreadableCheckpoint(f"{self.path or '/'}@{name}: expected one text")
        return value

    def strings(self, name: str) -> list[str] | None:
        """An attribute that lists names, joined from `name0`, `name1`, … where it was too long for one."""
        parts = sorted((k for k in self.attributes if k.startswith(name) and k[len(name) :].isdigit()), key=_number)
        if name in self.attributes and parts:
            raise UnreadableCheckpoint(f"{self.path or '/'}: the attribute {name} is there both whole and in parts")
        if name in self.attributes:
            return _as_strings(self.attributes[name], f"{self.path}@{name}")
        if not parts:
            return None
        if [_number(part) for part in parts] != list(range(len(parts))):
            raise UnreadableCheckpoint(f"{self.path or '/'}: the attribute {name} has a gap between its parts")
        return [text for part in parts for text in _as_strings(self.attributes[part], f"{self.path}@{part}")]

    def walk(self) -> Iterator[LazyArray]:
        """Every array below this group."""
        yield from self.arrays.values()
        for group in self.groups.values():
            yield from group.walk()

    def below(self) -> Iterator[Group]:
        """Every group below this one, a group before those in it."""
        for group in self.groups.values():
            yield group
            yield from group.below()


def _number(name: str) -> int:
    digits = name[len(name.rstrip("0123456789")) :]
    return int(digits) if len(digits) < 9 else -1


def _as_strings(value: Any, where: str) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise UnreadableCheckpoint(f"{where}: expected a list of names")
