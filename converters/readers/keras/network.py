"""The wiring of a Keras model: which layer is called with what, in the order of the data's flow, as one neutral graph.

Nested models are taken apart, once for each of their calls. What one call computes, `calls` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from converters.model.graph import Graph
from converters.model.layers import Layer
from converters.readers.keras import entries
from converters.readers.keras.arithmetic import numbers_of
from converters.readers.keras.calls import Caller
from converters.readers.keras.config import Config, Container, Leaf
from converters.readers.keras.draft import Draft, Flow
from converters.readers.keras.functions import is_function
from converters.readers.keras.references import CallSite, Numbers, Reference, call_sites, listed
from converters.readers.keras.schedule import Calls, Key
from converters.readers.keras.semantics import Version
from converters.readers.keras.site import Given, flows_in
from layouts.errors import ConversionError, UnreadableCheckpoint, printable

Member = tuple[Config, Leaf | Container]
Tensors = dict[Key, list[Flow]]


def network(model: Container, layers: Iterable[Layer], version: Version) -> Graph:
    """The graph of a model. Raises `UnreadableCheckpoint` where its configuration tells none."""
    draft = Draft()
    builder = _Builder(draft, Caller(draft, list(layers), version), version)
    try:
        outputs = builder.run(model, None)
    except ConversionError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError) as error:
        raise UnreadableCheckpoint(f"the configuration of its graph is malformed: {printable(error)}") from None
    return draft.graph([flow.value for flow in outputs])


class _Builder:
    def __init__(self, draft: Draft, caller: Caller, version: Version) -> None:
        self._draft, self._caller, self._version = draft, caller, version
        self._read: dict[int, Calls] = {}
        self._training: Any = None
        """What the model that is being read was called with as training; None where its call said nothing."""

    def run(self, model: Container, given: Sequence[Flow] | None) -> list[Flow]:
        """The values that leave a model called with these; into the outermost one they come from outside."""
        return self._sequential(model, given) if model.sequential else self._functional(model, given)

    def _sequential(self, model: Container, given: Sequence[Flow] | None) -> list[Flow]:
        starts, joins = _branches(model.members)
        waiting = None if given is None else list(given)
        flows: list[Flow] = []
        ends: list[list[Flow]] = []
        for place, (item, member) in enumerate(model.members):
            if place in joins:
                flows = [flow for end in joins[place] for flow in ends[end]]
            elif place in starts:
                flows = self._entering(item, member, model, waiting, len(starts))
            if not entries.is_input(member):
                flows = self._call(item, member, Given((flows,)))
            ends.append(flows)
        return flows

    def _entering(
        self, item: Config, member: Leaf | Container, model: Container, waiting: list[Flow] | None, count: int
    ) -> list[Flow]:
        """What the first layer of a Sequential reads, or that of a branch of it."""
        if waiting is None:
            return [self._entry(item, member, model)]
        if count == 1:
            return waiting
        if not waiting:
            raise UnreadableCheckpoint(f"{printable(model.path)} is called with fewer inputs than it has")
        return [waiting.pop(0)]

    def _entry(self, item: Config, member: Leaf | Container, model: Container) -> Flow:
        shape, dtype = entries.shape(item, member, model), entries.dtype(item, member)
        return self._draft.input(entries.name(item, member), shape, dtype)

    def _functional(self, model: Container, given: Sequence[Flow] | None) -> list[Flow]:
        members = {member.path.rpartition("/")[2]: (item, member) for item, member in model.members}
        calls = self._calls(model, members)
        tensors = self._inputs(model, members, [each.name for each in calls.inputs], given)
        for key in calls.order:
            if key not in tensors:
                site, (item, member) = calls.sites[key[0]][key[1]], members[key[0]]
                call = replace(_in_place(_filled(site, key[0], calls, tensors)), wanted=calls.wanted.get(key, 1))
                tensors[key] = self._call(item, member, call)
        if not calls.outputs:
            raise UnreadableCheckpoint("it lists no outputs")
        self._draft.spend(len(calls.outputs))
        return [_tensor(each, None, "the output", calls, tensors) for each in calls.outputs]

    def _calls(self, model: Container, members: Mapping[str, Member]) -> Calls:
        """The calls of a model, read once however often it is called itself."""
        if id(model) not in self._read:
            inputs, outputs = (listed(model.config.get(f"{way}_layers")) for way in ("input", "output"))
            self._read[id(model)] = Calls(self._sites(members), self._models(members), inputs, outputs)
        return self._read[id(model)]

    @staticmethod
    def _sites(members: Mapping[str, Member]) -> dict[str, list[CallSite]]:
        alone = CallSite(())
        return {
            name: [alone] if entries.is_input(member) else call_sites(item) for name, (item, member) in members.items()
        }

    def _models(self, members: Mapping[str, Member]) -> dict[str, bool]:
        """Nested models, and whether the version that wrote them counts their calls from 1."""
        own = {
            name: member
            for name, (item, member) in members.items()
            if isinstance(member, Container) and item["class_name"] != "TimeDistributed"
        }
        return {name: self._version.major < 3 or not member.sequential for name, member in own.items()}

    def _inputs(
        self, model: Container, members: Mapping[str, Member], names: Sequence[str], given: Sequence[Flow] | None
    ) -> Tensors:
        unknown = [name for name in names if name not in members]
        if not names:
            raise UnreadableCheckpoint("it lists no inputs")
        if unknown:
            raise UnreadableCheckpoint(f"its input {printable(unknown[0])!r} is no layer of it")
        if given is None:
            given = [self._entry(*members[name], model) for name in names]
        if len(given) != len(names):
            raise UnreadableCheckpoint(
                f"{printable(model.path)} has {len(names)} inputs and is called with {len(given)} values"
            )
        return {(name, 0): [flow] for name, flow in zip(names, given, strict=True)}

    def _value(self, member: Leaf | Container, numbers: Numbers) -> Flow:
        """Numbers of the program as a value, which a layer or a model reads beside others."""
        found = numbers_of(numbers.value)
        if found is None:
            raise UnreadableCheckpoint(f"{printable(member.path)} is called with an array that is not of numbers")
        return Flow(self._draft.compute(member.path, "Constant", found, [], f"{member.path}:numbers"))

    def _call(self, item: Config, member: Leaf | Container, given: Given) -> list[Flow]:
        plain = isinstance(member, Leaf) and is_function(item, member)  # which takes numbers as they are
        given = _replaced(given, Numbers, lambda each: each.value if plain else self._value(member, each))
        self._draft.spend(1 + len(given.flows))
        if not plain:
            given = self._told(given)
        if isinstance(member, Leaf):
            return self._caller.leaf(member, item, given)
        before, self._training = self._training, given.named.get("training")
        try:
            return self._inside(item, member, given)
        finally:
            self._training = before

    def _told(self, given: Given) -> Given:
        """A call within a model: of Keras 3 what the model was told counts, before what the call says itself."""
        if self._training is None or (self._version.major < 3 and given.named.get("training") is not None):
            return given
        return replace(given, named={**given.named, "training": self._training})

    def _inside(self, item: Config, member: Container, given: Given) -> list[Flow]:
        """What a nested model gives, on every step where it is called so."""
        flows = self._caller.masked(given)
        if item["class_name"] != "TimeDistributed":
            return self.run(member, flows)
        call = self._draft.call(member.path)
        merged = [self._caller.merge_time(member.path, call, flow) for flow in flows]
        inner = self.run(member, merged)
        return [self._caller.split_time(member.path, call, flow, flows[0]) for flow in inner]


def _branches(members: Sequence[Member]) -> tuple[set[int], dict[int, list[int]]]:
    """Where the branches of a Sequential begin, and for every Merge of Keras 1 where those that it reads end."""
    starts, joins = {0}, {}
    for place, (item, _) in enumerate(members):
        sizes = item["config"].get("branches") if isinstance(item["config"], dict) else None
        if item["class_name"] == "Merge" and sizes:
            ends = [place - 1 - sum(sizes[number + 1 :]) for number in range(len(sizes))]
            joins[place] = ends
            starts |= {end - size + 1 for end, size in zip(ends, sizes, strict=True)}
            if not all(sizes):
                raise UnreadableCheckpoint("a branch of a Merge is empty, or no list of layers")
    return starts, joins


_FIRST = ("inputs", "sequences", "sequence", "query", "x", "x1", "xs")
"""What the first argument of a layer, of a model or of a function is called where it is given by name."""


def _in_place(given: Given) -> Given:
    """A call whose first argument is given by name, as one that has it in its place."""
    word = next((word for word in _FIRST if any(flows_in(given.named.get(word)))), None)
    if given.arguments or word is None:
        return given
    rest = {key: value for key, value in given.named.items() if key != word}
    return replace(given, arguments=(given.named[word],), named=rest)


def _filled(site: CallSite, reader: str, calls: Calls, tensors: Tensors) -> Given:
    """The arguments of a call, with values for references."""

    given = Given(tuple(site.arguments), dict(site.named))
    return _replaced(given, Reference, lambda each: _tensor(each, site, printable(reader), calls, tensors))


def _replaced(given: Given, kind: type, by: Callable[[Any], Any]) -> Given:
    """Arguments with something else for everything of a kind, within lists and mappings too."""

    def fill(value: Any) -> Any:
        if isinstance(value, kind):
            return by(value)
        if isinstance(value, list | tuple):
            return [fill(each) for each in value]
        return {key: fill(each) for key, each in value.items()} if isinstance(value, dict) else value

    return replace(given, arguments=tuple(fill(list(given.arguments))), named=fill(dict(given.named)))


def _tensor(reference: Reference, site: CallSite | None, reader: str, calls: Calls, tensors: Tensors) -> Flow:
    found = tensors[calls.key(reference, site, reader)]
    if reference.tensor >= len(found):
        raise UnreadableCheckpoint(
            f"{reader} reads output {reference.tensor} of {printable(reference.name)}, which has {len(found)}"
        )
    return found[reference.tensor]
