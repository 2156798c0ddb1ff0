"""Masks that heads take off the values that they read: who reads such a value later finds none.

Since Keras 3.8 `MultiHeadAttention.call` sets the mask of its query, value and key to None, on the very tensors that
other layers read too. Who needs what the heads give runs after them, and finds no mask; who is needed by them has run
before. Of all others the order in which Keras calls them decides: they are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converters.model import operations as op
from converters.model.graph import Node
from converters.readers.keras.draft import Draft, Flow
from converters.readers.keras.site import Given

_WHY = "it reads a value whose mask heads take off, and whether before or after is not known"


_BLIND = (
    *("Conv", "SeparableConv", "DepthwiseConv", "MaxPooling", "AveragePooling", "GlobalMax", "Cropping"),
    *("ZeroPadding", "UpSampling", "Dot", "Flatten", "Permute", "Reshape", "RepeatVector"),
)


def cares(class_name: str) -> bool:
    """Whether a layer does anything else where a mask comes with its input, or hands it on."""
    return class_name.startswith("ConvLSTM") or not class_name.startswith(_BLIND)


class TakenMasks:
    """Which masks were taken, and by which calls."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._takers: dict[str, list[str]] = {}

    def take(self, flows: Sequence[Flow], made: str) -> None:
        """Note that a call, which made this value, has taken the masks of those that it read."""
        for flow in flows:
            self._takers.setdefault(self._tensor(flow.value), []).append(made)

    def conflict(self, flows: Sequence[Flow]) -> str:
        """Why heads that read these values cannot be told; '' where all who read them before are needed for that."""
        masked = {self._tensor(flow.value) for flow in flows if flow.mask}
        if not masked:
            return ""
        needed = self._needed([flow.value for flow in flows])
        readers = (node for node in self._draft.nodes if self._counts(node))
        others = any(
            masked & {self._tensor(value) for value in node.inputs} and not needed & set(node.outputs)
            for node in readers
        )
        return _WHY if others else ""

    def seen(self, class_name: str, given: Given) -> tuple[Given, str]:
        """What a call of such a layer is given, without the masks that were taken; why that cannot be told, or ''."""
        flows = [*given.flows, *_flows(given.named)] if cares(class_name) else []
        taken = {flow for flow in flows if flow.mask and self._tensor(flow.value) in self._takers}
        if not taken:
            return given, ""
        needed = self._needed([flow.value for flow in flows])
        unsure = any(not needed & set(self._takers[self._tensor(flow.value)]) for flow in taken)
        found = [_without(value, taken) for value in (list(given.arguments), dict(given.named))]
        return Given(tuple(found[0]), found[1], given.wanted), _WHY if unsure else ""

    def _tensor(self, value: str) -> str:
        """The value that Keras holds in the same tensor: what does nothing gives what it was given."""
        node = self._draft.maker(value)
        while node is not None and self._is_same(node):
            value = node.inputs[0]
            node = self._draft.maker(value)
        return value

    @staticmethod
    def _is_same(node: Node) -> bool:
        return isinstance(node.operation, op.Identity)

    def _counts(self, node: Node) -> bool:
        return node.class_name != "mask" and cares(node.class_name) and not self._is_same(node)

    def _needed(self, values: Sequence[str]) -> set[str]:
        """These values, and all that were needed to make them."""
        found, waiting = set(values), list(values)
        while waiting:
            node = self._draft.maker(waiting.pop())
            new = {*node.inputs, node.mask} - found - {""} if node is not None else set()
            found |= new
            waiting += new
        return found


def _flows(value: Any) -> list[Flow]:
    if isinstance(value, Flow):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [flow for each in inside for flow in _flows(each)]


def _without(value: Any, taken: set[Flow]) -> Any:
    if isinstance(value, Flow):
        return Flow(value.value) if value in taken else value
    if isinstance(value, list | tuple):
        return [_without(each, taken) for each in value]
    return {key: _without(each, taken) for key, each in value.items()} if isinstance(value, dict) else value
