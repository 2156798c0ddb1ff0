"""Exported programs, `.pt2`: weights by their names in the module, and the classes of modules out of the graph.

Since PyTorch 2.8 an archive has `data/weights/model_weights_config.json`, which gives every weight's member, dtype,
sizes, strides and offset; before, `serialized_state_dict.pt`, an archive of `torch.save` within the archive. The graph
(`models/model.json`) says of every node in which modules it stands, `path,name,class` each: nothing else of it is
read. Source: torch/export/pt2_archive/_package.py and torch/_export/serde/schema.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.archives import Archive
from converters.readers.dtypes import DTYPES
from converters.readers.json_data import parse_json
from converters.readers.opened import Opened, Request
from converters.readers.pickled.known import table
from converters.readers.pytorch.layers import checkpoint
from converters.readers.pytorch.rebuilding import GROUPS
from converters.readers.pytorch.settings import Module
from converters.readers.pytorch.states import State, choose
from converters.readers.pytorch.telling import PROGRAMS, stem_of
from converters.readers.pytorch.tensors import Storage, Tensor
from converters.readers.pytorch.zipped import Members, member
from converters.readers.source import Source
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_CONFIG = "data/weights/model_weights_config.json"
_STATE = "serialized_state_dict.pt"
_MOST_JSON = 40 << 20
_NUMBERS = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8_e4m3fn",
    30: "float8_e5m2",
    31: "float8_e4m3fnuz",
    32: "float8_e5m2fnuz",
}
"""The numbers of dtypes in torch/_export/serde/schema.py."""
_MODULE = re.compile(r"[^,;]*,([^,;]*),torch\.nn\.modules\.[a-z_]+\.([A-Za-z0-9]+)")


def read(opened: Opened, request: Request) -> Checkpoint:
    """The layers of an exported program. Raises `CheckpointError` and its kinds."""
    archive = opened.archive
    assert archive is not None, opened.path
    stem = stem_of(opened, _CONFIG)
    state = _older(opened, archive, request) if stem is None else State(dict(_weights(opened, archive, stem)))
    graph = next(name for name in opened.members if name.endswith(PROGRAMS))
    program = parse_json(member(archive, graph, _MOST_JSON, opened.path).view, "the graph", opened.path)
    classes = dict(_classes(program))
    version = program.get("torch_version", "") if isinstance(program, dict) else ""
    version = version if isinstance(version, str) else ""
    size = len(opened.source)
    return checkpoint(
        opened.path, "exported program", state, request.assume, stored=size, modules=classes, version=version
    )


def _older(opened: Opened, archive: Archive, request: Request) -> State:
    """The state_dict of an archive within the archive."""
    name = next((name for name in opened.members if name.split("/")[-1] == _STATE), None)
    if name is None:
        raise UnreadableCheckpoint(f"the exported program has neither {_CONFIG} nor {_STATE}", path=opened.path)
    inner = Opened(member(archive, name, len(opened.source) << 10, opened.path))
    stem = stem_of(inner)
    if stem is None:
        raise UnreadableCheckpoint(f"{printable(name)} is no archive of PyTorch", path=opened.path)
    return choose(Members(inner, stem).load(table(*GROUPS)), inner.source, request.assume)


def _weights(opened: Opened, archive: Archive, stem: str) -> Iterator[tuple[str, LazyArray]]:
    """Every weight that the table of them names."""
    folder = f"{stem}data/weights/"
    text = member(archive, stem + _CONFIG, _MOST_JSON, opened.path)
    config = parse_json(text.view, "the table of weights", opened.path)
    table_of = config.get("config") if isinstance(config, dict) else None
    if not isinstance(table_of, dict):
        raise UnreadableCheckpoint("the table of weights is none", path=opened.path)
    members = Members(opened, stem, "data/weights/")
    for name, fields in table_of.items():
        yield name, _tensor(name, fields, archive, folder, members.bytes).lazy(name, opened.source)


def _tensor(name: str, fields: Any, archive: Archive, folder: str, stored: Callable[[str, int], Source]) -> Tensor:
    """One weight as the table describes it."""
    match fields:
        case {
            "path_name": str() as key,
            "use_pickle": False,
            "tensor_meta": {
                "dtype": int() as number,
                "sizes": list() as shape,
                "strides": list() as strides,
                "storage_offset": offset,
            },
        } if number in _NUMBERS and len(shape) == len(strides) <= 32 and folder + key in archive.members:
            dtype = DTYPES[_NUMBERS[number]]()
            held = archive.members[folder + key].file_size // dtype.itemsize
            sizes = [_whole(name, size) for size in (*shape, *strides)]
            start = _whole(name, offset)
            storage = Storage(key, dtype, held, stored)
            return Tensor(storage, dtype, start, tuple(sizes[: len(shape)]), tuple(sizes[len(shape) :]))
    raise UnreadableCheckpoint(f"weight {printable(name)} is described in a way that is not read")


def _whole(name: str, size: Any) -> int:
    match size:
        case {"as_int": int() as found} if 0 <= found < 1 << 62:
            return int(found)
    raise UnsafeCheckpoint(f"weight {printable(name)} has an impossible size")


def _classes(program: Any) -> Iterator[tuple[str, Module]]:
    """The classes of torch.nn by the paths of modules, as the nodes of the graph tell them."""
    module = program.get("graph_module") if isinstance(program, dict) else None
    graph: Mapping[str, Any] = module.get("graph", {}) if isinstance(module, dict) else {}
    nodes = graph.get("nodes", []) if isinstance(graph, dict) else []
    for node in nodes if isinstance(nodes, list) else ():
        metadata = node.get("metadata", {}) if isinstance(node, dict) else {}
        stack = metadata.get("nn_module_stack", "") if isinstance(metadata, dict) else ""
        for found in _MODULE.finditer(stack if isinstance(stack, str) else ""):
            yield found[1], Module(found[2], {})
