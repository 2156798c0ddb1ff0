"""A layout: where one framework keeps the weights of a cell, and its conventions that are not a pure move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import product
from string import Formatter
from typing import Any, NamedTuple, Protocol

from layouts import axes
from layouts.axes import Array, Pattern
from layouts.cells import Cell, Piece
from layouts.errors import LayoutError
from layouts.options import Options
from layouts.records import dataclass, field, replace

SIDES = ("input", "recurrent")
"""The values of the label `side`: the two biases of a recurrent cell."""

DIRECTIONS = ("forward", "backward")
"""The values of the label `direction`, in the order of every array that holds both."""


class Custom(Protocol):
    """The escape hatch for an array that is no view of its pattern: a permutation of elements and its inverse."""

    @property
    def pattern(self) -> str:
        """What the axes hold after `unpack`."""

    @property
    def stored(self) -> str:
        """Where the same blocks stand in the stored array, whatever the order of the elements inside them."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape after `unpack` of an array of this shape; its own inverse."""

    def unpack(self, array: Array, gates: int) -> Array:
        """The stored array, reordered so that `pattern` describes it."""

    def pack(self, array: Array, gates: int) -> Array:
        """The inverse of `unpack`."""


class Entry(NamedTuple):
    """One array of a layout under its concrete name."""

    name: str
    pattern: Pattern
    labels: dict[str, Any]
    custom: Custom | None


@cache
def _words(template: str) -> tuple[str, ...]:
    """The labels in the name of an array."""
    return tuple(word for _, word, _, _ in Formatter().parse(template) if word)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where `framework` keeps the weights of `cell`.

    `arrays` maps the name of each stored array to its pattern (see `layouts.axes`) or to a `Custom`. A name may hold
    labels in braces; `spelling` gives that of their values. `gates` is the order of the blocks on a gate axis.
    """

    framework: str
    cell: Cell
    arrays: Mapping[str, str | Custom]
    gates: str = ""
    spelling: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    when: Mapping[str, Any] = field(default_factory=dict)
    """What must be known of the source layer for this layout to describe it: how it is stored, which variant it is."""
    implies: Mapping[str, Any] = field(default_factory=dict)
    """Options that follow from the layout itself: a CuDNN layer always has sigmoid gates."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The framework's own default of an option, where it is not that of the cell: what arrays alone do not tell."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """What the framework's class may do beside its cell and no array tells, with its default: an activation."""
    always: tuple[str, ...] = ()
    """Arrays that are never left out here, though the cell could do without."""
    added: Mapping[str, str | float] = field(default_factory=dict)
    """Gate -> what the framework adds to that gate's bias when it runs, without storing it: a number, or the name of a
    constant that its user chose and no array tells."""
    negated: str = ""
    """Gates stored with the opposite sense: σ(-a) = 1 - σ(a)."""
    computes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """As a target: the values of an option that this framework's module computes."""
    stretches: tuple[str, ...] = ()
    """As a target: the options whose function may be another one of a stretched argument (`options.STRETCHED`): the
    weights and biases of the gates that it acts on are then written times that factor."""
    equal: tuple[tuple[str, str], ...] = ()
    """As a target: products of sizes that must agree, such as ('head key', 'in')."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """Arrays that carry no weight: made from this scalar when written, passed over when read."""
    ignored: tuple[str, ...] = ()
    """Arrays that may stand beside the weights and do not change the outputs at inference."""
    zero: Mapping[str, str] = field(default_factory=dict)
    """Arrays that have no place here and have to be zero for this layout to describe the layer, each with the reason
    that is given where one is not."""
    class_name: str = ""
    """The class name of this layer in the framework, for messages and tables."""

    def __post_init__(self) -> None:
        if sorted(self.gates) != sorted(self.cell.gates):
            raise LayoutError(f"{self.name}: gates {self.gates!r}; {self.cell.name} has {self.cell.gates!r}")
        for option in (*self.implies, *self.defaults, *self.computes, *self.stretches):
            if option not in self.cell.chooses:
                raise LayoutError(f"{self.name}: {self.cell.name} has no option {option!r}")
        for template, pattern in self._patterns.items():
            for number in range(len(pattern.targets)):
                self._check(template, pattern, number)

    @property
    def name(self) -> str:
        """As messages say it: 'keras LSTM'."""
        return f"{self.framework} {self.class_name or self.cell.name}"

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Arrays that may stand beside the weights and are not read."""
        return (*self.ignored, *self.constants, *self.zero)

    @cached_property
    def _patterns(self) -> dict[str, Pattern]:
        texts = {k: v if isinstance(v, str) else v.pattern for k, v in self.arrays.items()}
        return {template: axes.parse(text) for template, text in texts.items()}

    def _check(self, template: str, pattern: Pattern, number: int) -> None:
        """One slot of a pattern: it exists, its axes are the ones named, and a label tells which piece of it."""
        target, where = pattern.targets[number], f"{self.name}: {template}: '{pattern.text}'"
        factors = [factor for term in pattern.terms(number) for factor in term]
        sizes = sorted(factor.name for factor in factors if not factor.is_label)
        told = {factor.name for factor in factors if factor.is_label} | set(_words(template))
        gates = {gate for factor in factors if factor.name == "gate" for gate in factor.values or ()}
        for side in SIDES if "{side}" in target.template else ("",):
            slot = self.cell.slots.get(target.template.format(side=side))
            if slot is None:
                raise LayoutError(f"{where}: {self.cell.name} has no slot {target.template!r}")
            if sizes != sorted(slot.dims):
                raise LayoutError(f"{where}: {target.template} has the axes {slot.axes!r}")
            if set(slot.labels) - (told | {"gate"} if target.gates else told):
                raise LayoutError(f"{where}: nothing tells the {slot.labels[0]} of {target.template}")
        if not gates | set(target.gates or ()) <= set(self.gates):
            raise LayoutError(f"{where}: {self.cell.name} has the gates {self.cell.gates!r}")

    def entries(self, directions: Sequence[str] = ("forward",), layers: int = 1) -> Iterator[Entry]:
        """Every array of the layout under its concrete name, for these directions and this many layers."""
        values = self.labels(directions, layers)
        for template, pattern in self._patterns.items():
            words = _words(template)
            custom = self.arrays[template]
            for choice in product(*(values[word] for word in words)):
                labels = dict(zip(words, choice, strict=True))
                spelled = {word: self.spelling.get(word, {}).get(str(v), v) for word, v in labels.items()}
                yield Entry(template.format(**spelled), pattern, labels, None if isinstance(custom, str) else custom)

    def labels(self, directions: Sequence[str] = ("forward",), layers: int = 1) -> dict[str, Sequence[Any]]:
        """The values of every label in the order in which this layout stores them."""
        own = {"gate": self.gates, "side": SIDES, "direction": tuple(directions), "layer": range(layers)}
        return own | dict(self.cell.values)

    def piece(self, slot: str, labels: Mapping[str, Any]) -> Piece:
        """The neutral address of a part of an array, without labels that do not belong to it."""
        fields = {k: v for k, v in labels.items() if k != "side"}
        return Piece(slot, **fields)

    @cached_property
    def options(self) -> Options:
        """What a layer of this layout computes unless something else is known of it."""
        return replace(self.cell.options, **self.defaults, **self.implies)

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of constants whose values somebody has to state."""
        return tuple(name for name in self.added.values() if isinstance(name, str))

    def holds(self, label: str) -> bool:
        """Whether arrays of this layout tell this label apart, by their names or on an axis."""
        on_axes = (f.name for p in self._patterns.values() for axis in p.axes for term in axis.terms for f in term)
        return any(label in _words(template) for template in self.arrays) or label in on_axes

    @cached_property
    def layer_axis(self) -> int | None:
        """The axis, in every array, that has the layers of a stack one after another; None where there is none."""
        first = next(iter(self._patterns.values()))
        return next((k for k, axis in enumerate(first.axes) if axis.text == "layer"), None)

    @property
    def slots(self) -> frozenset[str]:
        """Every slot that some array of this layout holds."""
        return frozenset(
            target.template.format(side=side)
            for pattern in self._patterns.values()
            for target in pattern.targets
            for side in SIDES
        )
