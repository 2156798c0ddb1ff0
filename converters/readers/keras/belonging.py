"""Which groups of an HDF5 file are the model's: those that Keras itself reads. Users store data of their own beside."""

from __future__ import annotations

from collections.abc import Iterator

from converters.readers.hdf5.group import Group
from converters.readers.hdf5.tree import Members

WHOLE = "model_weights"
"""The group of a whole-model file that holds what is the root of a weights-only one."""
_VARIABLES = "vars"
_TRAINING = {"optimizer_weights", "optimizer", "metrics"}
"""Groups of the root that hold a trainer's state."""
_NAMED = 5
"""How many of the other names are listed."""


def belonging(group: Group, members: Members) -> set[str] | None:
    """The members of a group that make up the model; None for all of them.

    A list `layer_names` names the groups that Keras reads; another group with a list of `weight_names` is a layer that
    the list lacks, and has to be accounted for. Without a list, arrays stand in groups `vars` of any depth; a link may
    lead to one, so it is chosen, and then refused.
    """
    if group.strings("layer_names") is not None:
        return _listed(group, members)
    if group.path:
        return None
    if members.is_link(WHOLE) or members.attributes(WHOLE) is not None:
        return {WHOLE}
    others = (name for name in members.links if not is_training(name))
    return {name for name in others if members.is_link(name) or members.hold(name, _VARIABLES)}


def _listed(group: Group, members: Members) -> set[str]:
    named = {name.partition("/")[0] for name in group.strings("layer_names") or ()}
    others = (name for name in members.links if name not in named and (group.path or not is_training(name)))
    return named | {name for name in others if _is_layer(members.attributes(name))}


def _is_layer(attributes: dict[str, object] | None) -> bool:
    return any(name.rstrip("0123456789") == "weight_names" for name in attributes or ())


def is_training(name: str) -> bool:
    """Whether a name in the root is that of a trainer's state."""
    return name.replace("\\", "/").partition("/")[0] in _TRAINING


def strangers(*roots: Group) -> tuple[str, ...]:
    """What a file holds beside the model, as a warning names it: a few names, and the number of the others."""
    found = [name for root in roots for name in _outside(root)]
    more = len(found) - _NAMED
    return (*found[:_NAMED], *((f"the rest ({more} more of its objects)",) if more > 0 else ()))


def _outside(root: Group) -> Iterator[str]:
    yield from (name for name in root.outside if not is_training(name))
    whole = root.groups.get(WHOLE)
    yield from (f"{WHOLE}/{name}" for name in (whole.outside if whole else ()))
