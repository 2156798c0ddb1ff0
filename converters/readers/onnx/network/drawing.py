"""What is known while a graph is drawn: nodes, values, views of them, numbers that follow from sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.model import graph as neutral
from converters.model import operations as op
from converters.model.layers import Layer
from converters.readers.onnx.file.tensors import code_of, dtype_of
from converters.readers.onnx.network.sizes import (
    Numbers,
    Pair,
    Sizes,
    StandIns,
    Typed,
    computed,
    fixed,
    inferred,
    measured,
)
from converters.readers.onnx.network.views import Atom, View, plain, steps
from layouts.records import dataclass, field

if TYPE_CHECKING:
    from converters.readers.onnx.graph.scope import Node, Scope

Array = np.ndarray[Any, Any]
_MOST_NUMBERS, _MOST_CONSTANT = 4096, 1024
_FLOAT = 1


Parameter = tuple[Layer, str]
"""A layer that holds an array which arithmetic reads, and the array's name there."""


class Unfit(Exception):
    """A node that no operation stands for, and why."""


@dataclass
class Test:
    """A value of truths: where numbers of another value differ from one; `any`: of each vector, in any element.

    `inverse`: everywhere else.
    """

    value: str
    number: float
    any: bool = False
    inverse: bool = False


@dataclass
class Drawing:
    """A graph in the making."""

    scope: Scope
    inputs: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """Stored arrays that arithmetic reads."""
    stand_ins: StandIns = field(default_factory=StandIns)
    nodes: list[neutral.Node] = field(default_factory=list)
    values: dict[str, neutral.Value] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    """Every value of the file, as far as it is drawn, as a view of a value of the neutral graph."""
    unsized: set[str] = field(default_factory=set)
    """Values of which not even the number of axes is known: they are no views of others."""
    kinds: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, Numbers] = field(default_factory=dict)
    tests: dict[str, Test] = field(default_factory=dict)
    zeros: set[str] = field(default_factory=set)
    """Values that are zero everywhere, of which no more has to be known."""
    made: dict[View, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    steps_of: dict[str, tuple[View, int, int]] = field(default_factory=dict)
    """Values that are one step of a sequence: the sequence, the atom that is its time, and the number of the step."""

    # what is known

    def is_known(self, name: str) -> bool:
        drawn = (self.views, self.unsized, self.numbers, self.tests, self.zeros)
        return not name or any(name in one for one in drawn)

    def sizes(self, name: str) -> Sizes | None:
        """The shape of a value of the file."""
        if name in self.views:
            return self.views[name].sizes
        if name in self.numbers:
            one, other = self.numbers[name]
            return tuple(zip(one.shape, other.shape, strict=True)) if one.ndim == other.ndim else None
        constant = self.scope.constant(name) if self.scope.is_constant(name) else None
        return None if constant is None else tuple((size, size) for size in constant.shape)

    def rank(self, name: str) -> int:
        sizes = self.sizes(name)
        if sizes is None:
            raise Unfit("the number of axes of what it reads is not known")
        return len(sizes)

    def typed(self, name: str) -> Typed:
        constant = self.scope.constant(name) if self.scope.is_constant(name) else None
        if constant is None:
            return Typed(self.kinds.get(name, _FLOAT), self.sizes(name), self.numbers.get(name))
        small = constant.size <= _MOST_NUMBERS and constant.dtype.kind in "iufb"
        data = constant.read() if small else None
        return Typed(
            code_of(constant.dtype),
            tuple((n, n) for n in constant.shape),
            None if data is None else (data, data),
        )

    def inferred(self, node: Node) -> dict[str, tuple[int, Sizes | None]]:
        found = inferred(node, {name: self.typed(name) for name in node.inputs if name})
        return {name: found.get(name, (self._declared_kind(name), None)) for name in node.outputs if name}

    def _declared_kind(self, name: str) -> int:
        told = self.scope.type_of(name)
        return self.kinds.get(name, told.elem_type if told is not None and told.elem_type else _FLOAT)

    def declared(self, name: str) -> Sizes | None:
        """The shape that the file declares; open sizes of one name are alike."""
        told = self.scope.type_of(name)
        if told is None or not told.HasField("shape"):
            return None
        return tuple(
            (dim.dim_value, dim.dim_value) if dim.dim_value > 0 else self.stand_ins.of(dim.dim_param)
            for dim in told.shape.dim
        )

    def constant(self, name: str) -> Array | None:
        """A small stored array, or numbers that follow from sizes and are always the same."""
        if not name:
            return None
        if name in self.numbers:
            one, other = self.numbers[name]
            return one if np.array_equal(one, other) else None
        stored = self.scope.constant(name) if self.scope.is_constant(name) else None
        if stored is None or stored.size > _MOST_NUMBERS or name in self.parameters:
            return None
        return stored.read()

    # what is made

    def fresh(self, wish: str) -> str:
        """A name that no value has."""
        name, count = wish, 1
        while name in self.taken or name in self.values:
            count += 1
            name = f"{wish}_{count}"
        self.taken.add(name)
        return name

    def own(self, name: str) -> str:
        """The neutral value that a value of the file is, with all moves made."""
        if name in self.unsized:
            return name
        if name not in self.views:
            return self.stored(name)
        return self.real(self.views[name], name)

    def real(self, view: View, wish: str) -> str:
        """The neutral value of a view; its operations are added where it has none yet."""
        if view.is_base:
            return view.base
        if view in self.made:
            return self.made[view]
        current = view.base
        try:
            found = list(steps(view))
        except ValueError as error:
            raise Unfit(str(error)) from None
        dtype = self.values[view.base].dtype
        for number, (operation, sizes) in enumerate(found):
            last = number == len(found) - 1 and wish not in self.values
            name = wish if last else self.fresh(f"{wish}_moved")
            self.put(wish, _called(operation), operation, (current,), {name: sizes}, dtype=dtype)
            current = name
        self.made[view] = current
        return current

    def stored(self, name: str) -> str:
        """A parameter, or a small stored array, as a value."""
        if name in self.parameters:
            return self._parameter(name)
        if any(leaf in self.parameters for leaf in self.scope.leaves(name)):
            raise Unfit("it reads a parameter of which something else is computed first")
        array = self.constant(name)
        if array is None or array.size > _MOST_CONSTANT or array.dtype.kind not in "iufb":
            raise Unfit("it reads a stored array, or numbers that depend on sizes")
        if name not in self.values:
            numbers = tuple(array.reshape(-1).tolist())
            operation = op.Constant(numbers, tuple(array.shape), array.dtype.name)
            sizes = tuple((size, size) for size in array.shape)
            self.put(name, "Constant", operation, (), {name: sizes}, dtype=array.dtype.name)
            self.views[name] = plain(name, sizes)
        return name

    def _parameter(self, name: str) -> str:
        layer, own = self.parameters[name]
        stored = self.scope.constant(name)
        if name not in self.values and stored is not None:
            sizes = tuple((size, size) for size in stored.shape)
            path = f"{layer.path}/{own}" if layer.path else own
            self.put(path, layer.class_name, op.Stored(own), (), {name: sizes}, layer=layer, dtype=stored.dtype.name)
            self.views[name] = plain(name, sizes)
        return name

    def put(
        self,
        name: str,
        class_name: str,
        operation: op.Operation,
        inputs: Sequence[str],
        outputs: Mapping[str, Sizes | None],
        *,
        mask: str = "",
        layer: Layer | None = None,
        dtype: str = "float32",
    ) -> None:
        """A node of the neutral graph."""
        self.nodes.append(neutral.Node(name, class_name, operation, tuple(inputs), tuple(outputs), mask, layer))
        for output, sizes in outputs.items():
            shape = None if sizes is None else tuple(map(fixed, sizes))
            self.values[output] = neutral.Value(output, shape, dtype)
            self.taken.add(output)

    def emit(self, node: Node, operation: op.Operation, *inputs: str, mask: str = "") -> None:
        """A node of the file with one output as an operation on neutral values."""
        made = node.output(0)
        kind, sizes = self.inferred(node)[made]
        self.result(node, operation, inputs, made, kind, sizes, mask=mask)

    def result(
        self,
        node: Node,
        operation: op.Operation,
        inputs: Sequence[str],
        made: str,
        kind: int,
        sizes: Sizes | None,
        *,
        mask: str = "",
    ) -> None:
        sizes = self.declared(made) if sizes is None else sizes
        self.put(title(node, made), node.op, operation, inputs, {made: sizes}, mask=mask, dtype=dtype_of(kind))
        self.note(made, kind, sizes)

    def note(self, name: str, kind: int, sizes: Sizes | None) -> None:
        """Note that a value of the file is a neutral value of its name."""
        self.kinds[name] = kind
        if sizes is None:
            self.unsized.add(name)
        else:
            self.views[name] = plain(name, sizes)

    def alias(self, node: Node, view: View) -> None:
        """The first output of a node is a view."""
        self.views[node.output(0)] = view
        kind = self.inferred(node)[node.output(0)][0]
        self.kinds[node.output(0)] = kind

    def owner(self, size: Pair) -> tuple[str, int | None]:
        """The input of the graph that has an axis of this open size, and which one."""
        for name in self.inputs:
            sizes = self.sizes(name) or ()
            if size in sizes:
                return name, sizes.index(size)
        return "", None

    def all_steps(self, views: Sequence[View], axis: int) -> View | None:
        """The sequence that views side by side on an axis are, step by step; None where they are none."""
        found = [self.steps_of.get(view.base) for view in views]
        known = [one for one in found if one is not None]
        alike = len({(view.axes, one[0]) for view, one in zip(views, known, strict=False)}) == 1
        if len(known) < len(views) or not alike or views[0].axes[axis] != ():
            return None
        sequence, time, _ = known[0]
        if [step for _, _, step in known] != list(range(len(known))) or sequence.atoms[time].size[0] != len(known):
            return None
        own = [k for k in range(len(sequence.atoms)) if k != time]
        axes = [tuple(own[k] for k in group) for group in views[0].axes]
        return View(sequence.base, sequence.atoms, (*axes[:axis], (time,), *axes[axis + 1 :]))

    def view(self, name: str) -> View:
        """A value as a view; a small stored array becomes a value."""
        if name not in self.views:
            self.own(name)
        if name not in self.views:
            raise Unfit("the number of axes of what it reads is not known")
        return self.views[name]

    def measure(self, node: Node) -> bool:
        """Whether a node computes with sizes alone; what it makes is noted."""
        if node.op == "Shape" and not node.domain:
            sizes = self.sizes(node.input(0))
            if sizes is None:
                return False
            start, end = node.attributes.get("start", 0), node.attributes.get("end")
            one, other = measured(sizes)
            self.numbers[node.output(0)] = one[start:end], other[start:end]
            self.kinds[node.output(0)] = 7
            return True
        if not any(name in self.numbers for name in node.inputs):
            return False
        known: dict[str, Numbers] = {}
        for name in filter(None, node.inputs):
            array = self.numbers.get(name)
            constant = self.constant(name) if array is None else None
            if array is None and constant is None:
                return False
            known[name] = array if array is not None else (constant, constant)  # type: ignore[assignment]
        if node.op == "Expand" and known[node.input(0)][0].dtype.kind == "f":
            return False
        made = computed(node, known)
        for name, both in made.items():
            self.numbers[name] = both
            self.kinds[name] = code_of(both[0].dtype)
        return bool(made)


def title(node: Node, made: str) -> str:
    """What a node is called."""
    return node.name or made


def _called(operation: op.Operation) -> str:
    """ONNX's name for a move."""
    names = {"Permute": "Transpose", "AddAxis": "Unsqueeze", "DropAxis": "Squeeze", "Regroup": "Reshape"}
    own = type(operation).__name__
    return names.get(own, own)


def atoms(groups: Sequence[Sequence[Pair]]) -> tuple[Atom, ...]:
    """The atoms of a value whose axes are made of these sizes."""
    return tuple(Atom(axis, size) for axis, group in enumerate(groups) for size in group)
