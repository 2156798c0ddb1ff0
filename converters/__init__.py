"""gateport: trained recurrent models out of other frameworks and into PyTorch, proven equal.

    from converters import convert
    model.load_state_dict(convert("model.h5"))

Importing this loads NumPy and nothing heavier.
"""

from typing import TYPE_CHECKING, Any

from converters.api import convert, convert_file, plan, read
from converters.checkpoint import Checkpoint, Layer
from converters.planning import Plan
from converters.report import ConversionWarning, Report
from layouts.errors import (
    CheckpointError,
    ConversionError,
    CoverageError,
    LayoutError,
    MissingDependency,
    NotRepresentable,
    ShapeError,
    UnknownLayer,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    VerificationFailed,
)

if TYPE_CHECKING:
    from converters import nn
    from converters.export import export_arrays
    from converters.gate_views import gates
    from converters.initialise import initialize
    from converters.loading import load_into

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "ConversionError",
    "ConversionWarning",
    "CoverageError",
    "Layer",
    "LayoutError",
    "MissingDependency",
    "NotRepresentable",
    "Plan",
    "Report",
    "ShapeError",
    "UnknownLayer",
    "UnreadableCheckpoint",
    "UnsafeCheckpoint",
    "VerificationFailed",
    "convert",
    "convert_file",
    "export_arrays",
    "gates",
    "initialize",
    "load_into",
    "nn",
    "plan",
    "read",
]

_LATE = {
    "export_arrays": "converters.export",
    "gates": "converters.gate_views",
    "initialize": "converters.initialise",
    "load_into": "converters.loading",
    "nn": "",
}
"""What needs torch -> the module that defines it; '' for a module of this package."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _LATE[name]:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
