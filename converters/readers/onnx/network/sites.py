"""The places at which a graph calls its layers: what each reads, and the values that it gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters.model.layers import Layer
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.found import PARAMETER, Found
from converters.readers.onnx.layers.recurrent import OPERATORS, STATES, is_zero
from layouts.records import dataclass

_LENGTHS = 4
_ARITHMETIC = {PARAMETER, "Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"}
_ARITHMETIC |= {"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW"}  # TensorFlow Lite


@dataclass(frozen=True, eq=False)
class Site:
    """One call of a layer."""

    found: Found
    layer: Layer

    @property
    def depths(self) -> tuple[Node, ...]:
        """The recurrent nodes that it stands for, one for each layer of a stack; none for arithmetic."""
        members = self.found.depths or (self.found,)
        nodes = tuple(one.nodes[0] for one in members)
        return nodes if nodes[0].op in OPERATORS and not nodes[0].domain else ()

    @property
    def is_known(self) -> bool:
        return bool(self.layer.parts) and self.layer.unknown is None

    @property
    def reads(self) -> str:
        return self.depths[0].input(0) if self.depths else self.found.layer.wiring.reads

    @property
    def lengths(self) -> str:
        return self.depths[0].input(_LENGTHS) if self.depths else ""

    @property
    def mask(self) -> str:
        return self.found.recovered.mask if self.found.recovered else ""

    def starts(self) -> list[list[str]]:
        """The values of the initial states, h or h and c, of each layer of a stack; '' for zeros."""
        if not self.depths:
            starts = self.found.recovered.starts if self.found.recovered else ()
            return [[self._start(self.found.nodes[0], name) for name in starts]]
        places = [STATES["initial_h"], *([STATES["initial_c"]] if self.depths[0].op == "LSTM" else [])]
        return [[self._start(node, node.input(place)) for place in places] for node in self.depths]

    @staticmethod
    def _start(node: Node, name: str) -> str:
        return "" if not name or is_zero(node, name) else name

    def needs(self) -> Iterator[str]:
        """The values that have to be there before."""
        if not self.is_known:
            yield from filter(None, self.found.nodes[0].inputs)
            return
        yield self.reads
        if self.layer.recurrent:
            yield from (name for own in self.starts() for name in own if name)
            yield from filter(None, (self.lengths, self.mask))
        elif not self.found.proven:
            others = {node for call in self.found.again for node in call.nodes}
            own = [node for node in self.found.nodes if node not in others]
            inside = {name for node in own for name in node.outputs}
            yield from (name for node in own[1:] for name in node.inputs if name and name not in inside)

    def gives(self) -> Iterator[str]:
        """The values that it makes."""
        if not self.is_known:
            yield from filter(None, self.found.nodes[0].outputs)
        elif self.depths:
            yield from filter(None, self.depths[-1].outputs)
            yield from (name for node in self.depths[:-1] for name in node.outputs[1:] if name)
        else:
            yield from filter(None, self.found.layer.wiring.gives)
            yield from self.found.recovered.between if self.found.recovered else ()


def is_parameter(layer: Layer) -> bool:
    """Whether a layer holds arrays that arithmetic reads: no module computes it, and the graph does."""
    exact = all(array.is_floating for array in layer.arrays.values())
    return not layer.parts and layer.class_name in _ARITHMETIC and exact


def sites(found: Sequence[Found], layers: Sequence[Layer], root: Scope) -> dict[str, Site]:
    """Every value of the outermost graph that a layer makes, and where it is called."""
    made: dict[str, Site] = {}
    for one, layer in zip(found, layers, strict=True):
        if is_parameter(layer):
            continue
        for call in (one, *one.again):
            site = Site(call, layer)
            if call.nodes[0].scope is root:
                made |= {name: site for name in site.gives() if name not in made}
    return made
