"""A mapping of arrays in a framework's own layout: one layer's arrays, or those of several layers by path.

`{"kernel": …, "recurrent_kernel": …, "bias": …}` is one layer; `{"encoder/kernel": …}`, `{"encoder.kernel": …}` or
`{"encoder": {"kernel": …}}` are arrays of the layer 'encoder'. An array's own name is the longest that some layout has
and that makes a layer with the others beside it: `linear/w` is an array of a Haiku LSTM, or `w` of the layer 'linear'.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.assumptions import Assumptions
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.model.names import module_name
from converters.readers.arrays import scanned
from converters.readers.arrays.joining import joined, stacks
from converters.readers.arrays.nested import given
from converters.readers.arrays.preparation import prepared
from converters.readers.arrays.recognition import Undecided, last_word, listed, plain, recognise, said
from converters.readers.arrays.settings import known_options, layer_of, stateable
from layouts import catalogue
from layouts.errors import ConversionError, CoverageError, NotRepresentable, ShapeError, UnknownLayer, printable
from layouts.layout import Layout
from layouts.refusals import Refusal

Arrays = dict[str, LazyArray]
Split = tuple[str, str]
"""The path of a layer, and the name of an array within it."""


def read_mapping(source: Mapping[Any, Any], framework: str | None, assume: Mapping[str, Any]) -> Checkpoint:
    """The layers of a mapping; what fits none is an unknown layer. Raises `ConversionError` without a framework."""
    whose, found = stated_framework(framework, "a mapping of arrays"), given(source)
    told, others = _told(whose, found.settings)
    return checkpoint_of("arrays in memory", "mapping of arrays", found.arrays, whose, assume, others, told)


def _told(framework: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What settings among the arrays tell, keyed as a caller states it; and the names of those that tell nothing."""
    words = catalogue.settings(framework)
    told: dict[str, Any] = {}
    others: list[str] = []
    for name, value in settings.items():
        path, _, own = name.rpartition("/" if "/" in name else ".")
        if own in words:
            told[f"{path}.{words[own]}".removeprefix(".")] = value
        else:
            others.append(name)
    return told, others


def checkpoint_of(
    path: str,
    container: str,
    found: Mapping[str, LazyArray],
    framework: str,
    assume: Mapping[str, Any],
    others: Sequence[str] = (),
    told: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """What a source of arrays by full name holds: its layers, and by name what is no weight, and `others`, no arrays.

    `told` is what it tells of its layers beside its arrays, keyed as what a caller states; None unsays what names tell.
    """
    ready = prepared(found, framework, assume)
    known = {key: value for key, value in {**ready.told, **(told or {})}.items() if value is not None}
    found_layers = layers_of(ready.arrays, framework, ready.assume, known)
    layers = tuple(layer for layer in found_layers if not _counts(layer))
    counters = (array.name for layer in found_layers if _counts(layer) for array in layer.stored())
    unused, remarks = (*ready.unused, *counters, *others), (*ready.remarks, *catalogue.remarks(framework))
    return Checkpoint(path, framework, "", container, layers, unused=unused, remarks=remarks)


def _counts(layer: Layer) -> bool:
    """Whether all that is known of a layer is whole numbers without axes, as a step or an epoch is: no weights."""
    arrays = [*layer.arrays.values()]
    return bool(layer.unknown and arrays) and all(not a.shape and a.dtype.kind in "iub" for a in arrays)


def stated_framework(framework: str | None, what: str) -> str:
    """The framework. Raises `ConversionError` where none is stated: no array tells whose it is."""
    if framework is None:
        known = ", ".join(catalogue.frameworks())
        raise ConversionError(f"{what} needs framework=, which tells what the arrays mean: one of {known}")
    return framework


def layers_of(
    arrays: Arrays, framework: str, assume: Mapping[str, Any], told: Mapping[str, Any] | None = None
) -> tuple[Layer, ...]:
    """The layers of arrays by full name; `told` is what their source tells beside them."""
    assumptions = Assumptions(assume, partial(stacks, framework=framework), told or {})
    return _Reading(arrays, framework, assumptions).layers()


class _Reading:
    """One mapping on its way to layers."""

    def __init__(self, arrays: Arrays, framework: str, assumptions: Assumptions) -> None:
        self._arrays, self._framework, self._assumptions = arrays, framework, assumptions
        known, separators = catalogue.names(framework), catalogue.separators(framework)
        self._splits = {name: [*_known(name, separators, known)] or [_last(name)] for name in arrays}
        self._classes = {plain(name) for name in catalogue.layers(framework)}

    def layers(self) -> tuple[Layer, ...]:
        """Every layer; raises for a statement that is of no use."""
        found = tuple(self._with_maps(list(self._layers([*self._arrays], 0))))
        whole = joined(found, self._framework, self._assumptions)
        self._check((*found, *whole))
        return tuple(scanned.apart(whole))

    def _layers(self, names: Sequence[str], level: int) -> Iterator[Layer]:
        """The layers of these arrays by the longest own names, or where those make none, by shorter ones."""
        groups: dict[str, dict[str, str]] = {}
        paths: dict[str, str] = {}
        for name in names:
            splits = self._splits[name]
            path, short = splits[min(level, len(splits) - 1)]
            path = paths.setdefault(module_name(path), path)
            if groups.setdefault(path, {}).setdefault(short, name) != name:
                both = f"{printable(groups[path][short])} and {printable(name)}"
                raise CoverageError(f"{both} are both {printable(short)} of one layer", array=name)
        for path, members in groups.items():
            shorter = any(len(self._splits[name]) > level + 1 for name in members.values())
            yield from self._either(path, members, level) if shorter else [self._layer(path, members)]

    def _either(self, path: str, members: Mapping[str, str], level: int) -> Iterator[Layer]:
        """One layer with these arrays, or several with shorter names; a question where both may be meant."""
        below = {self._splits[name][min(level + 1, len(self._splits[name]) - 1)][0] for name in members.values()}
        below.discard(path)
        if not any(self._assumptions.names(inner) for inner in below):
            whole = self._layer(path, members)
            if isinstance(whole.unknown, NotRepresentable):
                return iter([whole])
            if not whole.unknown and (self._is_said(path, whole) or not all(map(self._is_named, below))):
                return iter([whole])
            apart = list(self._layers([*members.values()], level + 1))
            if any(layer.unknown for layer in apart):
                return iter([whole])
            return iter(apart if whole.unknown else [_ambiguous(whole, apart, self._framework)])
        return self._layers([*members.values()], level + 1)

    def _is_said(self, path: str, layer: Layer) -> bool:
        """Whether the class of a layer is stated, or its path is named after it."""
        return "class" in self._assumptions.of(path) or plain(last_word(path)) == plain(layer.class_name)

    def _is_named(self, path: str) -> bool:
        """Whether a path is a name that the framework gives, made from the name of a class."""
        return plain(last_word(path)) in self._classes

    def _layer(self, path: str, members: Mapping[str, str]) -> Layer:
        arrays = {short: self._arrays[name] for short, name in members.items()}
        shapes = {short: array.shape for short, array in arrays.items()}
        own = plain(path.replace(".", "/").rpartition("/")[2])
        known = catalogue.refusals(self._framework)
        refused = next((one for one in known if one.meets(arrays, plain(one.class_name) == own)), None)
        if refused is not None:
            return Layer(path, refused.class_name, unknown=_refused(path, refused), arrays=arrays)
        try:
            found = recognise(path, shapes, self._framework, self._assumptions)
            _check_numbers(arrays, found.layout)
            return layer_of(path, arrays, found)
        except (ShapeError, UnknownLayer, CoverageError) as error:
            error.layer = path
            if not isinstance(error, Undecided):
                return Layer(path, "unknown", unknown=error, arrays=arrays)
            several = tuple(layer_of(path, arrays, choice) for choice in error.choices)
            question = UnknownLayer(str(error), layer=path)
            return Layer(path, "unknown", unknown=question, arrays=arrays, alternatives=several)

    def _with_maps(self, layers: Sequence[Layer]) -> Iterator[Layer]:
        """A layer that may read a flattened feature map, channels last, does so as far as arrays can tell: say it."""
        parts = [layer.parts[0] for layer in layers if layer.parts]
        channels = {part.solved().get("out", 0) for part in parts if part.convolution.channels_last} - {0}
        for layer in layers:
            linear = bool(layer.parts) and layer.parts[0].cell.name == "linear"
            width = layer.parts[0].solved()["in"] if linear else 0
            may = any(width > count and not width % count for count in channels)
            unsaid = may and "flattened" not in self._assumptions.of(layer.path)
            yield replace(layer, assumed={**layer.assumed, "flattened": "no"}) if unsaid else layer

    def _check(self, layers: Sequence[Layer]) -> None:
        """Every statement is of use; those of a layer that is not recognised are another matter."""
        if any(layer.unknown for layer in layers):
            return
        layouts = {layer.path: [part.layout for part in layer.parts] for layer in layers}
        everything = [layout for own in layouts.values() for layout in own]
        had = {option for layout in everything for option in layout.cell.chooses}
        idle = known_options(self._framework) - had
        self._assumptions.check(layouts, lambda path: stateable(path, layouts.get(path, everything)), idle)


def _refused(path: str, refusal: Refusal) -> NotRepresentable:
    return NotRepresentable(f"{refusal.class_name}: {refusal.why}", layer=path)


def _ambiguous(whole: Layer, apart: Sequence[Layer], framework: str) -> Layer:
    """Arrays that are one layer by their names, and as well several of a name that the framework gives."""
    arrays = {name: array for part in whole.parts for name, array in part.arrays.items()}
    ways = [
        said(whole.path, "class", whole.class_name),
        *(said(one.path, "class", one.class_name) for one in apart[:1]),
    ]
    text = (
        f"{listed({name: a.shape for name, a in arrays.items()})} fit several "
        f"layers of {framework}: {whole.class_name}, or "
        f"{' and '.join(f'{one.class_name} {printable(one.path)}' for one in apart)}. State which: {' or '.join(ways)}"
    )
    return Layer(whole.path, "unknown", unknown=UnknownLayer(text, layer=whole.path), arrays=arrays)


def _splits(name: str, separators: str) -> Iterator[Split]:
    """Every way to cut a full name into a layer's path and an array's own name, the longest own name first."""
    plain = name.removesuffix(":0")
    yield "", plain
    for k, letter in enumerate(plain):
        if letter in separators:
            yield plain[:k], plain[k + 1 :]


def _known(name: str, separators: str, known: Container[object]) -> Iterator[Split]:
    """The cuts that leave a name that some layout has, whichever of '/' and '.' joins its words."""
    for path, short in _splits(name, separators):
        spelled = (short, short.replace(".", "/"), short.replace("/", "."))
        yield from ((path, own) for own in [own for own in spelled if own in known][:1])


def _last(name: str) -> Split:
    path, _, short = name.rpartition("/" if "/" in name else ".")
    return path, short


def _check_numbers(arrays: Arrays, layout: Layout) -> None:
    for name, array in arrays.items():
        if not array.is_floating and name not in layout.passed_over:
            raise ShapeError(f"{printable(name)} holds {array.dtype}; weights are floating point", array=array.name)
