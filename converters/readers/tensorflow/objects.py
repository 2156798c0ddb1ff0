"""The objects of which TensorFlow 2 keeps a checkpoint: which variable is whose, under what name, with which key.

Source: trackable_object_graph.proto in tensorflow/core/protobuf.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from converters.model.arrays import LazyArray
from converters.readers.message import Message
from converters.readers.tensorflow.stored import Stored
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint
from layouts.records import dataclass

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_TAIL = "/.ATTRIBUTES/"
_MOST_OBJECTS = 1_000_000
_TRAINING = re.compile(r"(^|/)(_?optimizer|keras_api|save_counter|train_function|loss_tracker|_metrics)(/|$)")
"""Objects of training, in the keys of variables."""
_TRAINED = "/_trainable_variables/"
"""Where Keras 3's optimizers hold the model's own variables, which may be stored under it."""
_COPIES = "_all_variables/"
_FIRST = {"kernel", "embeddings", "gamma", "depthwise_kernel"}
"""The arrays with which a layer of Keras begins."""
_SEEDS = re.compile(r"(^|/)(seed_generator_state|StateVar)$")
_CELL = re.compile(r"(lstm|gru|simple_rnn|peephole_lstm|conv_lst_m\dd|conv_lstm|stacked_rnn)_?cells?(_\d+)?")
_NUMBERED = re.compile(r"(variables|optimizer/_trainable_variables)/\d{1,6}")
_ROLES = {"query", "key", "value", "attention_output"}


class Child(NamedTuple):
    """An object that another holds, under a name."""

    name: str
    node: int


@dataclass(frozen=True)
class Object:
    """One object: what it holds, and if it is a variable, its name and the key of its numbers."""

    children: tuple[Child, ...]
    name: str = ""
    key: str = ""
    slots: tuple[int, ...] = ()


@dataclass(frozen=True)
class Variable:
    """One variable of a model: its name, the key under which it is stored, and its numbers."""

    name: str
    key: str
    array: LazyArray

    @property
    def place(self) -> str:
        """Where the object graph keeps it: its key without what every key ends with."""
        return self.key.partition(_TAIL)[0]


def objects(data: bytes) -> list[Object]:
    """The objects of a TrackableObjectGraph. Raises `CheckpointError` where it is damaged."""
    found = [_object(node) for node in Message(memoryview(data)).messages(1)]
    if len(found) > _MOST_OBJECTS:
        raise UnsafeCheckpoint(f"it holds {len(found)} objects")
    if any(not 0 <= child.node < len(found) for one in found for child in one.children):
        raise UnreadableCheckpoint("damaged: an object holds one that is not there")
    return found


def _object(node: Message) -> Object:
    children = tuple(Child(child.text(2), child.integer(1)) for child in node.messages(1))
    values = [value for value in node.messages(2) if value.text(1) == _VALUE]
    slots = tuple(slot.integer(3) for slot in node.messages(3))
    return Object(children, values[0].text(2), values[0].text(3), slots) if values else Object(children, slots=slots)


def weights(stored: Stored, known: Sequence[Object]) -> tuple[list[Variable], list[str]]:
    """The variables that are weights, and the keys of what is none: slots, counters, seeds, copies."""
    slots = {number for one in known for number in one.slots}
    named = {one.key: one.name for number, one in enumerate(known) if one.key and number not in slots}
    found, unused = [], []
    order = {one.key: number for number, one in enumerate(below(known, 0))}
    for key, array in sorted(stored.arrays.items(), key=lambda item: order.get(item[0], len(order))):
        name = named.get(key, "")
        if key not in named or _is_training(key, name, array):
            unused.append(key)
        else:
            found.append(Variable(name, key, array))
    return _without_copies(found, unused), [*unused, *stored.others]


def _is_training(key: str, name: str, array: LazyArray) -> bool:
    training = _TRAINING.search(key) and _TRAINED not in key
    return bool(training or _SEEDS.search(name)) or (not array.is_floating and not array.shape)


def _without_copies(found: Sequence[Variable], unused: list[str]) -> list[Variable]:
    """Without what Keras 3 writes twice: once in order, and once more among all variables of its archive."""
    once = Counter((v.name, v.array.shape) for v in found if not v.key.startswith(_COPIES))
    again = Counter((v.name, v.array.shape) for v in found if v.key.startswith(_COPIES))
    kept = []
    for variable in found:
        what = variable.name, variable.array.shape
        if variable.key.startswith(_COPIES) and once[what] and once[what] >= again[what]:
            unused.append(variable.key)
        else:
            kept.append(variable)
    return kept


def below(known: Sequence[Object], start: int, skip: frozenset[str] = frozenset()) -> Iterator[Object]:
    """Every variable that an object holds, in the order in which it holds them; each once, however it is reached."""
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        if known[number].key:
            yield known[number]
        waiting += [child.node for child in reversed(known[number].children) if child.name not in skip]


def at(known: Sequence[Object], path: Sequence[str]) -> int | None:
    """The object at a path of names from the root."""
    number = 0
    for name in path:
        held = {child.name: child.node for child in known[number].children}
        if name not in held:
            return None
        number = held[name]
    return number


def by_layer(found: Sequence[Variable]) -> dict[str, list[tuple[str, LazyArray]]]:
    """Variables by the layer that their names tell, without the model around all of them; else by their keys."""
    named = [variable.name.removesuffix(":0") for variable in found]
    unclear = Counter(named).most_common(1)[0][1] > 1 if named else False
    if unclear and all(_NUMBERED.fullmatch(variable.place) for variable in found):
        return dict(_in_order(found))
    names = [v.place for v in found] if unclear or not all("/" in name for name in named) else named
    layers = [_layer(name) for name in names]
    around = _common(layers)
    groups: dict[str, list[tuple[str, LazyArray]]] = {}
    for layer, name, variable in zip(layers, names, found, strict=True):
        groups.setdefault(layer[len(around) :], []).append((name[len(around) :], variable.array))
    return groups


def _in_order(found: Sequence[Variable]) -> Iterator[tuple[str, list[tuple[str, LazyArray]]]]:
    """Variables of a list in the model's order, whose names tell no layer: each layer begins with a kernel."""
    path, held = "", set[str]()
    members: list[tuple[str, LazyArray]] = []
    for variable in found:
        own = variable.name.removesuffix(":0").rpartition("/")[2]
        if (own in _FIRST or own in held) and members:
            yield path, members
            members, held = [], set()
        path = path if members else variable.place
        members.append((f"{path}/{own}", variable.array))
        held.add(own)
    if members:
        yield path, members


def _layer(name: str) -> str:
    """The layer of a variable: its name without the array's own, and without cells and directions inside a layer."""
    words = name.split("/")[:-1]
    while len(words) > 1 and (_CELL.fullmatch(words[-1]) or words[-1] in _ROLES or words[-1] == "cell"):
        words.pop()
    if len(words) > 1 and words[-1].startswith(("forward_", "backward_")):
        words.pop()
    return "/".join(words)


def _common(layers: Sequence[str]) -> str:
    """The model around all layers, with its stroke; '' where one of them stands outside."""
    first = {layer.partition("/")[0] for layer in layers}
    return f"{first.pop()}/" if len(first) == 1 and all("/" in layer for layer in layers) else ""
