"""What `gateport formats` says is what there is: every reader can be imported, every kind is told, the order holds."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from converters.cli import main
from converters.readers.containers import FILES, PLACES, Container, Place
from converters.readers.opened import Opened
from converters.targets import OWN
from converters.writers import WRITTEN
from layouts import catalogue

KINDS = (*FILES, *PLACES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
def test_a_row_names_a_reader_and_a_framework_that_are_there(kind: Container | Place) -> None:
    module, _, function = kind.reader.partition(":")
    assert callable(getattr(importlib.import_module(f"converters.readers.{module}"), function))
    assert kind.framework == "any" or kind.framework in catalogue.frameworks()


def test_no_two_rows_are_called_the_same() -> None:
    assert len({kind.title for kind in KINDS}) == len(KINDS)


def test_the_command_prints_every_row() -> None:
    printed = CliRunner().invoke(main, ["formats"]).output
    assert all(kind.title in printed for kind in KINDS)
    assert ".safetensors" in printed


@pytest.mark.parametrize("content", [b"\0" * 64, b"\x89PNG\r\n\x1a\n" + b"\0" * 64, b"hello world, " * 9])
def test_what_is_no_model_is_told_by_none(content: bytes, tmp_path: Path) -> None:
    from converters.readers.source import open_source

    (tmp_path / "file").write_bytes(content)
    opened = Opened(open_source(tmp_path / "file"))
    assert [kind.title for kind in FILES if kind.tells(opened)] == []
    assert not [kind.title for kind in PLACES if kind.tells(tmp_path)]


def test_the_command_prints_which_cells_a_framework_has() -> None:
    lines = CliRunner().invoke(main, ["formats"]).output.splitlines()
    assert all(
        any(line.startswith(f"{name} ") and "yes" in line for line in lines) for name in ("keras", "flax", "onnx")
    )


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_file_that_is_written_has_a_target(suffix: str) -> None:
    assert any(suffix in target.suffixes for target in OWN)
