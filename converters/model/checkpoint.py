"""What a source holds, framework-neutral: where it comes from, and its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from converters.model import flow, rows
from converters.model.graph import Drawn, Graph, why
from converters.model.layers import Layer
from converters.model.names import module_name
from converters.show import text
from layouts.errors import UnknownLayer, printable
from layouts.records import dataclass, field


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A source that has been read: where it comes from, and its layers in model order. `print` it for a table."""

    path: str
    framework: str
    version: str
    container: str
    layers: tuple[Layer, ...]
    custom_layers: tuple[str, ...] = ()
    """Layers without weights that hold code, or are of somebody's own class: what they compute is not known."""
    unused: tuple[str, ...] = ()
    """Stored arrays that nothing in the model reads: they are left out, and named in a warning."""
    remarks: tuple[str, ...] = ()
    """What else a warning has to say of the source as a whole, one sentence each."""
    weightless: tuple[str, ...] = ()
    """Of a file of weights alone: the names of layers that have none, of which no more is told."""
    network: Callable[[], Drawn] = Drawn
    """Draws the whole network, which weights alone do not need."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Arrays for inputs of the source that its caller gives once and for all: the network has no such inputs."""

    plans: dict[str, Any] | None = None
    """Of what stands for one file after another: the plans that were made of it, by what was asked."""

    @cached_property
    def drawn(self) -> Drawn:
        """The whole network, drawn when it is first asked for, or why there is none."""
        return self.network()

    @property
    def graph(self) -> Graph | None:
        """The whole network; None where the source tells none, as a file of weights alone."""
        return self.drawn.graph

    def layer(self, path: str) -> Layer:
        """The layer of this path; `UnknownLayer` lists what there is."""
        for layer in self.layers:
            if path in (layer.path, module_name(layer.path)):
                return layer
        known = ", ".join(printable(layer.path) for layer in self.layers) or "none"
        raise UnknownLayer(f"no layer {printable(path)!r} with weights; there are: {known}", path=self.path)

    def table(self) -> text.Table:
        """One row a layer, in the order of the data's flow: what it is, what it reads, what needs care."""
        version = f" {self.version}" if self.version else ", version not stored"
        title = f"{printable(self.path)}: {self.framework}{version}, {self.container}"
        columns = flow.COLUMNS if self.graph else ("layer", "class", "sizes", "arrays", "settings")
        return text.Table(title, columns, tuple(self._rows()), tuple(text.Line("!", note) for note in self.care()))

    def _rows(self) -> Iterator[text.Row]:
        """The graph; or the layers, and the names of those without weights."""
        if self.graph is None:
            yield from map(rows.layer_row, self.layers)
            yield from (text.Row((printable(name), "?", "no weights", "", "")) for name in self.weightless)
            return
        yield from flow.graph_rows(self.graph)
        for layer in flow.missing(self.graph, self.layers):
            name, class_name, *others = rows.layer_row(layer).cells
            yield text.Row((name, class_name, "(not called)", *others), layer.unknown is not None)

    def care(self) -> list[str]:
        """What a person has to know of the whole source, a sentence each."""
        custom = {path.rpartition(" (")[0] for path in self.custom_layers}
        others = [node for node in (self.graph.unknown if self.graph else ()) if node.layer is None]
        return [
            *(
                f"{printable(path)} holds code, or is of somebody's own class: never executed here, write it by hand"
                for path in self.custom_layers
            ),
            *(f"{printable(node.name)}: {why(node)}" for node in others if node.name not in custom),
            *self.remarks,
            *self.drawn.problems,
        ]

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "path": self.path,
            "framework": self.framework,
            "version": self.version or None,
            "container": self.container,
            "layers": [rows.layer_data(layer) for layer in self.layers],
            "custom_layers": list(self.custom_layers),
            "unused": list(self.unused),
            "weightless": list(self.weightless),
            "graph": flow.graph_data(self.graph) if self.graph else None,
        }

    def __str__(self) -> str:
        return text.render(self.table())

    def __repr__(self) -> str:
        return f"<Checkpoint {printable(self.path)}: {self.framework}, {len(self.layers)} layers>"

    def _repr_html_(self) -> str:
        return text.html(self.table())
