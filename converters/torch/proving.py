"""`convert(verify=True)`: the converted tensors themselves, in the module that is built, against the source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from converters.torch.build import build
from converters.torch.verifying import verify
from converters.verification.report import Verification
from layouts.errors import ConversionError, MissingDependency

Tensors = Mapping[str, torch.Tensor]


def prove(source: Any, tensors: Tensors, **options: Any) -> Verification:
    """Load tensors into the module of a source, strictly, and compare it with the source.

    options: `framework`, `assume`, `weights` of `read`. Raises `VerificationFailed` where they differ,
    `NotRepresentable` where the source cannot be built or run.
    """
    module = build(source, **options)
    module.load_state_dict(dict(tensors), strict=True, assign=True)
    return verify(source, module.eval(), **options).check()


def stored(path: Path, suffix: str) -> dict[str, torch.Tensor]:
    """The tensors of a file that was written here; `suffix` tells its kind."""
    if suffix == ".npz":
        with np.load(path) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays}
    if suffix == ".safetensors":
        try:
            from safetensors.torch import load
        except ModuleNotFoundError:
            raise MissingDependency("reading a .safetensors file needs safetensors: pip install safetensors") from None
        return load(path.read_bytes())
    if suffix in (".pt", ".pth"):
        found: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return found
    raise ConversionError(
        f"weights are read from .safetensors, .pt and .npz files, not from {path.name}", path=str(path)
    )
