"""The order in which Keras 3 lists the layers of a functional model, which decides the folders of their weights.

Layers by their depth, the number of calls between them and the outputs, deepest first; of one depth those first that a
walk from the outputs against the flow meets first. Source: `keras/src/ops/function.py`; every fixture is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from converters.targets.keras.network.sketch import Entry, Tensor

Site = tuple[str, int]
"""One call of one layer."""


def in_order(entries: Mapping[str, Entry], outputs: Sequence[Tensor], inputs: Sequence[str]) -> list[Entry]:
    """The entries as Keras lists them; functions among them, which it does not count as layers."""
    finished, met = _walked(entries, outputs)
    depths: dict[Site, int] = {}
    deepest: dict[str, int] = {}
    for site in reversed(finished):
        depth = max(depths.setdefault(site, 0), deepest.get(site[0], 0))
        deepest[site[0]] = depths[site] = depth
        for before in _reads(entries, site):
            depths[before] = max(depth + 1, depths.get(before, 0))
    for name in inputs:
        if name not in deepest:
            deepest[name], met[name] = 0, -1
    return [entries[name] for name in sorted(deepest, key=lambda name: (-deepest[name], met[name]))]


def _reads(entries: Mapping[str, Entry], site: Site) -> Iterator[Site]:
    return ((tensor.layer, tensor.call) for tensor in entries[site[0]].calls[site[1]].tensors())


def _walked(entries: Mapping[str, Entry], outputs: Sequence[Tensor]) -> tuple[list[Site], dict[str, int]]:
    """Every call behind those that it reads, and when each layer was first met."""
    finished: dict[Site, None] = {}
    met: dict[str, int] = {}
    for output in outputs:
        waiting: list[tuple[Site, Iterator[Site]]] = []
        _enter((output.layer, output.call), entries, finished, met, waiting)
        while waiting:
            site, reads = waiting[-1]
            before = next(reads, None)
            if before is None:
                finished[site] = None
                waiting.pop()
            else:
                _enter(before, entries, finished, met, waiting)
    return list(finished), met


def _enter(
    site: Site,
    entries: Mapping[str, Entry],
    finished: Mapping[Site, None],
    met: dict[str, int],
    waiting: list[tuple[Site, Iterator[Site]]],
) -> None:
    if site not in finished:
        met.setdefault(site[0], len(met))
        waiting.append((site, _reads(entries, site)))
