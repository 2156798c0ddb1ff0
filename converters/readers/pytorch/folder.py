"""A folder as Hugging Face's hub has models: one file of weights, or the index of its shards, by their usual names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from converters.model.checkpoint import Checkpoint
from converters.readers import index, safetensors
from converters.readers.opened import Opened, Request
from converters.readers.pytorch import legacy, zipped
from converters.readers.pytorch.telling import WEIGHTS, is_legacy
from converters.readers.source import open_source


def read(folder: Path, request: Request) -> Checkpoint:
    """The layers of the first of these files that is there; others are named."""
    first, *others = [name for name in WEIGHTS if (folder / name).is_file()]
    opened = Opened(open_source(folder / first))
    if first.endswith(".json"):
        found = index.read(opened, request)
    elif first.endswith(".safetensors"):
        found = safetensors.read(opened, request)
    else:
        found = (legacy if is_legacy(opened) else zipped).read(opened, request)
    beside = (f"read is {first}; beside it, and not read: {', '.join(others)}",) if others else ()
    return replace(found, remarks=(*found.remarks, *beside))
