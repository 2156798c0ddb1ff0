"""Channels first or last, where Keras 1 did not write it down: its layers that pad, crop and upsample maps.

They took the setting of the session, as the convolutions and poolings of the model did, which do write it. Source:
`get_config` of ZeroPadding2D, Cropping2D and UpSampling2D of keras 1.2.2, and of their forms in three dimensions.
"""

from __future__ import annotations

from dataclasses import replace

from converters.readers.keras.config import Container, Leaf

KEY, NOT_TOLD = "dim_ordering", "not told"
_SILENT = {f"{name}{count}D" for name in ("ZeroPadding", "Cropping", "UpSampling") for count in (2, 3)}


def with_orderings(model: Container) -> Container:
    """The model, its silent layers with what all others say; `NOT_TOLD` where none does, or they differ."""
    said = {leaf.config[KEY] for leaf in model.leaves() if leaf.config.get(KEY) in ("th", "tf")}
    return _filled(model, said.pop() if len(said) == 1 else NOT_TOLD)


def _filled(model: Container, ordering: str) -> Container:
    members = [
        (item, _filled(member, ordering) if isinstance(member, Container) else _told(member, ordering))
        for item, member in model.members
    ]
    return replace(model, members=members)


def _told(leaf: Leaf, ordering: str) -> Leaf:
    if leaf.class_name not in _SILENT or KEY in leaf.config:
        return leaf
    return replace(leaf, config={**leaf.config, KEY: ordering})
