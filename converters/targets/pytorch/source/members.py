"""The modules of `__init__`: a tree of names, so that the keys of the state_dict are those that `convert` gives."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from converters.targets.pytorch.constructors import DROP_INS, calls
from converters.targets.pytorch.source.words import is_plain, is_taken, quoted
from converters.targets.pytorch.source.writing import Planned
from layouts.records import dataclass, field


@dataclass
class Place:
    """A module that has a constructor call, or holds others, or both."""

    call: str = ""
    inside: dict[str, Place] = field(default_factory=dict)


def constructor_calls(planned: Planned, replaced: Collection[str] = ()) -> dict[str, str]:
    """The full name of each module of a plan's module, and its call; drop-ins are called by the file `cells`."""
    found = calls(planned.layers[0], planned.parts, not planned.drop_in and planned.name not in replaced)
    names = {".".join(filter(None, (planned.name, label))): call for label, call in found.items()}
    return {name: _double_quoted(call.replace(f"{DROP_INS}.", "cells.", 1)) for name, call in names.items()}


def _double_quoted(call: str) -> str:
    """A call with its strings in double quotes, where none needs others."""
    return call if '"' in call or "\\" in call else call.replace("'", '"')


def tree(found: Mapping[str, str]) -> Place:
    """Calls by full names as a tree; a layer without a name is the whole, which its class is made of."""
    root = Place()
    for name, call in found.items():
        place = root
        for word in name.split(".") if name else ():
            place = place.inside.setdefault(word, Place())
        place.call = call
    return root


def attributes(root: Place, reached: str = "self", prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every module by its full name, and how it is called."""
    if root.call and not prefix:
        yield "", "super().forward"
    for word, place in root.inside.items():
        name = f"{prefix}{word}"
        held = place.call.startswith(_PARAMETER)
        attribute = _parameter(reached, word) if held else _attribute(reached, word, _is_list(root))
        yield name, attribute
        yield from attributes(place, attribute, f"{name}.")


def _is_list(place: Place) -> bool:
    """Whether the modules inside are numbered as those of an nn.ModuleList, and hold no others."""
    return (
        not place.call
        and bool(place.inside)
        and list(place.inside) == [str(k) for k in range(len(place.inside))]
        and not any(inner.inside for inner in place.inside.values())
    )


def _attribute(reached: str, word: str, in_list: bool) -> str:
    if in_list and reached != "self":
        return f"{reached}[{word}]"
    if is_plain(word):
        return f"{reached}.{word}"
    if _clashes(word) or word.isidentifier():
        return f"{reached}._modules[{quoted(word)}]"
    return f"getattr({reached}, {quoted(word)})"


def _parameter(reached: str, word: str) -> str:
    """A parameter of a module: as an attribute, or by what every module keeps them in."""
    return f"{reached}.{word}" if is_plain(word) else f"{reached}._parameters[{quoted(word)}]"


def _clashes(word: str) -> bool:
    """Whether `add_module` refuses a name, because a module has such an attribute or because it is empty."""
    return is_taken(word) or not word


def base(root: Place) -> tuple[str, str]:
    """The class that the whole is made of, and the arguments of its constructor."""
    name, _, arguments = (root.call or "nn.Module()").partition("(")
    return name, arguments.removesuffix(")")


def statements(root: Place, reached: str = "self") -> Iterator[str]:
    """The lines that make the modules, outer ones first."""
    for word, place in root.inside.items():
        if not place.call and _is_list(place):
            listed = ", ".join(inner.call for inner in place.inside.values())
            yield _assigned(reached, word, f"nn.ModuleList([{listed}])")
            continue
        yield _assigned(reached, word, place.call or "nn.Module()")
        yield from statements(place, _attribute(reached, word, False))


def _assigned(reached: str, word: str, call: str) -> str:
    if is_plain(word):
        return f"{reached}.{word} = {call}"
    if call.startswith(_PARAMETER):
        return f"{_parameter(reached, word)} = {call}"
    if _clashes(word):
        return f"{reached}._modules[{quoted(word)}] = {call}"
    return f"{reached}.add_module({quoted(word)}, {call})"


def all_calls(modules: Sequence[Planned], replaced: Collection[str] = ()) -> dict[str, str]:
    """The calls of all modules of a plan that have one, those that are replaced as drop-ins."""
    found = (constructor_calls(planned, replaced) for planned in modules if planned.parts)
    called = {name: call for calls in found for name, call in calls.items()}
    return called | {name: call for planned in modules for name, call in _parameters(planned)}


def _parameters(planned: Planned) -> Iterator[tuple[str, str]]:
    """The parameters that are no module's, by their full names."""
    if not planned.parts and not planned.problems:
        for tensor in planned.tensors:
            yield tensor.key, f"{_PARAMETER}torch.empty({', '.join(map(str, tensor.shape)) or '()'}))"


_PARAMETER = "nn.Parameter("
