"""One call of one layer, as nodes: what it reads, computes and gives, and the mask that goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from converters.model import operations as op
from converters.model.layers import Layer
from converters.model.shapes import after_layer
from converters.readers.keras import attention, functions, masks, merging, recurrent
from converters.readers.keras.config import Config, Leaf
from converters.readers.keras.draft import Draft, Flow
from converters.readers.keras.layers import needs_arrays
from converters.readers.keras.operations import operation
from converters.readers.keras.semantics import Version
from converters.readers.keras.site import Given, Site, flows_in

_TIMED = "TimeDistributed"


class Caller:
    """Writes the calls of layers into a draft."""

    def __init__(self, draft: Draft, layers: Sequence[Layer], version: Version) -> None:
        self._draft, self._version = draft, version
        self._layers = {layer.path: layer for layer in layers}
        self._named = {(layer.path.rpartition("/")[2], layer.class_name): layer for layer in layers}

    def leaf(self, leaf: Leaf, item: Config, given: Given) -> list[Flow]:
        """The values that a call of a layer gives."""
        call = self._draft.call(leaf.path)
        layer = self._layers.get(leaf.path)
        if layer is None and needs_arrays(leaf):
            layer = self._named.get((leaf.name, leaf.kind))
        site = Site(self._draft, self._version, leaf, given, call, layer)
        if functions.is_function(item, leaf):
            return functions.called(site)
        return self._timed(site, leaf.wrappers.count(_TIMED))

    def _timed(self, site: Site, times: int) -> list[Flow]:
        """A layer that runs on every step: batch and time as one axis before it, and two again behind it."""
        if not times:
            return called(site)
        outer = site.flows
        merged = [self.merge_time(site.path, site.name, flow) for flow in outer]
        inner = self._timed(
            replace(site, given=replace(site.given, arguments=(merged,)), name=f"{site.name}:step"), times - 1
        )
        return [self.split_time(site.path, site.name, flow, outer[0]) for flow in inner]

    def merge_time(self, path: str, call: str, flow: Flow) -> Flow:
        """Batch and time as one axis; a mask of more axes than these two goes along."""
        value = self._draft.compute(path, _TIMED, op.MergeTime(), [flow.value], f"{call}:steps")
        rank = len(self._draft.shape(flow.mask) or ()) if flow.mask else 0
        return Flow(value, self._draft.mask(path, op.MergeTime(), [flow.mask]) if rank > 2 else "")

    def split_time(self, path: str, call: str, flow: Flow, like: Flow) -> Flow:
        """Batch and time as two axes again."""
        value = self._draft.compute(path, _TIMED, op.SplitTime(), [flow.value, like.value], call)
        return Flow(value, masks.behind_steps(self._draft, path, flow, like, self._version))

    def masked(self, given: Given) -> list[Flow]:
        """The values that a nested model is called with, under the mask that the call names if it names one."""
        named = list(flows_in(given.named.get("mask")))
        flows = given.flows
        return [Flow(flows[0].value, named[0].value), *flows[1:]] if len(named) == 1 and flows else flows


def called(site: Site) -> list[Flow]:
    """The values that a layer gives."""
    name = site.leaf.class_name
    special = _SPECIAL.get(name)
    if special is not None:
        return special(site)
    if recurrent.is_recurrent(site):
        return recurrent.called(site)
    if site.layer is not None:
        return _with_weights(site)
    found = operation(name, site.leaf.config, site.version, site.draft.shape(site.flows[0].value))
    if isinstance(found, op.Unknown):
        mask = site.flows[0].mask if name in masks.PASSES else ""
        return [Flow(flow.value, mask) for flow in site.unknown(found.why)]
    if isinstance(found, op.Combine | op.Concatenate | op.Dot):
        return merging.called(site, found)
    return _plain(site, found)


def _plain(site: Site, found: op.Operation) -> list[Flow]:
    """A layer without weights that reads one value."""
    flow, name = site.flows[0], site.leaf.class_name
    reads = _mask_read(site, flow) if name in masks.READS else ""
    return [Flow(site.compute(found, [flow.value], mask=reads), flow.mask if name in masks.PASSES else "")]


def _mask_read(site: Site, flow: Flow) -> str:
    """The mask of a call: the one that it names, or that of its input. A softmax reads one of its own shape."""
    named = list(flows_in(site.given.named.get("mask")))
    mask = named[0].value if named else flow.mask
    if not mask or site.leaf.class_name != "Softmax":
        return mask
    shapes = site.draft.shapes([mask, flow.value])
    return mask if all(shapes) and len(shapes[0] or ()) == len(shapes[1] or ()) else ""


def _with_weights(site: Site) -> list[Flow]:
    """A layer with weights that reads one value; an unknown one whatever it is called with."""
    layer, name = site.layer, site.leaf.class_name
    if layer is None or layer.unknown is not None:
        return site.unknown(" ".join(str(layer and layer.unknown).split()))
    flow = site.flows[0]
    shape = after_layer(layer, site.draft.shape(flow.value))
    (value,) = site.give(op.Apply(), [flow.value], [shape])
    if name == "Embedding":
        site.draft.indices(flow.value)
        if site.leaf.config.get("mask_zero") is not True:
            return [Flow(value)]
        return [Flow(value, site.draft.mask(site.path, op.MaskOf(indices=True), [flow.value]))]
    return [Flow(value, flow.mask if name in masks.PASSES else "")]


def _flatten(site: Site) -> list[Flow]:
    """Channels first, the channels go last before anything is flattened."""
    flow = site.flows[0]
    shape, value = site.draft.shape(flow.value), flow.value
    first = site.leaf.config.get("data_format") == "channels_first"
    if first and shape is None:
        return site.unknown("a Flatten of channels first, of a value whose axes are not known")
    if first and shape is not None and len(shape) > 2:
        order = (0, *range(2, len(shape)), 1)
        value = site.compute(op.Permute(order), [value], name=f"{site.name}:last")
    return [Flow(site.compute(op.Flatten(), [value]))]


def _masking(site: Site) -> list[Flow]:
    """Steps of which all features are one value are masked, and become zeros."""
    value = site.leaf.config.get("mask_value", 0.0)
    if isinstance(value, list | dict):
        return site.unknown("a Masking by several values")
    flow = site.flows[0]
    mask = site.draft.mask(site.path, op.MaskOf(float(value or 0.0)), [flow.value])
    return [Flow(site.compute(op.Masked(), [flow.value, mask]), mask)]


_SPECIAL: dict[str, Callable[[Site], list[Flow]]] = {
    "Masking": _masking,
    "Flatten": _flatten,
    "MultiHeadAttention": attention.many_heads,
    "Attention": attention.dot,
    "AdditiveAttention": attention.dot,
}
