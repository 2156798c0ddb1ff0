"""The functions by which Keras 3 writes its own masks into a configuration, read back as the masks that they are.

`Embedding` makes NotEqual(x, 0); `Masking` Any(NotEqual(x, value)); merging layers LogicalOr, and Any or All of masks
that were spread over features and set side by side. Their values are kept as notes, and become nodes where they are a
mask. Source: `compute_mask` of Keras 3.0.5 to 3.15.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from converters.model import operations as op
from converters.readers.keras import masks
from converters.readers.keras.draft import BOOLEAN, Flow
from converters.readers.keras.site import Site, flows_in

Note = tuple[Any, ...]
"""("zeros",), ("spread", mask, axis), or ("beside", axis, masks, rank)."""


def called(site: Site, name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """The mask that a function makes, or a note of what will be one; None where it is no matter of masks."""
    flows = list(flows_in(list(arguments)))
    rule = _RULES.get(name)
    found = rule(site, flows, arguments, options) if rule and flows else None
    if found is None:
        return None
    if isinstance(found, str):
        return [Flow(found)]
    return [Flow(site.draft.note(site.name, found))]


def _unequal(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> str | None:
    number = arguments[1] if len(arguments) > 1 else options.get("y")
    if len(flows) != 1 or not isinstance(number, int | float):
        return None
    return site.draft.mask(site.path, op.MaskOf(float(number), indices=True), [flows[0].value])


def _any(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> str | Note | None:
    made = site.draft.maker(flows[0].value)
    note = site.draft.noted(flows[0].value)
    if options.get("axis") != -1 or options.get("keepdims"):
        return None
    if note and note[0] == "beside":
        return _side_by_side(site, note, masks.either)
    if made and isinstance(made.operation, op.MaskOf) and made.operation.indices:
        return site.draft.mask(site.path, op.MaskOf(made.operation.value), made.inputs)
    return None


def _all(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> str | Note | None:
    note = site.draft.noted(flows[0].value)
    if not note or note[0] != "beside":
        return None
    return _side_by_side(site, note, masks.both)


def _side_by_side(site: Site, note: Note, together: Any) -> str:
    """Masks of features side by side: all of them together. Of steps: one behind the other."""
    _, axis, found, rank = note
    if axis in (-1, 0) or axis == rank - 1:
        return str(together(site.draft, site.path, found))
    return masks.along(site.draft, site.path, axis, found)


def _expanded(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> Note | None:
    value = flows[0].value
    return ("spread", value, options.get("axis")) if _is_mask(site, value) else None


def _zeros(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> Note | None:
    return ("zeros", len(site.draft.shape(flows[0].value) or ()))


def _ones(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> Note | None:
    return ("spread", masks.every(site.draft, site.path, flows[0].value), -1)


def _or(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> str | Note | None:
    notes = [site.draft.noted(flow.value) for flow in flows]
    if len(flows) == 2 and notes[0] and notes[1] and (notes[0][0], notes[1][0]) == ("spread", "zeros"):
        return notes[0]
    return masks.either(site.draft, site.path, [flow.value for flow in flows]) if _all_masks(site, flows) else None


def _and(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> str | None:
    return masks.both(site.draft, site.path, [flow.value for flow in flows]) if _all_masks(site, flows) else None


def _concatenated(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> Note | None:
    notes = [site.draft.noted(flow.value) for flow in flows]
    if not all(note and note[0] == "spread" for note in notes):
        return None
    found = [note[1] for note in notes if note]
    return ("beside", options.get("axis", -1), found, len(site.draft.shape(found[0]) or ()) + 1)


def _is_mask(site: Site, value: str) -> bool:
    return value in site.draft.values and site.draft.values[value].dtype == BOOLEAN


def _all_masks(site: Site, flows: Sequence[Flow]) -> bool:
    return len(flows) == 2 and all(_is_mask(site, flow.value) for flow in flows)


def _same(site: Site, flows: list[Flow], arguments: Sequence[Any], options: Mapping[str, Any]) -> str | None:
    return flows[0].value if _is_mask(site, flows[0].value) else None


_RULES = {
    "convert_to_tensor": _same,
    "cast": _same,
    "not_equal": _unequal,
    "any": _any,
    "all": _all,
    "expand_dims": _expanded,
    "zeros_like": _zeros,
    "ones_like": _ones,
    "logical_or": _or,
    "logical_and": _and,
    "concatenate": _concatenated,
}
