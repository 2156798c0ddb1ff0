"""TorchScript archives: the modules of a program as a tree of objects, with their classes; the code is never run.

`data.pkl` holds one object of a class `__torch__.….M`, whose members are its tensors, its parts and its settings. The
classes of torch.nn keep their names: `__torch__.torch.nn.modules.rnn.LSTM`, with `___torch_mangle_{n}` where one name
is there twice. `constants.pkl` holds the tensors of code; a frozen program keeps all its weights there, without names.
Source: torch/csrc/jit/serialization (pickler.cpp, export_module.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.readers.opened import Opened, Request
from converters.readers.pickled.known import table
from converters.readers.pickled.records import Arguments, Global, Record
from converters.readers.pickled.stack import Find
from converters.readers.pytorch.code import Code
from converters.readers.pytorch.layers import checkpoint
from converters.readers.pytorch.rebuilding import GROUPS
from converters.readers.pytorch.settings import Module
from converters.readers.pytorch.states import State
from converters.readers.pytorch.telling import stem_of
from converters.readers.pytorch.zipped import Members
from layouts.errors import CheckpointError, NotRepresentable, UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass, field

_CODE = "__torch__"
_TORCH = "__torch__.torch.nn.modules."
_MOST_MEMBERS, _DEEPEST = 1_000_000, 64


@dataclass(eq=False)
class Script:
    """A module of a program: its class, and its members by name."""

    class_name: str
    members: dict[Any, Any] = field(default_factory=dict)

    def build(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise NotRepresentable(
                f"the program holds a {printable(self.class_name)}, whose state is packed: a quantized module? "
                "Script the float module"
            )
        self.members = state


def _first(arguments: Arguments) -> Any:
    """`restore_type_tag(value, type)` and the like: the value alone."""
    if not arguments:
        raise UnreadableCheckpoint("the pickle is damaged: a typed value is missing")
    return arguments[0]


_TYPED = tuple(
    Global("torch.jit._pickle", name, _first)
    for name in (
        "restore_type_tag",
        "build_intlist",
        "build_tensorlist",
        "build_doublelist",
        "build_boollist",
        "build_tensor_from_id",
    )
)


def _find() -> Find:
    known = table(GROUPS[0], GROUPS[1], GROUPS[2], _TYPED)

    def find(module: str, name: str) -> Global | None:
        if module == _CODE or module.startswith(f"{_CODE}."):
            full = f"{module}.{name}"
            return Global(module, name, lambda _: Script(full))
        return known(module, name)

    return find


def read(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a program. Raises `CheckpointError` and its kinds; `NotRepresentable` for a frozen one."""
    stem = stem_of(opened)
    assert stem is not None, opened.path
    members = Members(opened, stem)
    root = members.load(_find())
    if not isinstance(root, Script):
        raise UnreadableCheckpoint("the program is no module")
    walked = _Walked(Code(opened, stem))
    walked.walk(root, "", 0)
    arrays = {name: record.lazy(name, opened.source) for name, record in walked.tensors.items()}
    if not any(array.is_floating and array.shape for array in arrays.values()):
        raise _without_weights(opened, stem)
    state = State(arrays)
    return checkpoint(
        opened.path, "TorchScript", state, request.assume, stored=len(opened.source), modules=walked.classes
    )


def _without_weights(opened: Opened, stem: str) -> Exception:
    constants = Members(opened, stem, "constants/").load(_find(), "constants.pkl")
    if isinstance(constants, tuple) and any(isinstance(one, Record) for one in constants):
        return NotRepresentable(
            "the program is frozen: its weights are constants of its code, without names. Give the program as it was "
            "before torch.jit.freeze"
        )
    return CheckpointError("the program holds no weights", path=opened.path)


class _Walked:
    """What a tree of modules holds: tensors by full name, and the classes of torch.nn by path."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self.tensors: dict[str, Any] = {}
        self.classes: dict[str, Module] = {}
        self._count = 0

    def walk(self, module: Script, path: str, depth: int) -> None:
        """One module and its parts; a part that two modules share is met twice, as in a state_dict."""
        self._count += 1 + len(module.members)
        if depth > _DEEPEST or self._count > _MOST_MEMBERS:
            raise UnsafeCheckpoint("the modules of the program are nested too deeply, or hold too much")
        if module.class_name.startswith(_TORCH):
            self.classes[path] = Module(module.class_name.rpartition(".")[2], self._code.constants(module.class_name))
        for name, member in _members(module):
            full = f"{path}.{name}" if path else name
            if isinstance(member, Script):
                self.walk(member, full, depth + 1)
            elif isinstance(member, Record):
                self.tensors[full] = member


def _members(module: Script) -> Iterator[tuple[str, Any]]:
    """The members with a name; '.' in it would be two."""
    for name, member in module.members.items():
        if not isinstance(name, str) or "." in name:
            raise UnsafeCheckpoint(f"a module of the program has a member {printable(repr(name))}")
        yield name, member
