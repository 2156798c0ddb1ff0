"""What is known while a model is written: where each value is, which layers have been written, and what masks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from converters.model import operations as op
from converters.model.graph import Graph, Node, Shape
from converters.model.layers import Layer, Part
from converters.targets.keras.network import words
from converters.targets.keras.network.sketch import Config, Entry, Held, Sketch, Tensor, serialized
from layouts.records import dataclass, field, replace


class Array(Protocol):
    """What a plan tells of an array."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...


class Planned(Protocol):
    """What a plan tells of the arrays of one layer or cell."""

    @property
    def layers(self) -> tuple[Layer, ...]: ...
    @property
    def parts(self) -> tuple[Part, ...]: ...
    @property
    def tensors(self) -> Sequence[Array]: ...
    @property
    def problems(self) -> Sequence[Exception]: ...


Folders = Mapping[str, Sequence[str]]
"""The folder of a cell within its layer's -> the keys of its arrays, in the order of its variables."""

MASKS = (op.MaskOf, op.MaskOfLengths, op.BothMasks, op.EitherMask, op.EveryStep)
_OF_INDICES = op.MaskOf(indices=True)
_PASSES = {
    *("Activation", "BatchNormalization", "Dense", "ELU", "GroupNormalization", "Identity", "LayerNormalization"),
    *("LeakyReLU", "PReLU", "ReLU", "Rescaling", "Softmax", "TimeDistributed", "UnitNormalization"),
}
"""Layers behind which the mask of the input goes on in Keras 3. Source: `supports_masking`, `compute_mask`."""
_READS = {"Softmax", "GlobalAveragePooling1D"}
"""Layers without weights that compute otherwise under a mask."""


@dataclass
class Work:
    """A model in the making; `held` by the names of the graph's values."""

    graph: Graph
    sketch: Sketch
    modules: Mapping[int, Sequence[Planned]]
    """What the plan has for each layer, by the identity of the layer."""
    make: Callable[[Work, str], None]
    """Writes the functions that make a mask (`masks.made`)."""
    held: dict[str, Held] = field(default_factory=dict)
    shared: dict[tuple[int, str], tuple[Entry, int]] = field(default_factory=dict)
    """The entry of each layer, or of a direction of it, and on how many axes of time it runs."""
    makers: dict[str, Node] = field(default_factory=dict)
    of_indices: dict[str, str] = field(default_factory=dict)
    """Values that are indices -> the mask that the graph makes of them: steps that are not index 0."""

    def __post_init__(self) -> None:
        self.makers.update((name, node) for node in self.graph.nodes for name in node.outputs)
        for node in self.graph.nodes:
            if node.operation == _OF_INDICES:
                self.of_indices.setdefault(node.inputs[0], node.outputs[0])

    def shape(self, value: str) -> Shape | None:
        found = self.graph.values.get(value)
        return found.shape if found else None

    def root(self, mask: str) -> str:
        """A mask without the steps that bring it to every step and back."""
        node = self.makers.get(mask)
        while node is not None and isinstance(node.operation, op.MergeTime | op.SplitTime):
            mask = node.inputs[0]
            node = self.makers.get(mask)
        return mask

    def masked(self, node: Node, held: Held, wish: str, *, alone: bool = True) -> tuple[Held, dict[str, Any]]:
        """The input of a layer that reads a mask, and the argument that gives it where Keras would not by itself.

        `alone`: whether it is the only value of the call; of several Keras takes no mask from them.
        """
        wanted = self.root(node.mask) if node.mask else ""
        if wanted == (held.mask if alone else ""):
            return held, {}
        if not wanted:
            return self.sketch.plain(held, wish), {}
        return held, {"mask": self.mask(node.mask)}

    def mask(self, name: str) -> Tensor:
        """A mask as a value of the model, made by functions where no value of it is there yet."""
        if name not in self.held:
            self.make(self, name)
        return self.held[name].tensor

    def layer(self, node: Node, held: Held, class_name: str, config: Config) -> Held:
        """A layer without weights that reads one value, on every step where the value is of every step."""
        named: dict[str, Any] = {}
        if class_name in _READS:
            held, named = self.masked(node, held, node.name)
        wrapped, told = _timed(class_name, config, held.timed, node.name)
        tensor = self.sketch.layer(node.name, wrapped, told, [held.tensor], **named)
        mask = (self.root(node.mask) if named else held.mask) if wrapped in _PASSES else ""
        return Held(tensor, held.shape, held.timed, mask)

    def applied(self, node: Node, held: Held, step: words.Step) -> Held:
        """A step of an activation: elementwise, or along an axis."""
        config = dict(step.config)
        if isinstance(config.get("axis"), int):
            config["axis"] = held.axis(config["axis"])
        if step.module:
            given = [held.tensor, *step.numbers]
            tensor = self.sketch.function(node.name, step.class_name, given, step.module, **config)
            return replace(held, tensor=tensor, mask="")
        tensor = self.sketch.layer(node.name, step.class_name, config, [held.tensor])
        return replace(held, tensor=tensor)

    def activated(self, node: Node, held: Held, activation: op.Activation) -> Held:
        """An activation of a value; refused by name where Keras has none."""
        found = words.steps(activation)
        if not found:
            self.sketch.refuse(node, f"Keras 3 has no activation {activation.function}")
        for step in found:
            held = self.applied(node, held, step)
        return held

    def weighted(
        self,
        node: Node,
        class_name: str,
        config: Config,
        folders: Folders,
        held: Held,
        named: Mapping[str, Any] | None = None,
        arguments: Sequence[Any] = (),
        way: str = "",
        together: Sequence[Tensor] = (),
    ) -> Held:
        """A layer with weights: written at its first call, called again at others.

        way: one direction of it. together: the values that it is called with as one list.
        """
        key = (id(node.layer), way)
        known = self.shared.get(key)
        if known is None:
            wrapped, told = _timed(class_name, config, held.timed, node.name)
            entry = self.sketch.add(f"{node.name}_{way}" if way else node.name, "keras.layers", wrapped, told)
            entry.arrays = {"/layer" * held.timed + folder: keys for folder, keys in folders.items()}
            known = self.shared[key] = (entry, held.timed)
        entry, timed = known
        if timed != held.timed:
            self.sketch.refuse(node, "it is called on every step, and as a whole elsewhere: no layer of Keras is both")
        tensor = self.sketch.call(entry, [list(together) or held.tensor, *arguments], named or {})
        return Held(tensor, held.shape, held.timed, held.mask if entry.class_name in _PASSES else "")

    def numbered(self, held: Held, number: int) -> Held:
        """Another one of the values of a call."""
        return Held(replace(held.tensor, number=number), None, held.timed)

    def permuted(self, node: Node, held: Held, order: Sequence[int]) -> Held:
        """The axes of a value in another order, the batch among it and first."""
        if list(order) == sorted(order):
            return held
        if not held.timed and order[0] == 0:
            tensor = self.sketch.layer(f"{node.name}_axes", "Permute", {"dims": list(order[1:])}, [held.tensor])
        else:
            axes = [*range(held.timed), *(axis + held.timed for axis in order)]
            tensor = self.sketch.function(f"{node.name}_axes", "Transpose", [held.tensor], axes=axes)
        return Held(tensor, None, held.timed)

    def channels(self, node: Node, held: Held, count: int, *, last: bool) -> Held:
        """A map of so many axes with its channels last, or first again."""
        front = [0, *range(2, count + 2), 1] if last else [0, count + 1, *range(1, count + 1)]
        return self.permuted(node, held, front)


def _timed(class_name: str, config: Config, times: int, name: str) -> tuple[str, Config]:
    """A layer within as many wrappers as there are axes of time."""
    for _ in range(times):
        inner = {"name": name.rpartition("/")[2].replace("/", "."), **config}
        class_name, config = "TimeDistributed", {"layer": serialized(class_name, inner)}
    return class_name, config
