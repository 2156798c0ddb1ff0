"""`port`: a source as a folder that one owns: the module's text, its weights, and a check of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from converters.model.checkpoint import Checkpoint
from converters.planning.execution import execute
from converters.readers import read
from converters.torch import cells
from converters.torch.build import Draft, Factory, draft, realize
from converters.torch.inputs import random_inputs
from converters.torch.portrait import portrait
from converters.writers import writing
from converters.writers.atomic import replacing
from layouts.errors import ConversionError, printable
from layouts.records import dataclass

TOLERANCE = 1e-5
"""The largest difference from outputs recorded by the module itself, on another machine: rounding of float32."""


@dataclass(frozen=True, eq=False)
class Proof:
    """Inputs, the outputs that they have to give, and whose outputs these are."""

    inputs: tuple[np.ndarray[Any, Any], ...]
    outputs: tuple[np.ndarray[Any, Any], ...]
    tolerance: float
    by: str


Prover = Callable[[Checkpoint, nn.Module], Proof]


@dataclass(frozen=True, eq=False)
class Ported:
    """What was written: the folder, its files, the running module, and the proof."""

    folder: Path
    files: tuple[str, ...]
    module: nn.Module
    proof: Proof

    def __str__(self) -> str:
        listed = "\n".join(f"  {name}" for name in self.files)
        return f"{printable(self.folder)}: `python {printable(self.folder / 'model.py')}` checks it\n{listed}"


def port(
    source: Any,
    folder: str | os.PathLike[str],
    *,
    custom_layers: Mapping[str, Factory] | None = None,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
    prove: Prover | None = None,
) -> Ported:
    """Write a source as PyTorch code into a folder: model.py, its weights, and a check.

    model.py imports nothing of this library; where a drop-in layer is needed, its source stands beside it as cells.py.
    ``python folder/model.py`` runs the check. The files of an earlier port are replaced; others are left alone.

    custom_layers: as for `build`; the text leaves a marked class for each of them, to be written.
    prove: gives the inputs and outputs of the check; by default the module's own outputs for random inputs.

    Raises `NotRepresentable` with the names of all layers that cannot be built.
    """
    checkpoint = read(source, framework=framework, assume=assume, weights=weights)
    found = draft(checkpoint, custom_layers or {})
    module = realize(found)
    proof = (prove or own_outputs)(checkpoint, module)
    target = _made(folder)
    texts = {"model.py": found.source.text, "README.md": portrait(checkpoint, found, proof.by)}
    if found.source.cells:
        texts["cells.py"] = cells.source(found.source.cells)
    _write_weights(target / "model.safetensors", found, checkpoint.path)
    _write_check(target / "check.npz", proof)
    for name, text in texts.items():
        _write_text(target / name, text)
    files = (*texts, "model.safetensors", "check.npz")
    return Ported(target, tuple(sorted(files)), module, proof)


def own_outputs(checkpoint: Checkpoint, module: nn.Module) -> Proof:
    """Random inputs, and what the module itself makes of them: this tells whether a copy of it still does the same."""
    assert checkpoint.graph is not None
    inputs, outputs = random_inputs(checkpoint.graph, module)
    return Proof(inputs, outputs, TOLERANCE, "the module itself, when it was written")


def _made(folder: str | os.PathLike[str]) -> Path:
    target = Path(folder)
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise ConversionError(
            f"cannot make the folder {printable(target)}: {error.strerror}", path=os.fspath(target)
        ) from None
    return target


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_weights(path: Path, found: Draft, source: str) -> None:
    with replacing(path, source) as temporary, writing(path.suffix, temporary, path, found.plan) as writer:
        for _ in execute(found.plan, writer):
            pass


def _write_check(path: Path, proof: Proof) -> None:
    arrays: dict[str, Any] = {f"in/{k}": array for k, array in enumerate(proof.inputs)}
    arrays |= {f"out/{k}": array for k, array in enumerate(proof.outputs)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, tolerance=np.float64(proof.tolerance), **arrays)
