"""Functions that make several values, or read several that each need a step of their own, and those of sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from converters.model import operations as op
from converters.readers.keras import arithmetic
from converters.readers.keras.draft import Flow
from converters.readers.keras.site import Site, flows_in

Special = Callable[[Site, Sequence[Any], Mapping[str, Any]], list[Flow] | None]


def _stacked(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """Values side by side on a new axis."""
    axis, flows = options.get("axis", 0), list(flows_in(list(arguments)))
    if not isinstance(axis, int) or not axis or not flows:
        return None
    parts = [
        site.compute(op.AddAxis(axis), [flow.value], name=f"{site.name}:{number}")
        for number, flow in enumerate(flows, 1)
    ]
    return [Flow(site.compute(op.Concatenate(axis), parts))]


def _split(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """Pieces of one axis: a number of equal ones, their sizes, or where they begin."""
    (flow, *_), axis = site.flows, options.get("axis", 0)
    shape = site.draft.shape(flow.value)
    size = shape[axis] if shape and isinstance(axis, int) and -len(shape) <= axis < len(shape) else None
    ends = _ends(options, size)
    if ends is None or not axis:
        return None
    takes = [op.Take(axis, start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)]
    return _each(site, flow, takes)


def _ends(options: Mapping[str, Any], size: int | None) -> list[int] | None:
    """Where pieces of an axis end."""
    told = options.get("indices_or_sections", options.get("num_or_size_splits"))
    if isinstance(told, int) and told > 0 and size is not None and size % told == 0:
        return [size // told * number for number in range(1, told + 1)]
    if not isinstance(told, list) or not all(isinstance(n, int) and n >= 0 for n in told) or size is None:
        return None
    if "indices_or_sections" in options:
        return [*told, size]
    ends = [sum(told[: number + 1]) for number in range(len(told))]
    return ends if ends and ends[-1] == size else None


def _unstacked(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """Every place of an axis by itself."""
    (flow, *_), axis = site.flows, options.get("axis", 0)
    shape = site.draft.shape(flow.value)
    size = shape[axis] if shape and isinstance(axis, int) and -len(shape) <= axis < len(shape) else None
    if not axis or size is None or size > _MOST_PIECES:
        return None
    return _each(site, flow, [op.Take(axis, index=number) for number in range(size)])


_MOST_PIECES = 1000


def _each(site: Site, flow: Flow, takes: Sequence[op.Take]) -> list[Flow]:
    names = [f"{site.name}:{number}" if number else site.name for number in range(len(takes))]
    return [Flow(site.compute(take, [flow.value], name=name)) for take, name in zip(takes, names, strict=True)]


def _shape(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """The sizes of a value, of which that of the batch may go into a reshape."""
    return [Flow(site.draft.note(site.name, ("sizes",)))]


def _item(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    key = options.get("slice_spec", arguments[1] if len(arguments) > 1 else None)
    sizes = site.draft.noted(site.flows[0].value) == ("sizes",)
    first = key in (0, [0]) and not isinstance(key, bool)
    return [Flow(site.draft.note(site.name, ("batch",)))] if sizes and first else None


def _reshaped(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """Into a shape whose first size is that of the batch, read from a value."""
    told = options.get("shape", options.get("newshape"))
    first = told[0] if isinstance(told, list) and len(told) > 1 else None
    if not isinstance(first, Flow) or site.draft.noted(first.value) != ("batch",):
        return None
    others = told[1:] if isinstance(told, list) else []
    if not all(isinstance(size, int) for size in others) or others.count(-1) > 1:
        return None
    return [Flow(site.compute(op.Reshape(tuple(others)), [site.flows[0].value]))]


SITES: dict[str, Special] = {
    **arithmetic.SITES,
    "stack": _stacked,
    "split": _split,
    "unstack": _unstacked,
    "shape": _shape,
    "get_item": _item,
    "getitem": _item,
    "reshape": _reshaped,
}
