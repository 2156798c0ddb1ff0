"""Readers: one room a container or framework. `read` takes any source, and tells files apart by content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from converters.model.checkpoint import Checkpoint
from converters.readers.containers import ANY, FILES, PLACES, Container, Place
from converters.readers.opened import Opened, Request
from converters.readers.source import open_source
from converters.readers.strangers import described
from layouts.errors import ConversionError, UnreadableCheckpoint


def read(
    source: Any,
    *,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """What is in a source of any kind; see `converters.read`."""
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, str | os.PathLike):
        return open_checkpoint(source, Request(framework, assume or {}, weights or {}))
    if isinstance(source, list | tuple):
        source = {f"arr_{number}": array for number, array in enumerate(source)}
    if framework is not None:
        source = _fields(source)
    if isinstance(source, Mapping):
        return _mapping(source, framework, assume or {})
    found = _model(source, assume or {}, weights or {})
    if framework not in (None, found.framework):
        raise _stated_otherwise(found.framework)
    return found


def _fields(source: Any) -> Any:
    """The fields of a record, which count as a mapping; anything else as it is."""
    from converters.readers.arrays import nested

    return nested.fields(source) if nested.is_record(source) else source


def _mapping(source: Mapping[str, Any], framework: str | None, assume: Mapping[str, str]) -> Checkpoint:
    """Arrays in memory; tensors tell themselves whose they are."""
    from converters.readers.pytorch import memory

    if framework == memory.FRAMEWORK or (framework is None and memory.holds_tensors(source)):
        return memory.read_mapping(source, assume)
    from converters.readers.arrays.mapping import read_mapping

    return read_mapping(source, framework, assume)


def _model(source: Any, assume: Mapping[str, str], weights: Mapping[str, Any]) -> Checkpoint:
    """A model in memory."""
    if type(source).__name__ == "ModelProto":
        from converters.readers import onnx

        return onnx.read_model(source, weights, assume)
    from converters.readers.pytorch import memory

    if memory.is_module(source):
        return memory.read_module(source, assume)
    from converters.readers.keras.memory import read_model

    return read_model(source, assume)


def open_checkpoint(path: str | os.PathLike[str], request: Request) -> Checkpoint:
    """Read what is in a model file or folder, without its data. Raises `CheckpointError` and its kinds."""
    try:
        if "://" in (name := os.fspath(path)):
            return _at_a_distance(name, request)
        return _opened(Path(path), request)
    except ConversionError as error:
        error.path = error.path or os.fspath(path)
        raise


def _opened(path: Path, request: Request) -> Checkpoint:
    place = _the_one([place for place in PLACES if place.tells(path)], request)
    if place is not None:
        return place.read(path, request)
    if path.is_dir():
        known = " or ".join(f"{place.names} ({place.title})" for place in PLACES)
        raise UnreadableCheckpoint(f"this folder is not a model: it holds no {known}")
    return _file(Opened(open_source(path)), request)


def _at_a_distance(url: str, request: Request) -> Checkpoint:
    """What a URL names: a file, or a folder, which is fetched whole."""
    from converters.readers.remote.urls import is_url, local_path

    if (path := local_path(url) if is_url(url) else url) is not None:
        return _opened(Path(path), request)
    from converters.readers.remote.fetching import fetch_folder

    folder = fetch_folder(url)
    return _opened(folder, request) if folder else _file(Opened(open_source(url, ranged=True)), request)


def _file(opened: Opened, request: Request) -> Checkpoint:
    container = _the_one((container for container in FILES if container.tells(opened)), request)
    if container is None:
        raise UnreadableCheckpoint(described(opened))
    return container.read(opened if container.ranged else Opened(opened.source.whole()), request)


Kind = TypeVar("Kind", Container, Place)


def _the_one(telling: Iterable[Kind], request: Request) -> Kind | None:
    """The first kind that a source may be, of those whose arrays may be of the framework that is stated."""
    others: list[Kind] = []
    for kind in telling:
        if request.framework is None or kind.framework in (ANY, request.framework):
            return kind
        others.append(kind)
    if others:
        raise _stated_otherwise(others[0].framework)
    return None


def _stated_otherwise(framework: str) -> ConversionError:
    return ConversionError(
        f"framework= says whose arrays these are where a source does not; this one tells it itself: {framework}"
    )
