"""Pieces of every kind, written into their places of a file, are the bytes that they are in memory."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import converters
from converters.writers import in_place, panels
from converters.writers.in_place import InPlace, reserve
from layouts import blocks
from layouts.errors import ShapeError

Array = np.ndarray[Any, Any]
ROWS, COLUMNS = 521, 307
START = 88


def numbers(dtype: Any, shape: tuple[int, ...] = (ROWS, COLUMNS)) -> Array:
    return np.random.default_rng(7).integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8).view(dtype)[..., 0]


SOURCES: dict[str, Callable[[Any], Array]] = {
    "as it stands": lambda dtype: numbers(dtype),
    "transposed": lambda dtype: numbers(dtype, (COLUMNS, ROWS)).T,
    "transposed part": lambda dtype: numbers(dtype, (COLUMNS, ROWS + 13))[:, 5 : ROWS + 5].T,
    "transposed, rows at 4096 bytes": lambda dtype: numbers(dtype, (COLUMNS, 4096))[:, :ROWS].T,
    "columns of more": lambda dtype: numbers(dtype, (ROWS, COLUMNS + 3))[:, 3:],
    "backwards": lambda dtype: numbers(dtype)[::-1],
    "transposed backwards": lambda dtype: numbers(dtype, (COLUMNS, ROWS)).T[::-1, ::-1],
    "the same row": lambda dtype: np.broadcast_to(numbers(dtype, (COLUMNS,)), (ROWS, COLUMNS)),
}
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int8]


@pytest.fixture(params=["at once", "by two threads", "mapped"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of some megabytes; its writer has one thread or two, or no buffer."""
    monkeypatch.setattr(in_place, "_DIRECT", 1 << 12)
    monkeypatch.setattr(panels, "_AT_ONCE", 10007)
    monkeypatch.setattr(panels, "_EARLY", 1 << 15)
    monkeypatch.setattr(blocks, "_PANEL", 1 << 15)
    if request.param == "by two threads":
        monkeypatch.setattr(in_place, "_MANY", 0)
        monkeypatch.setattr("os.cpu_count", lambda: 2)
    if request.param == "mapped":
        monkeypatch.setattr(in_place, "_BUFFER", 1 << 10)
    reserve(tmp_path / "file", 1 << 23)
    return tmp_path / "file"


@pytest.fixture(autouse=True)
def _made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()


def stored(path: Path, size: int) -> bytes:
    return path.read_bytes()[START : START + size]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", SOURCES)
def test_a_piece_is_at_its_place(file: Path, kind: str, dtype: Any) -> None:
    source = SOURCES[kind](dtype)
    seen: list[bytes] = []
    writer = InPlace(file, {"a": START}, [source.nbytes])
    writer.assign(writer.allocate("a", source.shape, source.dtype), source, lambda panel: seen.append(panel.tobytes()))
    writer.close()
    cut = [source[rows].tobytes() for rows in blocks.panels(source, source.dtype.itemsize)]
    assert stored(file, source.nbytes) == source.tobytes() and sorted(seen) == sorted(cut)
    assert not any(file.read_bytes()[START + source.nbytes :]) and not any(file.read_bytes()[:START])


def test_a_piece_is_cast_on_its_way(file: Path) -> None:
    source = np.random.default_rng(7).random((COLUMNS, ROWS)).T
    writer = InPlace(file, {"a": START}, [source.nbytes // 2])
    writer.assign(writer.allocate("a", source.shape, np.dtype(np.float32)), source, lambda _: None)
    writer.close()
    assert stored(file, source.nbytes // 2) == source.astype(np.float32).tobytes()


def test_pieces_of_one_tensor_go_straight_or_by_its_memory(file: Path) -> None:
    """Rows out of order, columns that do not lie together, a few numbers, and what is written in memory."""
    wanted = numbers(np.float32, (700, 64))
    writer = InPlace(file, {"a": START, "b": 1 << 20}, [wanted.nbytes, 40])
    target = writer.allocate("a", wanted.shape, wanted.dtype)
    for rows in (slice(300, 500), slice(0, 100), slice(690, 700)):
        writer.assign(target[rows], wanted[rows], lambda _: None)
    target[100:300] = wanted[100:300]
    writer.assign(target[500:690, :32], wanted[500:690, :32], lambda _: None)
    writer.assign(target[500:690, 32:], wanted[500:690, 32:], lambda _: None)
    writer.allocate("b", (5,), np.dtype(np.float64))[...] = 7
    writer.filled()
    elsewhere = np.empty(wanted.shape, wanted.dtype)
    writer.assign(elsewhere, wanted, lambda _: None)
    writer.close()
    assert stored(file, wanted.nbytes) == wanted.tobytes() == elsewhere.tobytes()
    assert file.read_bytes()[1 << 20 : (1 << 20) + 40] == np.full(5, 7.0).tobytes()


def test_a_source_in_a_mapping_may_begin_anywhere(file: Path, tmp_path: Path) -> None:
    source = numbers(np.float32)
    (tmp_path / "odd").write_bytes(b"odd" + source.tobytes())
    with (tmp_path / "odd").open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    writer = InPlace(file, {"a": START}, [source.nbytes])
    part = np.frombuffer(mapped, np.float32, source.size, 3).reshape(source.shape)
    writer.assign(writer.allocate("a", source.shape, source.dtype), part, lambda _: None)
    writer.close()
    assert stored(file, source.nbytes) == source.tobytes()


def test_a_piece_of_another_shape_is_refused(file: Path) -> None:
    writer = InPlace(file, {"a": START}, [1 << 16])
    target = writer.allocate("a", (128, 128), np.dtype(np.float32))
    with pytest.raises(ShapeError, match="does not fit"):
        writer.assign(target, np.zeros((64, 256), np.float32), lambda _: None)
    writer.close()


def test_what_goes_wrong_in_writing_is_raised(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = numbers(np.float32)
    writer = InPlace(file, {"a": START}, [source.nbytes])
    target = writer.allocate("a", source.shape, source.dtype)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(panels, "write", full)
    with pytest.raises(OSError, match="No space"):
        writer.assign(target, source, lambda _: None)
        writer.close()


@pytest.mark.parametrize("place", [0, 4000, 8191])
def test_what_a_thread_sees_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """A NaN in any panel is in the report, which is made when all threads are done with the layer."""
    monkeypatch.setattr(in_place, "_MANY", 0)
    monkeypatch.setattr(in_place, "_DIRECT", 1 << 10)
    monkeypatch.setattr(blocks, "_PANEL", 1 << 10)
    monkeypatch.setattr(blocks, "_SMALL", 1 << 10)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    table = np.ones((8192, 64), np.float32)
    table[place, 5] = np.nan
    report = converters.convert_file({"table/embeddings": table}, tmp_path / "out.safetensors", framework="keras")
    assert any("NaN" in warning for warning in report.warnings)
