"""What a conversion did: the plan, the warnings, and where the result is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from converters.plan.plan import Plan


class ConversionWarning(UserWarning):
    """Something a person should know about a conversion that went through."""


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of `convert_file`: what was written, from which plan, with which warnings."""

    plan: Plan
    output: str
    warnings: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of weights written."""
        return sum(tensor.nbytes for tensor in self.plan.tensors)

    def __str__(self) -> str:
        from converters.show.data import report_lines

        return "\n".join(report_lines(self))


def announce(texts: tuple[str, ...]) -> None:
    """Give every text as a `ConversionWarning` at the caller of the public function."""
    for text in texts:
        warnings.warn(text, ConversionWarning, stacklevel=3)
