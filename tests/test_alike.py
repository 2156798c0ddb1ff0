"""Files that are alike outside of their arrays are read once, and each is converted as if it had been read alone."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import ROOT

import converters
from converters import readers
from converters.readers.alike import Alike
from converters.readers.hdf5 import tree

FILES = sorted(
    path
    for path in ROOT.glob("fixtures/keras*/*/*")
    if path.suffix in (".h5", ".hdf5") and path.read_bytes()[:4] == b"\x89HDF"
)
SOME = FILES[::7]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The files that are read in full."""
    found: list[Any] = []
    read = readers.read

    def counted(source: Any, **options: Any) -> Any:
        found.append(source)
        return read(source, **options)

    monkeypatch.setattr(readers, "read", counted)
    return found


def trained_on(path: Path, seed: int, folder: Path) -> Path:
    """A copy of a file with other numbers in every array."""
    copy = folder / f"{seed}.h5"
    shutil.copyfile(path, copy)
    chance = np.random.default_rng(seed)

    def change(_: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset) and found.dtype.kind == "f" and found.size and found.chunks is None:
            found[...] = chance.random(found.shape)

    with h5py.File(copy, "r+") as file:
        file.visititems(change)
    return copy


def later(path: Path) -> None:
    """Let an old file have been written at another time, as h5py noted it before version 3."""
    content = bytearray(path.read_bytes())
    for walked in _walks(path):
        for start, stop in walked.meaningless:
            content[stop - 4 : stop] = (1_600_000_000 + start).to_bytes(4, "little")
    path.write_bytes(content)


def _walks(path: Path) -> list[tree.Walk]:
    with tree.walks() as found:
        converters.read(path)
    return found


def outcome(source: Any) -> Any:
    """The arrays of a conversion by name, or the error."""
    try:
        arrays = converters.convert(source, to="keras", strict=False)
    except converters.ConversionError as error:
        return type(error).__name__, str(error), error.path
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}


@pytest.mark.filterwarnings("ignore::converters.ConversionWarning")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.parent.name}/{path.parent.name}/{path.name}")
def test_each_file_is_converted_as_if_it_were_read_alone(path: Path, tmp_path: Path) -> None:
    alike = Alike()
    for number in (1, 2, 3, 1):
        file = str(trained_on(path, number, tmp_path))
        wanted = outcome(file)
        assert outcome(_read(alike, file)) == wanted


def _read(alike: Alike, path: str) -> Any:
    """What is read, or the path where that is refused: it will be refused again."""
    try:
        return alike.read(path, None, {})
    except converters.ConversionError:
        return path


def test_what_is_alike_is_parsed_once(tmp_path: Path, parsed: list[Any]) -> None:
    one, other = (ROOT / "fixtures" / "keras2" / case / "model.h5" for case in ("lstm_sigmoid", "gru_reset_after"))
    alike = Alike()
    files = [str(trained_on(path, number, tmp_path)) for path, number in ((one, 1), (other, 2), (one, 3), (other, 4))]
    found = [alike.read(file, None, {}) for file in files]
    assert parsed == files[:2] and [each.path for each in found] == files
    plans = [converters.plan(each) for each in found[2:]]
    assert [plan.checkpoint.path for plan in plans] == files[2:]


def test_when_a_file_was_written_does_not_count(tmp_path: Path, parsed: list[Any]) -> None:
    path = ROOT / "fixtures" / "keras2" / "lstm_sigmoid" / "model.h5"
    one, other = trained_on(path, 1, tmp_path), trained_on(path, 2, tmp_path)
    assert len(_walks(other)[0].meaningless) == 5
    later(other)
    parsed.clear()
    alike = Alike()
    found = [alike.read(str(file), None, {}) for file in (one, other)]
    assert len(parsed) == 1 and outcome(found[1]) == outcome(str(other)) != outcome(str(one))


def test_another_question_is_another_answer(tmp_path: Path, parsed: list[Any]) -> None:
    path = str(ROOT / "fixtures" / "keras2" / "lstm_sigmoid" / "model.h5")
    alike = Alike()
    alike.read(path, None, {})
    alike.read(path, "keras", {})
    assert len(parsed) == 2


@pytest.mark.filterwarnings("ignore::converters.ConversionWarning")
@pytest.mark.parametrize("path", SOME, ids=lambda path: f"{path.parent.parent.name}/{path.parent.name}")
def test_a_byte_that_is_read_makes_a_file_another(path: Path, tmp_path: Path) -> None:
    """Damage anywhere, of which much is in the structure: what comes of it is what comes of the file alone."""
    alike, content, damaged = Alike(), path.read_bytes(), tmp_path / "damaged.h5"
    for seed in range(40):
        alike.read(str(path), None, {})
        chance, changed = random.Random(seed), bytearray(content)
        changed[chance.randrange(min(len(content), 1 << (8 + seed % 8)))] ^= 1 << chance.randrange(8)
        damaged.write_bytes(changed)
        wanted = outcome(str(damaged))
        assert outcome(_read(alike, str(damaged))) == wanted


def test_a_longer_file_is_another(tmp_path: Path, parsed: list[Any]) -> None:
    path = ROOT / "fixtures" / "keras2" / "lstm_sigmoid" / "model.h5"
    alike, longer = Alike(), tmp_path / "longer.h5"
    longer.write_bytes(path.read_bytes() + b"\0")
    alike.read(str(path), None, {})
    alike.read(str(longer), None, {})
    assert len(parsed) == 2


def test_files_that_are_refused_or_spoken_of_are_not_kept(tmp_path: Path, parsed: list[Any]) -> None:
    """Their errors and remarks would name the file before."""
    path = next(path for path in FILES if any(layer.unknown for layer in converters.read(path).layers))
    parsed.clear()
    alike = Alike()
    for number in (1, 2):
        alike.read(str(trained_on(path, number, tmp_path)), None, {})
    assert len(parsed) == 2


def test_few_are_kept(parsed: list[Any]) -> None:
    alike, known = Alike(), [str(path) for path in FILES if _is_kept(path)][:12]
    parsed.clear()
    for path in [*known, *known]:
        alike.read(path, None, {})
    assert len(parsed) == 2 * len(known) > 20
    assert len(alike._known) == 8


def _is_kept(path: Path) -> bool:
    found = converters.read(path)
    return not found.remarks and not found.custom_layers and not any(layer.unknown for layer in found.layers)
