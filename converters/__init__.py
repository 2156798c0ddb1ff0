"""gateport: trained recurrent models out of other frameworks and into PyTorch.

    from converters import convert
    model.load_state_dict(convert("model.h5"))

Importing this loads NumPy and nothing heavier.
"""

from typing import TYPE_CHECKING, Any

from converters.api import convert, convert_file, plan, read
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer, Part
from converters.model.settings import Call, Wiring
from converters.plan.modules import Module, Tensor
from converters.plan.plan import Plan
from converters.plan.report import ConversionWarning, Report
from converters.version import __version__
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
    from converters.fleet import Fleet, convert_many
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

_LATE = {
    "Fleet": "converters.fleet",
    "Gates": "converters.torch.gate_views",
    "Initialized": "converters.torch.initializers",
    "LoadReport": "converters.torch.loading",
    "Ported": "converters.torch.port",
    "build": "converters.torch.build",
    "convert_many": "converters.fleet",
    "export_arrays": "converters.torch.export",
    "gates": "converters.torch.gate_views",
    "initialize": "converters.torch.initializers",
    "load_into": "converters.torch.loading",
    "nn": "",
    "port": "converters.torch.port",
    "Diagnosis": "converters.torch.diagnosing",
    "Verification": "converters.torch.verifying",
    "diagnose": "converters.torch.diagnosing",
    "trace": "converters.torch.trace",
    "verify": "converters.torch.verifying",
}
"""What is imported when it is used -> the module that defines it; '' for a module of this package."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_LATE[name] or f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependency(f"{name} needs PyTorch, which is not installed: pip install torch") from None
    return getattr(module, name) if _LATE[name] else module


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
