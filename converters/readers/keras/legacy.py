"""Keras 1 and 2 HDF5 files, and the HDF5 files Keras 3 writes for `.h5`: groups by layer, arrays by name.

`layer_names` lists groups, `weight_names` of a group lists datasets. A group of a nested model holds the arrays of all
its layers, trainable ones first, under names that begin with the inner layers' names: so arrays are matched by name,
and by order only where a TensorFlow graph made the names unique. Format: `docs/formats.md`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.readers.hdf5.group import Group
from converters.readers.keras.config import Container, Leaf
from converters.readers.keras.layers import array_names, assemble, name_of, needs_arrays, split_cells, unknown
from converters.readers.keras.semantics import Version
from layouts.errors import (
    ConversionError,
    CoverageError,
    UnknownLayer,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    printable,
)

Weights = list[tuple[str, LazyArray]]

_RANDOM_STATE = {"StateVar", "seed_generator_state"}
"""Variables in which tf.keras 2 and Keras 3 keep the state of a random generator: no weights."""
_MOST_OF_ONE_NAME = 200


def groups(root: Group) -> Iterator[tuple[str, Weights]]:
    """Every layer group in file order with its arrays in file order. Raises when the lists and the file disagree."""
    names = root.strings("layer_names")
    if names is None:
        raise UnreadableCheckpoint("there is no attribute layer_names: not Keras weights, or a damaged file")
    _unique(names, "layer_names")
    claimed: set[int] = set()
    for name in names:
        group = root.group(name)
        if group is None:
            raise UnreadableCheckpoint(f"layer_names lists {printable(name)!r}, and there is no such group", layer=name)
        weights = _weights(group, name)
        claimed.update(id(array) for _, array in weights)
        yield name, weights
    left = [a.name for a in root.walk() if id(a) not in claimed and not is_random_state(a.name)]
    if left:
        raise CoverageError(
            f"{len(left)} stored arrays belong to no listed layer: {', '.join(map(printable, left[:5]))}"
        )


def _weights(group: Group, layer: str) -> Weights:
    names = group.strings("weight_names")
    if names is None:
        if group.arrays or group.groups:
            raise UnreadableCheckpoint(f"{printable(layer)}: the group has no list of weight_names", layer=layer)
        return []
    _unique(names, f"{printable(layer)}: weight_names")
    found = []
    for name in names:
        if is_random_state(name):
            continue
        array = group.array(name)
        if array is None:
            raise UnreadableCheckpoint(
                f"{printable(layer)}: weight_names lists {printable(name)!r}, and there is no such dataset", layer=layer
            )
        found.append((name, array))
    return found


def is_random_state(name: str) -> bool:
    """Whether a variable keeps the state of a random generator."""
    return name.removesuffix(":0").rpartition("/")[2] in _RANDOM_STATE


def _unique(names: Sequence[str], what: str) -> None:
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise UnsafeCheckpoint(f"{what} lists {printable(twice)!r} twice")


def read_layers(stored: Mapping[str, Weights], model: Container, version: Version, flipped: bool) -> Iterator[Layer]:
    """The layers of a whole-model file, in model order."""
    by_group: dict[str, list[Leaf]] = {}
    for leaf in model.leaves():
        by_group.setdefault(leaf.group, []).append(leaf)
    strangers = [name for name, weights in stored.items() if weights and name not in by_group]
    if strangers:
        raise CoverageError(f"the model configuration has no layer {printable(strangers[0])!r}, which stores weights")
    for group, leaves in by_group.items():
        yield from _group_layers(group, leaves, stored.get(group, []), version, flipped)


def by_group(weights: Weights, model: Container) -> dict[str, Weights]:
    """Arrays of all layers in the groups that a file would have for them, by their names alone: the order of layers
    tells nothing. Raises `UnknownLayer` where a name tells no layer."""
    leaves = list({leaf.path: leaf for leaf in model.leaves()}.values())
    kept = [(name, array) for name, array in weights if not is_random_state(name)]
    shares, left = _by_names("the model", leaves, kept)
    strange, left = _named_shares("the model", leaves, left, known=False)
    if left:
        listed = ", ".join(printable(name) for name, _ in left[:5])
        raise UnknownLayer(f"the names of {len(left)} stored arrays tell no layer of the model: {listed}")
    groups: dict[str, Weights] = {}
    for leaf in leaves:
        groups.setdefault(leaf.group, []).extend([*shares.get(leaf.path, ()), *strange.get(leaf.path, ())])
    return groups


def _group_layers(
    group: str, leaves: Sequence[Leaf], weights: Weights, version: Version, flipped: bool
) -> Iterator[Layer]:
    shares = {leaves[0].path: weights} if len(leaves) == 1 else _assign(group, leaves, weights)
    for leaf in {leaf.path: leaf for leaf in leaves}.values():
        share = shares.get(leaf.path, [])
        if share:
            try:
                yield assemble(leaf, split_cells(leaf, share), version, flipped=flipped)
            except ConversionError as error:
                yield unknown(leaf, dict(share), error)
        elif needs_arrays(leaf) and not _held_elsewhere(leaf, leaves, shares):
            raise CoverageError(
                f"{printable(leaf.path)}: the file stores no arrays for this {leaf.kind}", layer=leaf.path
            )


def _held_elsewhere(leaf: Leaf, leaves: Sequence[Leaf], shares: Mapping[str, Weights]) -> bool:
    """Whether a layer of the same name and class, shared between models, has the arrays."""
    return any(
        other.path in shares and (other.name, other.kind) == (leaf.name, leaf.kind) for other in leaves if other != leaf
    )


def _assign(group: str, leaves: Sequence[Leaf], weights: Weights) -> dict[str, Weights]:
    """Which leaf of a nested model each array belongs to: by name, then by order of what is left."""
    shares, left = _by_names(group, leaves, weights)
    if left:
        shares |= _by_order(group, [leaf for leaf in leaves if leaf.path not in shares], left)
    return shares


def _by_names(group: str, leaves: Sequence[Leaf], weights: Weights) -> tuple[dict[str, Weights], Weights]:
    """The arrays whose names tell their leaf, where those that name several may be of the one that has none yet."""
    shares, left = _named_shares(group, leaves, weights)
    if left and shares:
        more, left = _named_shares(group, [leaf for leaf in leaves if leaf.path not in shares], left)
        shares |= more
    return shares, left


def _named_shares(
    group: str, leaves: Sequence[Leaf], weights: Weights, *, known: bool = True
) -> tuple[dict[str, Weights], Weights]:
    """The arrays whose names tell their leaf, and the others; `known`: only arrays that the class of a leaf has."""
    shares: dict[str, Weights] = {}
    left: Weights = []
    named = _by_name(group, leaves)
    for weight, array in weights:
        owner = _owner(weight, named, known)
        if owner is None:
            left.append((weight, array))
        else:
            shares.setdefault(owner.path, []).append((weight, array))
    return shares, left


def _by_name(group: str, leaves: Sequence[Leaf]) -> dict[str, list[Leaf]]:
    """The leaves of a nested model by the names that their arrays may carry."""
    named: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        for name in _own_names(leaf):
            named.setdefault(name, []).append(leaf)
            if len(named[name]) > _MOST_OF_ONE_NAME:
                raise UnsafeCheckpoint(
                    f"{printable(group)} holds more than {_MOST_OF_ONE_NAME} layers {printable(name)!r}"
                )
    return named


def _owner(weight: str, named: Mapping[str, Sequence[Leaf]], known: bool) -> Leaf | None:
    """The one leaf whose name this array's name carries: its own name before that of a cell in it, with the most of its
    path before it, the outermost, the longest."""
    folders = weight.removesuffix(":0").split("/")
    words = folders[0].split("_") if len(folders) == 1 else []
    carried = [*enumerate(folders[:-1]), *((0, "_".join(words[:end])) for end in range(1, len(words)))]
    scores: dict[Leaf, tuple[bool, int, int, int]] = {}
    for place, name in carried:
        for leaf in named.get(name, ()):
            if not known or name_of(weight, array_names(leaf.cells[0].class_name)) is not None:
                score = (name == leaf.name, _shared(folders[:place], leaf.path.split("/")[:-1]), -place, len(name))
                scores[leaf] = max(score, scores.get(leaf, score))
    best = [leaf for leaf, score in scores.items() if score == max(scores.values())]
    return best[0] if len(best) == 1 else None


def _shared(folders: Sequence[str], models: Sequence[str]) -> int:
    """How many of the models around a leaf stand before its name in the name of an array."""
    pairs = zip(reversed(folders), reversed(models), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _own_names(leaf: Leaf) -> set[str]:
    inner = {str(cell.config.get("name")) for cell in leaf.cells}
    return {leaf.name, *inner, *(f"{side}_{name}" for side in ("forward", "backward") for name in inner)}


def _by_order(group: str, leaves: Sequence[Leaf], weights: Weights) -> dict[str, Weights]:
    """Arrays under names that TensorFlow made unique: their scopes in order against the leaves, trainable first."""
    scopes: dict[str, Weights] = {}
    for weight, array in weights:
        scopes.setdefault(_scope(weight), []).append((weight, array))
    ordered = sorted((leaf for leaf in leaves if needs_arrays(leaf)), key=lambda leaf: not leaf.trainable)
    fits = len(ordered) == len(scopes) and all(
        name_of(weight, array_names(leaf.cells[0].class_name)) is not None
        for leaf, share in zip(ordered, scopes.values(), strict=True)
        for weight, _ in share
    )
    if not fits:
        listed = ", ".join(printable(weight) for weight, _ in weights[:5])
        raise UnknownLayer(
            f"{printable(group)}: ambiguous: several of its layers may have these arrays: {listed}", layer=group
        )
    return {leaf.path: share for leaf, share in zip(ordered, scopes.values(), strict=True)}


def _scope(weight: str) -> str:
    """The folder that names the layer: without the folders of a cell or a direction below it."""
    folders = weight.split("/")[:-1]
    while len(folders) > 1 and ("cell" in folders[-1] or folders[-1].startswith(("forward_", "backward_"))):
        folders.pop()
    return "/".join(folders)
