"""How a configuration says what a layer is called with: references to tensors, in the lists of every version.

Keras 1 and 2 write [name, call, tensor] and, in a fourth place, the other arguments of the call; Keras 3 writes whole
arguments, with `keras_history` where a tensor stands. Sources: `serialize_node` and `deserialize_node` of Keras 3,
`Node.serialize` of tf_keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from converters.readers.keras.config import Config
from layouts.errors import UnreadableCheckpoint, printable
from layouts.records import dataclass, field

_CONSTANT = "_CONSTANT_VALUE"


@dataclass(frozen=True)
class Reference:
    """A tensor: the layer that makes it, which of its calls, and which of the tensors of that call."""

    name: str
    call: int
    tensor: int


@dataclass(frozen=True)
class Numbers:
    """An array of the program in the place of a tensor: a number, or lists within lists."""

    value: Any


@dataclass(frozen=True)
class CallSite:
    """One call of a layer: positional arguments and named ones, references inside lists and mappings among them.

    `counted_alone`: calls of a nested model are counted from its first call in this model, as Keras 3 does here.
    """

    arguments: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)
    counted_alone: bool = False

    def references(self) -> Iterator[Reference]:
        """Every tensor that the call reads."""
        yield from references([*self.arguments, *self.named.values()])


def call_sites(item: Config) -> list[CallSite]:
    """Every call of a layer, as `inbound_nodes` of its configuration tells them."""
    nodes = item.get("inbound_nodes") or []
    if not isinstance(nodes, list):
        raise _malformed(item, nodes)
    return [_modern(node, item) if _is_modern(node) else _classic(node, item) for node in nodes]


def _is_modern(node: Any) -> bool:
    return isinstance(node, dict) and "args" in node


def _modern(node: Any, item: Config) -> CallSite:
    arguments, named = _argument(node["args"]), _argument(node.get("kwargs") or {})
    if not isinstance(arguments, list) or not isinstance(named, dict):
        raise _malformed(item, node)
    return CallSite(tuple(arguments), named, True)


def _argument(value: Any) -> Any:
    """One argument of Keras 3, its tensors as references and its objects as plain values."""
    if isinstance(value, list):
        return [_argument(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind, inner = value.get("class_name"), value.get("config")
    if kind == "__keras_tensor__" and isinstance(inner, dict):
        return _reference(inner.get("keras_history"))
    if kind == "__tuple__":
        return [_argument(each) for each in value.get("items") or []]
    if kind == "__slice__" and isinstance(inner, dict):
        return slice(*(_whole(inner.get(word)) for word in ("start", "stop", "step")))
    if kind == "__ellipsis__":
        return Ellipsis
    if kind in ("__tensor__", "__numpy__") and isinstance(inner, dict):
        return Numbers(inner.get("value"))
    return {key: _argument(each) for key, each in value.items()}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _classic(node: Any, item: Config) -> CallSite:
    """One call of Keras 1 and 2: what is called is the first argument, and the others stand beside its tensors."""
    named: dict[str, Any] = {}
    first = _tensors(node, named) if isinstance(node, list | dict) else None
    if first is None:
        raise _malformed(item, node)
    return CallSite(tuple(first) if isinstance(first, list) else (first,), named)


def _tensors(value: Any, named: dict[str, Any]) -> Any:
    if _is_tensor(value):
        if len(value) == 4 and isinstance(value[3], dict):
            named.update({key: _named(each) for key, each in value[3].items()})
        return Numbers(value[2]) if value[0] == _CONSTANT else _reference(value[:3])
    if isinstance(value, list):
        return [_tensors(each, named) for each in value]
    if isinstance(value, dict):
        return [_tensors(value[key], named) for key in sorted(value)]
    raise UnreadableCheckpoint(f"{printable(repr(value))} is no reference to a tensor")


def _is_tensor(value: Any) -> bool:
    """[name, call, tensor] and perhaps the other arguments; of a constant the third is its value."""
    if not isinstance(value, list) or len(value) not in (3, 4) or not isinstance(value[0], str):
        return False
    return value[0] == _CONSTANT or all(isinstance(n, int) for n in value[1:3])


def _named(value: Any) -> Any:
    """A named argument of Keras 2, its tensors as references."""
    if _is_tensor(value):
        return Numbers(value[2]) if value[0] == _CONSTANT else _reference(value[:3])
    if isinstance(value, list):
        return [_named(each) for each in value]
    if isinstance(value, dict):
        return {key: _named(each) for key, each in value.items()}
    return value


def _reference(value: Any) -> Reference:
    fits = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
    if not fits or not all(_whole(number) is not None and number >= 0 for number in value[1:]):
        raise UnreadableCheckpoint(f"{printable(repr(value))} is no reference to a tensor")
    return Reference(*value)


def _malformed(item: Config, node: Any) -> UnreadableCheckpoint:
    name = item.get("name") or item["config"].get("name")
    return UnreadableCheckpoint(f"{printable(name)}: its inbound_nodes are malformed: {printable(repr(node))[:80]}")


def references(value: Any) -> Iterator[Reference]:
    """The references inside an argument, in the order in which every version flattens it: mappings by their keys."""
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from references(each)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from references(value[key])


def listed(value: Any) -> list[Reference]:
    """The tensors of `input_layers` or `output_layers`: one, or lists or a mapping of them."""
    return list(references(_named(value)))
