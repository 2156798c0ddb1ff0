"""Files of other frameworks with lies in them: MXNet, DyNet, MATLAB, Core ML, CNTK, DL4J."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

from .cases import archive, full, table

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
FAR = 1 << 40


def _sound(folder: Path, name: str) -> Path:
    """A copy of a fixture."""
    return Path(shutil.copy(FIXTURES / name, folder / Path(name).name))


def _changed(path: Path, old: bytes, new: bytes, count: int = 1) -> Path:
    content = path.read_bytes()
    if old not in content:
        raise ValueError(f"{path.name} has no {old!r}")
    path.write_bytes(content.replace(old, new, count))
    return path


# --- MXNet


def _array(shape: tuple[int, ...] = (2, 3), kind: int = 0, data: bytes = bytes(24), storage: int = 0) -> bytes:
    head = struct.pack("<Iii", 0xF993FAC9, storage, len(shape)) + struct.pack(f"<{len(shape)}q", *shape)
    return head + struct.pack("<iii", 1, 0, kind) + data


def _params(folder: Path, arrays: list[bytes], names: list[bytes], count: int | None = None, end: bytes = b"") -> Path:
    told = struct.pack("<QQQ", 0x112, 0, len(arrays) if count is None else count)
    named = struct.pack("<Q", len(names)) + b"".join(struct.pack("<Q", len(name)) + name for name in names)
    path = folder / "net.params"
    path.write_bytes(told + b"".join(arrays) + named + end)
    return path


def mxnet_arrays_beyond_the_end(folder: Path) -> Path:
    """2^40 arrays are claimed (rule 5)."""
    return _params(folder, [_array()], [b"w"], count=FAR)


def mxnet_shape_beyond_the_end(folder: Path) -> Path:
    """One array claims 2^40 rows (row 7, rule 5)."""
    return _params(folder, [_array((FAR, 3))], [b"w"])


def mxnet_negative_size(folder: Path) -> Path:
    """One array has -1 rows (rule 1)."""
    return _params(folder, [_array((-1, 3))], [b"w"])


def mxnet_axes_by_the_million(folder: Path) -> Path:
    """An old array without a magic number has as many axes as the number says (rule 5)."""
    return _params(folder, [struct.pack("<I", 1 << 20) + bytes(64)], [b"w"])


def mxnet_sparse(folder: Path) -> Path:
    """An array is stored sparse (rule 7)."""
    return _params(folder, [_array(storage=1)], [b"w"])


def mxnet_name_twice(folder: Path) -> Path:
    """Two arrays have one name (rule 6)."""
    return _params(folder, [_array(), _array()], [b"w", b"w"])


def mxnet_argument_and_state(folder: Path) -> Path:
    """An argument and an auxiliary state have one name (rule 6)."""
    return _params(folder, [_array(), _array()], [b"arg:w", b"aux:w"])


def mxnet_without_names(folder: Path) -> Path:
    """Arrays without names (rule 6)."""
    return _params(folder, [_array()], [])


def mxnet_with_a_tail(folder: Path) -> Path:
    """Bytes behind the end (rule 6)."""
    return _params(folder, [_array()], [b"w"], end=b"tail")


def mxnet_unknown_type(folder: Path) -> Path:
    """Elements of a type that MXNet does not have (rule 1)."""
    return _params(folder, [_array(kind=99)], [b"w"])


def mxnet_symbol_linked_out(folder: Path) -> Path:
    """The symbol beside it is a link out of the folder (rule 2)."""
    inside = folder / "inside"
    inside.mkdir()
    (folder / "outside.json").write_text("{}")
    (inside / "net-symbol.json").symlink_to(folder / "outside.json")
    return _params(inside, [_array()], [b"w"]).rename(inside / "net-0001.params")


def mxnet_symbol_of_nonsense(folder: Path) -> Path:
    """The symbol beside it names nodes that are not there (rule 1)."""
    nodes = [{"op": "FullyConnected", "name": "f", "inputs": [[0, 0, 0], [7, 0, 0]]}]
    (folder / "net-symbol.json").write_text(json.dumps({"nodes": nodes, "arg_nodes": []}))
    return _params(folder, [_array()], [b"w"]).rename(folder / "net-0001.params")


def mxnet_symbol_nested_deeply(folder: Path) -> Path:
    """The symbol beside it is 10,000 lists deep (rule 1)."""
    (folder / "net-symbol.json").write_text("[" * 10_000 + "]" * 10_000)
    return _params(folder, [_array()], [b"w"]).rename(folder / "net-0001.params")


# --- DyNet


def _parameters(folder: Path, text: str) -> Path:
    path = folder / "net.model"
    path.write_text(text)
    return path


def dynet_bytes_beyond_the_end(folder: Path) -> Path:
    """A parameter claims more bytes than follow (rule 5)."""
    return _parameters(folder, f"#Parameter# /w {{2,3}} {FAR} ZERO_GRAD\n1 2 3 4 5 6\n")


def dynet_sizes_beyond_the_bytes(folder: Path) -> Path:
    """The sizes are a million times a million (row 7, rule 5)."""
    return _parameters(folder, "#Parameter# /w {1000000,1000000} 12 ZERO_GRAD\n1 2 3 4 5 6\n")


def dynet_name_twice(folder: Path) -> Path:
    """Two parameters have one name (rule 6)."""
    return _parameters(folder, "#Parameter# /w {2} 4 ZERO_GRAD\n1 2\n" * 2)


def dynet_words(folder: Path) -> Path:
    """Words stand where numbers should (rule 1)."""
    text = "#Parameter# /head/W {1,2} 10 ZERO_GRAD\nspam eggs\n#Parameter# /head/b {1} 2 ZERO_GRAD\n1\n"
    return _parameters(folder, text)


def dynet_fewer_numbers(folder: Path) -> Path:
    """A line has fewer numbers than the sizes say (rule 6)."""
    text = "#Parameter# /head/W {2,2} 11 ZERO_GRAD\n1 2 3     \n#Parameter# /head/b {2} 4 ZERO_GRAD\n1 2\n"
    return _parameters(folder, text)


# --- MATLAB

HEAD = b"MATLAB 5.0 MAT-file, made by hand".ljust(124) + b"\x00\x01IM"


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def _matrix(flags: int, sizes: tuple[int, ...], name: bytes, *content: bytes) -> bytes:
    parts = [_element(6, struct.pack("<II", flags, 0)), _element(5, struct.pack(f"<{len(sizes)}i", *sizes))]
    return _element(14, b"".join((*parts, _element(1, name), *content)))


def _mat(folder: Path, *variables: bytes) -> Path:
    path = folder / "net.mat"
    path.write_bytes(HEAD + b"".join(variables))
    return path


def matlab_sizes_beyond_the_bytes(folder: Path) -> Path:
    """An array of 10^9 rows with one number (row 7, rule 5)."""
    return _mat(folder, _matrix(7, (10**9, 4), b"w", _element(7, bytes(4))))


def matlab_element_beyond_the_end(folder: Path) -> Path:
    """An element claims more bytes than follow (rule 5)."""
    return _mat(folder, struct.pack("<II", 14, 1 << 30) + bytes(64))


def matlab_negative_size(folder: Path) -> Path:
    """An array has -4 columns (rule 1)."""
    return _mat(folder, _matrix(7, (-4, -4), b"w", _element(7, bytes(64))))


def matlab_deflate_bomb(folder: Path) -> Path:
    """Deflated a thousand times smaller than it is (row 4, rule 5)."""
    content = _matrix(7, (full(1 << 20) * 100, 1), b"w", _element(7, bytes(400 * full(1 << 20))))
    return _mat(folder, *[_packed(content)] * 4)


def _packed(content: bytes) -> bytes:
    data = zlib.compress(content, 9)
    return struct.pack("<II", 15, len(data)) + data


def matlab_deflated_nonsense(folder: Path) -> Path:
    """A deflated variable that is no such thing (row 1)."""
    return _mat(folder, struct.pack("<II", 15, 64) + b"\x55" * 64)


def matlab_cells_in_cells(folder: Path) -> Path:
    """A cell in a cell, a thousand deep (rule 1)."""
    inner = _matrix(7, (1, 1), b"", _element(7, bytes(4)))
    for _ in range(1000):
        inner = _matrix(1, (1, 1), b"", inner)
    return _mat(folder, inner)


def matlab_cells_by_the_billion(folder: Path) -> Path:
    """A cell array of 10^9 members with none (rule 5)."""
    return _mat(folder, _matrix(1, (10**9, 1), b"c"))


def matlab_variable_twice(folder: Path) -> Path:
    """Two variables have one name (rule 6)."""
    return _mat(folder, *[_matrix(7, (2, 2), b"w", _element(7, bytes(16)))] * 2)


# --- Core ML


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))


def _field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _network(folder: Path, *layers: bytes) -> Path:
    path = folder / "net.mlmodel"
    network = b"".join(_field(1, layer) for layer in layers)
    path.write_bytes(_field(1, 4) + _field(2, b"") + _field(500, network))
    return path


def _product(inputs: int, outputs: int, numbers: int = 6) -> bytes:
    weights = _field(1, struct.pack(f"<{numbers}f", *range(numbers)))
    return _field(1, b"head") + _field(140, _field(1, inputs) + _field(2, outputs) + _field(20, weights))


def coreml_sizes_beyond_the_bytes(folder: Path) -> Path:
    """A layer of 2^40 inputs with six numbers (row 7, rule 5)."""
    return _network(folder, _product(FAR, 2))


def coreml_fewer_numbers(folder: Path) -> Path:
    """A layer has fewer numbers than its sizes say (rule 6)."""
    return _network(folder, _product(3, 3))


def coreml_loops_in_loops(folder: Path) -> Path:
    """A loop in a loop, hundreds deep (rule 1)."""
    layer = _product(3, 2)
    for _ in range(300):
        layer = _field(1, b"loop") + _field(615, _field(4, _field(1, layer)))
    return _network(folder, layer)


def _package(folder: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "coreml" / "recurrent" / "net.mlpackage", folder / "net.mlpackage"))


def coreml_manifest_leads_out(folder: Path) -> Path:
    """The manifest names a model outside of the package (rule 2)."""
    package = _package(folder)
    _changed(package / "Manifest.json", b"com.apple.CoreML/model.mlmodel", b"../../../../../etc/passwd", 99)
    return package


def coreml_weights_lead_out(folder: Path) -> Path:
    """The program names weights outside of the package (rule 2)."""
    package = _package(folder)
    model = package / "Data/com.apple.CoreML/model.mlmodel"
    _changed(model, b"@model_path/weights/weight.bin", b"@model_path/../../../../passwd", 999)
    return package


def coreml_weights_truncated(folder: Path) -> Path:
    """The file of weights has lost its second half (bad input: truncated)."""
    package = _package(folder)
    weights = package / "Data/com.apple.CoreML/weights/weight.bin"
    os.truncate(weights, 3000)
    return package


def coreml_records_without_a_mark(folder: Path) -> Path:
    """The records of the file of weights have no mark (rule 6)."""
    package = _package(folder)
    _changed(package / "Data/com.apple.CoreML/weights/weight.bin", b"\xef\xbe\xad\xde", bytes(4), 999)
    return package


def coreml_weights_a_fifo(folder: Path) -> Path:
    """The file of weights is a FIFO (row 11, rule 2)."""
    package = _package(folder)
    weights = package / "Data/com.apple.CoreML/weights/weight.bin"
    weights.unlink()
    os.mkfifo(weights)
    return package


# --- CNTK


def _value(content: bytes) -> bytes:
    return _field(1, 1) + content


def _dictionary(**values: bytes) -> bytes:
    return _field(1, 2) + b"".join(_field(2, _field(1, key.encode()) + _field(2, v)) for key, v in values.items())


def _cntk(folder: Path, inputs: bytes) -> Path:
    text = _value(_field(8, b"x"))
    path = folder / "net.model"
    path.write_bytes(_dictionary(type=text, root=text, primitive_functions=_value(_field(11, b"")), inputs=inputs))
    return path


def cntk_dictionaries_in_dictionaries(folder: Path) -> Path:
    """A dictionary in a dictionary, hundreds deep (rule 1)."""
    inner = _value(_field(4, 1))
    for _ in range(300):
        inner = _value(_field(12, _dictionary(a=inner)))
    return _cntk(folder, inner)


def cntk_sizes_beyond_the_bytes(folder: Path) -> Path:
    """A parameter of 2^40 numbers has none (row 7, rule 5)."""
    shape = _field(3, _field(1, _varint(FAR)))
    array = _value(_field(13, _field(1, 1) + shape + _field(4, _field(1, b""))))
    own = _dictionary(uid=_value(_field(8, b"w")), kind=_value(_field(5, 2)), value=array)
    return _cntk(folder, _value(_field(11, _field(1, _value(_field(12, own))))))


def cntk_without_identities(folder: Path) -> Path:
    """Variables that nothing names (rule 1)."""
    return _cntk(folder, _value(_field(11, _field(1, _value(_field(12, _dictionary()))))))


# --- DL4J


def _buffer(kind: str, numbers: bytes, count: int) -> bytes:
    def text(word: str) -> bytes:
        return struct.pack(">H", len(word)) + word.encode()

    return text("MIXED_DATA_TYPES") + struct.pack(">q", count) + text(kind) + numbers


def _coefficients(count: int, stored: int) -> bytes:
    shape = struct.pack(">8q", 2, 1, stored, 1, 1, 0, 1, 99)
    return _buffer("LONG", shape, 8) + _buffer("FLOAT", struct.pack(f">{stored}f", *range(stored)), count)


def _dl4j(folder: Path, inputs: object = 3, count: int = 8, stored: int = 8, extra: bytes = b"") -> Path:
    layer = {"layer": {"dense": {"nin": inputs, "nout": 2}}, "variables": ["W", "b"]}
    members = {
        "configuration.json": json.dumps({"confs": [layer]}).encode(),
        "coefficients.bin": _coefficients(count, stored) + extra,
    }
    return archive(folder / "net.zip", members)


def dl4j_numbers_beyond_the_end(folder: Path) -> Path:
    """The vector claims 2^40 numbers (rule 5)."""
    return _dl4j(folder, count=FAR)


def dl4j_more_numbers_than_layers(folder: Path) -> Path:
    """The layers have fewer parameters than are stored (rule 6)."""
    return _dl4j(folder, count=9, stored=9)


def dl4j_fewer_numbers_than_layers(folder: Path) -> Path:
    """The layers have more parameters than are stored (rule 6)."""
    return _dl4j(folder, inputs=1 << 30)


def dl4j_inputs_negative(folder: Path) -> Path:
    """A layer has -3 inputs (rule 1)."""
    return _dl4j(folder, inputs=-3)


def dl4j_with_a_tail(folder: Path) -> Path:
    """Bytes behind the vector (rule 6)."""
    return _dl4j(folder, extra=b"tail")


def dl4j_nested_deeply(folder: Path) -> Path:
    """The configuration is 10,000 lists deep (rule 1)."""
    members = {"configuration.json": b"[" * 10_000, "coefficients.bin": _coefficients(8, 8)}
    return archive(folder / "net.zip", members)


def dl4j_coefficients_a_bomb(folder: Path) -> Path:
    """The vector inflates to far more than the file has (row 4, rule 5)."""
    members = {"configuration.json": b"{}", "coefficients.bin": bytes(full(600 << 20))}
    return archive(folder / "net.zip", members, zipfile.ZIP_DEFLATED)


CASES = table(
    "other",
    {
        mxnet_arrays_beyond_the_end: "arrays are claimed",
        mxnet_shape_beyond_the_end: "bytes are claimed",
        mxnet_negative_size: "impossible shape",
        mxnet_axes_by_the_million: "axes",
        mxnet_sparse: "stored sparse",
        mxnet_name_twice: "two arrays are called w",
        mxnet_argument_and_state: "as an argument and as an auxiliary state",
        mxnet_without_names: "the arrays have no names",
        mxnet_with_a_tail: "bytes follow the names",
        mxnet_unknown_type: "the unknown type 99",
        mxnet_symbol_linked_out: "a link that leaves the folder",
        mxnet_symbol_of_nonsense: "is no symbol of MXNet",
        mxnet_symbol_nested_deeply: "nested",
        dynet_bytes_beyond_the_end: "bytes where",
        dynet_sizes_beyond_the_bytes: "fewer numbers than its sizes claim",
        dynet_name_twice: "two parameters are called w",
        dynet_words: "what is no number",
        dynet_fewer_numbers: "3 numbers of 4",
        matlab_sizes_beyond_the_bytes: "bytes are claimed",
        matlab_element_beyond_the_end: "bytes are claimed",
        matlab_negative_size: "impossible shape",
        matlab_deflate_bomb: "too many bytes",
        matlab_deflated_nonsense: "a deflated variable",
        matlab_cells_in_cells: "nested too deeply",
        matlab_cells_by_the_billion: "too many",
        matlab_variable_twice: "two variables are called w",
        coreml_sizes_beyond_the_bytes: "bytes are stored",
        coreml_fewer_numbers: "bytes are stored",
        coreml_loops_in_loops: "nested",
        coreml_manifest_leads_out: "is not a relative path",
        coreml_weights_lead_out: "is not a relative path",
        coreml_weights_truncated: "damaged or truncated weights of Core ML",
        coreml_records_without_a_mark: "the record of a constant",
        coreml_weights_a_fifo: "not a regular file",
        cntk_dictionaries_in_dictionaries: "nested too deeply",
        cntk_sizes_beyond_the_bytes: "bytes are",
        cntk_without_identities: "has no identity",
        dl4j_numbers_beyond_the_end: "elements are claimed",
        dl4j_more_numbers_than_layers: "8 parameters, and 9 are stored",
        dl4j_fewer_numbers_than_layers: "beyond the end",
        dl4j_inputs_negative: "nin is no size",
        dl4j_with_a_tail: "no vector",
        dl4j_nested_deeply: "nested",
        dl4j_coefficients_a_bomb: "",
    },
)
