"""Writers: one module per container, each atomic: the file is complete, or as it was before."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from converters.model.arrays import Array
from converters.model.tree import Tree
from converters.planning.plan import Plan
from converters.targets import Target
from layouts.errors import ConversionError, printable


class Writer(Protocol):
    """A sink over a file that does not exist yet."""

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...

    def assign(self, target: Array, source: Array, after: Callable[[Array], None]) -> None: ...

    def filled(self) -> None: ...

    def close(self) -> None:
        """Write what is left; the file is complete after this."""


WRITTEN = {
    ".safetensors": "safetensors, with the plan in its metadata",
    ".pt": "PyTorch state_dict",
    ".pth": "PyTorch state_dict",
    ".npz": "NumPy arrays",
    ".onnx": "whole model, of LSTM, GRU and RNN nodes",
    ".msgpack": "variables, as flax.serialization.to_bytes",
    ".eqx": "leaves in the order of the layers, for tree_deserialise_leaves",
    ".params": "parameters, for load_parameters and mx.nd.load",
    ".pdparams": "state_dict, for paddle.load",
    ".ckpt": "checkpoint by its prefix: .index and .data-00000-of-00001",
    ".keras": "whole model",
    ".weights.h5": "weights (HDF5, folders by class)",
    ".h5": "whole model, or with like= weights (HDF5, groups by layer)",
    ".hdf5": "whole model, or with like= weights (HDF5, groups by layer)",
}
"""What a file of each name is, as `gateport formats` prints it."""
IN_PIECES = {
    ".safetensors.index.json": "shards and their index (--max-shard-size 2GB)",
    "a folder": "torch.distributed.checkpoint (--to dcp)",
}
"""What is more than one file, in the same way."""
DISTRIBUTED = "dcp"
"""What `to` says for a folder of `torch.distributed.checkpoint`."""
_OPENED = {
    DISTRIBUTED: "distributed:DistributedWriter",
    ".safetensors": "safetensors:open_safetensors",
    ".npz": "npz:NpzWriter",
    ".onnx": "onnx:open_onnx",
    ".msgpack": "msgpack:open_msgpack",
    ".eqx": "equinox:open_leaves",
    ".params": "mxnet:open_params",
    ".pdparams": "paddle:open_pdparams",
    ".pt": "pytorch:TorchWriter",
    ".pth": "pytorch:TorchWriter",
}
"""What opens a file of plain arrays, `(path, Plan) -> Writer` of this room."""


def check_output(output: Path, target: Target, *, stated: bool) -> str:
    """The suffix by which a file is written; `stated` where the name does not have to tell the target.

    Raises `ConversionError` for one that the target does not have, or a folder that does not exist.
    """
    suffix = target.ending(output.name)
    check_name(output, target.suffixes if stated else tuple(WRITTEN), target.title if stated else "")
    return suffix


def check_name(output: Path, suffixes: Sequence[str], whose: str = "") -> None:
    """Raise `ConversionError` for a name with none of these suffixes, or a folder that does not exist."""
    if not output.name.lower().endswith(tuple(suffixes)):
        raise ConversionError(
            f"{printable(output.name)}: the output{f' for {whose}' if whose else ''} is named after its format: "
            f"{', '.join(suffixes)}",
            path=os.fspath(output),
        )
    _check_parent(output)


def check_folder(output: Path) -> None:
    """Raise `ConversionError` for the name of a new folder that something has, or whose own folder does not exist."""
    _check_parent(output)
    if os.path.lexists(output):
        raise ConversionError("the output is a new folder, and this is there already", path=os.fspath(output))


def _check_parent(output: Path) -> None:
    if not output.parent.is_dir():
        raise ConversionError(
            f"cannot write {printable(output)}: there is no folder {printable(output.parent)}", path=os.fspath(output)
        )


def last_file(output: Path, suffix: str) -> Path:
    """The file that makes an output complete: itself, or of a checkpoint in two files the one that tells the other."""
    return output.with_name(f"{output.name}.index") if suffix == ".ckpt" else output


@contextmanager
def writing(suffix: str, temporary: Path, output: Path, plan: Plan, tree: Tree | None = None) -> Iterator[Writer]:
    """The writer of a suffix that `check_output` let pass; closed when all is written. `tree` for HDF5 and archives."""
    if suffix == ".ckpt":
        from converters.writers.checkpoint import open_checkpoint

        with open_checkpoint(temporary, output, plan) as numbers:
            yield numbers
        return
    if suffix == ".keras" and tree is not None:
        from converters.writers.archive import ArchiveWriter

        archive = ArchiveWriter(temporary, tree)
        try:
            yield archive
            archive.close()
        finally:
            archive.abandon()
        return
    writer = _writer(suffix, temporary, plan, tree)
    yield writer
    writer.close()


def _writer(suffix: str, temporary: Path, plan: Plan, tree: Tree | None) -> Writer:
    if tree is not None:
        from converters.writers.hdf5 import open_hdf5

        return open_hdf5(temporary, tree)
    module, _, name = _OPENED[suffix].partition(":")
    found: Writer = getattr(importlib.import_module(f"converters.writers.{module}"), name)(temporary, plan)
    return found
