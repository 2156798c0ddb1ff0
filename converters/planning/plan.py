"""Decides everything before a byte of data is read: which modules, which parameters, what is refused and why.

A plan pairs each source layer with a module of the target (`pairing`), names every parameter, and accounts for every
stored array (`coverage`). It gathers all problems and raises them once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.model import flow
from converters.model.checkpoint import Checkpoint
from converters.model.graph import Node
from converters.model.layers import Layer
from converters.model.names import Rename
from converters.model.operations import Unknown
from converters.planning import coverage, pairing
from converters.planning.modules import Module, Tensor
from converters.planning.pairing import Choices
from converters.show import text
from converters.targets import Target
from layouts.errors import ConversionError, NotRepresentable, UnknownLayer, printable
from layouts.records import dataclass, field, replace


@dataclass(frozen=True, eq=False)
class Plan:
    """What a conversion will do. `print` it, or read its fields; `check()` raises what stands in the way."""

    checkpoint: Checkpoint
    target: Target
    modules: tuple[Module, ...]
    choices: Choices = field(default_factory=Choices)
    strict: bool = True
    warnings: tuple[str, ...] = ()
    whole: bool = True
    """Whether it is for every layer of the source."""

    @property
    def problems(self) -> tuple[ConversionError, ...]:
        return tuple(problem for module in self.modules for problem in module.problems)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(tensor for module in self.modules for tensor in module.tensors)

    @property
    def fatal(self) -> tuple[ConversionError, ...]:
        """The problems that stand in the way; `strict=False` lets those of layers that are unknown or inexact pass."""
        return tuple(p for p in self.problems if self.strict or not isinstance(p, NotRepresentable | UnknownLayer))

    def of_network(self) -> Plan:
        """The plan of what holds the network too: arrays that its arithmetic reads are parameters, and no problem."""
        graph = self.checkpoint.graph
        if graph is None:
            return self
        note = "parameters that the arithmetic of the network reads"
        read = [any(map(graph.reads, module.layers)) for module in self.modules]
        modules = [
            replace(m, problems=(), notes=(note,)) if own else m for m, own in zip(self.modules, read, strict=True)
        ]
        return replace(self, modules=tuple(modules))

    def check(self) -> None:
        """Raise what stands in the way, all in one error of the first one's type."""
        if self.fatal:
            first = self.fatal[0]
            lines = (*self._drop_ins(), *(str(problem) for problem in self.fatal if problem not in self._of_drop_ins()))
            raise type(first)(
                "\n".join(lines), layer=first.layer, array=first.array, layout=first.layout, path=self.checkpoint.path
            )

    def _of_drop_ins(self) -> list[ConversionError]:
        """The problems that are none with drop-ins, where there are several."""
        found = [m.problems[0] for m in self.modules if m.drop_in and not self.choices.dropins]
        return found if len(found) > 1 else []

    def _drop_ins(self) -> Iterator[str]:
        """One sentence for all layers that need drop-ins, where there are several."""
        needing = [module for module in self.modules if module.drop_in and not self.choices.dropins]
        if len(needing) > 1:
            briefs: dict[str, dict[str, None]] = {}
            for module in needing:
                briefs.setdefault(", ".join(reason.brief for reason in module.drop_in), {})[module.path] = None
            listed = "; ".join(f"{', '.join(map(printable, paths))}: {brief}" for brief, paths in briefs.items())
            yield (
                f"{len(needing)} of {len(self.modules)} layers need {self.target.drop_ins} ({listed}): "
                "dropins=True gives the weights that these load; the plan names their calls"
            )

    def tables(self) -> list[text.Table]:
        """One row a module with its constructor and parameters; then problems, warnings and notes."""
        lines = [text.Line("✗", " ".join(problem.split())) for problem in dict.fromkeys(map(str, self.problems))]
        lines += [text.Line("!", warning) for warning in dict.fromkeys((*self.warnings, *self.checkpoint.care()))]
        lines += [text.Line("·", f"{printable(m.name or m.path)}: {note}") for m in self.modules for note in m.notes]
        title = f"{printable(self.checkpoint.path)} → {self.target.title}"
        columns = ("module", "from", "constructor", "parameters")
        return [text.Table(title, columns, tuple(self._rows()), tuple(lines))]

    def _rows(self) -> Iterator[text.Row]:
        """Every module; where the graph is known in its order, and between them the layers without weights."""
        if self.checkpoint.graph is None or not self.whole:
            yield from (_row(module, self.target) for module in self.modules)
            return
        left = list(self.modules)
        for node in flow.shown(self.checkpoint.graph):
            if node.layer is None:
                yield _plain_row(node, self.target)
            for module in [each for each in left if node.layer in each.layers]:
                left.remove(module)
                yield _row(module, self.target)
        yield from (_row(module, self.target) for module in left)

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "path": self.checkpoint.path,
            "framework": self.checkpoint.framework,
            "version": self.checkpoint.version or None,
            "target": self.target.name,
            "strict": self.strict,
            "dropins": self.choices.dropins,
            "modules": [module.data() for module in self.modules],
            "steps": [_step(node, self.target) for node in self._plain_nodes()],
            "warnings": list(self.warnings),
            "problems": [problem.data() for problem in self.problems],
            "bytes": sum(tensor.nbytes for tensor in self.tensors),
        }

    def _plain_nodes(self) -> list[Node]:
        """The nodes without weights, where the graph is known and the plan is for all of it."""
        graph = self.checkpoint.graph if self.whole else None
        return [node for node in flow.shown(graph) if node.layer is None] if graph else []

    def __str__(self) -> str:
        return text.render(*self.tables())

    def __repr__(self) -> str:
        refused = f", {len(self.fatal)} refused" if self.fatal else ""
        route = f"{printable(self.checkpoint.path)} → {self.target.title}"
        return f"<Plan {route}: {len(self.modules)} modules, {len(self.tensors)} tensors{refused}>"

    def _repr_html_(self) -> str:
        return text.html(*self.tables())


def _plain_row(node: Node, target: Target) -> text.Row:
    called = f"{printable(node.name)} ({printable(node.class_name)})"
    return text.Row(("", called, target.line(node), ""), isinstance(node.operation, Unknown))


def _step(node: Node, target: Target) -> dict[str, Any]:
    return {"path": node.name, "class_name": node.class_name, "reads": list(node.inputs), "line": target.line(node)}


def _row(module: Module, target: Target) -> text.Row:
    called = target.called(module.layout) if module.layout is not None and module.exact else "?"
    cells = (
        printable(module.name) or "(no prefix)",
        f"{printable(module.path)} ({printable(module.class_name)})",
        module.constructor or called,
        "\n".join(f"{printable(t.key)} {tuple(t.shape)} {t.dtype}" for t in module.tensors),
    )
    return text.Row(cells, refused=bool(module.problems))


def make_plan(
    checkpoint: Checkpoint,
    target: Target,
    *,
    layer: str | None = None,
    stack: Mapping[str, Sequence[str]] | None = None,
    rename: Mapping[str, str] | None = None,
    choices: Choices | None = None,
    strict: bool = True,
) -> Plan:
    """Plan a conversion. Raises only for wrong arguments; what stands in the way is in `Plan.problems`."""
    choices = replace(choices or Choices(), home=checkpoint.framework)
    if layer is not None:
        if stack or rename:
            raise ConversionError("layer= gives one layer without a prefix: stack= and rename= do not go with it")
        chosen = [checkpoint.layer(layer)]
        found = pairing.pair(chosen[0], "", target, choices)
    else:
        chosen = list(checkpoint.layers)
        found = list(_all_modules(checkpoint, _stacks(checkpoint, stack or {}), rename or {}, target, choices))
    coverage.check_names(found, checkpoint.path)
    warnings = tuple(coverage.warnings(checkpoint, chosen))
    return Plan(checkpoint, target, tuple(found), choices, strict, warnings, layer is None)


def _stacks(checkpoint: Checkpoint, stack: Mapping[str, Sequence[str]]) -> dict[str, list[Layer]]:
    """The layers of every stack, each layer in one stack only."""
    found = {name: [checkpoint.layer(path) for path in paths] for name, paths in stack.items()}
    members = [layer for layers in found.values() for layer in layers]
    for layer in members:
        if members.count(layer) > 1:
            raise ConversionError(f"stack: {printable(layer.path)} is named twice", layer=layer.path)
    empty = [name for name, layers in found.items() if not layers]
    if empty:
        raise ConversionError(f"stack: {printable(empty[0])} names no layer")
    return found


def _all_modules(
    checkpoint: Checkpoint,
    stacks: Mapping[str, list[Layer]],
    rename: Mapping[str, str],
    target: Target,
    choices: Choices,
) -> Iterator[Module]:
    """The modules of every layer in model order; a stack stands where its first layer stood."""
    renames = Rename(rename, [layer.path for layer in checkpoint.layers], stacks)
    inside = {id(layer): name for name, layers in stacks.items() for layer in layers}
    for layer in checkpoint.layers:
        name = inside.get(id(layer))
        if name is None:
            yield from pairing.pair(layer, renames.apply(layer.path), target, choices)
        elif stacks[name][0] is layer:
            yield pairing.stack(stacks[name], renames.apply(name), target, choices)
