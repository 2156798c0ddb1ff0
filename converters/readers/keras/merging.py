"""Layers that make one value of several; Keras 3 since 3.4 leaves masked steps out of products, maxima and minima."""

from __future__ import annotations

from collections.abc import Sequence

from converters.model import operations as op
from converters.readers.keras import masks
from converters.readers.keras.draft import Flow
from converters.readers.keras.site import Site

_CHOOSING = {"maximum", "minimum"}


def called(site: Site, operation: op.Combine | op.Concatenate | op.Dot) -> list[Flow]:
    """The value that a merging layer makes, and its mask."""
    flows = site.flows
    pairs = isinstance(operation, op.Dot) or (isinstance(operation, op.Combine) and operation.how == "subtract")
    if pairs and len(flows) != 2:
        return site.unknown(f"it is called with {len(flows)} values, and takes two")
    if len(flows) == 1:
        return [Flow(site.compute(op.Identity(), [flows[0].value]), flows[0].mask)]
    mask = masks.merged(site.draft, site.path, operation, flows, site.version)
    careful = isinstance(operation, op.Combine) and masks.any_counts(site.version) and any(flow.mask for flow in flows)
    if careful and isinstance(operation, op.Combine) and operation.how == "multiply":
        return [Flow(_product(site, operation, flows, mask), mask)]
    if careful and isinstance(operation, op.Combine) and operation.how in _CHOOSING:
        return [Flow(_choice(site, operation, flows), mask)]
    return [Flow(site.compute(operation, [flow.value for flow in flows]), mask)]


def _product(site: Site, operation: op.Combine, flows: Sequence[Flow], mask: str) -> str:
    """A masked step counts as one; where all are masked, the product is zero."""
    alike = len({flow.mask for flow in flows}) == 1
    factors = [
        site.compute(op.Masked(1.0), [flow.value, flow.mask], name=f"{site.name}:factor")
        if flow.mask and not alike
        else flow.value
        for flow in flows
    ]
    if not mask:
        return site.compute(operation, factors)
    product = site.compute(operation, factors, name=f"{site.name}:product")
    return site.compute(op.Masked(), [product, mask])


def _choice(site: Site, operation: op.Combine, flows: Sequence[Flow]) -> str:
    """Two by two: where one step is masked, the other counts alone."""
    found, known = flows[0].value, flows[0].mask
    for number, flow in enumerate(flows[1:], 2):
        value = flow.value
        if flow.mask:
            value = site.compute(op.Choose(), [value, found, flow.mask], name=f"{site.name}:chosen")
        if known:
            found = site.compute(op.Choose(), [found, value, known], name=f"{site.name}:chosen")
        known = masks.either(site.draft, site.path, [known, flow.mask]) if known and flow.mask else ""
        name = site.name if number == len(flows) else f"{site.name}:chosen"
        found = site.compute(operation, [found, value], name=name)
    return found
