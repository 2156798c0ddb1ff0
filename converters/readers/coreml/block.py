"""The operations of a block of a Core ML program, and the constants among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from converters.readers.coreml.operation import Operation
from converters.readers.coreml.values import Constant, Stored
from converters.readers.coreml.weights import Blobs
from converters.readers.message import Message
from layouts.errors import UnsafeCheckpoint

_MOST = 200_000


class Blocks:
    """What the blocks of one program hold, of which there is only so much."""

    def __init__(self, path: str) -> None:
        self.path, self.blobs = path, Blobs(path)
        self._left = _MOST

    def operations(self, block: Message) -> Iterator[Operation]:
        for message in block.messages(3):
            self._left -= 1
            if self._left < 0:
                raise UnsafeCheckpoint(f"the program has more than {_MOST} operations", path=self.path)
            inputs, inner = {}, {}
            for entry in message.messages(2):
                bindings = list(entry.message(2).messages(1))
                inputs[entry.text(1)] = tuple(binding.text(1) for binding in bindings if 1 in binding)
                if len(bindings) == 1 and 2 in bindings[0]:
                    inner[entry.text(1)] = bindings[0].message(2)
            outputs = tuple(output.text(1) for output in message.messages(3))
            attributes = {entry.text(1): entry.message(2) for entry in message.messages(5)}
            named = attributes.get("name")
            name = Stored(named, "name", self.blobs, self.path).texts() if named else []
            yield Operation(message.text(1), (*name, *outputs, "operation")[0], inputs, inner, outputs, message)

    def given(self, one: Operation, constants: Mapping[str, Constant]) -> dict[str, Constant]:
        """The constants that are the arguments of an operation: inputs by their names, inner ones, and attributes."""
        values = {entry.text(1): entry.message(2) for entry in one.message.messages(5)} | dict(one.inner)
        found: dict[str, Constant] = {
            name: Stored(value, f"{one.name}.{name}", self.blobs, self.path)
            for name, value in values.items()
            if 1 in value.message(2)
        }
        return found | {name: constants[v[0]] for name, v in one.inputs.items() if v and v[0] in constants}

    def constant(self, one: Operation) -> dict[str, Constant]:
        value = next((entry.message(2) for entry in one.message.messages(5) if entry.text(1) == "val"), None)
        if value is None or not one.outputs or 1 not in value.message(2):
            return {}
        return {one.outputs[0]: Stored(value, one.outputs[0], self.blobs, self.path)}
