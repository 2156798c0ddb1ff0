"""The attributes of one node as values, each of the type that its operator gives it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from layouts.errors import UnreadableCheckpoint, printable

if TYPE_CHECKING:
    from onnx import AttributeProto, NodeProto

_GRAPHS = (5, 10)
"""The types GRAPH and GRAPHS: a node has its graphs as scopes, and not among its values."""


def values(node: NodeProto, opset: int, domain: str) -> Mapping[str, Any]:
    """Integers, floats, strings, lists of them, and tensors as messages; no graphs.

    Raises `UnreadableCheckpoint` for an attribute that stands twice or is not of its operator's type. Unknown
    operators may have any.
    """
    types = _types(node.op_type, opset) if not domain else {}
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        name = attribute.name
        if name in found:
            raise UnreadableCheckpoint(f"the attribute {printable(name)} stands twice")
        kind = attribute.type or types.get(name, 0)
        if attribute.ref_attr_name or kind != types.get(name, kind):
            raise UnreadableCheckpoint(f"the attribute {printable(name)} is {_described(attribute)}")
        found[name] = None if kind in _GRAPHS else _value(attribute, kind)
    return {name: value for name, value in found.items() if value is not None}


@lru_cache(256)
def _types(op: str, opset: int) -> Mapping[str, int]:
    """The type of each attribute of an operator of ONNX itself."""
    from onnx import defs

    try:
        schema = defs.get_schema(op, opset, "")
    except defs.SchemaError:
        return {}
    return {name: _number(attribute.type) for name, attribute in schema.attributes.items()}


def _number(kind: Any) -> int:
    return int(kind.value)


def _described(attribute: AttributeProto) -> str:
    from onnx import AttributeProto

    if attribute.ref_attr_name:
        return "that of a function, and there is none around it"
    known = AttributeProto.AttributeType.values()
    kind = AttributeProto.AttributeType.Name(attribute.type) if attribute.type in known else attribute.type
    return f"of the type {kind}, which its operator does not take there"


def _value(attribute: AttributeProto, kind: int) -> Any:
    """The value of an attribute of this type; None for types that hold no numbers and no text."""
    field = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings", 9: "tensors"}.get(kind)
    if field is None:
        return None
    value = getattr(attribute, field)
    if field == "s":
        return value.decode("utf-8", "replace")
    if field == "strings":
        return [one.decode("utf-8", "replace") for one in value]
    return list(value) if field in ("floats", "ints", "tensors") else value
