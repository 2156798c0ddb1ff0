"""ConvLSTM layers as calls of their drop-ins: maps (batch, time, channels, …), and states (batch, channels, …).

The drop-in takes a mask of the steps, or one of every place of them, and repeats its last output where that is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from converters.model.graph import Node
from converters.model.settings import Call
from converters.model.shapes import after_layer
from converters.targets.pytorch.source.held import Held, Shape
from converters.targets.pytorch.source.writing import OUTPUTS, Planned, Writing
from layouts.errors import printable

_MERGED = {"concat": "torch.cat([{}, {}], dim={axis})", "sum": "{} + {}", "mul": "{} * {}", "ave": "({} + {}) / 2"}


class Setting(NamedTuple):
    """What every direction of a layer over maps needs to know."""

    w: Writing
    node: Node
    call: Call
    last: bool
    """Whether the source has its channels last."""
    axes: int
    """The axes of a map."""
    mask: str
    """The mask in the order of the source; '' where there is none."""

    @property
    def placed(self) -> bool:
        """Whether the mask tells of every place of a map by itself."""
        return len(self.w.shape(self.node.mask) or ()) > 2

    @property
    def kept(self) -> bool:
        return self.call.stateful


class Way(NamedTuple):
    """One direction: its module, what its outputs and states are called, and whether it reads from the end."""

    planned: Planned
    y: str
    h: str
    c: str
    back: bool
    turned: bool
    """Whether its outputs are turned round, to stand in the order of the input."""


def map_sequence(w: Writing, node: Node, planned: Sequence[Planned], values: list[Held]) -> list[Held]:
    """The outputs of a layer over maps, all of them or the last, and its states where it gives them."""
    assert node.layer is not None
    call, part = node.layer.call, planned[0].parts[0]
    mask = w.held[node.mask].as_source().text if node.mask else ""
    axes = sum(word in part.solved() for word in ("depth", "height", "width"))
    s = Setting(w, node, call, part.convolution.channels_last, axes, mask)
    why = _not_written(s, len(values) > 1)
    if why:
        w.refuse(node, why)
        return [values[0]] * len(node.outputs)
    x = values[0].joined().channels_at(2) if s.last else values[0].as_source()
    given = [(value.channels_at(1) if s.last else value.as_source()).text for value in values[1:]]
    outputs, states = [], []
    for number, way in enumerate(_ways(call, planned)):
        outputs.append(_called(s, way, x.text, given[2 * number :][:2]))
        states += [Held(name, channel=int(s.last), wish=letter) for name, letter in ((way.h, "h"), (way.c, "c"))]
    channel = (2 if call.sequences else 1) if s.last else 0
    made = [Held(text, channel=channel) for text in _merged(s, outputs, channel)]
    made += states if call.states else []
    return [replace(held, shape=w.shape(value)) for held, value in zip(made, node.outputs, strict=False)]


def _ways(call: Call, planned: Sequence[Planned]) -> list[Way]:
    backward = call.direction in ("backward", "reverse")
    if len(planned) == 1:
        return [Way(planned[0], OUTPUTS, "h", "c", backward, call.direction == "reverse")]
    first, second = planned
    return [
        Way(first, "ahead", "ahead_h", "ahead_c", backward, False),
        Way(second, "back", "back_h", "back_c", not backward, True),
    ]


def _not_written(s: Setting, given: bool) -> str:
    """What these layers are not asked for here; '' where nothing."""
    if s.kept and given:
        return "a stateful layer over maps that is called with initial states: which of them count is not known here"
    if s.kept and _state_shape(s) is None:
        return "a stateful layer over maps whose sizes are not known"
    if s.placed and not _fits(s):
        return "a mask over the places of a sequence of maps, which are not those of its outputs"
    if s.call.merge not in ("", "pair", *_MERGED):
        return f"merging its directions by {printable(s.call.merge)!r} is not known here"
    return ""


def _fits(s: Setting) -> bool:
    """Whether a mask (batch, time, …) has the places of the outputs, and no axis of channels."""
    mask, whole = s.w.shape(s.node.mask), _state_shape(s)
    return s.last and mask is not None and whole is not None and tuple(mask[2:]) == tuple(whole[2:])


def _state_shape(s: Setting) -> Shape | None:
    """(batch, channels, …) of a state, every size but the batch known; None where one is not."""
    layer = s.node.layer
    assert layer is not None
    steps = s.w.shape(s.node.inputs[0])
    inner = after_layer(replace(layer, parts=layer.parts[:1]), (steps[0], *steps[2:])) if steps else None
    if inner is None or None in inner[1:]:
        return None
    return (inner[0], inner[-1], *inner[1:-1]) if s.last else inner


def _called(s: Setting, way: Way, x: str, given: Sequence[str]) -> str:
    """Write the call of one direction; returns its outputs, all or the last, as the layer gives them."""
    mask = s.mask
    if mask and way.back:
        s.w.put(f"read = {s.mask}.flip(1)")
        mask = "read"
    states = [*given] or _from_buffers(s, way)
    wanted_h = way.h if not s.call.sequences or s.call.states or s.kept else "_"
    wanted_c = way.c if s.call.states or s.kept else "_"
    arguments = [f"{x}.flip(1)" if way.back else x]
    arguments += [f"({', '.join(states)})"] if states else []
    arguments += [mask if states else f"mask={mask}"] if mask else []
    module = s.w.attributes[way.planned.name]
    shown = way.y if s.call.sequences else "_"
    s.w.put(f"{shown}, ({wanted_h}, {wanted_c}) = {module}({', '.join(arguments)})")
    for name, final in zip(s.w.kept.get(way.planned.name, ()), (way.h, way.c), strict=False):
        s.w.put(f"{name} = {final}.detach()")
    if not s.call.sequences:
        return _last(s, way.h, mask, bool(states))
    text = _shown(s, way.y, mask, bool(states))
    return f"{text}.flip(1)" if way.turned else text


def _shown(s: Setting, y: str, mask: str, started: bool) -> str:
    """All outputs: zeros where masked, or before the first step that is not, where states were given."""
    if mask and s.call.zeros_where_masked:
        return f"{y}.masked_fill(~{_beside(s, mask)}, 0.0)"
    return f"{y}.masked_fill({_beside(s, f'({mask}.cumsum(1) == 0)')}, 0.0)" if mask and started else y


def _last(s: Setting, h: str, mask: str, started: bool) -> str:
    """The output of the last step: zeros where it is masked, or where all are and states were given."""
    if mask and s.call.zeros_where_masked:
        return f"{h}.masked_fill(~{_beside(s, f'{mask}[:, -1:]')}[:, 0], 0.0)"
    return f"{h}.masked_fill(~{_beside(s, f'{mask}.any(1, keepdim=True)')}[:, 0], 0.0)" if mask and started else h


def _beside(s: Setting, mask: str) -> str:
    """A mask as it goes with outputs (batch, time, channels, …)."""
    return f"{mask}.unsqueeze(2)" if s.placed else f"{mask}[:, :, {', '.join(['None'] * (1 + s.axes))}]"


def _from_buffers(s: Setting, way: Way) -> list[str]:
    """The states that are kept between calls, in buffers; the first call may have any batch."""
    shape = _state_shape(s)
    if not s.kept or shape is None:
        return []
    own = (shape[0] or 1, *shape[1:])
    names = tuple(s.w.buffer(f"{way.planned.name}_{letter}", own) for letter in "hc")
    s.w.kept[way.planned.name] = names
    batch = f"{s.w.held[s.node.inputs[0]].text}.size(0)"
    rest = ", ".join(["-1"] * (1 + s.axes))
    return [*names] if shape[0] else [f"{name}.expand({batch}, {rest})" for name in names]


def _merged(s: Setting, outputs: Sequence[str], channel: int) -> list[str]:
    """Both directions as one output; Keras puts them side by side on the last axis, which may be a map's."""
    if len(outputs) == 1 or s.call.merge == "pair":
        return list(outputs)
    return [_MERGED[s.call.merge].format(*outputs, axis=channel or -1)]
