"""Which layer some arrays are: every layout that fits, less those that a statement excludes.

Where several are left that would read the arrays differently, it is a question for the caller, and never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from converters.model.assumptions import COUNT, Assumptions, Statement, as_text, kind_of, not_open
from converters.model.names import module_name
from converters.readers.arrays import settings
from converters.readers.arrays.settings import Recognised
from layouts import catalogue
from layouts.arrangements import RESIDUAL
from layouts.catalogue import Shapes
from layouts.errors import ConversionError, ShapeError, UnknownLayer, printable
from layouts.fitting import Fit, fits, layouts_of
from layouts.layout import Layout

Group = list[Fit]
"""Fits that read the arrays in the same way."""


class Undecided(UnknownLayer):
    """Arrays that fit several layers; `choices` are all of them, or none where the shapes of one leave more open."""

    choices: tuple[Recognised, ...] = ()


def recognise(path: str, shapes: Shapes, framework: str, assumptions: Assumptions) -> Recognised:
    """What layer these arrays are. Raises `ShapeError` or `UnknownLayer` where they are none, or may be several."""
    stated = assumptions.of(path)
    conditions = _conditions(framework, stated)
    class_name, found = _of_class(path, shapes, framework, conditions, assumptions)
    statement = stated.pop("class", None)
    is_stated = statement is not None and class_name == as_text(statement.value)
    sizes = {word: stated[word].parsed(COUNT) for word in stated if any(word in fit.untold for fit in found)}
    if sizes:
        found = fits(framework, shapes, conditions, class_name=class_name or None, sizes=sizes)
    for statement in (each for option, each in stated.items() if option != RESIDUAL):
        taking = [fit for fit in found if statement.option in sizes or settings.takes(path, fit.layout, statement)]
        if not taking and statement.owner and not statement.told:
            raise not_open(statement, settings.stateable(path, [fit.layout for fit in found]))
        if taking:
            found = taking
            assumptions.use(statement)
    groups = _groups(_preferred(framework, found), shapes)
    if len(groups) > 1:
        raise _undecided(_question(path, shapes, framework, groups), path, groups, stated, sizes)
    fit = next((fit for fit in groups[0] if fit.layout.asked), groups[0][0])
    if fit.untold:
        example = said(path, fit.untold[0], "…")
        raise UnknownLayer(f"the shapes do not tell {', '.join(fit.untold)} of this {fit.layout.name}: state {example}")
    own = {option: s for option, s in stated.items() if settings.takes(path, fit.layout, s)}
    told = layouts_of(framework, class_name) if class_name and (is_stated or _is_spelled(path, class_name)) else ()
    assumed = _assumed(framework, fit.layout, groups[0], own, told)
    return Recognised(fit, class_name or fit.layout.class_name, own, sizes, assumed)


def said(path: str, option: str, value: object) -> str:
    """A statement of a layer as a person writes it."""
    key = f"{module_name(path)}.{option}" if path else option
    return f"assume={{'{printable(key)}': '{printable(as_text(value))}'}}"


def listed(shapes: Shapes) -> str:
    """Names and shapes, as messages have them."""
    return ", ".join(f"{printable(name)} {shape}" for name, shape in shapes.items())


def _conditions(framework: str, stated: Mapping[str, Statement]) -> dict[str, Any]:
    """What is stated of the conditions of this framework's layouts."""
    examples = {key: value for layout in catalogue.of(framework) for key, value in layout.when.items()}
    return {key: s.parsed(kind_of(examples[key])) for key, s in stated.items() if key in examples}


def _of_class(
    path: str, shapes: Shapes, framework: str, conditions: Mapping[str, Any], assumptions: Assumptions
) -> tuple[str, list[Fit]]:
    """The fits within the class that is stated, and its name; one that is stated of all layers counts where it fits.

    Where none is, those within the class that the layer is named after, or all.
    """
    statement = assumptions.of(path).get("class")
    if statement is None:
        return _of_name(path, shapes, framework, conditions)
    class_name = as_text(statement.value)
    if statement.told and not layouts_of(framework, class_name):
        return "", fits(framework, shapes, conditions)
    if not layouts_of(framework, class_name):
        known = ", ".join(catalogue.layers(framework))
        raise ConversionError(f"{statement.said}: {framework} has no layout for this class; there are: {known}")
    try:
        found = fits(framework, shapes, conditions, class_name=class_name)
    except ConversionError:
        if statement.owner and not statement.told:
            raise
        return _of_name(path, shapes, framework, conditions)
    assumptions.use(statement)
    return class_name, found


def _of_name(path: str, shapes: Shapes, framework: str, conditions: Mapping[str, Any]) -> tuple[str, list[Fit]]:
    """The fits within the class that a layer is named after, where there are some; all of them under any other name."""
    for class_name in named_after(path, framework):
        try:
            return class_name, fits(framework, shapes, conditions, class_name=class_name)
        except (ShapeError, UnknownLayer):
            continue
    return "", fits(framework, shapes, conditions)


def named_after(path: str, framework: str) -> list[str]:
    """The classes after which a framework would name a layer so: `ConvTranspose_0`, `basic_rnn_cell`, `conv1_d_1`."""
    marks = ("/.", catalogue.separators(framework))
    own = {plain(re.split(f"[{re.escape(each)}]", path)[-1]) for each in marks}
    return [class_name for class_name in catalogue.layers(framework) if plain(class_name) in own]


def last_word(path: str) -> str:
    """The name of a layer without the path to it."""
    return re.split("[/.]", path)[-1]


def plain(name: str) -> str:
    """A class name, or a layer's name that a framework made from it, without number, case and underscores."""
    return re.sub(r"_?\d{1,6}$", "", name).replace("_", "").lower()


def _is_spelled(path: str, class_name: str) -> bool:
    """Whether a framework made this name of a class, and hardly a person: `Conv_0`, `conv2_d_1`, and not `conv`."""
    name = re.sub(r"_\d{1,6}$", "", last_word(path))
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<!^)(?=[A-Z][a-z])", "_", class_name).lower()
    return name == class_name or (name == snake and "_" in snake)


def _preferred(framework: str, found: Sequence[Fit]) -> list[Fit]:
    """Of the layouts of one class the first: a class lists the usual one first, and what is known tells the others."""
    if len(found) == 1:
        return list(found)
    by_layout = {fit.layout: fit for fit in found}
    later: set[Layout] = set()
    for candidates in catalogue.layers(framework).values():
        own = [layout for layout in candidates if layout in by_layout]
        later |= {one for k, one in enumerate(own) if any(other.when == one.when for other in own[:k])}
    return [fit for fit in found if fit.layout not in later]


def _groups(found: Sequence[Fit], shapes: Shapes) -> list[Group]:
    groups: dict[Any, Group] = {}
    for fit in found:
        groups.setdefault(_meaning(fit, shapes), []).append(fit)
    return list(groups.values())


def _meaning(fit: Fit, shapes: Shapes) -> Any:
    """All that decides what an element of these arrays is. An offset that is yet to be stated may well be 0."""
    layout = fit.layout
    patterns = {entry.name: entry for entry in layout.entries(fit.directions, fit.layers) if entry.name in shapes}
    axes = tuple((name, entry.pattern.text, bool(entry.custom)) for name, entry in sorted(patterns.items()))
    offsets = tuple((gate, value) for gate, value in layout.added.items() if not isinstance(value, str))
    return layout.cell.name, axes, layout.gates, layout.negated, offsets, fit.directions, fit.layers


def _assumed(
    framework: str, layout: Layout, group: Group, stated: Mapping[str, Statement], told: Sequence[Layout]
) -> dict[str, Any]:
    """What was taken for true in choosing a layout: usual conditions, and what others that fit as well would imply.

    A condition of all layouts of the class is none where the class is `told`.
    """
    usual = catalogue.usual(framework)
    found = {
        key: value
        for key, value in layout.when.items()
        if usual.get(key) == value
        and key not in stated
        and not (told and all(other.when.get(key) == value for other in told))
    }
    for name, value in layout.implies.items():
        if name not in stated and any(fit.layout.implies.get(name, value) != value for fit in group):
            found[name] = value
    return found


def _undecided(
    question: str, path: str, groups: Sequence[Group], stated: Mapping[str, Statement], sizes: Mapping[str, int]
) -> Undecided:
    """The question, with the layers that the arrays may be; nothing of the choice is assumed."""
    error = Undecided(question)
    if not any(group[0].untold for group in groups):
        error.choices = tuple(
            Recognised(
                group[0],
                group[0].layout.class_name,
                {option: s for option, s in stated.items() if settings.takes(path, group[0].layout, s)},
                sizes,
                {},
            )
            for group in groups
        )
    return error


def _question(path: str, shapes: Shapes, framework: str, groups: Sequence[Group]) -> str:
    """What the arrays may be, and how to say which."""
    choices = [_choice(framework, group, groups) for group in groups]
    ways = [said(path, option, value) for _, option, value in choices]
    how = ways[0] if {option for _, option, _ in choices} == {"class"} else " or ".join(ways)
    return f"{listed(shapes)} fit several layers of {framework}: {', '.join(c[0] for c in choices)}. State which: {how}"


def _choice(framework: str, group: Group, groups: Sequence[Group]) -> tuple[str, str, Any]:
    """What a group is called, and the statement that tells it from the others: its class, or else a condition."""
    own = {fit.layout for fit in group}
    others = {fit.layout for other in groups if other is not group for fit in other}
    for class_name, candidates in catalogue.layers(framework).items():
        if own & {*candidates} and not others & {*candidates}:
            return class_name, "class", class_name
    first = group[0].layout
    for key, value in first.when.items():
        if all(other.when.get(key) != value for other in others):
            return first.class_name, key, value
    return first.class_name, "class", first.class_name
