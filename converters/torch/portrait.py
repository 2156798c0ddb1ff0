"""The README of a port: what was ported, layer by layer, and what was assumed."""

from __future__ import annotations

from collections.abc import Iterator

from converters.model.checkpoint import Checkpoint
from converters.targets.pytorch.source.words import comment
from converters.torch.build import Draft

_ESCAPED = {ord(character): f"\\{character}" for character in "|<>*_[]#`"}
_USE = """```python
from model import load

model = load()  # with its weights, in eval mode
```"""


def portrait(checkpoint: Checkpoint, found: Draft, by: str) -> str:
    """The whole text."""
    return "\n".join(_lines(checkpoint, found, by))


def _lines(checkpoint: Checkpoint, found: Draft, by: str) -> Iterator[str]:
    name = plain(checkpoint.path.replace("\\", "/").rpartition("/")[2])
    version = f" {plain(checkpoint.version)}" if checkpoint.version else ""
    yield from (f"# {name}, ported to PyTorch", "")
    yield f"Made of a file of {plain(checkpoint.framework)}{version} ({plain(checkpoint.container)}) by gateport."
    yield from ("", _USE, "")
    yield from ("- `model.py`: the model. Needs torch, and safetensors to load its weights.",)
    if found.source.cells:
        yield "- `cells.py`: layers that torch.nn does not have, which the model uses."
    yield "- `model.safetensors`: its weights."
    yield f"- `check.npz`: inputs, and outputs by {by}. `python model.py` compares."
    yield from _inputs(found)
    yield from ("", "## Layers", "", "| layer | in the source | in PyTorch | assumed |", "|---|---|---|---|")
    for module in found.plan.modules:
        assumed = ", ".join(f"{key} {value}" for layer in module.layers for key, value in layer.assumed.items())
        yield f"| {plain(module.path)} | {plain(module.class_name)} | `{code(module.constructor)}` | {plain(assumed)} |"
    yield from _open(found)
    yield from _assumptions(checkpoint, found)


def _inputs(found: Draft) -> Iterator[str]:
    graph = found.graph
    yield from ("", "## Inputs and outputs", "")
    for number, value in enumerate(graph.inputs):
        yield f"- input {number}: {plain(value.name)}, {_shape(value.shape)}, {plain(value.dtype)}"
    for number, name in enumerate(graph.outputs):
        known = graph.values.get(name)
        yield f"- output {number}: {plain(name)}, {_shape(known.shape if known else None)}"


def _shape(shape: tuple[int | None, ...] | None) -> str:
    return "of unknown shape" if shape is None else f"({', '.join('?' if n is None else str(n) for n in shape)})"


def _open(found: Draft) -> Iterator[str]:
    if found.source.custom:
        yield from ("", "## To be written", "")
        for name, node in found.source.custom.items():
            yield f"- class `{name}` in model.py: what {plain(node.name)} ({plain(node.class_name)}) computes"


def _assumptions(checkpoint: Checkpoint, found: Draft) -> Iterator[str]:
    said = [*checkpoint.remarks, *found.plan.warnings]
    said += [f"{layer.path}: {layer.inferred}" for layer in checkpoint.layers if layer.inferred]
    said = list(dict.fromkeys(said))
    if said:
        yield from ("", "## To be known", "", *(f"- {plain(' '.join(text.split()))}" for text in said))


def plain(text: str) -> str:
    """What a file says, as words of a page: no markup, no line of its own."""
    return comment(text, longest=400).translate(_ESCAPED)


def code(text: str) -> str:
    """A call of ours, between backquotes in a table."""
    return comment(text, longest=400).replace("|", "?").replace("`", "?")
