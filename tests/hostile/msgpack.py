"""Flax's msgpack, damaged in one place; bytes are put together by hand."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .cases import table

INPUT, UNIT = 3, 5


def text(word: str) -> bytes:
    return bytes([0xD9, len(word)]) + word.encode()


def number(value: int) -> bytes:
    return b"\xcf" + struct.pack(">Q", value)


def tree(items: Mapping[str, Any]) -> bytes:
    """A map of msgpack; bytes stand as they are."""
    inner = (text(key) + (tree(value) if isinstance(value, Mapping) else value) for key, value in items.items())
    return b"\xde" + struct.pack(">H", len(items)) + b"".join(inner)


def array(values: np.ndarray, shape: bytes | None = None, dtype: str = "float32", code: int = 1) -> bytes:
    """An array as Flax writes it; `shape` stands instead of the true one."""
    sizes = shape or b"\xdc" + struct.pack(">H", values.ndim) + b"".join(map(number, values.shape))
    data = values.tobytes()
    content = b"\x93" + sizes + text(dtype) + b"\xc6" + struct.pack(">I", len(data)) + data
    return b"\xc9" + struct.pack(">Ib", len(content), code) + content


def values(*shape: int) -> np.ndarray:
    count = int(np.prod(shape))
    return (np.arange(1, count + 1, dtype="<f4") / (count + 1)).reshape(shape)


DENSE = {"kernel": array(values(INPUT, UNIT)), "bias": array(values(UNIT))}


def model(**changed: Any) -> bytes:
    return tree({"params": {"Dense_0": {**DENSE, **changed}}})


def _written(folder: Path, data: bytes, name: str = "model.msgpack") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def sound_msgpack(folder: Path) -> Path:
    """Not hostile: a Dense as Flax writes it."""
    return _written(folder, model())


def msgpack_truncated(folder: Path) -> Path:
    """The file ends within its last array (bad input: truncated)."""
    return _written(folder, model()[:-7])


def msgpack_of_4_gigabytes(folder: Path) -> Path:
    """An array announces 4 GB of data that do not follow (rule 5)."""
    data = model()
    at = data.rindex(b"\xc6")
    return _written(folder, data[: at + 1] + b"\xff\xff\xff\xff" + data[at + 5 :])


def msgpack_of_a_billion_keys(folder: Path) -> Path:
    """A map announces 4 billion entries (rule 5)."""
    return _written(folder, model(more=b"\xdf\xff\xff\xff\xff"))


def msgpack_10000_deep(folder: Path) -> Path:
    """Maps within maps, 10,000 deep (rule 5)."""
    return _written(folder, model(more=(b"\x81" + text("a")) * 10_000 + b"\xc0"))


def msgpack_with_keys_twice(folder: Path) -> Path:
    """A layer has two arrays of one name (rule 6)."""
    inner = b"\x83" + b"".join(text(key) + value for key, value in (*DENSE.items(), ("bias", DENSE["bias"])))
    return _written(folder, tree({"params": {"Dense_0": inner}}))


def msgpack_shape_lies(folder: Path) -> Path:
    """An array of 20 bytes declares a shape of 4 TB (rule 5)."""
    return _written(folder, model(bias=array(values(UNIT), b"\x92" + number(1_000_000) * 2)))


def msgpack_shape_overflows(folder: Path) -> Path:
    """Sizes whose product is beyond 64 bits (rule 5)."""
    return _written(folder, model(bias=array(values(UNIT), b"\x93" + number(1 << 63) * 3)))


def msgpack_shape_negative(folder: Path) -> Path:
    """A size below zero (rule 5)."""
    return _written(folder, model(bias=array(values(UNIT), b"\x91\xff")))


def msgpack_of_objects(folder: Path) -> Path:
    """An array says that it holds objects (rule 1)."""
    return _written(folder, model(bias=array(values(UNIT), dtype="object")))


def msgpack_dtype_a_list(folder: Path) -> Path:
    """The name of a dtype is a structure (rule 1)."""
    return _written(folder, model(bias=array(values(UNIT), dtype="[('a', '<f4')]")))


def msgpack_extension_unknown(folder: Path) -> Path:
    """An extension that Flax does not write (rule 6)."""
    return _written(folder, model(bias=array(values(UNIT), code=77)))


def msgpack_with_more_behind(folder: Path) -> Path:
    """Another tree behind the tree (rule 6)."""
    return _written(folder, model() + model())


def msgpack_name_not_utf8(folder: Path) -> Path:
    """A name that is not UTF-8 (rule 8)."""
    return _written(folder, model().replace(b"bias", b"bia\xff"))


def msgpack_name_with_controls(folder: Path) -> Path:
    """A name that writes over the terminal (rule 8)."""
    return _written(folder, tree({"params": {"Dense\x1b[2K\n0": {**DENSE, "extra": array(values(2))}}}))


def _chunked(**changed: Any) -> bytes:
    flat = values(INPUT, UNIT).ravel()
    one = {"__msgpack_chunked_array__": b"\xc3", "shape": {"0": b"\x03", "1": b"\x05"}}
    return model(kernel={**one, "chunks": {"0": array(flat[:7]), "1": array(flat[7:])}, **changed})


def sound_chunked(folder: Path) -> Path:
    """Not hostile: an array in pieces, as Flax cuts those of more than 1 GB."""
    return _written(folder, _chunked())


def msgpack_pieces_missing(folder: Path) -> Path:
    """The pieces of an array are fewer than its shape says (rule 5)."""
    return _written(folder, _chunked(chunks={"0": array(values(7))}))


def msgpack_pieces_renumbered(folder: Path) -> Path:
    """The pieces of an array are numbered 0 and 2 (rule 6)."""
    return _written(folder, _chunked(chunks={"0": array(values(7)), "2": array(values(8))}))


def msgpack_pieces_of_pieces(folder: Path) -> Path:
    """A piece is an array in pieces that declares 1 TB (rule 5)."""
    inner = {"__msgpack_chunked_array__": b"\xc3", "shape": {"0": number(1 << 40)}, "chunks": {"0": array(values(7))}}
    return _written(folder, _chunked(chunks={"0": inner, "1": array(values(8))}))


CASES = table(
    "msgpack",
    {
        msgpack_truncated: "truncated",
        msgpack_of_4_gigabytes: "4294967295 bytes",
        msgpack_of_a_billion_keys: "8589934590 values",
        msgpack_10000_deep: "deeper than 100",
        msgpack_with_keys_twice: "twice",
        msgpack_shape_lies: "20 are stored",
        msgpack_shape_overflows: "20 are stored",
        msgpack_shape_negative: "impossible shape",
        msgpack_of_objects: "no numbers",
        msgpack_dtype_a_list: "no numbers",
        msgpack_extension_unknown: "extension 77",
        msgpack_with_more_behind: "follow behind the tree",
        msgpack_name_not_utf8: "UTF-8",
        msgpack_name_with_controls: "no layout fits",
        msgpack_pieces_missing: "do not make up",
        msgpack_pieces_renumbered: "not numbered",
        msgpack_pieces_of_pieces: "do not make up",
    },
)
