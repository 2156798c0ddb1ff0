"""The whole file: imports, helper functions, the class, and the check that it runs as a script."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from converters.model.graph import Graph, Node
from converters.targets.pytorch.source import helpers, members
from converters.targets.pytorch.source.held import Held, described
from converters.targets.pytorch.source.layout import wrapped
from converters.targets.pytorch.source.lowering import lower
from converters.targets.pytorch.source.words import class_name, comment, identifier, quoted
from converters.targets.pytorch.source.writing import Planned, Writing


@dataclass(frozen=True)
class Source:
    """The text of a file, and what has to stand beside it.

    cells: whether it needs the drop-in layers. custom: for each class that somebody else has to write, the layer's path
    and class.
    """

    text: str
    cells: bool
    custom: dict[str, Node]


def write(
    graph: Graph,
    modules: Sequence[Planned],
    *,
    title: str,
    dtype: str = "float32",
    custom: Collection[str] = (),
    cells: str = "",
) -> Source:
    """The text of a graph as one class.

    modules: the plan's. title: what it was made from. dtype: of the weights. custom: layer paths or class names that the
    caller fills in. cells: the import of the drop-ins; by default that of a file beside. Raises `NotRepresentable` with
    everything that cannot be built.
    """
    calls = members.all_calls(modules)
    holes = _holes(graph, modules, custom)
    names = {id(node): _free(node, calls) for node in holes}
    classes: dict[str, Node] = {}
    by_layer: dict[str, str] = {}
    for node in holes:
        if node.name not in by_layer:
            by_layer[node.name] = class_name(node.name.rpartition("/")[2], classes)
            classes[by_layer[node.name]] = node
        calls[names[id(node)]] = f"{by_layer[node.name]}()"
    root = members.tree(calls)
    attributes = dict(members.attributes(root))
    w = Writing(
        graph, _by_layer(modules), attributes, {id(node): attributes[names[id(node)]] for node in holes}
    )
    arguments = _arguments(w)
    for node in graph.nodes:
        lower(w, node)
    w.check()
    parts = [_forward(w, arguments)]
    init = list(members.statements(root))
    return Source(_file(w, init, parts[0], classes, title, dtype, cells), any("cells." in c for c in calls.values()),
                  classes)


def _holes(graph: Graph, modules: Sequence[Planned], custom: Collection[str]) -> list[Node]:
    """The nodes that the caller fills in."""
    return [node for node in graph.nodes if node.name in custom or node.class_name in custom]


def _free(node: Node, calls: dict[str, str]) -> str:
    return node.name.replace("\\", "/").replace("/", ".").strip(".")


def _by_layer(modules: Sequence[Planned]) -> dict[int, list[Planned]]:
    found: dict[int, list[Planned]] = {}
    for planned in modules:
        for layer in planned.layers:
            found.setdefault(id(layer), []).append(planned)
    return found


def _arguments(w: Writing) -> list[str]:
    """The names of the inputs, each held by its argument."""
    values, taken = w.graph.inputs, {"x"}
    names = ["x"] if len(values) == 1 else []
    for value in values if len(values) > 1 else ():
        names.append(identifier(value.name, taken, "input"))
        taken.add(names[-1])
    for name, value in zip(names, values, strict=True):
        w.held[value.name] = Held(name, value.shape)
        w.used.add(name)
    return names


def _forward(w: Writing, arguments: Sequence[str]) -> list[str]:
    held = [w.held[value].as_source().text for value in w.graph.outputs]
    kind = "Tensor" if len(held) == 1 else f"tuple[{', '.join(['Tensor'] * len(held))}]"
    given = ", ".join(f"{name}: Tensor" for name in arguments)
    lines = list(wrapped(f"def forward(self, {given}) -> {kind}:", "", 4))
    for name, value in zip(arguments, w.graph.inputs, strict=True):
        if value.shape:
            lines += wrapped(f"# {name}: {described(value.shape)}", "", 8)
    for line in w.lines:
        lines += wrapped(line.text, line.remark, 8)
    lines += wrapped(f"return {', '.join(held)}", "", 8)
    return lines


_BESIDE = """try:
    from . import cells
except ImportError:  # run as a script
    import cells"""


def _file(
    w: Writing,
    init: Sequence[str],
    forward: Sequence[str],
    classes: dict[str, Node],
    title: str,
    dtype: str,
    cells: str,
) -> str:
    body = [
        "class Model(nn.Module):",
        f'    """{comment(title)}"""',
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
    ]
    for text in init:
        body += wrapped(text, "", 8)
    body += _ends(w, dtype)
    body += ["", *forward]
    body += _resetting(w)
    blocks = [*helpers.texts(w.helpers), *_stubs(classes), "\n".join(body)]
    whole = "\n\n\n".join(blocks)
    heads = [*_imports(w, whole)]
    if "cells." in whole:
        heads += ["", *(cells or _BESIDE).split("\n")]
    return "\n".join([f'"""{comment(title)}"""', "", *heads, "", "", whole, ""])


def _ends(w: Writing, dtype: str) -> Iterator[str]:
    for name, shape in w.buffers.items():
        sizes = ", ".join(map(str, shape))
        yield from wrapped(f"self.register_buffer({quoted(name)}, torch.zeros({sizes}), persistent=False)", "", 8)
    if dtype != "float32":
        yield f"        self.to(torch.{dtype})"


def _resetting(w: Writing) -> Iterator[str]:
    if w.buffers:
        yield from ("", "    def reset_states(self) -> None:")
        yield '        """Start from zeros again."""'
        for name in w.buffers:
            yield f"        self.{name} = torch.zeros_like(self.{name})"


def _imports(w: Writing, whole: str) -> Iterator[str]:
    if "torch." in whole.replace("import torch", ""):
        yield "import torch"
    yield "from torch import Tensor, nn"
    if "functional." in whole:
        yield "from torch.nn import functional"
    needed = sorted({name for helper in w.helpers for name in helpers.IMPORTS.get(helper, ())})
    if needed:
        yield f"from torch.nn.utils.rnn import {', '.join(needed)}"


def _stubs(classes: dict[str, Node]) -> Iterator[str]:
    for name, node in classes.items():
        yield "\n".join(
            [
                f"class {name}(nn.Module):",
                f'    """TO BE WRITTEN: what layer {comment(node.name)} ({comment(node.class_name)}) computes."""',
                "",
                "    def forward(self, *inputs: Tensor) -> Tensor:",
                f"        raise NotImplementedError({quoted(f'{name}: write what this layer computes')})",
            ]
        )
