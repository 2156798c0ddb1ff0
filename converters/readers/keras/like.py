"""The structure of a Keras model without its weights: out of a file that holds its configuration, or out of memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from converters.readers.hdf5.tree import read_tree
from converters.readers.json_data import parse_json
from converters.readers.keras.belonging import belonging
from converters.readers.keras.config import Container, is_model, read_model
from converters.readers.keras.semantics import Version, parse_version
from converters.readers.opened import Opened
from converters.readers.source import open_source
from layouts.errors import ConversionError, UnreadableCheckpoint, printable
from layouts.records import dataclass

_MOST_CONFIG = 40 << 20


@dataclass(frozen=True, eq=False)
class Like:
    """A model that weights are to be written for."""

    name: str
    model: Container
    version: Version


def read_like(like: Any) -> Like:
    """The model of a `.keras`, `.h5` or `.json` file, of a folder, or in memory.

    Raises `UnreadableCheckpoint` where there is no configuration of layers.
    """
    if isinstance(like, str | os.PathLike):
        return _of_file(os.fspath(like))
    if not hasattr(like, "to_json"):
        raise ConversionError(f"like= names a model of Keras, its file or its configuration, not {type(like).__name__}")
    name = f"{type(like).__name__} in memory"
    return _like(name, parse_json(like.to_json(), "the configuration", name), "")


def _of_file(path: str) -> Like:
    try:
        if Path(path).is_dir():
            path = os.path.join(path, "config.json")
        opened = Opened(open_source(path))
        return _like(path, *_described(opened))
    except ConversionError as error:
        error.path = error.path or path
        raise


def _described(opened: Opened) -> tuple[Any, Any]:
    """The configuration, and the version that wrote it where that stands beside."""
    if opened.is_hdf5:
        root = read_tree(opened.source, belonging)
        text = root.attributes.get("model_config")
        config = parse_json(text, "model_config", opened.path) if isinstance(text, str) else None
        weights = root.group("model_weights")
        return config, root.text("keras_version") or (weights.text("keras_version") if weights else "")
    if opened.archive is None:
        beside = Path(opened.path).with_name("metadata.json")
        told = open_source(beside) if beside.is_file() and Path(opened.path).name == "config.json" else None
        return opened.json, _version(parse_json(told.view, "metadata.json", str(beside)) if told else None)
    config, facts = (opened.archive.read(name, _MOST_CONFIG) for name in ("config.json", "metadata.json"))
    described = parse_json(config.view, "config.json", opened.path) if config else None
    return described, _version(parse_json(facts.view, "metadata.json", opened.path) if facts else None)


def _version(facts: Any) -> Any:
    return facts.get("keras_version") if isinstance(facts, dict) else ""


def _like(name: str, config: Any, version: Any) -> Like:
    """`to_json` of Keras 2 tells its version itself; that of Keras 3 tells the module of every class."""
    if not is_model(config):
        raise UnreadableCheckpoint("like= needs the configuration of a model's layers, and there is none", path=name)
    told = version or config.get("keras_version") or ("3.0.0" if "module" in config else "")
    found = parse_version(told)
    if found.major < 2:
        what = printable(told) or "a version that is not told"
        raise UnreadableCheckpoint(f"weights are written for Keras 2 and 3, and like= is of {what}", path=name)
    return Like(name, read_model(config, name), found)
