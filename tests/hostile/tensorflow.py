"""Checkpoints, SavedModels and graphs of TensorFlow, and files of TensorFlow Lite, that are damaged or lie."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from .cases import full, table

MAGIC = bytes.fromhex("57fb808b247547db")
NUMBERS = {"dense/bias": np.arange(1, 3, dtype="<f4"), "dense/kernel": np.arange(1, 7, dtype="<f4").reshape(3, 2)}
FLOAT = 1
_TABLE = [0] * 256
for _value in range(256):
    _register = _value
    for _ in range(8):
        _register = _register >> 1 ^ (0x82F63B78 if _register & 1 else 0)
    _TABLE[_value] = _register


def checksum(data: bytes) -> int:
    """CRC-32C as TensorFlow stores it."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 255] ^ value >> 8
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    found = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def shape(*sizes: int) -> bytes:
    return b"".join(field(2, field(1, size)) for size in sizes)


def entry(sizes: Iterable[int], offset: int, size: int, crc: int, shard: int = 0) -> bytes:
    """One tensor of a bundle."""
    fixed = varint(6 << 3 | 5) + struct.pack("<I", crc)
    return field(1, FLOAT) + field(2, shape(*sizes)) + field(3, shard) + field(4, offset) + field(5, size) + fixed


def block(entries: Iterable[tuple[bytes, bytes]], kind: int = 0) -> bytes:
    """A block of a table, every key whole, with what follows it."""
    body = b"".join(varint(0) + varint(len(k)) + varint(len(v)) + k + v for k, v in entries)
    return sealed(body + struct.pack("<II", 0, 1), kind)


def sealed(body: bytes, kind: int = 0) -> bytes:
    return body + bytes([kind]) + struct.pack("<I", checksum(body + bytes([kind])))


def handle(offset: int, data: bytes) -> bytes:
    return varint(offset) + varint(len(data) - 5)


def table_of(data: bytes, *, place: bytes | None = None) -> bytes:
    """A table of one data block; `place` lies about where that is."""
    index = block([(b"\xff", place or handle(0, data))])
    footer = handle(len(data), data[:5]) + handle(len(data), index)
    return data + index + footer.ljust(40, b"\0") + MAGIC


def entries_of(arrays: Mapping[str, np.ndarray]) -> dict[bytes, bytes]:
    """Header and entries of a sound bundle."""
    found, at = {b"": field(1, 1)}, 0
    for name, array in sorted(arrays.items()):
        data = array.tobytes()
        found[name.encode()] = entry(array.shape, at, len(data), checksum(data))
        at += len(data)
    return found


def bundle(folder: Path, entries: Mapping[bytes, bytes] | None = None, data: bytes | None = None) -> Path:
    """A checkpoint in parts, with changes; the path of its index."""
    own = entries_of(NUMBERS) if entries is None else entries
    path = folder / "model.ckpt.index"
    path.write_bytes(table_of(block(own.items())))
    whole = b"".join(NUMBERS[name].tobytes() for name in sorted(NUMBERS))
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(whole if data is None else data)
    return path


def sound_bundle(folder: Path) -> Path:
    """Not hostile: a checkpoint of one Dense layer."""
    return bundle(folder)


def _with(name: str, *sizes: int, **changes: int) -> dict[bytes, bytes]:
    """The entries, one of them changed."""
    found = entries_of(NUMBERS)
    array = NUMBERS[name]
    known = {"offset": 0 if "bias" in name else 8, "size": array.nbytes, "crc": checksum(array.tobytes())} | changes
    found[name.encode()] = entry(sizes or array.shape, **known)
    return found


def bundle_index_truncated(folder: Path) -> Path:
    """The index has lost its end (bad input: truncated)."""
    path = bundle(folder)
    path.write_bytes(path.read_bytes()[:-9])
    return path


def bundle_index_of_48_bytes(folder: Path) -> Path:
    """An index is nothing but the end of one, which points before its own start (rule 5)."""
    path = folder / "model.ckpt.index"
    path.write_bytes((varint(1 << 40) * 4).ljust(40, b"\0") + MAGIC)
    return path


def bundle_data_truncated(folder: Path) -> Path:
    """The data file has lost its second half (row 10)."""
    return bundle(folder, data=b"\0" * 16)


def bundle_data_missing(folder: Path) -> Path:
    """There is no data file (bad input: missing)."""
    path = bundle(folder)
    (folder / "model.ckpt.data-00000-of-00001").unlink()
    return path


def bundle_data_changed(folder: Path) -> Path:
    """One byte of a weight is another than its checksum says (row 10)."""
    return bundle(folder, data=b"\1" + b"\0" * 31)


def bundle_block_changed(folder: Path) -> Path:
    """One byte of the index is another than its checksum says (row 10)."""
    path = bundle(folder)
    data = bytearray(path.read_bytes())
    data[9] ^= 1
    path.write_bytes(bytes(data))
    return path


def bundle_size_beyond_the_file(folder: Path) -> Path:
    """A tensor ends behind its file (row 10)."""
    return bundle(folder, _with("dense/kernel", 1 << 20, 2, size=8 << 20))


def bundle_size_of_another_shape(folder: Path) -> Path:
    """A tensor has fewer bytes than its shape (row 10)."""
    return bundle(folder, _with("dense/kernel", 1 << 30, 1 << 20))


def bundle_shape_negative(folder: Path) -> Path:
    """A tensor has a size below zero (rule 7)."""
    return bundle(folder, _with("dense/kernel", -3, 2))


def bundle_shard_of_none(folder: Path) -> Path:
    """A tensor is in a file beyond those that there are (row 10)."""
    return bundle(folder, _with("dense/kernel", shard=7))


def bundle_of_a_billion_files(folder: Path) -> Path:
    """The index tells of more files than a disk holds (rule 5)."""
    return bundle(folder, entries_of(NUMBERS) | {b"": field(1, 1 << 30)})


def bundle_of_one_region(folder: Path) -> Path:
    """Two tensors are the same bytes, which multiplies what is read (rule 6)."""
    found = entries_of(NUMBERS)
    return bundle(folder, found | {b"other/kernel": found[b"dense/kernel"]})


def bundle_keys_in_disorder(folder: Path) -> Path:
    """Keys do not grow, so that one may stand there twice (rule 6)."""
    found = list(entries_of(NUMBERS).items())
    path = bundle(folder)
    path.write_bytes(table_of(block([found[0], found[2], found[1], found[2]])))
    return path


def bundle_of_long_keys(folder: Path) -> Path:
    """Keys of 60 KB in three bytes each, by sharing their beginning (rule 5)."""
    long = b"k" * 60_000
    header = varint(0) + varint(0) + varint(2) + field(1, 1)
    first = header + varint(0) + varint(len(long)) + varint(0) + long
    rest = b"".join(varint(60_000) + varint(4) + varint(0) + struct.pack(">I", k) for k in range(full(200_000)))
    path = bundle(folder)
    path.write_bytes(table_of(sealed(first + rest + struct.pack("<II", 0, 1))))
    return path


def table_of_something_else(folder: Path) -> Path:
    """A table of leveldb that is no checkpoint (rule 8)."""
    path = folder / "model.ckpt.index"
    path.write_bytes(table_of(block([(b"key", b"value")])))
    return path


def bundle_index_of_itself(folder: Path) -> Path:
    """The index block names itself as the data (rule 5)."""
    path = folder / "model.ckpt.index"
    index = block([(b"\xff", varint(0) + varint(15))])
    path.write_bytes(index + (handle(0, index) * 2).ljust(40, b"\0") + MAGIC)
    return path


def bundle_snappy_bomb(folder: Path) -> Path:
    """A block of twenty bytes says that it is a gigabyte (rule 5)."""
    path = bundle(folder)
    path.write_bytes(table_of(sealed(varint(1 << 30) + b"\0k" + b"\xfe\1\0" * 5, 1)))
    return path


def bundle_snappy_from_nowhere(folder: Path) -> Path:
    """A compressed block copies from before its start (row 1)."""
    path = bundle(folder)
    path.write_bytes(table_of(sealed(varint(64) + b"\xfe\1\0", 1)))
    return path


def bundle_data_linked_out(folder: Path) -> Path:
    """The data file is a link out of the folder (row 10)."""
    inside = folder / "inside"
    inside.mkdir()
    path = bundle(inside)
    data = inside / "model.ckpt.data-00000-of-00001"
    data.rename(folder / "data")
    data.symlink_to(folder / "data")
    return path


def bundle_data_a_fifo(folder: Path) -> Path:
    """The data file is a FIFO, which blocks for ever on opening (row 11)."""
    path = bundle(folder)
    (folder / "model.ckpt.data-00000-of-00001").unlink()
    os.mkfifo(folder / "model.ckpt.data-00000-of-00001")
    return path


def bundle_data_alone(folder: Path) -> Path:
    """A data file is given, and its index is gone (bad input: missing)."""
    bundle(folder).unlink()
    return folder / "model.ckpt.data-00000-of-00001"


def bundle_part_that_is_not_there(folder: Path) -> Path:
    """A partitioned variable lists a part that the index does not hold (row 10)."""
    part = field(7, field(1, field(1, 0) + field(2, 3)) + field(1, field(1, 0) + field(2, 2)))
    whole = field(1, FLOAT) + field(2, shape(3, 2)) + part
    return bundle(folder, entries_of(NUMBERS) | {b"dense/kernel": whole})


def state_that_climbs(folder: Path) -> Path:
    """The file 'checkpoint' names a prefix elsewhere (rule 2)."""
    inside = folder / "inside"
    inside.mkdir()
    bundle(folder)
    (inside / "checkpoint").write_text('model_checkpoint_path: "../other.ckpt"\n')
    return inside / "checkpoint"


def folder_of_two_checkpoints(folder: Path) -> Path:
    """A folder has two checkpoints and does not say which is meant (rule 8)."""
    inside = folder / "two"
    inside.mkdir()
    path = bundle(inside)
    (inside / "later.ckpt.index").write_bytes(path.read_bytes())
    return inside


def objects(folder: Path, graph: bytes) -> Path:
    """A checkpoint of objects with this object graph."""
    length = varint(len(graph))
    four = struct.pack("<I", len(graph))
    data = length + struct.pack("<I", checksum(four)) + graph
    text = four + data[len(length) :]
    found = entries_of({"a/.ATTRIBUTES/VARIABLE_VALUE": NUMBERS["dense/kernel"]})
    fixed = varint(6 << 3 | 5) + struct.pack("<I", checksum(text))
    start = NUMBERS["dense/kernel"].nbytes
    found[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = field(1, 7) + field(4, start) + field(5, len(data)) + fixed
    return bundle(folder, dict(sorted(found.items())), NUMBERS["dense/kernel"].tobytes() + data)


def _child(number: int, name: str) -> bytes:
    return field(1, field(1, number) + field(2, name))


def sound_objects(folder: Path) -> Path:
    """Not hostile: one Dense layer, among objects that hold one another."""
    value = field(1, "VARIABLE_VALUE") + field(2, "dense/kernel") + field(3, "a/.ATTRIBUTES/VARIABLE_VALUE")
    nodes = [_child(1, "a") + _child(0, "root"), _child(0, "back") + field(2, value)]
    return objects(folder, b"".join(field(1, node) for node in nodes))


def objects_held_nowhere(folder: Path) -> Path:
    """An object holds one that is not there (rule 6)."""
    return objects(folder, field(1, _child(1 << 40, "a")))


def objects_without_variables(folder: Path) -> Path:
    """An object graph names none of the stored variables (rule 6)."""
    return objects(folder, field(1, _child(0, "a")))


def saved_model(folder: Path, data: bytes) -> Path:
    inside = folder / "model"
    (inside / "variables").mkdir(parents=True)
    (inside / "saved_model.pb").write_bytes(data)
    path = bundle(inside / "variables")
    path.rename(inside / "variables" / "variables.index")
    data_file = inside / "variables" / "model.ckpt.data-00000-of-00001"
    data_file.rename(data_file.with_name("variables.data-00000-of-00001"))
    return inside


def saved_model_damaged(folder: Path) -> Path:
    """A SavedModel's graph is no protobuf (row 10)."""
    return saved_model(folder, b"\x08\x01\x12\xff\xff\x7f" + b"\xff" * 50)


def saved_model_without_graph(folder: Path) -> Path:
    """A SavedModel has a version and no graph (rule 6)."""
    return saved_model(folder, field(1, 1))


def saved_model_without_variables(folder: Path) -> Path:
    """A SavedModel has no variables (bad input: missing)."""
    path = saved_model(folder, field(1, 1) + field(2, field(1, field(5, "2.15.0"))))
    (path / "variables" / "variables.index").unlink()
    return path


def node(name: str, op: str, *inputs: str, attributes: bytes = b"") -> bytes:
    return field(1, field(1, name) + field(2, op) + b"".join(field(3, each) for each in inputs) + attributes)


def frozen(folder: Path, tensor: bytes) -> Path:
    value = field(5, field(1, "value") + field(2, field(8, tensor)))
    path = folder / "frozen.pb"
    path.write_bytes(
        node("dense/kernel", "Const", attributes=value) + node("dense/kernel/read", "Identity", "dense/kernel")
    )
    return path


def sound_graph(folder: Path) -> Path:
    """Not hostile: a frozen Dense layer."""
    return frozen(folder, field(1, FLOAT) + field(2, shape(3, 2)) + field(4, NUMBERS["dense/kernel"].tobytes()))


def graph_constant_of_one_number(folder: Path) -> Path:
    """A constant of a billion numbers tells one, which stands for all (rule 5)."""
    return frozen(folder, field(1, FLOAT) + field(2, shape(1 << 15, 1 << 15)) + field(5, b"\0\0\0\0"))


def graph_constant_cut(folder: Path) -> Path:
    """A constant has fewer bytes than its shape (rule 5)."""
    return frozen(folder, field(1, FLOAT) + field(2, shape(3, 2)) + field(4, b"\0" * 20))


def function(name: str, *nodes: bytes) -> bytes:
    """A function of one input and one output."""
    signature = field(1, name) + field(2, field(1, "x")) + field(3, field(1, "y"))
    given = field(4, field(1, "y") + field(2, "x"))
    inner = b"".join(b"\x1a" + each[1:] for each in nodes)
    return field(2, field(1, field(1, signature) + inner + given))


def call(name: str, of: str) -> bytes:
    """A call of a function, as a node."""
    called = field(5, field(1, "f") + field(2, field(10, field(1, of))))
    return node(name, "PartitionedCall", "x", attributes=called)


def graph_that_calls_itself(folder: Path) -> Path:
    """A function calls itself (rule 5: depth)."""
    path = sound_graph(folder)
    path.write_bytes(path.read_bytes() + call("begin", "f") + function("f", call("again", "f")))
    return path


def graph_of_doubling_functions(folder: Path) -> Path:
    """Twenty functions, each of which calls the one before ten times (rule 5: counts)."""
    path = sound_graph(folder)
    stored = [path.read_bytes(), call("begin", "f19"), function("f0", node("n", "Identity", "x"))]
    for level in range(1, 20):
        stored.append(function(f"f{level}", *(call(f"c{k}", f"f{level - 1}") for k in range(10))))
    path.write_bytes(b"".join(stored))
    return path


def graph_alone(folder: Path) -> Path:
    """A graph is given without its checkpoint (bad input: missing)."""
    path = folder / "model.ckpt.meta"
    path.write_bytes(field(1, field(5, "1.15.5")) + field(2, node("x", "Placeholder")))
    return path


def one_file(folder: Path, *parts: tuple[bytes, bytes]) -> Path:
    """A checkpoint in one file whose header lists dense/kernel, and these parts."""
    listed = (
        field(1, "dense/kernel") + field(2, shape(3, 2)) + field(3, FLOAT) + field(4, field(1, b"") + field(1, b""))
    )
    path = folder / "model.ckpt"
    path.write_bytes(table_of(block([(b"", field(1, field(1, listed))), *parts])))
    return path


def _part(numbers: bytes) -> bytes:
    return field(2, field(1, "dense/kernel") + field(2, field(1, b"") + field(1, b"")) + field(3, field(5, numbers)))


def sound_one_file(folder: Path) -> Path:
    """Not hostile: a checkpoint in one file of one Dense layer."""
    return one_file(folder, (b"\0a", _part(NUMBERS["dense/kernel"].tobytes())))


def one_file_without_its_part(folder: Path) -> Path:
    """A checkpoint in one file lists a tensor and does not hold it (row 8)."""
    return one_file(folder)


def one_file_part_twice(folder: Path) -> Path:
    """A part of a tensor is there twice (rule 6)."""
    part = _part(NUMBERS["dense/kernel"].tobytes())
    return one_file(folder, (b"\0a", part), (b"\0b", part))


def one_file_of_too_many_numbers(folder: Path) -> Path:
    """A part holds more numbers than its shape (row 10)."""
    return one_file(folder, (b"\0a", _part(b"\0" * 400)))


def lite(folder: Path, data: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return path


def lite_of_nothing(folder: Path) -> Path:
    """A flatbuffer of its signature alone (bad input: truncated)."""
    return lite(folder, b"\x1c\0\0\0TFL3")


def lite_pointing_outside(folder: Path) -> Path:
    """The outermost table stands behind the file (rule 5)."""
    return lite(folder, b"\xff\xff\xff\x7fTFL3" + b"\0" * 64)


def lite_of_another_version(folder: Path) -> Path:
    """A version of the format that does not exist (rule 8)."""
    table_ = struct.pack("<HHH", 6, 8, 4)
    return lite(folder, struct.pack("<I", 16) + b"TFL3" + table_ + b"\0\0" + struct.pack("<iI", 8, 99))


def lite_of_a_billion_tables(folder: Path) -> Path:
    """A list says that it holds a billion tables (rule 5)."""
    fields = struct.pack("<HHHHH", 10, 16, 4, 0, 8)
    body = struct.pack("<iII", 12, 3, 4) + struct.pack("<I", 1 << 30) + b"\0" * 64
    return lite(folder, struct.pack("<I", 20) + b"TFL3" + fields + b"\0\0" + body)


CASES = table(
    "tensorflow",
    {
        bundle_index_truncated: "unrecognised format",
        bundle_index_of_48_bytes: "damaged or truncated",
        bundle_data_truncated: "damaged or truncated: its 24 bytes",
        bundle_data_missing: "cannot open the file",
        bundle_data_changed: "the checksum of dense/bias is wrong",
        bundle_block_changed: "the checksum of the block",
        bundle_size_beyond_the_file: "damaged or truncated",
        bundle_size_of_another_shape: "is not that of its 24 bytes",
        bundle_shape_negative: "impossible shape",
        bundle_shard_of_none: "in file 7 of 1",
        bundle_of_a_billion_files: "tells of 1073741824 data files",
        bundle_of_one_region: "are the same bytes",
        bundle_keys_in_disorder: "do not grow",
        bundle_of_long_keys: "claims more keys",
        bundle_index_of_itself: "damaged",
        table_of_something_else: "no checkpoint of TensorFlow",
        bundle_snappy_bomb: "a compressed block",
        bundle_snappy_from_nowhere: "copies from before its start",
        bundle_data_linked_out: "a link that leaves the folder",
        bundle_data_a_fifo: "not a regular file",
        bundle_data_alone: "which is not beside them",
        bundle_part_that_is_not_there: "lists a part of it that is not there",
        state_that_climbs: "no such checkpoint stands beside it",
        folder_of_two_checkpoints: "several checkpoints",
        objects_held_nowhere: "holds one that is not there",
        objects_without_variables: "no variables of a model",
        saved_model_damaged: "damaged or truncated",
        saved_model_without_graph: "holds no graph",
        saved_model_without_variables: "has no variables",
        graph_constant_of_one_number: "tells 1 of them",
        graph_constant_cut: "a tensor of 24 bytes has 20",
        graph_that_calls_itself: "call one another more than 24 deep",
        graph_of_doubling_functions: "are called more than 20000 times",
        graph_alone: "the checkpoint with its weights is not beside it",
        one_file_without_its_part: "are not those of its header",
        one_file_part_twice: "is there twice",
        one_file_of_too_many_numbers: "tells 100 of them",
        lite_of_nothing: "damaged or truncated",
        lite_pointing_outside: "damaged or truncated",
        lite_of_another_version: "version 99",
        lite_of_a_billion_tables: "damaged or truncated",
    },
)
SOUND = (sound_bundle, sound_objects, sound_graph, sound_one_file)
