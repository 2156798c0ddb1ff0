"""What PyTorch's exporters tell of a stored array: which parameters it was made of, and whether it is one itself.

Both keep the names of parameters that they do not change (`fc.bias`). The dynamo exporter notes of each whether it is a
parameter, and of an array that it computed from which ones it did (`folded_from`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from converters.readers.onnx.graph.scope import Scope

_RECURRENT = re.compile(r"(?:(.*)\.)?(?:weight_ih|weight_hh|bias_ih|bias_hh)(?:_l(\d{1,3})(?:_reverse)?)?")
_PLAIN = re.compile(r"(?:(.*)\.)?(?:weight|bias|running_mean|running_var)")
_PARAMETER = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_KIND = "pkg.torch.export.graph_signature.InputSpec.kind"
_PERSISTENT = "pkg.torch.export.graph_signature.InputSpec.persistent"
_FOLDED = "pkg.onnxscript.optimizer.folded_from"
_SCOPES = "pkg.torch.onnx.name_scopes"
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_MOST_NOTED = 1 << 16


class Origin(NamedTuple):
    """The module of PyTorch that a parameter belonged to, and its number in a stack, None for a cell."""

    module: str
    depth: int | None


def originals(scope: Scope, leaf: str) -> tuple[str, ...]:
    """The names of what an array was folded from, where its exporter notes them; else its own."""
    noted = scope.noted(leaf).get(_FOLDED, "")[:_MOST_NOTED]
    return tuple(one or other for one, other in _QUOTED.findall(noted)) or (leaf,)


def origin(names: Iterable[str]) -> Origin | None:
    """Where recurrent weights come from, if all names that are PyTorch's say the same."""
    matches = [match for match in map(_RECURRENT.fullmatch, names) if match]
    found = {Origin(match[1] or "", int(match[2]) if match[2] else None) for match in matches}
    return found.pop() if len(found) == 1 else None


def recurrent_modules(names: Iterable[str]) -> set[str]:
    """The modules that parameters of recurrent layers belong to."""
    return {match[1] or "" for match in map(_RECURRENT.fullmatch, names) if match}


def plain_modules(names: Iterable[str], *, root: bool) -> Iterator[str]:
    """The paths of the modules that parameters of other layers belong to, in the order of reading.

    `root`: a name without a module is that of the whole model's own parameter.
    """
    found = (match[1] for match in map(_PLAIN.fullmatch, names) if match)
    yield from dict.fromkeys((module or "").replace(".", "/") for module in found if module or root)


def by_pytorch(scope: Scope) -> bool:
    """Whether PyTorch wrote the file."""
    return bool(scope.model.proto.producer_name == "pytorch")


def has_other_name(names: Iterable[str]) -> bool:
    """Whether any parameter has a name that no module of torch.nn gives to its own."""
    return not all(_PLAIN.fullmatch(name) for name in names)


def by_dynamo(scope: Scope) -> bool:
    """Whether PyTorch's dynamo exporter wrote a graph: it notes the module of every node."""
    while scope.parent is not None:
        scope = scope.parent
    return scope.notes(_SCOPES)


def is_parameter(scope: Scope, name: str) -> bool:
    """Whether a stored array is a parameter of PyTorch, or a buffer that a state_dict has, under its own name.

    Of a file of the dynamo exporter without notes, names without dots may be those of results that it folded.
    """
    if not by_pytorch(scope) or scope.producer(name) is not None:
        return False
    noted = scope.noted(name)
    if _KIND in noted:
        return "PARAMETER" in noted[_KIND] or ("BUFFER" in noted[_KIND] and noted.get(_PERSISTENT) != "False")
    if _FOLDED in noted or not _PARAMETER.fullmatch(name):
        return False
    return "." in name or not by_dynamo(scope)


def is_constant(scope: Scope, name: str) -> bool:
    """Whether the exporter says that an array is in no state_dict: a buffer that is not saved, or a literal."""
    kind = scope.noted(name).get(_KIND, "")
    return "CONSTANT" in kind or ("BUFFER" in kind and scope.noted(name).get(_PERSISTENT) == "False")


def module_of(notes: str) -> str:
    """The module around an operator, out of the list of names that the dynamo exporter notes; the last is its own."""
    return joined([one or other for one, other in _QUOTED.findall(notes[:_MOST_NOTED])][:-1])


def joined(parts: Iterable[str]) -> str:
    """The path of names that lead to a module: a name that begins with the one before, and a dot, stands for both.

    `head`, `head.0`, `head.0.1` are nn.Sequential in nn.Sequential, whose children are called by their whole names.
    """
    found: list[str] = []
    for part in filter(None, parts):
        if found and part.startswith(f"{found[-1]}."):
            found.pop()
        found.append(part)
    return "/".join(found).replace(".", "/")
