"""In which order the calls of a functional model are made: each after those whose tensors it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from converters.readers.keras.references import CallSite, Reference
from layouts.errors import UnreadableCheckpoint, printable
from layouts.records import dataclass

_MOST_VALUES = 1000
Key = tuple[str, int]
"""A layer, by its name in its model, and which of its calls."""


@dataclass(frozen=True, eq=False)
class Calls:
    """The calls of every layer of one model.

    Keras counts the calls of a nested model from 1, for it was called once when it was made: before Keras 3 always, in
    Keras 3 where outputs are listed, and not of a Sequential. So the numbers themselves tell first: 0 is from 0, and as
    many as there are calls is from 1. `models` are the nested ones, and whether each is counted from 1 by its version.
    """

    sites: Mapping[str, Sequence[CallSite]]
    models: Mapping[str, bool]
    inputs: Sequence[Reference]
    outputs: Sequence[Reference]

    def key(self, reference: Reference, site: CallSite | None, reader: str) -> Key:
        """The call that a reference means; `site` is the call that reads it, None for the outputs of the model."""
        name = reference.name
        if name not in self.sites:
            raise UnreadableCheckpoint(f"{reader} reads from {printable(name)!r}, and there is no such layer")
        number = reference.call - (self._first(name, site) if name in self.models else 0)
        if not 0 <= number < len(self.sites[name]):
            count = len(self.sites[name])
            raise UnreadableCheckpoint(
                f"{reader} reads call {reference.call} of {printable(name)}, which is called {count} times"
            )
        return name, number

    def _first(self, name: str, site: CallSite | None) -> int:
        alone = None if site is None else site.counted_alone
        numbers = self._numbers[name, alone]
        if 0 in numbers:
            return 0
        if max(numbers) >= len(self.sites[name]):
            return 1
        return int(self.models[name] and not alone)

    @cached_property
    def _numbers(self) -> dict[tuple[str, bool | None], set[int]]:
        """The calls of every layer that are read, by how they are counted: by outputs, or by each kind of call."""
        found: dict[tuple[str, bool | None], set[int]] = {}
        for each in self.outputs:
            found.setdefault((each.name, None), set()).add(each.call)
        for site in (site for sites in self.sites.values() for site in sites):
            for each in site.references():
                found.setdefault((each.name, site.counted_alone), set()).add(each.call)
        return found

    @cached_property
    def wanted(self) -> dict[Key, int]:
        """How many of the values of every call are read: as many as the highest number tells, within reason."""
        found: dict[Key, int] = {}
        sites = ((name, site) for name, sites in self.sites.items() for site in sites)
        read = [(self.key(each, site, printable(name)), each) for name, site in sites for each in site.references()]
        read += [(self.key(each, None, "the output"), each) for each in self.outputs]
        for key, each in read:
            found[key] = max(found.get(key, 1), min(each.tensor + 1, _MOST_VALUES))
        return found

    @cached_property
    def order(self) -> list[Key]:
        """Every call after those that it reads."""
        return in_order(self)


def in_order(calls: Calls) -> list[Key]:
    """Every call after those that it reads, and else as the file lists them."""
    done: dict[Key, None] = {}
    for name, sites in calls.sites.items():
        for number in range(len(sites)):
            _visit((name, number), calls, done)
    return list(done)


def _visit(start: Key, calls: Calls, done: dict[Key, None]) -> None:
    waiting = [(start, _reads(start, calls))]
    opened = {start}
    while waiting:
        key, reads = waiting[-1]
        other = next((each for each in reads if each not in done), None)
        if other is None:
            done[key] = None
            opened.discard(key)
            waiting.pop()
        elif other in opened:
            raise UnreadableCheckpoint(f"the model has a cyclic structure: {printable(other[0])} reads its own output")
        else:
            opened.add(other)
            waiting.append((other, _reads(other, calls)))


def _reads(key: Key, calls: Calls) -> Iterator[Key]:
    site = calls.sites[key[0]][key[1]]
    return (calls.key(reference, site, printable(key[0])) for reference in site.references())
