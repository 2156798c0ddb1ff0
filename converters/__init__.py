"""gateport: trained recurrent models out of other frameworks and into PyTorch.

    from converters import convert
    model.load_state_dict(convert("model.h5"))

Importing this loads nothing; what is used is imported then, NumPy with it, and nothing heavier for files alone.
"""

from __future__ import annotations

from converters.version import __version__

TYPE_CHECKING = False  # that of `typing`, whose import takes as long as all else here
if TYPE_CHECKING:
    from typing import Any

    from converters import nn
    from converters.api import convert, convert_file, plan, read
    from converters.fleet import Fleet, convert_many
    from converters.model.checkpoint import Checkpoint
    from converters.model.layers import Layer, Part
    from converters.model.settings import Call, Wiring
    from converters.planning.modules import Module, Tensor
    from converters.planning.plan import Plan
    from converters.planning.report import ConversionWarning, Report
    from converters.torch.build import build
    from converters.torch.diagnosing import diagnose
    from converters.torch.export import export_arrays
    from converters.torch.gate_views import Gates, gates
    from converters.torch.initializers import Initialized, initialize
    from converters.torch.loading import LoadReport, load_into
    from converters.torch.port import Ported, port
    from converters.torch.trace import trace
    from converters.torch.verifying import verify
    from converters.verification.diagnosis import Diagnosis
    from converters.verification.report import Verification
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
    "Call",
    "Checkpoint",
    "CheckpointError",
    "ConversionError",
    "ConversionWarning",
    "CoverageError",
    "Diagnosis",
    "Fleet",
    "Gates",
    "Initialized",
    "Layer",
    "LayoutError",
    "LoadReport",
    "MissingDependency",
    "Module",
    "NotRepresentable",
    "Part",
    "Plan",
    "Ported",
    "Report",
    "ShapeError",
    "Tensor",
    "UnknownLayer",
    "UnreadableCheckpoint",
    "UnsafeCheckpoint",
    "Verification",
    "VerificationFailed",
    "Wiring",
    "__version__",
    "build",
    "convert",
    "convert_file",
    "convert_many",
    "diagnose",
    "export_arrays",
    "gates",
    "initialize",
    "load_into",
    "nn",
    "plan",
    "port",
    "read",
    "trace",
    "verify",
]

_WHERE = {
    "converters.api": ("convert", "convert_file", "plan", "read"),
    "converters.fleet": ("Fleet", "convert_many"),
    "converters.model.checkpoint": ("Checkpoint",),
    "converters.model.layers": ("Layer", "Part"),
    "converters.model.settings": ("Call", "Wiring"),
    "converters.planning.modules": ("Module", "Tensor"),
    "converters.planning.plan": ("Plan",),
    "converters.planning.report": ("ConversionWarning", "Report"),
    "converters.torch.build": ("build",),
    "converters.torch.diagnosing": ("Diagnosis", "diagnose"),
    "converters.torch.export": ("export_arrays",),
    "converters.torch.gate_views": ("Gates", "gates"),
    "converters.torch.initializers": ("Initialized", "initialize"),
    "converters.torch.loading": ("LoadReport", "load_into"),
    "converters.torch.port": ("Ported", "port"),
    "converters.torch.trace": ("trace",),
    "converters.torch.verifying": ("Verification", "verify"),
    "layouts.errors": (
        "CheckpointError",
        "ConversionError",
        "CoverageError",
        "LayoutError",
        "MissingDependency",
        "NotRepresentable",
        "ShapeError",
        "UnknownLayer",
        "UnreadableCheckpoint",
        "UnsafeCheckpoint",
        "VerificationFailed",
    ),
}
"""The module that defines what is public -> the names, imported when they are used."""
_LATE = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name != "nn" and name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return import_module(f"{__name__}.nn") if name == "nn" else getattr(import_module(_LATE[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from layouts.errors import MissingDependency

        raise MissingDependency(f"{name} needs PyTorch, which is not installed: pip install torch") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
