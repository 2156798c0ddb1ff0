"""How a value of the graph is held in the text: its expression, and the order of its axes.

The source's order is the rule. Feature maps are held as PyTorch has them, channels in front, from the first layer that
wants that to the first that does not; every change of order is a view, written where it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from layouts.records import dataclass, replace

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Held:
    """A value as the text has it.

    text: a variable, or an expression that can be called upon.
    shape: as the source has it, batch first; None where unknown.
    channel: the axis on which the source's last one is held; 0 where all axes are the source's.
    flat: the sizes (…, channel) of a map that was flattened with its channels in front into the last axis.
    apart: batch and time, which the source has made one axis, are still two.
    steps: batch and time, which the source has made two axes, are still one; how it is cut: "(-1, 7)".
    wish: what a variable for it may be called.
    """

    text: str
    shape: Shape | None = None
    channel: int = 0
    flat: tuple[int, ...] = ()
    apart: bool = False
    steps: str = ""
    wish: str = ""

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    def joined(self) -> Held:
        """With batch and time as the source has them."""
        if self.steps:
            return replace(self, text=f"{self.text}.unflatten(0, {self.steps})", steps="")
        return replace(self, text=f"{self.text}.flatten(0, 1)", apart=False) if self.apart else self

    @property
    def _own_channel(self) -> int:
        """The axis on which the expression as it stands has the source's last one."""
        return self.channel + self.apart - bool(self.steps)

    def as_source(self) -> Held:
        """With all axes in the order of the source."""
        text = self.text
        if self.channel:
            text = f"{text}.movedim({self._own_channel}, -1)"
        if self.flat:
            *space, channels = self.flat
            text = f"{text}.unflatten(-1, {(channels, *space)}).movedim(-{len(self.flat)}, -1)"
            text = f"{text}.flatten(-{len(self.flat)})"
        return replace(self, text=text, channel=0, flat=()).joined()

    def channels_at(self, axis: int) -> Held:
        """With the source's last axis held at this one."""
        if self.channel == axis and not self.flat:
            return self.joined()
        found = self.as_source() if self.flat else self.joined()
        return replace(found, text=f"{found.text}.movedim({found.channel or -1}, {axis})", channel=axis)

    def flattened(self, sizes: tuple[int, ...]) -> Held:
        """With the last axis as a map of these sizes (…, channel) whose channels stand in front."""
        if self.flat == sizes:
            return self
        found = self.as_source()
        count = len(sizes)
        text = f"{found.text}.unflatten(-1, {sizes}).movedim(-1, -{count}).flatten(-{count})"
        return replace(found, text=text, flat=sizes)

    def like(self, other: Held) -> Held:
        """In the order in which another value of as many axes is held."""
        if other.flat:
            return self.flattened(other.flat)
        return self.channels_at(other.channel) if other.channel else self.as_source()

    def axis(self, axis: int) -> int:
        """Where an axis of the source is held; unknown ranks count from the end."""
        if not self.channel:
            return axis
        rank = len(self.shape or ())
        axis = axis + rank if axis < 0 else axis
        if axis == rank - 1:
            return self.channel
        return axis + (axis >= self.channel)

    def order(self) -> list[int]:
        """The source's axis that is held at each place; the rank has to be known."""
        axes = list(range(len(self.shape or ())))
        if self.channel:
            axes.insert(self.channel, axes.pop())
        return axes

    @property
    def sizes(self) -> Shape | None:
        """The shape as it is held."""
        return None if self.shape is None else tuple(self.shape[axis] for axis in self.order())

    def now(self, text: str, shape: Shape | None) -> Held:
        """What an operation that leaves the order alone has made of it."""
        return replace(self, text=text, shape=shape)


def together(values: Sequence[Held]) -> list[Held]:
    """Several values in one order: as the first that is not the source's where all have as many axes."""
    values = [value.joined() for value in values]
    ranks = {value.rank for value in values}
    if len(ranks) == 1 and None not in ranks:
        first = next((value for value in values if value.channel or value.flat), values[0])
        return [value.like(first) for value in values]
    return [value.as_source() for value in values]


def described(shape: Shape | None) -> str:
    """A shape as a comment tells it: (batch, time, 5)."""
    if not shape:
        return ""
    usual = {0: "batch", 1: "time" if len(shape) == 3 else "?"}
    words = [str(size) if size is not None else usual.get(k, "?") for k, size in enumerate(shape)]
    return f"({', '.join(words)})" if len(words) > 1 else f"({words[0]},)"
