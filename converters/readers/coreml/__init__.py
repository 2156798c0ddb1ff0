"""Core ML: `.mlmodel` files of neural networks and programs, and `.mlpackage` folders around them."""

from __future__ import annotations

from pathlib import Path

from converters.model.checkpoint import Checkpoint
from converters.readers.coreml.network import network_layers
from converters.readers.coreml.program import program_layers
from converters.readers.json_data import parse_json
from converters.readers.message import Message
from converters.readers.opened import Opened, Request
from converters.readers.signatures import KINDS_OF_COREML
from converters.readers.source import Source, open_beside, open_source
from layouts.errors import ConversionError, UnreadableCheckpoint, printable

_WHOSE = "a model of Core ML"
_VERSION, _PROGRAM = 1, 502
_NETWORKS = (500, 403, 303)
"""A neural network, and those that classify and regress."""


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a `.mlmodel`; the weights of a program stand in a folder beside it."""
    request.refuse_statements(_WHOSE)
    return _read(opened.source, opened.path)


def read_package(path: Path, request: Request) -> Checkpoint:
    """The layers of the model that the manifest of a `.mlpackage` names."""
    request.refuse_statements(_WHOSE)
    manifest = str(path / "Manifest.json")
    listed = parse_json(open_source(manifest).view, "Manifest.json", manifest)
    items = listed.get("itemInfoEntries") if isinstance(listed, dict) else None
    root = items.get(listed.get("rootModelIdentifier")) if isinstance(items, dict) else None
    relative = root.get("path") if isinstance(root, dict) else None
    if not isinstance(relative, str):
        raise UnreadableCheckpoint("Manifest.json names no model", path=manifest)
    try:
        return _read(open_beside(manifest, f"Data/{relative}"), str(path))
    except ConversionError as error:
        error.path = str(path)  # the package that a person gave, and not a file deep inside of it
        raise


def _read(source: Source, path: str) -> Checkpoint:
    model = Message(source.view)
    version = f"specification {model.integer(_VERSION)}"
    number = next((number for number in (_PROGRAM, *_NETWORKS) if number in model), None)
    if number is None:
        kinds = ", ".join(str(kind) for kind in sorted(model.numbers_of_fields()) if kind in KINDS_OF_COREML)
        raise UnreadableCheckpoint(
            f"this Core ML model is neither a neural network nor a program (kind {printable(kinds)})", path=path
        )
    if number == _PROGRAM:
        layers, remarks = program_layers(source, model.message(number))
        return Checkpoint(path, "coreml", version, "program (MIL)", layers, remarks=remarks)
    layers, remarks = network_layers(source, model.message(number))
    return Checkpoint(path, "coreml", version, "neural network (.mlmodel)", layers, remarks=remarks)
