"""The typed errors of gateport: every one names where, what was found, what was expected, and what to do.

All derive from `ConversionError` and carry the fields `layer`, `array`, `layout` and `path` (any may be None).
Those about a file or an array also derive from the built-in error that fits, so that `except OSError` and
`except ValueError` work as a caller expects.
"""

from __future__ import annotations

from typing import Any

_LONGEST_NAME = 120


def printable(name: object) -> str:
    """A name from a file made safe to print: control characters escaped, shortened to 120 characters."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


class ConversionError(Exception):
    """Anything gateport refuses or fails to do."""

    def __init__(
        self,
        message: str,
        *,
        layer: str | None = None,
        array: str | None = None,
        layout: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(message)
        self.layer, self.array, self.layout, self.path = layer, array, layout, path

    def __str__(self) -> str:
        """The message, led by the file where one is known and not named already."""
        text = super().__str__()
        if not self.path or self.path in text:
            return text
        path = self.path if len(self.path) <= _LONGEST_NAME else f"…{self.path[1 - _LONGEST_NAME :]}"
        return f"{printable(path)}: {text}"

    def data(self) -> dict[str, str | None]:
        """The error as plain data, for JSON."""
        return {
            "type": type(self).__name__,
            "message": " ".join(str(self).split()),
            "layer": self.layer,
            "array": self.array,
            "layout": self.layout,
            "path": self.path,
        }


class LayoutError(ConversionError, ValueError):
    """A layout declaration is wrong; raised at import of the file that holds it."""


class CheckpointError(ConversionError):
    """The source cannot be used."""


class UnreadableCheckpoint(CheckpointError, OSError):
    """The source is missing, damaged, or of an unrecognised format."""


class UnsafeCheckpoint(CheckpointError):
    """The source breaks a safety rule: it points outside itself, or claims more than it stores."""


class UnknownLayer(CheckpointError, LookupError):
    """A layer that holds weights has no layout, or a named layer is not in the source."""


class ShapeError(CheckpointError, ValueError):
    """An array does not have the shape or the kind of numbers that its layout describes."""


class CoverageError(ConversionError):
    """A source array is not used, or a target parameter is not produced; lists all of them."""


class NotRepresentable(ConversionError):
    """The target cannot compute what the source computes."""


class VerificationFailed(ConversionError, AssertionError):
    """Outputs of source and result differ by more than the tolerance; `report` is the comparison."""

    def __init__(self, message: str, *, report: Any = None, **fields: str | None) -> None:
        super().__init__(message, **fields)
        self.report = report


class MissingDependency(ConversionError, ImportError):
    """An optional package is not installed; names the extra that installs it."""


OF_A_LAYER = (ShapeError, UnknownLayer, CoverageError, NotRepresentable)
"""What is wrong with one layer, so that the others may still be read; damaged and unsafe files are none of these."""
