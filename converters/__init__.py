"""gateport: trained recurrent models out of other frameworks and into PyTorch, proven equal.

    from converters import convert
    model.load_state_dict(convert("model.h5"))

Importing this loads NumPy and nothing heavier.
"""

from typing import TYPE_CHECKING, Any

from converters.api import convert, convert_file, plan, read
from converters.model.checkpoint import Checkpoint, Layer
from converters.plan.plan import Plan
from converters.show.report import ConversionWarning, Report
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
    from converters.torch import nn
    from converters.torch.export import export_arrays
    from converters.torch.gate_views import gates
    from converters.torch.initializers import initialize
    from converters.torch.loading import load_into

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
    "export_arrays": "converters.torch.export",
    "gates": "converters.torch.gate_views",
    "initialize": "converters.torch.initializers",
    "load_into": "converters.torch.loading",
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
