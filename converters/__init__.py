"""gateport: trained recurrent models out of other frameworks and into PyTorch, proven equal.

    from converters import convert
    model.load_state_dict(convert("model.h5"))

Importing this loads NumPy and nothing heavier.
"""

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
    "plan",
    "read",
]
