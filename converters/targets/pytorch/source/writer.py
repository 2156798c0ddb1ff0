"""The whole file: imports, helper functions, the class, and the check that it runs as a script."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from converters.model.graph import Graph, Node
from converters.model.names import module_name
from converters.targets.pytorch.source import check, helpers, members
from converters.targets.pytorch.source.held import Held, described
from converters.targets.pytorch.source.layout import LONGEST, wrapped
from converters.targets.pytorch.source.lowering import lower
from converters.targets.pytorch.source.words import class_name, comment, identifier, quoted
from converters.targets.pytorch.source.writing import OWN, Planned, Writing
from layouts.records import dataclass


@dataclass(frozen=True)
class Source:
    """The text of a file, and what has to stand beside it.

    cells: the drop-in layers that it uses. custom: the classes that somebody else has to write, and a node of each.
    replaced: the modules of the plan that are drop-ins here, because of masks or for loops, by name.
    """

    text: str
    cells: frozenset[str]
    custom: Mapping[str, Node]
    replaced: frozenset[str]


BESIDE = """try:
    from . import cells
except ImportError:  # run as a script
    import cells"""


def write(
    graph: Graph,
    modules: Sequence[Planned],
    *,
    title: str,
    dtype: str = "float32",
    custom: Collection[str] = (),
    any_length: bool = False,
) -> Source:
    """The text of a graph as one class.

    modules: the plan's, without those that the caller fills in. title: what it was made from. dtype: of the weights.
    custom: layer paths or class names that the caller fills in. any_length: recurrent layers are drop-ins, in which
    compilers find a loop. Drop-ins are imported from a file beside, `BESIDE`.
    Raises `NotRepresentable` with everything that cannot be built.
    """
    holes = [node for node in graph.nodes if node.name in custom or node.class_name in custom]
    classes = _classes(holes)
    written = {module_name(node.name): f"{name}()" for name, node in classes.items()}
    attributes = dict(members.attributes(members.tree(members.all_calls(modules) | written)))
    open_nodes = {id(node): attributes[module_name(node.name)] for node in holes}
    w = Writing(graph, _by_layer(modules), attributes, open_nodes, any_length=any_length)
    arguments = _arguments(w, dtype)
    for node in graph.nodes:
        lower(w, node)
    w.check()
    calls = members.all_calls(modules, w.replaced) | written
    root = members.tree(calls)
    model = "\n".join(_class(w, root, arguments, title, dtype))
    blocks = [*helpers.texts(w.helpers), *_stubs(classes), model, check.text(len(arguments), len(graph.outputs))]
    body = "\n\n\n".join(blocks)
    used = frozenset(re.findall(r"\bcells\.(\w+)\(", "\n".join(calls.values())))
    heads = [*_imports(body), *(["", BESIDE] if used else [])]
    text = "\n".join([f'"""{comment(title)}"""', "", *heads, "", "", body, ""])
    return Source(text, used, classes, frozenset(w.replaced))


def _classes(holes: Sequence[Node]) -> dict[str, Node]:
    """A class for every layer that the caller fills in, by its name."""
    found: dict[str, Node] = {}
    for node in holes:
        if all(other.name != node.name for other in found.values()):
            found[class_name(node.name.rpartition("/")[2], found)] = node
    return found


def _by_layer(modules: Sequence[Planned]) -> dict[int, list[Planned]]:
    found: dict[int, list[Planned]] = {}
    for planned in modules:
        for layer in planned.layers:
            found.setdefault(id(layer), []).append(planned)
    return found


def _arguments(w: Writing, dtype: str) -> list[str]:
    """The names of the inputs, each held by its argument; numbers are taken in the dtype of the weights."""
    values, names = w.graph.inputs, ["x"] if len(w.graph.inputs) == 1 else []
    for value in values if len(values) > 1 else ():
        names.append(identifier(value.name, {*names, *OWN}, "input"))
    for name, value in zip(names, values, strict=True):
        w.held[value.name] = Held(name, value.shape)
        w.used.add(name)
        if dtype != "float32" and "float" in value.dtype and not _is_index(w, value.name):
            w.put(f"{name} = {name}.to(torch.{dtype})")
    return names


def _is_index(w: Writing, value: str) -> bool:
    """Whether an embedding reads a value."""
    readers = (node.layer for node in w.graph.nodes if value in node.inputs and node.layer)
    return any(part.cell.name == "embedding" for layer in readers for part in layer.parts)


def _class(w: Writing, root: members.Place, arguments: Sequence[str], title: str, dtype: str) -> Iterator[str]:
    base, given = members.base(root)
    yield from (f"class Model({base}):", f'    """{comment(title)}"""', "")
    yield "    def __init__(self) -> None:"
    yield from wrapped(f"super().__init__({given})", "", 8)
    for statement in members.statements(root):
        yield from wrapped(statement, "", 8)
    for name, shape in w.buffers.items():
        sizes = ", ".join(map(str, shape))
        yield from wrapped(f"self.register_buffer({quoted(name)}, torch.zeros({sizes}), persistent=False)", "", 8)
    for name, made in w.tables.items():
        yield from wrapped(f"self.register_buffer({quoted(name)}, {made}, persistent=False)", "", 8)
    if dtype != "float32":
        yield f"        self.to(torch.{dtype})"
    yield from ("", *_forward(w, arguments))
    if any("training" in name.split(".") for name in w.attributes):
        yield from ("", *_TRAIN)
    if w.buffers:
        yield from ("", "    def reset_states(self) -> None:", '        """Start from zeros again."""')
        for name in w.buffers:
            yield from wrapped(f"self.{name} = torch.zeros_like(self.{name})", "", 8)


_TRAIN = (
    "    def train(self, mode: bool = True) -> nn.Module:",
    '        """As of any module: one inside is called training, as the flag is that every module has."""',
    "        for module in self.modules():",
    '            module.__dict__["training"] = mode',
    "        return self",
)


def _forward(w: Writing, arguments: Sequence[str]) -> Iterator[str]:
    held = [w.held[value].as_source().text for value in w.graph.outputs]
    kind = "Tensor" if len(held) == 1 else f"tuple[{', '.join(['Tensor'] * len(held))}]"
    given = ", ".join(f"{name}: Tensor" for name in arguments)
    yield from wrapped(f"def forward(self, {given}) -> {kind}:", "", 4)
    for name, value in zip(arguments, w.graph.inputs, strict=True):
        if value.shape:
            yield from wrapped(f"# {name}: {described(value.shape)}", "", 8)
    for line in w.lines:
        yield from wrapped(line.text, line.remark, 8)
    last = f"return {', '.join(held)}"
    yield from wrapped(last if len(last) + 8 <= LONGEST else f"return ({', '.join(held)})", "", 8)


def _imports(body: str) -> Iterator[str]:
    yield from ("from pathlib import Path", "", "import torch", "from torch import Tensor, nn")
    if "functional." in body:
        yield "from torch.nn import functional"


def _stubs(classes: Mapping[str, Node]) -> Iterator[str]:
    for name, node in classes.items():
        yield "\n".join(
            [
                f"class {name}(nn.Module):",
                f'    """TO BE WRITTEN: what layer {comment(node.name)} ({comment(node.class_name)}) computes."""',
                "",
                "    def forward(self, *inputs: Tensor) -> Tensor:",
                f'        raise NotImplementedError("{name}: write what this layer computes")',
            ]
        )
