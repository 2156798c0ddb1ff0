"""What people store beside a model in its HDF5 file is never read, is named in a warning, and refuses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import hostile
import numpy as np
import pytest
from hostile.cases import KERNEL, LAYER, WEIGHTS, archive, h5_model, keras3_members, keras3_weights, names

import converters
from converters import ConversionWarning, CoverageError, UnreadableCheckpoint, UnsafeCheckpoint

Add = Callable[[h5py.Group], object]


def _virtual(group: h5py.Group) -> None:
    layout = h5py.VirtualLayout((3,), "<f4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (3,), "<f4")
    group.create_virtual_dataset("extra", layout)


def _group_of_all(group: h5py.Group) -> None:
    extra = group.create_group("extra")
    for name, add in EXTRAS.items():
        if name != "group of them":
            add(extra.create_group(name))


RECORD = np.dtype([("label", "S5"), ("index", "<i4")])
EXTRAS: dict[str, Add] = {
    "byte strings": lambda group: group.create_dataset("extra", data=np.array([b"cat", b"dog"])),
    "strings": lambda group: group.create_dataset("extra", data=["cat", "dog"], dtype=h5py.string_dtype()),
    "one string": lambda group: group.create_dataset("extra", data="label decoding"),
    "records": lambda group: group.create_dataset("extra", data=np.zeros(3, RECORD)),
    "lists": lambda group: group.create_dataset("extra", (3,), dtype=h5py.vlen_dtype("<f4")),
    "references": lambda group: group.create_dataset("extra", data=np.full(3, group.ref), dtype=h5py.ref_dtype),
    "numbers": lambda group: group.create_dataset("extra", data=np.arange(7, dtype="<f8")),
    "integers": lambda group: group.create_dataset("extra", data=np.arange(7)),
    "no numbers": lambda group: group.create_dataset("extra", (0, 5), dtype="<f4"),
    "no value": lambda group: group.create_dataset("extra", data=h5py.Empty("<f4")),
    "never written": lambda group: group.create_dataset("extra", (7, 7), dtype="<f4"),
    "larger than the file": lambda group: group.create_dataset("extra", (2**19, 2**19), "<f4", chunks=(64, 64)),
    "of another filter": lambda group: group.create_dataset("extra", data=np.zeros(999), compression="lzf"),
    "a named type": lambda group: group.__setitem__("extra", np.dtype("<f4")),
    "a soft link": lambda group: group.__setitem__("extra", h5py.SoftLink("/nowhere")),
    "an external link": lambda group: group.__setitem__("extra", h5py.ExternalLink("/etc/passwd", "/")),
    "a second name": lambda group: group.__setitem__("extra", group.file.require_group("notes")),
    "external storage": lambda g: g.create_dataset("extra", (3,), "<f4", external=[("/etc/passwd", 0, 12)]),
    "virtual": _virtual,
    "group of them": _group_of_all,
}


def whole_model(folder: Path, add: Add) -> Path:
    return h5_model(folder / "model.h5", add)


def among_the_layers(folder: Path, add: Add) -> Path:
    return h5_model(folder / "model.h5", lambda file: add(file[WEIGHTS]))


def newest_format(folder: Path, add: Add) -> Path:
    return h5_model(folder / "model.h5", add, libver="latest")


def weights_alone(folder: Path, add: Add) -> Path:
    path = hostile.odd.weights_alone(folder)
    with h5py.File(path, "a") as file:
        add(file)
    return path


def numbered_weights(folder: Path, add: Add) -> Path:
    path = folder / "model.weights.h5"
    path.write_bytes(_numbered(add))
    return path


def inside_an_archive(folder: Path, add: Add) -> Path:
    return archive(folder / "model.keras", keras3_members() | {"model.weights.h5": _numbered(add)})


def _numbered(add: Add) -> bytes:
    buffer = BytesIO(keras3_weights())
    with h5py.File(buffer, "a") as file:
        add(file)
    return buffer.getvalue()


LISTED = (whole_model, among_the_layers, newest_format, weights_alone)
NUMBERED = (numbered_weights, inside_an_archive)
LINKS = {"a soft link", "an external link"}


def places() -> Iterator[Any]:
    """Every form of a file with everything beside its model; a link beside numbered arrays may lead to a layer."""
    for build in (*LISTED, *NUMBERED):
        for extra in EXTRAS:
            if build in LISTED or extra not in LINKS:
                yield pytest.param(build, extra, id=f"{build.__name__}-{extra}")


def plain(_: h5py.Group) -> None:
    """Nothing is added."""


@pytest.mark.parametrize(("build", "extra"), places())
def test_it_is_named_and_the_model_converts(build: Callable[[Path, Add], Path], extra: str, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    wanted = converters.read(build(tmp_path / "plain", plain))
    found = converters.read(build(tmp_path, EXTRAS[extra]))
    place = f"{WEIGHTS}/extra" if build is among_the_layers else "extra"
    assert place in found.unused
    assert any(place in text and "left out" in text for text in converters.plan(found).warnings)
    pairs = zip(found.layers[0].stored(), wanted.layers[0].stored(), strict=True)
    assert all(np.array_equal(one.read(), other.read()) for one, other in pairs)


def test_a_sound_file_has_nothing_beside_its_model(tmp_path: Path) -> None:
    for number, build in enumerate((*LISTED, *NUMBERED)):
        (tmp_path / str(number)).mkdir()
        assert converters.read(build(tmp_path / str(number), plain)).unused == ()


def test_a_conversion_warns(tmp_path: Path) -> None:
    with pytest.warns(ConversionWarning, match="extra is stored"):
        converters.convert(whole_model(tmp_path, EXTRAS["strings"]))


def test_a_crowd_is_counted(tmp_path: Path) -> None:
    def crowd(file: h5py.Group) -> None:
        for number in range(40):
            file[f"note {number:02}"] = f"{number}"

    unused = converters.read(whole_model(tmp_path, crowd)).unused
    assert unused[:2] == ("note 00", "note 01") and len(unused) == 6 and "35 more" in unused[-1]


@pytest.mark.parametrize("name", ["optimizer_weights", "optimizer", "metrics"])
def test_the_state_of_a_trainer_is_passed_over_without_a_word(name: str, tmp_path: Path) -> None:
    assert converters.read(whole_model(tmp_path, lambda file: EXTRAS["numbers"](file.create_group(name)))).unused == ()


@pytest.mark.parametrize("extra", ["byte strings", "numbers", "records", "group of them"])
def test_inside_a_layer_it_is_an_error_still(extra: str, tmp_path: Path) -> None:
    path = h5_model(tmp_path / "model.h5", lambda file: EXTRAS[extra](file[LAYER]))
    with pytest.raises((CoverageError, UnreadableCheckpoint, UnsafeCheckpoint)):
        converters.read(path)


@pytest.mark.parametrize("parts", [("weight_names",), ("weight_names0", "weight_names1")], ids=["whole", "in-parts"])
def test_a_layer_that_no_list_names_is_an_error_still(parts: tuple[str, ...], tmp_path: Path) -> None:
    def unlisted(file: h5py.File) -> None:
        group = file[WEIGHTS].create_group("lost")
        group["kernel"] = np.ones((3, 5), "<f4")
        for part in parts:
            group.attrs[part] = names("kernel")

    with pytest.raises(CoverageError, match="kernel"):
        converters.read(h5_model(tmp_path / "model.h5", unlisted))


@pytest.mark.parametrize("extra", sorted(LINKS))
@pytest.mark.parametrize("build", NUMBERED, ids=lambda build: build.__name__)
def test_a_link_that_may_lead_to_a_layer_is_refused(
    build: Callable[[Path, Add], Path], extra: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsafeCheckpoint, match="only hard links"):
        converters.read(build(tmp_path, EXTRAS[extra]))


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/backup"), h5py.ExternalLink("outside.h5", "/")], ids=["soft", "external"]
)
def test_the_weights_themselves_are_no_link(link: h5py.SoftLink | h5py.ExternalLink, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file.move(WEIGHTS, "backup")
        file[WEIGHTS] = link

    with pytest.raises(UnsafeCheckpoint, match="link"):
        converters.read(h5_model(tmp_path / "model.h5", change))


def test_a_second_name_of_a_weight_is_not_followed(tmp_path: Path) -> None:
    path = h5_model(tmp_path / "model.h5", lambda file: file.__setitem__("mine", file[KERNEL]))
    assert converters.read(path).unused == ("mine",)
