"""What a graph tells, on its way to what a caller might have stated."""

from __future__ import annotations

from typing import Any

from converters.model.names import module_name
from converters.readers.tensorflow.names import is_cell
from layouts.records import dataclass, field


@dataclass
class Evidence:
    """What a graph tells: what may be stated of layers, other names of variables, and what nothing computes."""

    stated: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """The name of a variable -> why the layer that has it is refused."""
    untrained: set[str] = field(default_factory=set)
    """Scalars that are not among the variables that are trained."""

    def state(self, path: str, option: str, values: set[Any]) -> None:
        """Note the one value that all uses of a layer have; several are no evidence."""
        if len(values) == 1:
            key = f"{module_name(path)}.{option}" if path else option
            self.stated[key] = next(iter(values))

    def name_class(self, path: str, class_name: str | None) -> None:
        """The class of a layer whose scope does not tell it; None says that it is not known."""
        if not is_cell(path):
            self.state(path, "class", {class_name})
