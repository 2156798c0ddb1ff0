"""Whether a target computes what a layer computes: a reason for every way in which it does not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.model.layers import Layer, Part
from converters.model.names import module_name
from converters.model.stacking import bidirectional
from converters.planning.modules import Reason
from converters.targets import Target
from layouts import cells
from layouts.errors import NotRepresentable, UnknownLayer, printable
from layouts.layout import Layout
from layouts.options import STRETCHED

_FORMULAS = {
    "hard_sigmoid_0.2": "hard_sigmoid (clip(0.2 x + 0.5, 0, 1))",
    "hard_sigmoid_1/6": "hard_sigmoid (clip(x / 6 + 0.5, 0, 1))",
}
_SENTENCES = {
    "clip": "it clips what goes into its activations to ±{value:.7g}, and {module} does not",
    "cell_clip": "it clips its cell to ±{value:.7g} (cell_clip), and {module} does not",
    "projection_clip": "it clips its projection to ±{value:.7g} (proj_clip), and {module} does not",
    "input_forget": "its forget gate is 1 minus its input gate (input_forget), and {module} computes one of its own",
    "output_activation": "its output_activation is {value}, and {module} has none apart from its activation",
    "groups": "it is cut into {value} groups, and {module} has none",
    "rms_scaling": "it divides by the root mean square (rms_scaling), and {module} by the deviation",
}
_UNUSUAL: Mapping[str, tuple[Any, ...]] = {
    "output_activation": (None,),
    "clip": (None,),
    "input_forget": (False,),
    "cell_clip": (None,),
    "projection_clip": (None,),
}
"""What a module computes of options that few frameworks have, unless its layout says more."""
_BRIEF = {
    "activation": "{value} activation",
    "recurrent_activation": "{value} gates",
    "output_activation": "{value} output",
    "clip": "clip",
    "input_forget": "input_forget",
    "cell_clip": "cell_clip",
    "projection_clip": "proj_clip",
}


def reasons(layer: Layer, parts: Sequence[Part], layout: Layout, target: Target) -> Iterator[Reason]:
    """Why the target's own module gives other outputs than these cells of the layer; nothing when it gives the same."""
    first, module = parts[0], target.called(layout)
    if first.cell.name in target.lacks:
        brief, sentence = target.lacks[first.cell.name]
        yield Reason(brief, sentence.format(variant=_variant(first)))
    slots = {piece.slot for piece in first.pieces()}
    yield from (Reason(*target.lacks[slot]) for slot in slots if slot in target.lacks)
    if layout.holds("direction") and not target.turns and starts_backwards(layer):
        yield Reason(
            "forward layer backwards", "its forward layer goes backwards, so both directions come out in another order"
        )
    stretched = _stretched(first, layout, target)
    for option, values in _possible(first, layout, target).items():
        value = getattr(first.options, option)
        if value not in values and option not in stretched and not _as_usual(first, option):
            assumed = option in layer.assumed
            brief = _BRIEF.get(option, option).format(value=_short(value)) + ", assumed" * assumed
            yield Reason(brief, _sentence(option, value, values, module, assumed))
    yield from _unequal(first, layout, module)


def _as_usual(part: Part, option: str) -> bool:
    """Whether an option says what would be so without it: the output's function where it is that of the candidate."""
    return option == "output_activation" and part.recurrence.output_activation == part.recurrence.activation


def computes(part: Part, layout: Layout, target: Target) -> bool:
    """Whether the module of a layout computes what the options of a cell say."""
    stretched = _stretched(part, layout, target)
    return all(
        getattr(part.options, option) in values or option in stretched or _as_usual(part, option)
        for option, values in _possible(part, layout, target).items()
    )


def _possible(part: Part, layout: Layout, target: Target) -> dict[str, tuple[Any, ...]]:
    """The values of every option that the target's module computes. What comes in its own layout may have any."""
    few = {} if part.layout is layout else {name: values for name, values in _UNUSUAL.items() if _is_free(layout, name)}
    found: dict[str, tuple[Any, ...]] = {**few, **{name: (value,) for name, value in layout.implies.items()}}
    found |= dict(layout.computes)
    return {option: tuple(target.functions.get(value, value) for value in values) for option, values in found.items()}


def _is_free(layout: Layout, option: str) -> bool:
    """Whether the cell has such an option, and its layout does not name it as an argument of the module."""
    return option in layout.cell.chooses and option not in layout.defaults


def _stretched(part: Part, layout: Layout, target: Target) -> dict[str, tuple[str, float]]:
    """The options that the target computes by another function of a stretched argument: that function, the factor."""
    found: dict[str, tuple[str, float]] = {}
    possible = _possible(part, layout, target)
    for option in layout.stretches:
        value = getattr(part.options, option)
        others = STRETCHED.get(value, {}) if value not in possible.get(option, ()) else {}
        known = [pair for pair in others.items() if pair[0] in possible.get(option, ())]
        found.update(dict.fromkeys([option], known[0]) if known else {})
    return found


def factors(part: Part, layout: Layout, target: Target) -> dict[str, float]:
    """What the weights and biases of a gate are written times, for gates of which that is not 1."""
    told = _stretched(part, layout, target).items()
    return {gate: factor for option, (_, factor) in told for gate in part.cell.acted_on(option)}


def stretching(part: Part, layout: Layout, target: Target) -> Iterator[str]:
    """A sentence for every function that is computed by another one."""
    for option, (other, factor) in _stretched(part, layout, target).items():
        value = getattr(part.options, option)
        gates = ", ".join(part.cell.acted_on(option))
        yield (
            f"its {option} is {_FORMULAS.get(value, value)}, and that of {target.title} is "
            f"{_FORMULAS.get(other, other)}: the weights and biases {f'of the gates {gates} ' if gates else ''}are "
            f"written times {factor:.6g}, which computes the same but for rounding"
        )


def _unequal(part: Part, layout: Layout, module: str) -> Iterator[Reason]:
    """Products of sizes that have to agree in the target and do not."""
    sizes = part.solved()
    for one, other in layout.equal:
        left, right = (math.prod(sizes[word] for word in words.split()) for words in (one, other))
        if left != right:
            text = f"{module} needs {one.replace(' ', ' × ')} = {other}, and here they are {left} and {right}"
            yield Reason("widths", text)


def _variant(part: Part) -> str:
    """How the source calls this variant of a cell: reset_after=False, linear_before_reset=0."""
    return next((f"{key}={value}" for key, value in part.layout.when.items()), "reset_after=False")


def _sentence(option: str, value: Any, possible: Sequence[Any], module: str, assumed: bool) -> str:
    """One option that the module does not have, in words."""
    if option in _SENTENCES:
        return _SENTENCES[option].format(value=value, module=module)
    computed = " or ".join(str(one) for one in possible if one is not None)
    is_ = "is not stored and assumed to be" if assumed else "is"
    return f"its {option} {is_} {_FORMULAS.get(value) or printable(value)}, and {module} computes {computed}"


def _short(value: Any) -> str:
    return "hard_sigmoid" if value in _FORMULAS else printable(value)


def starts_backwards(layer: Layer) -> bool:
    """Whether the forward layer of a bidirectional one goes backwards."""
    return layer.call.direction == "backward" and bidirectional(layer.parts)


def refusal(layer: Layer, why: Sequence[Reason], layout: Layout, constructor: str, drop_in: bool) -> NotRepresentable:
    """The error for a layer that the target does not compute, with the way out."""
    way_out = ". strict=False gives its weights all the same"
    if drop_in:
        way_out = f". {constructor} computes it: dropins=True gives the weights that it loads"
    text = f"{printable(layer.path)}: {'; '.join(reason.sentence for reason in why)}{way_out}"
    return NotRepresentable(text, layer=layer.path, layout=layout.name)


def stored_states(layers: Sequence[Layer], target: Target) -> Iterator[NotRepresentable]:
    """Initial states that the source stores: an argument of the module's call, for which weights have no place."""
    for layer in layers:
        stored = [name for name, where in layer.call.initial.items() if where == "stored"]
        if stored:
            yield NotRepresentable(
                f"{printable(layer.path)}: it starts from stored states ({', '.join(stored)}), for which "
                f"{target.holder} has no place: strict=False gives the weights; pass the states in the call",
                layer=layer.path,
            )


def unstated(layers: Sequence[Layer]) -> Iterator[NotRepresentable]:
    """Constants that a framework adds when it runs, where nothing tells them: without them no output is right."""
    for layer in layers:
        lacking = {name: gate for part in layer.parts for gate, name in _asked(part)}
        for name, gate in lacking.items():
            key = f"{module_name(layer.path)}.{name}" if layer.path else name
            yield NotRepresentable(
                f"{printable(layer.path) or 'the layer'}: {layer.class_name} adds {name} to gate {gate} when it runs, "
                f"and nothing in the source tells its value: state it, such as assume={{'{printable(key)}': '1.0'}}",
                layer=layer.path,
            )


def untold_groups(layers: Sequence[Layer]) -> Iterator[UnknownLayer]:
    """Group norms of which nothing tells the number of groups: with another one they give other numbers."""
    for layer in layers:
        if any(part.cell is cells.GROUP_NORM and not part.normalization.groups for part in layer.parts):
            key = f"{module_name(layer.path)}.groups" if layer.path else "groups"
            yield UnknownLayer(
                f"{printable(layer.path) or 'the layer'}: nothing in the source tells how many groups this "
                f"{layer.class_name} has: state it, such as assume={{'{printable(key)}': '4'}}",
                layer=layer.path,
            )


def _asked(part: Part) -> Iterator[tuple[str, str]]:
    for gate, name in part.layout.added.items():
        if isinstance(name, str) and name not in part.constants:
            yield gate, name
