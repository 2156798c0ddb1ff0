"""ConvLSTM layers as calls of their drop-ins: maps (batch, time, channels, …), and states (batch, channels, …)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from converters.model.graph import Node
from converters.targets.pytorch.source.held import Held
from converters.targets.pytorch.source.writing import OUTPUTS, Planned, Writing

_MERGED = {"concat": "torch.cat([{}, {}], dim={axis})", "sum": "{} + {}", "mul": "{} * {}", "ave": "({} + {}) / 2"}


def map_sequence(w: Writing, node: Node, planned: Sequence[Planned], values: list[Held]) -> list[Held]:
    """The outputs of a layer over maps, all of them or the last, and its states where it gives them."""
    assert node.layer is not None
    call, last = node.layer.call, planned[0].parts[0].convolution.channels_last
    why = _not_written(node, planned, last)
    if why:
        w.refuse(node, why)
        return values[:1]
    x = values[0].joined().channels_at(2) if last else values[0].as_source()
    given = [(value.channels_at(1) if last else value.as_source()).text for value in values[1:]]
    outputs, states = [], []
    for number, module in enumerate(planned):
        own = given[2 * number :][:2]
        back = (len(planned) > 1 and number == 1) != (call.direction == "backward")
        names = ("h", "c") if len(planned) == 1 else (f"{('ahead', 'back')[number]}_{state}" for state in "hc")
        y = OUTPUTS if len(planned) == 1 else ("ahead", "back")[number]
        h, c = names
        wanted = ", ".join([y if call.sequences else "_", f"({h if not call.sequences or call.states else '_'}, "])
        source = f"{x.text}.flip(1)" if back else x.text
        hx = f", ({own[0]}, {own[1]})" if own else ""
        w.put(f"{wanted}{c if call.states else '_'}) = {w.attributes[module.name]}({source}{hx})")
        turned = f"{y}.flip(1)" if len(planned) > 1 and number == 1 else y
        outputs.append(turned if call.sequences else h)
        states += [Held(h, channel=int(last), wish="h"), Held(c, channel=int(last), wish="c")]
    channel = (2 if call.sequences else 1) if last else 0
    made = [Held(text, channel=channel) for text in _merged(outputs, call.merge, channel)]
    made += states if call.states else []
    return [replace(held, shape=w.shape(value)) for held, value in zip(made, node.outputs, strict=False)]


def _not_written(node: Node, planned: Sequence[Planned], last: bool) -> str:
    """What these layers are not asked for here; '' where nothing."""
    assert node.layer is not None
    if node.mask:
        return "a mask over a sequence of maps is not written yet"
    if node.layer.call.stateful:
        return "a stateful layer over maps is not written yet"
    if len(planned) > 1 and node.layer.call.merge == "concat" and not last:
        return "two directions side by side on the last axis, which are no channels here"
    return ""


def _merged(outputs: Sequence[str], merge: str, axis: int) -> list[str]:
    if len(outputs) == 1 or merge not in _MERGED:
        return list(outputs)
    return [_MERGED[merge].format(*outputs, axis=axis)]
