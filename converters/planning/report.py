"""What a conversion did: the plan, the warnings, and where the result is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from converters.planning.modules import Module
from converters.planning.plan import Plan
from layouts.errors import printable
from layouts.records import dataclass

_NO_MODULE = "(no module computes this: weights only)"


class ConversionWarning(UserWarning):
    """Something a person should know about a conversion that went through."""


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of `convert_file`: what was written, from which plan, with which warnings."""

    plan: Plan
    output: str
    warnings: tuple[str, ...]
    proof: str = ""
    """What a comparison with the source found, where one was made."""

    @property
    def nbytes(self) -> int:
        """Bytes of weights written."""
        return sum(tensor.nbytes for tensor in self.plan.tensors)

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return self.plan.data() | {
            "output": self.output,
            "warnings": list(self.warnings),
            "proof": self.proof or None,
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return f"<Report {printable(self.output)}: {len(self.plan.tensors)} tensors>"

    def _lines(self) -> Iterator[str]:
        """The file, then each module with its call and the forward code it needs."""
        yield f"{printable(self.output)}: {len(self.plan.tensors)} tensors, {_amount(self.nbytes)}"
        for module in self.plan.modules:
            call = module.constructor or self._class_of(module)
            yield f"  {printable(module.name or module.path) or '(no prefix)'} = {call}"
            yield from (f"      {note}" for note in module.notes)
        if self.proof:
            yield self.proof

    def _class_of(self, module: Module) -> str:
        """The class of a module for which the target writes no call."""
        if module.layout is None and not module.problems:
            return ", ".join(printable(tensor.name) for tensor in module.tensors)
        return self.plan.target.called(module.layout) if module.layout and module.exact else _NO_MODULE


def _amount(count: float) -> str:
    unit = "bytes"
    for larger in ("kB", "MB", "GB"):
        if count >= 1000:
            count, unit = count / 1000, larger
    return f"{count:.3g} {unit}" if unit != "bytes" else f"{count} bytes"


def announce(texts: tuple[str, ...]) -> None:
    """Give every text as a `ConversionWarning` at the caller of the public function."""
    for text in texts:
        warnings.warn(text, ConversionWarning, stacklevel=3)
