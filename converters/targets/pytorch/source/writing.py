"""What is known while a `forward` is written: lines, which variable holds which value, and what stands in the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from converters.model.graph import Graph, Node
from converters.model.layers import Layer, Part
from converters.model.operations import BothMasks, EitherMask, EveryStep, MaskOf, MaskOfLengths, SplitTime
from converters.targets.pytorch.source.held import Held, Shape, described
from converters.targets.pytorch.source.words import identifier
from layouts.errors import ConversionError, NotRepresentable, printable
from layouts.records import dataclass, field, replace


class Tensor(Protocol):
    """What a plan tells of a parameter."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


class Planned(Protocol):
    """What a plan tells of a module."""

    @property
    def name(self) -> str: ...
    @property
    def layers(self) -> tuple[Layer, ...]: ...
    @property
    def parts(self) -> tuple[Part, ...]: ...
    @property
    def tensors(self) -> tuple[Tensor, ...]: ...
    @property
    def drop_in(self) -> tuple[object, ...]: ...
    @property
    def problems(self) -> tuple[ConversionError, ...]: ...


@dataclass(frozen=True)
class Line:
    """One statement, and the comment behind it."""

    text: str
    remark: str = ""


_MASKS = (BothMasks, EitherMask, EveryStep, MaskOf, MaskOfLengths)
OUTPUTS = "y"
"""What the outputs of a recurrent layer are called until they have a name of their own."""
_WORDS = re.compile(r"[A-Za-z_]\w*")
OWN = frozenset(
    {OUTPUTS, "mask", "h", "c", "steps", "ahead", "back", "read", "made", "moved", "places"}
    | {"scores", "hidden", "seen", "some", "x"}
    | {f"{way}_{state}{number}" for way in ("ahead", "back") for state in "hc" for number in ("", *range(100))}
)
"""Variables that are made on the way to a value, and those that are handed out by rule."""


@dataclass
class Writing:
    """A forward in the making; `lower` functions read `node` inputs by `take`, and return what a node makes."""

    graph: Graph
    modules: Mapping[int, Sequence[Planned]]
    """The modules of each layer, by the identity of the layer."""
    attributes: Mapping[str, str]
    """How each module is reached, by its name: 'inner.lstm' -> 'self.inner.lstm'."""
    custom: Mapping[int, str] = field(default_factory=dict)
    """How the module is reached that somebody else writes for a node, by the identity of the node."""
    lines: list[Line] = field(default_factory=list)
    held: dict[str, Held] = field(default_factory=dict)
    helpers: dict[str, None] = field(default_factory=dict)
    buffers: dict[str, Shape] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    """Numbers of the program that are too many for a line of `forward`: buffers, and what makes each."""
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The buffers in which a module's states are kept, by its name."""
    any_length: bool = False
    """Whether compilers have to find a loop over the steps, which they do not in the recurrent layers of torch.nn."""
    replaced: set[str] = field(default_factory=set)
    """The recurrent modules that are drop-ins for the sake of masks and loops, by name."""
    problems: list[ConversionError] = field(default_factory=list)
    strange: str = ""
    """The first node that somebody has to write by hand; '' for none."""
    uses: Counter[str] = field(default_factory=Counter)
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.uses.update(self.graph.outputs)
        for node in self.graph.nodes:
            self.uses.update(self._read(node))

    def _read(self, node: Node) -> list[str]:
        """The values whose variables a node reads; of what a time is cut like it is often the number of steps alone."""
        if isinstance(node.operation, SplitTime) and (self.shape(node.inputs[1]) or (None, None))[1]:
            return [*node.inputs[:1]]
        return [*node.inputs, node.mask] if node.mask else [*node.inputs]

    def shape(self, value: str) -> Shape | None:
        found = self.graph.values.get(value)
        return found.shape if found else None

    def put(self, text: str, remark: str = "") -> None:
        """One more statement."""
        self.lines.append(Line(text, remark))

    def help(self, name: str) -> str:
        """The name of a helper function, which the file will define."""
        self.helpers[name] = None
        return name

    def refuse(self, node: Node, why: str) -> None:
        """Note that a node cannot be built, and why."""
        text = f"{printable(node.name)} ({printable(node.class_name)}): {why}"
        self.problems.append(NotRepresentable(text, layer=node.name))

    def modules_of(self, node: Node) -> Sequence[Planned]:
        return self.modules.get(id(node.layer), ())

    def buffer(self, wish: str, shape: Shape) -> str:
        """A tensor that the module keeps from one call to the next; returns how it is reached."""
        name = self._attribute(wish)
        self.buffers[name] = shape
        return f"self.{name}"

    def table(self, wish: str, text: str) -> str:
        """Numbers that the module makes once; returns how they are reached."""
        name = self._attribute(wish)
        self.tables[name] = text
        return f"self.{name}"

    def _attribute(self, wish: str) -> str:
        own = (text.removeprefix("self.") for text in self.attributes.values())
        return identifier(wish, {*self.buffers, *self.tables, *own})

    def consumed(self, node: Node) -> None:
        """The inputs of a node are read."""
        self.uses.subtract(self._read(node))

    def fresh(self, node: Node, held: Held, *, mask: bool = False, read: Collection[str] = ()) -> str:
        """A variable for what a node makes: `x` where nobody reads the last one any more, or one by its layer.

        `read`: the words of expressions that are still to be written.
        """
        usual = "mask" if mask else "x"
        alive = {*read, *(held.text for value, held in self.held.items() if self.uses[value] > 0)}
        if usual not in alive and not held.wish:
            return usual
        wish = "_".join(filter(None, (node.name.rpartition("/")[2], held.wish, "mask" if mask else "")))
        name = identifier(wish, {*alive, *OWN, *self.used})
        self.used.add(name)
        return name

    def define(self, node: Node, made: Sequence[Held]) -> None:
        """Assign what a node makes to variables."""
        self.consumed(node)
        variables = {held.text for held in self.held.values()}
        for number, (value, held) in enumerate(zip(node.outputs, made, strict=False)):
            if held.text in variables and held.text.isidentifier():
                self.held[value] = held
            elif self.uses[value]:
                mask = isinstance(node.operation, _MASKS)
                read = {word for later in made[number + 1 :] for word in _WORDS.findall(later.text)}
                name = self.fresh(node, held, mask=mask, read=read)
                self._assign(name, held.text, "" if mask or held.apart or held.steps else described(held.sizes))
                self.held[value] = replace(held, text=name, wish="")

    def _assign(self, name: str, text: str, remark: str) -> None:
        """A variable for an expression; outputs that the last call of a module gave get it right there."""
        place = next(
            (k for k in reversed(range(len(self.lines))) if self.lines[k].text.startswith(f"{OUTPUTS}, ")), None
        )
        if text == OUTPUTS and place is not None:
            self.lines[place] = Line(name + self.lines[place].text.removeprefix(OUTPUTS), remark)
        else:
            self.put(f"{name} = {text}", remark)

    def check(self) -> None:
        """Raise everything that stands in the way, by name."""
        if self.problems:
            lines = list(dict.fromkeys(str(problem) for problem in self.problems))
            if self.strange:
                own = f"{{{printable(repr(self.strange))}: …}}"
                lines.append(f"(in Python, custom_layers={own} of build and port takes a module that you write for it)")
            raise NotRepresentable("\n".join(lines), layer=self.problems[0].layer)
