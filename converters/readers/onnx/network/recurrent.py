"""Calls of recurrent layers: sequences, states and masks between ONNX's axes and those of the layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters.model import operations as op
from converters.readers.onnx.file.tensors import dtype_of
from converters.readers.onnx.network.drawing import Drawing, Unfit
from converters.readers.onnx.network.sites import Site
from converters.readers.onnx.network.sizes import Pair, Sizes
from converters.readers.onnx.network.views import Atom, View, plain
from layouts.records import dataclass, replace

_ONE = (1, 1)
_FLOAT = 1


@dataclass(frozen=True, eq=False)
class Run:
    """The sizes of one call, by letters: time, batch, directions, units; and where each letter stands."""

    site: Site
    sizes: dict[str, Pair]
    ways: int
    depth: int
    states: int

    @property
    def given(self) -> list[str]:
        """The axes of the layer's outputs, letters side by side on one axis."""
        call = self.site.layer.call
        units = "DU" if self.ways == 2 else "U"
        if call.sequences is False:
            return ["B", units]
        if call.merge == "stacked" and self.ways == 2:
            return ["T", "D", "B", "U"] if call.time_axis == 0 else ["B", "T", "D", "U"]
        return ["T", "B", units] if call.time_axis == 0 else ["B", "T", units]

    @property
    def wanted(self) -> list[str]:
        """The axes of the value of the file that holds all outputs."""
        if self.site.depths:
            return ["B", "T", "D", "U"] if self.by_batch else ["T", "D", "B", "U"]
        call, found = self.site.layer.call, self.site.found
        collected = bool(found.recovered and (call.steps or found.nodes[0].subgraphs))  # a Loop collects steps in front
        first = call.time_axis == 0 or self.site.layer.wiring.transposed or collected
        return ["T", "B", "U"] if first else ["B", "T", "U"]

    @property
    def by_batch(self) -> bool:
        """Whether a node has the batch in front."""
        return bool(self.site.depths and self.site.depths[0].attributes.get("layout", 0))

    def outputs(self, base: str) -> View:
        """The outputs as the file has them."""
        letters = [letter for group in self.given for letter in group]
        atoms = tuple(Atom(k, self.sizes[letter]) for k, group in enumerate(self.given) for letter in group)
        axes = tuple((letters.index(letter),) if letter in letters else () for letter in self.wanted)
        return View(base, atoms, axes)


def call_recurrent(d: Drawing, site: Site) -> None:
    """Draw one call of a recurrent layer."""
    layer = site.layer
    x = _sequence(d, site)
    run = _run(site, x)
    inputs = [d.real(x, f"{site.reads}_steps"), *_initial(d, run)]
    kind = d.kinds.get(site.reads, _FLOAT)
    whole = next(filter(None, (site.depths[-1].output(0) if site.depths else layer_gives(site)[0], "")), "")
    view = run.outputs(whole)
    called = layer.path or layer.class_name
    base = whole if whole and view.is_base else d.fresh(called)
    view = replace(view, base=base)
    sizes = plain_sizes(view)
    names = [d.fresh(f"{called}_{letter}") for letter in _letters(run)]
    outputs: dict[str, Sizes | None] = {base: sizes}
    outputs |= dict.fromkeys(names, (run.sizes["B"], run.sizes["U"]))
    mask = _mask(d, site, x)
    apply = op.Apply()
    d.put(layer.path, layer.class_name, apply, inputs, outputs, mask=mask, layer=layer, dtype=dtype_of(kind))
    if whole:
        d.views[whole], d.kinds[whole] = view, kind
    _final(d, run, names, kind)
    _between(d, run, base, sizes, kind)


def layer_gives(site: Site) -> tuple[str, ...]:
    return site.found.layer.wiring.gives or ("",)


def plain_sizes(view: View) -> Sizes:
    """The shape of the base of a view."""
    return replace(view, axes=view.whole).sizes


def _sequence(d: Drawing, site: Site) -> View:
    """The sequence as the layer reads it."""
    call, x = site.layer.call, d.view(site.reads)
    if call.single_step and x.rank == 2:
        return x.with_axes([call.time_axis])
    if x.rank != 3:
        raise Unfit(f"it reads a value of {x.rank} axes, where a sequence has 3")
    return x.permuted((1, 0, 2)) if site.layer.wiring.transposed and call.time_axis == 1 else x


def _run(site: Site, x: View) -> Run:
    layer = site.layer
    part, call = layer.parts[0], layer.call
    ways = len({way for part in layer.parts for way in part.ways})
    depth = 1 + max(part.layer + part.layers - 1 for part in layer.parts)
    sizes = {"T": x.sizes[call.time_axis], "B": x.sizes[1 - call.time_axis], "D": (ways, ways)}
    sizes["U"] = (part.solved()["unit"],) * 2
    return Run(site, sizes, ways, depth, 2 if part.cell.name == "lstm" else 1)


def _letters(run: Run) -> Iterator[str]:
    """What the final states are called: of each direction, of each layer of a stack, h or h and c."""
    for way in range(run.ways):
        for depth in range(run.depth):
            for letter in "hc"[: run.states]:
                back = "_back" if way else ""
                yield f"{letter}{depth if run.depth > 1 else ''}{back}"


def _initial(d: Drawing, run: Run) -> list[str]:
    """The initial states, direction by direction, as (batch, units) each; none where all are zeros."""
    starts = run.site.starts()
    told = [name for own in starts for name in own if name]
    if not told:
        return []
    found: list[str | None] = []
    for way in range(run.ways):
        for own in starts:
            found += [_one_state(d, run, name, way) if name else None for name in own]
    some = next(name for name in found if name is not None)
    zeros = _zeros(d, some) if None in found else ""
    return [zeros if name is None else name for name in found]


def _one_state(d: Drawing, run: Run, name: str, way: int) -> str:
    view = d.view(name)
    if view.rank == 2:
        return d.real(view, name)
    axis = 1 if run.by_batch else 0
    alone = view.without([axis]) if run.ways == 1 else None
    if alone is not None:
        return d.real(alone, f"{name}_state")
    made = d.fresh(f"{name}_{way}")
    sizes = tuple(size for k, size in enumerate(view.sizes) if k != axis)
    d.put(made, "Gather", op.Take(axis, index=way), (d.own(name),), {made: sizes}, dtype=d.values[view.base].dtype)
    return made


def _zeros(d: Drawing, like: str) -> str:
    name = d.fresh(f"{like}_zeros")
    d.nodes.append(
        replace(
            d.nodes[-1],
            name=name,
            class_name="zeros",
            operation=op.Scale(0.0),
            inputs=(like,),
            outputs=(name,),
            mask="",
            layer=None,
        )
    )
    d.values[name] = replace(d.values[like], name=name)
    return name


def _mask(d: Drawing, site: Site, x: View) -> str:
    """The value that masks the steps, batch first."""
    by_batch = x if site.layer.call.time_axis == 1 else x.permuted((1, 0, 2))
    if site.lengths:
        name = d.fresh(f"{site.layer.path or site.layer.class_name}_mask")
        inputs = (d.real(by_batch, f"{site.reads}_steps"), d.own(site.lengths))
        d.put(name, "mask", op.MaskOfLengths(), inputs, {name: by_batch.sizes[:2]}, dtype="bool")
        return name
    if not site.mask:
        return ""
    view = d.view(site.mask)
    view = replace(view, axes=view.axes[:-1]) if view.rank == 3 and view.axes[-1] == () else view
    if view.rank == 3 and view.sizes[-1] == _ONE:
        name = d.fresh(f"{site.mask}_flat")
        d.put(name, "Squeeze", op.DropAxis(2), (d.own(site.mask),), {name: view.sizes[:2]}, dtype="bool")
        view = plain(name, view.sizes[:2])
    if view.rank != 2:
        raise Unfit("its mask has more axes than batch and time")
    first = site.layer.wiring.transposed or site.layer.call.time_axis == 0
    return d.real(view.permuted((1, 0)) if first else view, f"{site.mask}_steps")


def _final(d: Drawing, run: Run, names: Sequence[str], kind: int) -> None:
    """The final states as the file has them."""
    sizes = (run.sizes["B"], run.sizes["U"])
    for depth in range(run.depth):
        for number in range(run.states):
            own = [names[(way * run.depth + depth) * run.states + number] for way in range(run.ways)]
            target = _target(run.site, depth, number)
            if target and target not in d.views:
                d.views[target] = _state(d, run, target, [plain(name, sizes) for name in own])
                d.kinds[target] = kind


def _target(site: Site, depth: int, number: int) -> str:
    if site.depths:
        return site.depths[depth].output(1 + number)
    gives = site.found.layer.wiring.gives
    return gives[1 + number] if len(gives) > 1 + number else ""


def _state(d: Drawing, run: Run, target: str, views: Sequence[View]) -> View:
    """One state of all directions, with the axis of directions where the file has it."""
    if not run.site.depths:
        declared = run.site.found.nodes[0].scope.shape(target)
        return views[0].with_axes([0]) if declared is not None and len(declared) == 3 else views[0]
    axis = 1 if run.by_batch else 0
    apart = [view.with_axes([axis]) for view in views]
    if len(apart) == 1 or not (d.scope.readers(target) or target in d.scope.outputs):
        return apart[0]
    values = [d.real(view, f"{target}_{k}") for k, view in enumerate(apart)]
    sizes = (*apart[0].sizes[:axis], run.sizes["D"], *apart[0].sizes[axis + 1 :])
    dtype = d.values[views[0].base].dtype
    d.put(target, "Concat", op.Concatenate(axis), values, {target: sizes}, dtype=dtype)
    return plain(target, sizes)


def _between(d: Drawing, run: Run, base: str, sizes: Sizes, kind: int) -> None:
    """The outputs of single steps, where something reads them."""
    recovered, call = run.site.found.recovered, run.site.layer.call
    between = recovered.between if recovered is not None else ()
    whole = plain(base, sizes)
    axis = call.time_axis
    for number, name in enumerate(between):
        place = len(between) - 1 - number if call.direction == "reverse" else number
        if name in d.views and len(between) > 1 and number < len(between) - 1:
            continue
        made = d.fresh(f"{base}_step_{number}")
        operation = op.Take(axis, index=place)
        left = (run.sizes["B"], run.sizes["U"])
        d.put(made, "Gather", operation, (base,), {made: left}, dtype=dtype_of(kind))
        d.steps_of[made] = whole, axis, place
        declared = d.scope.shape(name)
        view = plain(made, left)
        d.views[name] = view.with_axes([0]) if declared is not None and len(declared) == 3 else view
        d.kinds[name] = kind
