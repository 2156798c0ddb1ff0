"""PyTorch's archives and older files: false storages, views, members and programs."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .cases import Case, table

STORED = bytes(range(240))


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _number(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _tuple(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def storage(key: str = "0", count: int = 60, kind: str = "FloatStorage", view: bytes = b"") -> bytes:
    """The persistent id of a storage, as a pickle has it."""
    return _tuple(_text("storage"), _name("torch", kind), _text(key), _text("cpu"), _number(count), view) + b"Q"


def tensor(
    shape: tuple[int, ...] = (20, 3), strides: tuple[int, ...] = (3, 1), offset: int = 0, held: bytes = b""
) -> bytes:
    """A tensor, as a pickle has it."""
    sizes = (_tuple(*map(_number, one)) for one in (shape, strides))
    return _name("torch._utils", "_rebuild_tensor_v2") + _tuple(
        held or storage(), _number(offset), *sizes, b"\x89", b"}"
    ) + b"R"  # fmt: skip


def state(*entries: tuple[str, bytes]) -> bytes:
    """A pickled dictionary."""
    return b"\x80\x02}" + b"".join(_text(name) + value + b"s" for name, value in entries) + b"."


def sound_state(**changes: Any) -> bytes:
    return state(("lin.weight", tensor(**changes)))


def archive(folder: Path, data: bytes | None = None, stored: bytes = STORED, **more: bytes) -> Path:
    """An archive of PyTorch with one storage."""
    members = {"data.pkl": sound_state() if data is None else data, "byteorder": b"little", "data/0": stored} | more
    return zipped(folder / "model.pt", {f"model/{name}": content for name, content in members.items()})


def zipped(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def sound_pt(folder: Path) -> Path:
    """Not hostile: one tensor in an archive."""
    return archive(folder)


def legacy_bytes(data: bytes, keys: list[str], *storages: tuple[int, bytes]) -> bytes:
    """The pickles of an older file, and the storages behind them."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    parts = [pickle.dumps(one, 2) for one in head] + [data, pickle.dumps(keys, 2)]
    return b"".join(parts) + b"".join(struct.pack("<q", count) + content for count, content in storages)


def legacy(folder: Path, data: bytes) -> Path:
    path = folder / "model.pth"
    path.write_bytes(data)
    return path


def sound_legacy(folder: Path) -> Path:
    """Not hostile: one tensor in an older file."""
    return legacy(folder, legacy_bytes(sound_state(), ["0"], (60, STORED)))


# --- what is named and called


def torch_of_system(folder: Path) -> Path:
    """A tensor's place that runs a command (rule 1)."""
    return archive(folder, state(("lin.weight", _name("os", "system") + _text("true") + b"\x85R")))


def torch_of_a_module(folder: Path) -> Path:
    """A whole module, whose class would be imported (rule 1)."""
    return archive(folder, b"\x80\x02" + _name("__main__", "Net") + b")\x81}b.")


def torch_loads_bytes(folder: Path) -> Path:
    """A storage that unpickles bytes of its own (rule 1)."""
    return archive(folder, state(("lin.weight", _name("torch.storage", "_load_from_bytes") + b"C\x01.\x85R")))


def torch_tensor_of_its_own_class(folder: Path) -> Path:
    """A tensor that is rebuilt as an object of its own class (rule 1)."""
    own = _tuple(_name("torch._utils", "_rebuild_tensor_v2"), _name("torch", "Size"), b")", b"N")
    return archive(folder, state(("lin.weight", _name("torch._tensor", "_rebuild_from_type_v2") + own + b"R")))


def torch_persistent_of_another_kind(folder: Path) -> Path:
    """A reference to a module outside the pickle (rule 1)."""
    return archive(folder, b"\x80\x02" + _tuple(_text("module"), _text("a"), _text("b")) + b"Q.")


def torch_storage_of_no_class(folder: Path) -> Path:
    """A storage of a class that is none (rule 1)."""
    return archive(folder, sound_state(held=storage(kind="Tensor")))


# --- what is claimed


def torch_view_beyond_its_storage(folder: Path) -> Path:
    """A tensor of more rows than its storage has (rule 5)."""
    return archive(folder, sound_state(shape=(21, 3)))


def torch_offset_beyond_its_storage(folder: Path) -> Path:
    """A tensor that begins behind its storage (rule 5)."""
    return archive(folder, sound_state(offset=1))


def torch_offset_below_zero(folder: Path) -> Path:
    """A tensor that begins before its storage (rule 5)."""
    return archive(folder, sound_state(offset=-1))


def torch_stride_below_zero(folder: Path) -> Path:
    """A tensor that is read backwards, out of its storage (rule 5)."""
    return archive(folder, sound_state(strides=(-3, 1), offset=57))


def torch_strides_of_another_rank(folder: Path) -> Path:
    """More strides than sizes (rule 5)."""
    return archive(folder, sound_state(strides=(3, 1, 1)))


def torch_expanded_to_2_40(folder: Path) -> Path:
    """One element, of stride 0, 2^40 times: four terabytes out of four bytes (row 6)."""
    return archive(folder, sound_state(shape=(1 << 40,), strides=(0,)))


def torch_product_beyond_all_numbers(folder: Path) -> Path:
    """Sizes whose product is 2^122 (rule 5)."""
    return archive(folder, sound_state(shape=(1 << 61, 1 << 61), strides=(0, 0)))


def torch_views_many_times_over(folder: Path) -> Path:
    """One storage of 60 elements, expanded as far as one may be, by 300 tensors (row 6)."""
    own = tensor((3840,), (0,))
    return archive(folder, state(*((f"a{k}.weight", own) for k in range(300))))


def torch_storage_longer_than_its_member(folder: Path) -> Path:
    """A storage that claims more elements than its member holds (rule 5)."""
    return archive(folder, sound_state(held=storage(count=1 << 40)))


def torch_storage_in_two_ways(folder: Path) -> Path:
    """One storage under two types (rule 6)."""
    other = tensor(held=storage(kind="IntStorage"))
    return archive(folder, state(("a.weight", tensor()), ("b.weight", other)))


def torch_storage_missing(folder: Path) -> Path:
    """A storage whose member is not there (bad input)."""
    return archive(folder, sound_state(held=storage("7")))


def torch_storage_by_a_path(folder: Path) -> Path:
    """A storage by a path that climbs out of the archive (rule 2)."""
    return archive(folder, sound_state(held=storage("../../etc/passwd")))


def torch_view_of_a_storage_beyond_it(folder: Path) -> Path:
    """A part of a storage that lies behind it (rule 5)."""
    part = _tuple(_text("v"), _number(50), _number(20))
    return archive(folder, sound_state(held=storage(view=part)))


def torch_key_twice(folder: Path) -> Path:
    """One name twice in a state_dict (rule 6)."""
    return archive(folder, state(("lin.weight", tensor()), ("lin.weight", tensor())))


def torch_names_that_become_one(folder: Path) -> Path:
    """a/b.weight and a.b.weight, which would be one key (rule 6)."""
    return archive(folder, state(("a/b.weight", tensor()), ("a.b.weight", tensor())))


def torch_byteorder_of_neither(folder: Path) -> Path:
    """A byte order that is none (bad input)."""
    return archive(folder, byteorder=b"middle")


def torch_crc_wrong(folder: Path) -> Path:
    """A storage with a flipped bit, whose checksum tells (row 9)."""
    path = archive(folder)
    data = bytearray(path.read_bytes())
    data[data.index(STORED) + 7] ^= 1
    path.write_bytes(data)
    return path


def torch_cut(folder: Path) -> Path:
    """An archive that ends within its directory (bad input)."""
    path = archive(folder)
    path.write_bytes(path.read_bytes()[:-60])
    return path


def torch_deflated_bomb(folder: Path) -> Path:
    """A storage that inflates to a thousand times its bytes, and is declared so (row 4)."""
    size = 1 << 24
    members = {"model/data.pkl": sound_state(held=storage(count=size // 4)), "model/data/0": bytes(size)}
    return zipped(folder / "model.pt", members | {"model/byteorder": b"middle"}, zipfile.ZIP_DEFLATED)


def torch_without_weights(folder: Path) -> Path:
    """A dictionary of settings alone (rule 6)."""
    return archive(folder, state(("epoch", _number(3))))


def torch_dictionaries_of_one(folder: Path) -> Path:
    """A dictionary 50 times in one that is 50 times in the next, and so on: 125,000 paths to one tensor (row 6)."""
    made = b"\x80\x02}q\x00" + _text("w") + tensor() + b"s0"
    for level in range(3):
        entries = b"".join(_text(f"d{k}") + b"h" + bytes([level]) + b"s" for k in range(50))
        made += b"}q" + bytes([level + 1]) + entries + b"0"
    return archive(folder, made + b"}" + _text("w") + tensor() + b"s" + _text("x") + b"h\x03s.")


# --- older files


def legacy_cut_in_its_pickle(folder: Path) -> Path:
    """An older file that ends within its pickle (bad input)."""
    return legacy(folder, sound_legacy(folder).read_bytes()[:120])


def legacy_cut_in_its_storage(folder: Path) -> Path:
    """An older file that ends within a storage (bad input)."""
    return legacy(folder, sound_legacy(folder).read_bytes()[:-8])


def legacy_cut_in_a_length(folder: Path) -> Path:
    """An older file that ends within the length of a storage (bad input)."""
    return legacy(folder, sound_legacy(folder).read_bytes()[: -len(STORED) - 4])


def legacy_of_another_protocol(folder: Path) -> Path:
    """An older file of a protocol that does not exist (bad input)."""
    return legacy(folder, sound_legacy(folder).read_bytes().replace(b"M\xe9\x03", b"M\xea\x03", 1))


def legacy_storage_of_another_length(folder: Path) -> Path:
    """A storage of another length than its tensors say (rule 5)."""
    return legacy(folder, legacy_bytes(sound_state(), ["0"], (1 << 60, STORED)))


def legacy_storage_below_zero(folder: Path) -> Path:
    """A storage of a negative length, so that the next one begins before it (rule 5)."""
    return legacy(folder, legacy_bytes(sound_state(), ["0"], (-60, STORED)))


def legacy_storage_not_listed(folder: Path) -> Path:
    """A storage that the list does not have (bad input)."""
    return legacy(folder, legacy_bytes(sound_state(), []))


def legacy_storage_listed_twice(folder: Path) -> Path:
    """A storage that the list has twice (rule 6)."""
    return legacy(folder, legacy_bytes(sound_state(), ["0", "0"], (60, STORED), (60, STORED)))


def legacy_list_of_dictionaries(folder: Path) -> Path:
    """A list of storages that are no texts (bad input)."""
    return legacy(folder, legacy_bytes(sound_state(), [{}], (60, STORED)))  # type: ignore[list-item]


def legacy_of_system(folder: Path) -> Path:
    """An older file whose facts of the system run a command (rule 1)."""
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    return legacy(folder, head + b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")


# --- programs


def _script(folder: Path, data: bytes) -> Path:
    return archive(folder, data, **{"constants.pkl": b"\x80\x02).", "code/__torch__.py": b"class M(Module):\n"})


def _object(name: str, members: bytes) -> bytes:
    return _name("__torch__", name) + b")\x81}" + members + b"b"


def script_10000_deep(folder: Path) -> Path:
    """Modules in modules, 10,000 deep (rule 1)."""
    return _script(
        folder, b"\x80\x02" + (_name("__torch__", "M") + b")\x81}" + _text("a")) * 10_000 + b"N" + b"sb" * 10_000 + b"."
    )


def script_that_holds_itself(folder: Path) -> Path:
    """A module that is its own part (rule 1)."""
    return _script(folder, b"\x80\x02" + _name("__torch__", "M") + b")\x81q\x00}" + _text("a") + b"h\x00sb.")


def script_with_a_dotted_member(folder: Path) -> Path:
    """A member whose name is two, and would be another's (rule 6)."""
    return _script(folder, b"\x80\x02" + _object("M", _text("a.weight") + tensor() + b"s") + b".")


def script_of_system(folder: Path) -> Path:
    """A program that names what is none of its own (rule 1)."""
    return _script(folder, b"\x80\x02" + _object("M", _text("a") + _name("os", "system") + b"s") + b".")


def script_of_nothing(folder: Path) -> Path:
    """A program without weights (rule 6)."""
    return _script(folder, b"\x80\x02" + _object("M", _text("training") + b"\x89s") + b".")


def _program(folder: Path, config: Any) -> Path:
    members = {
        "m/models/model.json": b"{}",
        "m/data/weights/model_weights_config.json": json.dumps({"config": config}).encode(),
        "m/data/weights/weight_0": STORED,
    }
    return zipped(folder / "model.pt2", members)


def _weight(**changes: Any) -> dict[str, Any]:
    meta = {
        "dtype": 7,
        "sizes": [{"as_int": 20}, {"as_int": 3}],
        "strides": [{"as_int": 3}, {"as_int": 1}],
        "storage_offset": {"as_int": 0},
    } | changes
    return {"lin.weight": {"path_name": "weight_0", "use_pickle": False, "tensor_meta": meta}}


def program_beyond_its_weights(folder: Path) -> Path:
    """A weight of more rows than its member has (rule 5)."""
    return _program(folder, _weight(sizes=[{"as_int": 1 << 40}, {"as_int": 3}]))


def program_below_zero(folder: Path) -> Path:
    """A weight that begins before its member (rule 5)."""
    return _program(folder, _weight(storage_offset={"as_int": -4}))


def program_of_symbols(folder: Path) -> Path:
    """A weight whose size is an expression (rule 1)."""
    return _program(folder, _weight(sizes=[{"as_expr": {"expr_str": "s0"}}, {"as_int": 3}]))


def program_of_a_path(folder: Path) -> Path:
    """A weight by a path out of the archive (rule 2)."""
    return _program(folder, {"lin.weight": _weight()["lin.weight"] | {"path_name": "../../secret"}})


def program_that_unpickles(folder: Path) -> Path:
    """A weight that is a pickle of its own (rule 1)."""
    return _program(folder, {"lin.weight": _weight()["lin.weight"] | {"use_pickle": True}})


def program_of_a_list(folder: Path) -> Path:
    """A table of weights that is none (bad input)."""
    return _program(folder, [1, 2])


def program_without_weights(folder: Path) -> Path:
    """An older program without its state_dict (bad input)."""
    return zipped(folder / "model.pt2", {"serialized_exported_program.json": b"{}"})


def program_around_no_archive(folder: Path) -> Path:
    """An older program whose state_dict is no archive (bad input)."""
    members = {"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": io.BytesIO(b"PK").getvalue() * 40}
    return zipped(folder / "model.pt2", members)


CASES: dict[str, Case] = table(
    "pytorch",
    {
        torch_of_system: "os.system",
        torch_of_a_module: "__main__.net",
        torch_loads_bytes: "_load_from_bytes",
        torch_tensor_of_its_own_class: "class of its own",
        torch_persistent_of_another_kind: "no storage",
        torch_storage_of_no_class: "no storage",
        torch_view_beyond_its_storage: "reaches element",
        torch_offset_beyond_its_storage: "reaches element",
        torch_offset_below_zero: "not possible",
        torch_stride_below_zero: "not possible",
        torch_strides_of_another_rank: "not possible",
        torch_expanded_to_2_40: "elements",
        torch_product_beyond_all_numbers: "elements",
        torch_views_many_times_over: "too many views",
        torch_storage_longer_than_its_member: "stored",
        torch_storage_in_two_ways: "two ways",
        torch_storage_missing: "no member",
        torch_storage_by_a_path: "no member",
        torch_view_of_a_storage_beyond_it: "beyond it",
        torch_key_twice: "twice",
        torch_names_that_become_one: "one layer",
        torch_byteorder_of_neither: "byteorder",
        torch_crc_wrong: "checksum",
        torch_cut: "damaged",
        torch_deflated_bomb: "byteorder",
        torch_without_weights: "no dictionary",
        torch_dictionaries_of_one: "several state_dicts",
        legacy_cut_in_its_pickle: "damaged",
        legacy_cut_in_its_storage: "truncated",
        legacy_cut_in_a_length: "truncated",
        legacy_of_another_protocol: "1001",
        legacy_storage_of_another_length: "elements",
        legacy_storage_below_zero: "elements",
        legacy_storage_not_listed: "not in it",
        legacy_storage_listed_twice: "list of storages",
        legacy_list_of_dictionaries: "list of storages",
        legacy_of_system: "os.system",
        script_10000_deep: "too deeply",
        script_that_holds_itself: "too deeply",
        script_with_a_dotted_member: "member",
        script_of_system: "os.system",
        script_of_nothing: "no weights",
        program_beyond_its_weights: "reaches element",
        program_below_zero: "impossible size",
        program_of_symbols: "impossible size",
        program_of_a_path: "not read",
        program_that_unpickles: "not read",
        program_of_a_list: "table of weights",
        program_without_weights: "neither",
        program_around_no_archive: "",
    },
)
