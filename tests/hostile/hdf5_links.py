"""HDF5 files whose superblock, links and groups lead nowhere, elsewhere or round in circles."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py

from .cases import (
    KERNEL,
    LAYER,
    NAMES,
    SCOPE,
    WEIGHTS,
    Case,
    Change,
    h5_model,
    names,
    table,
    values,
    without_kernel,
)
from .patching import (
    END_OF_FILE_V0,
    LAYOUT,
    NOWHERE,
    ROOT_V0,
    get,
    group_tree,
    header,
    message,
    put,
)

KEPT = (20, 90, 97, 600, 2000, 4000, 7000)  # bytes left by the truncations, of about 12,000


def external_link_to_a_weight(folder: Path) -> Path:
    """The kernel is a link into another file (rule 3: hard links only)."""
    h5_model(folder / "outside.h5")
    return _linked(folder, KERNEL, h5py.ExternalLink("outside.h5", KERNEL))


def external_link_to_a_layer(folder: Path) -> Path:
    """The layer's whole group is a link into another file (rule 3)."""
    h5_model(folder / "outside.h5")
    return _linked(folder, LAYER, h5py.ExternalLink(str(folder / "outside.h5"), LAYER))


def external_link_to_nothing(folder: Path) -> Path:
    """A link to a file that is not there tells a stranger which files exist (rule 3)."""
    return _linked(folder, KERNEL, h5py.ExternalLink("/etc/passwd", "/"))


def soft_link_to_a_weight(folder: Path) -> Path:
    """The kernel is a soft link to another weight of the file (rule 3)."""
    return _linked(folder, KERNEL, h5py.SoftLink(f"/{SCOPE}/recurrent_kernel:0"))


def soft_link_to_nothing(folder: Path) -> Path:
    """The kernel is a soft link to nothing (rule 3)."""
    return _linked(folder, KERNEL, h5py.SoftLink("/nowhere"))


def soft_link_to_itself(folder: Path) -> Path:
    """The kernel is a soft link to itself: a recursion without end (rule 3)."""
    return _linked(folder, KERNEL, h5py.SoftLink(f"/{KERNEL}"))


def soft_link_to_a_layer(folder: Path) -> Path:
    """The layer's group is a soft link to its own parent (rule 3)."""
    return _linked(folder, LAYER, h5py.SoftLink(f"/{WEIGHTS}"))


def _linked(folder: Path, name: str, link: h5py.SoftLink | h5py.ExternalLink) -> Path:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return h5_model(folder / "model.h5", change)


def group_inside_itself(folder: Path) -> Path:
    """A group is its own grandchild by a hard link: a walk never ends (row 6, rule 3)."""

    def change(file: h5py.File) -> None:
        file[f"{SCOPE}/up"] = file[LAYER]

    return h5_model(folder / "model.h5", change)


def root_inside_itself(folder: Path) -> Path:
    """The layer's group is the root of the file (row 6, rule 3)."""
    path = h5_model(folder / "model.h5")
    return _relink(path, WEIGHTS, header(path, "/"))


def groups_5000_deep(folder: Path) -> Path:
    """5,000 groups, each inside the last, below a layer (rule 3: bounded depth)."""

    def change(file: h5py.File) -> None:
        group = file[LAYER].id
        for _ in range(5000):
            group = h5py.h5g.create(group, b"g")

    return h5_model(folder / "model.h5", change)


def alias_bomb(folder: Path) -> Path:
    """3,000 weight names are hard links to one dataset (row 6, rule 3)."""

    def change(file: h5py.File) -> None:
        more = [f"lstm/{index}:0" for index in range(3000)]
        for name in more:
            file[f"{LAYER}/{name}"] = file[KERNEL]
        file[LAYER].attrs["weight_names"] = names(*more)

    return h5_model(folder / "model.h5", change)


def alias_of_a_weight(folder: Path) -> Path:
    """The recurrent kernel is the kernel by a second hard link (row 6, rule 3)."""

    def change(file: h5py.File) -> None:
        del file[f"{SCOPE}/recurrent_kernel:0"]
        file[f"{SCOPE}/recurrent_kernel:0"] = file[KERNEL]

    return h5_model(folder / "model.h5", change)


def alias_of_a_layer(folder: Path) -> Path:
    """Two layers are one group by two hard links (row 6, rule 3)."""

    def change(file: h5py.File) -> None:
        file[f"{WEIGHTS}/lstm_1"] = file[LAYER]
        file[WEIGHTS].attrs["layer_names"] = names("lstm", "lstm_1")

    return h5_model(folder / "model.h5", change)


def layer_is_a_dataset(folder: Path) -> Path:
    """The layer's group is a dataset that has the attributes of one (bad input: groups)."""

    def change(file: h5py.File) -> None:
        del file[LAYER]
        file[LAYER] = [1.0, 2.0]
        file[LAYER].attrs["weight_names"] = names(*NAMES)

    return h5_model(folder / "model.h5", change)


def weight_is_a_group(folder: Path) -> Path:
    """The kernel is a group (bad input: groups)."""
    return _replaced(folder, lambda file: file.create_group(KERNEL))


def weight_is_a_named_type(folder: Path) -> Path:
    """The kernel is a committed datatype (bad input: groups)."""
    return _replaced(folder, lambda file: file.__setitem__(KERNEL, h5py.h5t.IEEE_F32LE.dtype))


def _replaced(folder: Path, change: Change) -> Path:
    return h5_model(folder / "model.h5", without_kernel(change))


def superblock_of_unknown_version(folder: Path) -> Path:
    """The superblock is of version 99 (rule 3)."""
    return put(h5_model(folder / "model.h5"), 8, "B", 99)


def superblock_of_wide_addresses(folder: Path) -> Path:
    """Addresses are announced as 255 bytes wide (rule 3)."""
    return put(h5_model(folder / "model.h5"), 13, "BB", 255, 255)


def superblock_of_far_base(folder: Path) -> Path:
    """The file's base address lies beyond its end (rule 3)."""
    return put(h5_model(folder / "model.h5"), 24, "Q", NOWHERE)


def superblock_of_larger_file(folder: Path) -> Path:
    """The superblock counts more bytes than the file has (bad input: truncated)."""
    return put(h5_model(folder / "model.h5"), END_OF_FILE_V0, "Q", NOWHERE)


def root_beyond_the_file(folder: Path) -> Path:
    """The root group's header lies beyond the end of the file (rule 3)."""
    return put(h5_model(folder / "model.h5"), ROOT_V0, "Q", NOWHERE)


def root_at_the_last_number(folder: Path) -> Path:
    """The root group's header lies at 2**64 - 2: sums with it overflow (rule 3)."""
    return put(h5_model(folder / "model.h5"), ROOT_V0, "Q", 2**64 - 2)


def link_beyond_the_file(folder: Path) -> Path:
    """The layer's header lies beyond the end of the file (rule 3)."""
    return _relink(h5_model(folder / "model.h5"), LAYER, NOWHERE)


def link_into_weights(folder: Path) -> Path:
    """The layer's header is read from the bytes of a weight (rule 3)."""
    path = h5_model(folder / "model.h5")
    return _relink(path, LAYER, get(path, message(path, KERNEL, LAYOUT) + 2, "Q")[0])


def _relink(path: Path, name: str, address: int) -> Path:
    """Point the hard link of a group that is its parent's only member somewhere else."""
    parent = name.rpartition("/")[0] or "/"
    tree, _ = group_tree(path, parent)
    (node,) = get(path, tree + 32, "Q")
    return put(path, node + 16, "Q", address)


def link_name_twice(folder: Path) -> Path:
    """Two links of one group have one name: readers see different kernels (row 6, rule 3)."""

    def change(file: h5py.File) -> None:
        file[f"{SCOPE}/kernel:1"] = -values("kernel")

    path = h5_model(folder / "model.h5", change)
    (node,) = get(path, group_tree(path, SCOPE)[0] + 32, "Q")
    kernel, other = node + 8 + 40, node + 8 + 80  # after bias:0, by the alphabet
    return put(path, other, "Q", get(path, kernel, "Q")[0])


def truncated(folder: Path, kept: int) -> Path:
    """A sound model of which only the first bytes arrived (bad input: truncated)."""
    path = h5_model(folder / "model.h5")
    path.write_bytes(path.read_bytes()[:kept])
    return path


def truncated_by_one_byte(folder: Path) -> Path:
    """A sound model without its last byte (bad input: truncated)."""
    path = h5_model(folder / "model.h5")
    return truncated(folder, path.stat().st_size - 1)


TRUNCATED: dict[str, Callable[[Path], Path]] = {
    f"truncated_to_{kept}_bytes": partial(truncated, kept=kept) for kept in KEPT
}


CASES = table(
    "hdf5",
    {
        external_link_to_a_weight: "external link",
        external_link_to_a_layer: "external link",
        external_link_to_nothing: "external link",
        soft_link_to_a_weight: "soft link",
        soft_link_to_nothing: "soft link",
        soft_link_to_itself: "soft link",
        soft_link_to_a_layer: "soft link",
        group_inside_itself: "twice",
        root_inside_itself: "twice",
        groups_5000_deep: "deep",
        alias_bomb: "twice",
        alias_of_a_weight: "twice",
        alias_of_a_layer: "twice",
        layer_is_a_dataset: "group",
        weight_is_a_group: "dataset",
        weight_is_a_named_type: "dataset",
        superblock_of_unknown_version: "superblock",
        superblock_of_wide_addresses: "64-bit",
        superblock_of_far_base: "superblock",
        superblock_of_larger_file: "truncated",
        root_beyond_the_file: "damaged",
        root_at_the_last_number: "damaged",
        link_beyond_the_file: "damaged",
        link_into_weights: "damaged",
        link_name_twice: "twice",
        truncated_by_one_byte: "truncated",
    },
) | {name: Case(build, "hdf5", "truncated") for name, build in TRUNCATED.items()}
