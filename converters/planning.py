"""Decides everything before a byte of data is read: which modules, which parameters, what is refused and why.

A plan pairs each source layer with a target layout, checks that the target computes the same thing, names every
parameter, and accounts for every stored array. It gathers all problems and raises them once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from converters import advice
from converters.arrays import LazyArray
from converters.checkpoint import Checkpoint, Layer, Part
from converters.names import Rename, module_name
from layouts import catalogue
from layouts.cells import Cell, Piece
from layouts.errors import ConversionError, CoverageError, NotRepresentable, ShapeError, UnknownLayer, printable
from layouts.flatten import channels_first
from layouts.layout import Layout
from layouts.repack import targets

_DROP_IN = "gateport"
"""The framework of the drop-in layers, for cells that torch.nn does not compute."""


@dataclass(frozen=True)
class Tensor:
    """One entry of the state_dict to be: its key, shape and dtype."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Module:
    """One PyTorch module to be filled: from which layers, in which layout, under which name, with which call."""

    name: str
    layers: tuple[Layer, ...]
    parts: tuple[Part, ...]
    target: Layout | None
    tensors: tuple[Tensor, ...]
    constructor: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[ConversionError, ...] = ()

    @property
    def path(self) -> str:
        """The source layers, as messages name them."""
        return " + ".join(layer.path for layer in self.layers)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a conversion will do. `print` it, or read its fields; `check()` raises what stands in the way."""

    checkpoint: Checkpoint
    modules: tuple[Module, ...]
    dtype: np.dtype[Any] | None = None
    strict: bool = True
    warnings: tuple[str, ...] = field(default=())

    @property
    def problems(self) -> tuple[ConversionError, ...]:
        return tuple(problem for module in self.modules for problem in module.problems)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(tensor for module in self.modules for tensor in module.tensors)

    def check(self) -> None:
        """Raise the problems, all in one error of the first one's type, unless `strict=False` lets them pass."""
        fatal = [p for p in self.problems if self.strict or not isinstance(p, NotRepresentable | UnknownLayer)]
        if fatal:
            first = fatal[0]
            text = "\n".join(str(problem) for problem in fatal)
            raise type(first)(
                text, layer=first.layer, array=first.array, layout=first.layout, path=self.checkpoint.path
            )

    def __str__(self) -> str:
        from converters.tables import plan_tables, render

        return render(*plan_tables(self))


def make_plan(
    checkpoint: Checkpoint,
    *,
    layer: str | None = None,
    stack: Mapping[str, Sequence[str]] | None = None,
    rename: Mapping[str, str] | None = None,
    dtype: np.dtype[Any] | None = None,
    strict: bool = True,
) -> Plan:
    """Plan a conversion. Raises only for wrong arguments; what stands in the way is in `Plan.problems`."""
    stack = dict(stack or {})
    renames = Rename(rename or {}, [item.path for item in checkpoint.layers], stack)
    stacked = {path: name for name, paths in stack.items() for path in paths}
    chosen = [checkpoint.layer(layer)] if layer is not None else list(checkpoint.layers)
    modules: list[Module] = []
    for item in chosen:
        if item.path not in stacked:
            modules += _modules(item, "" if layer is not None else renames.apply(item.path), dtype)
        elif stack[stacked[item.path]][0] == item.path:
            members = [checkpoint.layer(path) for path in stack[stacked[item.path]]]
            modules.append(_stack(renames.apply(stacked[item.path]), members, dtype))
    warnings = tuple(_warnings(chosen))
    plan = Plan(checkpoint, tuple(modules), dtype, strict, warnings)
    _check_keys(plan)
    return plan


def _check_keys(plan: Plan) -> None:
    seen: dict[str, str] = {}
    for module in plan.modules:
        for tensor in module.tensors:
            if tensor.key in seen:
                raise CoverageError(
                    f"{printable(module.path)} and {printable(seen[tensor.key])} would both write "
                    f"{printable(tensor.key)}: rename one of them",
                    path=plan.checkpoint.path,
                )
            seen[tensor.key] = module.path


def _warnings(layers: Sequence[Layer]) -> Iterator[str]:
    for layer in layers:
        if layer.assumed:
            values = ", ".join(f"{option}={value}" for option, value in layer.assumed.items())
            yield (
                f"{printable(layer.path)}: the file does not tell {values}; this is its version's default, assumed. "
                f"State it with --assume {printable(layer.path)}.{next(iter(layer.assumed))}=…"
            )


def _modules(layer: Layer, name: str, dtype: np.dtype[Any] | None) -> list[Module]:
    """One module for a layer, or one for each cell where its cells differ too much for one."""
    if layer.unknown is not None:
        return [_unknown(layer, name, dtype)]
    difference = _difference(layer.parts)
    if not difference:
        return [_module(name, (layer,), layer.parts, dtype)]
    notes = (f"one module for each cell: {difference}",)
    return [
        _module(f"{name}.{label}" if name else label, (layer,), (part,), dtype, notes)
        for label, part in zip(_labels(layer.parts), map(_alone, layer.parts), strict=True)
    ]


def _labels(parts: Sequence[Part]) -> Iterator[str]:
    """'forward', 'backward'; or the number in a stack; or both."""
    deep = len({part.depth for part in parts}) > 1
    both = len({part.direction for part in parts}) > 1
    for part in parts:
        yield ".".join(filter(None, (part.direction if both else "", str(part.depth) if deep else "")))


def _alone(part: Part) -> Part:
    return replace(part, direction="forward", depth=0)


def _difference(parts: Sequence[Part]) -> str:
    """Why these cells cannot be one module of PyTorch; '' when they can."""
    first = parts[0]
    sizes = [part.solved() for part in parts]
    if any(part.cell is not first.cell for part in parts):
        return "their types differ"
    if any(dict(part.options) != dict(first.options) for part in parts):
        return "their activations differ"
    if len({size.get("unit") for size in sizes}) > 1:
        return f"their units differ ({', '.join(str(size.get('unit')) for size in sizes)})"
    directions = len({part.direction for part in parts})
    for part, size in zip(parts, sizes, strict=True):
        wanted = size["unit"] * directions if part.depth else sizes[0].get("input")
        if len(parts) > 1 and size["input"] != wanted:
            return f"{part.direction} layer {part.depth} reads {size['input']} features where {wanted} arrive"
    return ""


def _stack(name: str, members: Sequence[Layer], dtype: np.dtype[Any] | None) -> Module:
    """Several layers as one module with `num_layers`; what does not fit is a problem that says so."""
    parts = [part for layer in members for part in layer.parts]
    problems = [problem for problem in (_unstackable(members),) if problem]
    if problems:
        return Module(name, tuple(members), tuple(parts), None, (), problems=tuple(problems))
    depth, placed = 0, []
    for layer in members:
        placed += [replace(part, depth=depth + part.depth) for part in layer.parts]
        depth += 1 + max(part.depth for part in layer.parts)
    difference = _difference(placed)
    if difference:
        listed = ", ".join(printable(layer.path) for layer in members)
        problem = NotRepresentable(f"{listed} cannot be stacked as {name}: {difference}", layer=members[0].path)
        return Module(name, tuple(members), tuple(placed), None, (), problems=(problem,))
    return _module(name, tuple(members), tuple(placed), dtype)


def _unstackable(members: Sequence[Layer]) -> ConversionError | None:
    for number, layer in enumerate(members):
        path = printable(layer.path)
        if not layer.recurrent:
            return NotRepresentable(f"{path} is a {layer.kind}: only recurrent layers stack", layer=layer.path)
        last = number == len(members) - 1
        if not last and layer.facts.get("return_sequences") is False:
            return NotRepresentable(
                f"{path} returns its last output only: no layer can be stacked on it", layer=layer.path
            )
        if layer.facts.get("go_backwards"):
            return NotRepresentable(f"{path} goes backwards: it does not stack with forward layers", layer=layer.path)
        if not last and layer.facts.get("merge_mode", "concat") != "concat":
            return NotRepresentable(f"{path} merges its directions by {layer.facts['merge_mode']}", layer=layer.path)
    return None


def _module(
    name: str,
    layers: tuple[Layer, ...],
    parts: tuple[Part, ...],
    dtype: np.dtype[Any] | None,
    extra: tuple[str, ...] = (),
) -> Module:
    problems: list[ConversionError] = []
    target = _target(parts[0].cell)
    if target is None:
        reason = NotRepresentable(f"torch.nn has no module for {parts[0].cell.name.replace('_', ' ')}")
        arrays = {name: array for part in parts for name, array in part.arrays.items()}
        return _unknown(replace(layers[0], unknown=reason, arrays=arrays, parts=()), name, dtype)
    dummies = _dummies(parts, dtype)
    if any(piece.slot not in target.slots for piece in dummies):
        target = catalogue.target(_DROP_IN, parts[0].cell)
    constructor = _constructor(layers[0], parts)
    reasons = list(_reasons(layers[0], parts, target))
    if reasons:
        way_out = ""
        if parts[0].cell.recurrent:
            constructor = ""
            way_out = (
                ". strict=False (--no-strict) gives its weights under PyTorch's names, for a module of your own "
                f"that computes {advice.recurrent_constructor(parts)}"
            )
        problems.append(
            NotRepresentable(
                f"{printable(layers[0].path)}: {'; '.join(reasons)}{way_out}", layer=layers[0].path, layout=target.name
            )
        )
    if parts[0].flattened:
        target = channels_first(target, len(parts[0].flattened))
    try:
        tensors = tuple(_tensors(name, target, dummies, dtype))
    except ConversionError as error:
        error.layer = error.layer or layers[0].path
        return Module(name, layers, parts, None, (), problems=(*problems, error))
    notes = (*extra, *dict.fromkeys(note for layer in layers for note in advice.notes(layer)))
    return Module(name, layers, parts, target, tensors, constructor, notes, tuple(problems))


def _target(cell: Cell) -> Layout | None:
    """The layout of the PyTorch module, or of a drop-in one; None where neither has such a cell."""
    for framework in ("pytorch", _DROP_IN):
        try:
            return catalogue.target(framework, cell)
        except NotRepresentable:
            continue
    return None


def _constructor(layer: Layer, parts: Sequence[Part]) -> str:
    if parts[0].cell.recurrent:
        return advice.recurrent_constructor(parts)
    return advice.constructor(parts[0], layer.facts)


def _reasons(layer: Layer, parts: Sequence[Part], target: Layout) -> Iterator[str]:
    """Why the module of PyTorch does not compute what this layer computes."""
    cell = parts[0].cell
    if cell.name == "gru_reset_before":
        yield "a GRU with reset_after=False resets the state before the matrix product, and nn.GRU after it"
    if any(piece.slot == "peephole" for piece in parts[0].pieces()):
        yield "it has peepholes, and nn.LSTM has none"
    if layer.facts.get("go_backwards") and any(part.direction == "backward" for part in parts):
        yield "its forward layer goes backwards, and both directions come out in another order"
    module = target.spells
    for option, possible in target.computes.items():
        value = parts[0].options.get(option, possible[0])
        if value not in possible:
            yield f"its {option} is {_explained(value)}, and nn.{module} computes {' or '.join(map(str, possible))}"
    sizes = parts[0].solved()
    for one, other in target.equal:
        left, right = (int(np.prod([sizes[word] for word in words.split()])) for words in (one, other))
        if left != right:
            yield f"nn.{module} needs {one.replace(' ', ' × ')} = {other}, and here they are {left} and {right}"
    if layer.facts.get("rms_scaling"):
        yield "rms_scaling=True is another equation"


_FORMULAS = {
    "hard_sigmoid_0.2": "hard_sigmoid (clip(0.2 x + 0.5, 0, 1), as this version of the file has it)",
    "hard_sigmoid_1/6": "hard_sigmoid (clip(x / 6 + 0.5, 0, 1), as this version of the file has it)",
}


def _explained(value: Any) -> str:
    return _FORMULAS.get(str(value), str(value))


def _dummies(parts: Sequence[Part], dtype: np.dtype[Any] | None) -> dict[Piece, Any]:
    """The pieces of a module with their shapes and dtypes and no memory, for planning."""
    found: dict[Piece, Any] = {}
    for part in parts:
        kind = dtype or np.result_type(*(array.dtype for array in part.arrays.values()))
        for piece, shape in part.pieces().items():
            found[piece] = np.broadcast_to(np.zeros((), kind), shape)
    return found


def _tensors(name: str, target: Layout, dummies: Mapping[Piece, Any], dtype: np.dtype[Any] | None) -> Iterator[Tensor]:
    for array in targets(target, dummies):
        yield Tensor(f"{name}.{array.name}" if name else array.name, array.shape, array.dtype)
    for constant in target.constants:
        yield Tensor(f"{name}.{constant}" if name else constant, (), np.dtype(np.int64))


def _unknown(layer: Layer, name: str, dtype: np.dtype[Any] | None) -> Module:
    """A layer that is not recognised: its arrays under their own names, behind a problem."""
    assert layer.unknown is not None
    reason = layer.unknown
    text = f"{printable(layer.path)} ({printable(layer.kind)}): {reason}"
    known = isinstance(reason, NotRepresentable | UnknownLayer | CoverageError | ShapeError)
    kind = type(reason) if known else UnknownLayer
    problem = kind(text, layer=layer.path, array=reason.array)
    tensors = tuple(
        Tensor(f"{name}.{short}" if name else short, array.shape, dtype or array.dtype)
        for short, array in own_names(layer).items()
    )
    notes = ("not recognised: its arrays pass through under their own names",)
    return Module(name, (layer,), (), None, tensors, "", notes, (problem,))


def own_names(layer: Layer) -> dict[str, LazyArray]:
    """The arrays of a layer that is not recognised, by the names they have in the file."""
    return {module_name(name.removesuffix(":0")): array for name, array in layer.arrays.items()}
