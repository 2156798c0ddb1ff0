"""A functional model of Keras 3 in the making: its layers and functions, and which call reads which value.

The words are those that Keras 3 itself writes into `config.json` (`serialization_lib` and `Functional.get_config`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.model.graph import Node, Shape
from layouts.errors import ConversionError, NotRepresentable, printable
from layouts.records import dataclass, field, replace

Config = dict[str, Any]
_OPS = "keras.src.ops.{}"


@dataclass(frozen=True)
class Tensor:
    """A value of the model: which one of the values that which call of which layer gives."""

    layer: str
    call: int = 0
    number: int = 0


@dataclass(frozen=True)
class Numbers:
    """A value that is no tensor but numbers of the program, which functions take as they are."""

    numbers: tuple[float, ...]
    shape: tuple[int, ...]
    dtype: str

    @staticmethod
    def zeros(shape: tuple[int, ...]) -> Numbers:
        return Numbers((0.0,) * math.prod(shape), shape, "float32")

    def nested(self) -> Any:
        """The numbers as lists within lists."""
        found: list[Any] = list(self.numbers)
        for size in self.shape[:0:-1]:
            found = [found[start : start + size] for start in range(0, len(found), size)]
        return found if self.shape else found[0]


@dataclass(frozen=True)
class Call:
    """One call: positional and named arguments, tensors among them."""

    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> Iterator[Tensor]:
        """The values that it reads, in the order in which Keras flattens them."""
        yield from tensors_in(list(self.arguments))
        yield from tensors_in(dict(self.named))


@dataclass
class Entry:
    """One layer, or one function in the place of a layer, and its calls."""

    name: str
    module: str
    class_name: str
    config: Config
    calls: list[Call] = field(default_factory=list)
    arrays: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The folder of each of its cells within its own, '' for its own -> the keys of the plan's arrays there."""

    @property
    def is_layer(self) -> bool:
        return not self.module.startswith("keras.src.ops")

    def serialized(self) -> Config:
        """As a list of layers holds it."""
        return {
            **serialized(self.class_name, self.config, self.module),
            "name": self.name,
            "inbound_nodes": [_call(call) for call in self.calls if call.arguments],
        }


def serialized(class_name: str, config: Mapping[str, Any], module: str = "keras.layers") -> Config:
    """An object of Keras as its configuration holds it."""
    return {"module": module, "class_name": class_name, "config": dict(config), "registered_name": None}


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The values inside an argument."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from tensors_in(value[key])


def _call(call: Call) -> Config:
    return {"args": _plain(list(call.arguments)), "kwargs": _plain(dict(call.named))}


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        history = [value.layer, value.call, value.number]
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": [], "dtype": "float32", "keras_history": history},
        }
    if isinstance(value, Numbers):
        return {"class_name": "__numpy__", "config": {"value": value.nested(), "dtype": value.dtype}}
    if isinstance(value, slice):
        config = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": config}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True)
class Held:
    """Where a value of the graph is in the model.

    timed: how many axes in front are one in the graph and several here, as a layer on every step has them.
    mask: the mask that Keras hands on with it, by its name in the graph; '' for none.
    numbers: what it is where it is no tensor.
    """

    tensor: Tensor
    shape: Shape | None = None
    timed: int = 0
    mask: str = ""
    numbers: Numbers | None = None

    @property
    def argument(self) -> Any:
        """What a function is called with."""
        return self.numbers or self.tensor

    def axis(self, number: int) -> int:
        """An axis of the graph's value, as it is here."""
        return number + self.timed if number > 0 else number


@dataclass
class Sketch:
    """The entries so far, and what stands in the way."""

    dtype: str
    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[ConversionError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    """How many entries wished for the same name."""

    def name(self, wish: str) -> str:
        """A name that no entry has: '/' may not stand in it."""
        base = re.sub(r"[^\w.\-]", "_", wish.replace("/", "."), flags=re.ASCII).lstrip("_.-") or "layer"
        name = base
        while name in self.entries:
            self.counts[base] = self.counts.get(base, 1) + 1
            name = f"{base}_{self.counts[base]}"
        return name

    def layer(self, wish: str, class_name: str, config: Config, arguments: Sequence[Any], **named: Any) -> Tensor:
        """A new layer, called once."""
        entry = self.add(wish, "keras.layers", class_name, config)
        return self.call(entry, arguments, named)

    def function(
        self, wish: str, class_name: str, arguments: Sequence[Any], module: str = "numpy", **config: Any
    ) -> Tensor:
        """A function of `keras.ops` in the place of a layer, called once."""
        entry = self.add(wish, _OPS.format(module), class_name, config)
        return self.call(entry, arguments, {})

    def add(self, wish: str, module: str, class_name: str, config: Config) -> Entry:
        """A new layer or function under this name, or one like it."""
        name = self.name(wish)
        told = {"name": name, **({} if module.startswith("keras.src") else {"dtype": self.dtype}), **config}
        self.entries[name] = Entry(name, module, class_name, told)
        return self.entries[name]

    def call(self, entry: Entry, arguments: Sequence[Any], named: Mapping[str, Any]) -> Tensor:
        """The first value of one more call of an entry."""
        entry.calls.append(Call(tuple(arguments), named))
        return Tensor(entry.name, len(entry.calls) - 1)

    def refuse(self, node: Node, why: str) -> None:
        """Note that a node has no form in Keras 3, and why."""
        text = f"{printable(node.name)} ({printable(node.class_name)}): {why}"
        self.problems.append(NotRepresentable(text, layer=node.name))

    def plain(self, held: Held, wish: str) -> Held:
        """The same value, without the mask that Keras would hand on with it."""
        if not held.mask:
            return held
        return replace(held, tensor=self.function(f"{wish}_unmasked", "Multiply", [held.tensor, 1]), mask="")
