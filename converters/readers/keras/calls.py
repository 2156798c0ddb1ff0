"""One call of one layer, as nodes: what it reads, computes and gives, and the mask that goes on with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from converters.model import operations as op
from converters.model.layers import Layer
from converters.model.shapes import after_layer
from converters.readers.keras import attention, functions, in_training, masks, merging, recurrent
from converters.readers.keras.config import Config, Leaf
from converters.readers.keras.draft import BOOLEAN, Draft, Flow
from converters.readers.keras.layers import needs_arrays
from converters.readers.keras.operations import operation
from converters.readers.keras.semantics import Version
from converters.readers.keras.site import Given, Site, flows_in
from converters.readers.keras.taken_masks import TakenMasks
from layouts.errors import printable

_TIMED = "TimeDistributed"
_READ = {
    *("training", "mask", "initial_state", "constants", "query", "value", "key"),
    *("query_mask", "value_mask", "key_mask", "attention_mask", "use_causal_mask", "return_attention_scores"),
}
"""Arguments of calls that are looked at here."""


class Caller:
    """Writes the calls of layers into a draft."""

    def __init__(self, draft: Draft, layers: Sequence[Layer], version: Version) -> None:
        self._draft, self._version, self._taken = draft, version, TakenMasks(draft)
        self._layers = {layer.path: layer for layer in layers}
        self._named = {(layer.path.rpartition("/")[2], layer.class_name): layer for layer in layers}

    def leaf(self, leaf: Leaf, item: Config, given: Given) -> list[Flow]:
        """The values that a call of a layer gives."""
        call = self._draft.call(leaf.path)
        layer = self._layers.get(leaf.path)
        if layer is None and needs_arrays(leaf):
            layer = self._named.get((leaf.name, leaf.kind))
        given, why = self._taken.seen(leaf.kind, given)
        site = Site(self._draft, self._version, leaf, given, call, layer)
        takes = attention.takes_masks(site)
        why = why or (self._taken.conflict(given.flows) if takes else "")
        why = why or (in_training.otherwise(leaf) if given.training else "")
        if why:
            return site.unknown(why)
        if functions.is_function(item, leaf):
            return functions.called(site)
        strange = [key for key, value in given.named.items() if key not in _READ and _counts(value)]
        if strange:
            return site.unknown(f"it is called with {printable(strange[0])}=, and nothing here reads that")
        made = self._timed(site, leaf.wrappers.count(_TIMED))
        if takes:
            self._taken.take(site.flows, made[0].value)
        return made

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


def _counts(value: Any) -> bool:
    """Whether an argument may change what a layer gives: it holds a value, or switches something on."""
    return value is True or any(flows_in(value))


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
    behind = flow.mask if name in masks.PASSES else ""
    if name == "Softmax":
        return _softmax(site, found, behind)
    reads = _mask_read(site, flow) if name in masks.READS else ""
    return [Flow(site.compute(found, [flow.value], mask=reads), behind)]


def _mask_read(site: Site, flow: Flow) -> str:
    """The mask of a call: the one that it names, or that of its input."""
    named = list(flows_in(site.given.named.get("mask")))
    return named[0].value if named else flow.mask


_LEAST = -1e9
_UNMASKED, _MASKED_SINCE = (2, 4), (2, 5)
"""The layer Softmax reads masks since TensorFlow 2.4. It and 2.3 both write 2.4.0 as the version of Keras.

Source: `Softmax.call` of keras 2.2.5, tensorflow 2.3.4, 2.4.4 and 2.5.3.
"""


def _softmax(site: Site, found: op.Operation, behind: str) -> list[Flow]:
    """Masked places count for nothing. Only masks of the value's own axes are known here: others broadcast."""
    flow, draft, written = site.flows[0], site.draft, site.version.number
    mask = _mask_read(site, flow)
    if not mask or () < written < _UNMASKED:
        return [Flow(site.compute(found, [flow.value]), behind)]
    if written < _MASKED_SINCE:
        return site.unknown("a softmax behind a mask: whether this version of Keras reads it is not known")
    shapes = draft.shapes([mask, flow.value])
    if not all(shapes) or len(shapes[0] or ()) != len(shapes[1] or ()) or draft.values[mask].dtype != BOOLEAN:
        return site.unknown("a softmax behind a mask of other axes than its input's")
    hidden = site.compute(op.Masked(_LEAST), [flow.value, mask], name=f"{site.name}:hidden")
    zeros = attention.softmax_gives_zeros(site.version)
    made = site.compute(found, [hidden], name=f"{site.name}:all" if zeros else site.name)
    return [Flow(site.compute(op.Masked(), [made, mask]) if zeros else made, behind)]


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


def _told_statistics(site: Site) -> list[Flow]:
    """A Normalization whose mean and variance stand in the configuration: (x - mean) / max(√variance, 1e-7)."""
    if site.layer is not None:
        return _with_weights(site)
    config, flow = site.leaf.config, site.flows[0]
    numbers = [_numbers(config.get(word)) for word in ("mean", "variance")]
    last = config.get("axis") in (None, -1, [], [-1])
    if not last or any(found is None for found in numbers):
        return site.unknown("a Normalization whose statistics are not known here")
    mean, variance = (found or () for found in numbers)
    deviation = tuple(max(math.sqrt(each), 1e-7) for each in variance)
    names = [
        site.compute(op.Constant(told, (len(told),) if len(told) > 1 else ()), [], name=f"{site.name}:{word}")
        for word, told in (("mean", mean), ("deviation", deviation))
    ]
    hows = ("multiply", "add") if config.get("invert") is True else ("subtract", "divide")
    ordered = names[::-1] if config.get("invert") is True else names
    first = site.compute(op.Combine(hows[0]), [flow.value, ordered[0]], name=f"{site.name}:moved")
    return [Flow(site.compute(op.Combine(hows[1]), [first, ordered[1]]), flow.mask)]


def _numbers(value: Any) -> tuple[float, ...] | None:
    """A number, or a list of numbers inside lists of one, as a configuration writes statistics."""
    if isinstance(value, dict):
        value = (value.get("config") or {}).get("value")
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    listed = value if isinstance(value, list) else [value]
    plain = all(isinstance(each, int | float) and not isinstance(each, bool) for each in listed)
    return tuple(map(float, listed)) if plain and listed else None


_SPECIAL: dict[str, Callable[[Site], list[Flow]]] = {
    "Masking": _masking,
    "Flatten": _flatten,
    "Normalization": _told_statistics,
    "MultiHeadAttention": attention.many_heads,
    "Attention": attention.dot,
    "AdditiveAttention": attention.dot,
}
