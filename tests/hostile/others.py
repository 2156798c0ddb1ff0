"""Sharded weights with a false map, and files that are no model at all."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import random
from pathlib import Path

import h5py

from .cases import h5_model, keras3_weights, table

VARIABLES = "/layers/lstm/cell/vars"
SHARD = "model_00000.weights.h5"


def sound_shards(folder: Path) -> Path:
    """Not hostile: a map of weights and its one shard."""
    return _shards(folder, {VARIABLES: SHARD})


def _shards(folder: Path, weight_map: object, shard: bytes | None = None) -> Path:
    """A map of weights beside one sound shard."""
    (folder / SHARD).write_bytes(keras3_weights() if shard is None else shard)
    return _map(folder, json.dumps({"metadata": {"total_size": 720}, "weight_map": weight_map}))


def _map(folder: Path, text: str) -> Path:
    path = folder / "model.weights.json"
    path.write_text(text)
    return path


def _inside(folder: Path) -> Path:
    """A folder of its own for the map, the sound shard one level above it."""
    (folder / "outside.weights.h5").write_bytes(keras3_weights())
    inside = folder / "inside"
    inside.mkdir()
    return inside


def shard_in_parent(folder: Path) -> Path:
    """A shard is named outside the map's folder (rule 2)."""
    return _shards(_inside(folder), {VARIABLES: "../outside.weights.h5"})


def shard_absolute(folder: Path) -> Path:
    """A shard is named from the root of the file system (rule 2)."""
    inside = _inside(folder)
    return _shards(inside, {VARIABLES: str(folder / "outside.weights.h5")})


def shard_of_windows(folder: Path) -> Path:
    """A shard climbs by backslashes (rule 2)."""
    return _shards(_inside(folder), {VARIABLES: "..\\outside.weights.h5"})


def shard_with_nul(folder: Path) -> Path:
    """A shard's name has a zero byte (rule 8)."""
    return _shards(folder, {VARIABLES: SHARD + "\0.txt"})


def shard_of_a_url(folder: Path) -> Path:
    """A shard is an address of the network (rule 2)."""
    return _shards(folder, {VARIABLES: "https://example.org/" + SHARD})


def shard_linked_out(folder: Path) -> Path:
    """A shard is a symbolic link out of the map's folder (row 10, rule 2)."""
    inside = _inside(folder)
    path = _shards(inside, {VARIABLES: SHARD})
    (inside / SHARD).unlink()
    (inside / SHARD).symlink_to(folder / "outside.weights.h5")
    return path


def shard_a_fifo(folder: Path) -> Path:
    """A shard is a FIFO, which blocks for ever on opening (row 11, rule 2)."""
    path = _shards(folder, {VARIABLES: SHARD})
    (folder / SHARD).unlink()
    os.mkfifo(folder / SHARD)
    return path


def shard_a_folder(folder: Path) -> Path:
    """A shard is a folder (row 11, rule 2)."""
    path = _shards(folder, {VARIABLES: SHARD})
    (folder / SHARD).unlink()
    (folder / SHARD).mkdir()
    return path


def shard_missing(folder: Path) -> Path:
    """A shard is not there (bad input: missing)."""
    return _shards(folder, {VARIABLES: SHARD, "/layers/dense/vars": "model_00001.weights.h5"})


def shard_a_link_to_itself(folder: Path) -> Path:
    """A shard is a symbolic link to itself (rule 2)."""
    path = _shards(folder, {VARIABLES: SHARD})
    (folder / SHARD).unlink()
    (folder / SHARD).symlink_to(folder / SHARD)
    return path


def shard_a_hard_link(folder: Path) -> Path:
    """A shard is another name of a file elsewhere (rule 2)."""
    inside = _inside(folder)
    path = _shards(inside, {VARIABLES: SHARD})
    (inside / SHARD).unlink()
    (inside / SHARD).hardlink_to(folder / "outside.weights.h5")
    return path


def shard_of_20_kilobytes(folder: Path) -> Path:
    """A shard's name is longer than any file's (rule 8)."""
    return _shards(folder, {VARIABLES: "m" * 20_000})


def shard_of_half_a_character(folder: Path) -> Path:
    """A shard's name is half a surrogate pair, which no file system takes (rule 8)."""
    return _shards(folder, {VARIABLES: "m\ud800.weights.h5"})


def shard_truncated(folder: Path) -> Path:
    """A shard has lost its second half (bad input: truncated)."""
    return _shards(folder, {VARIABLES: SHARD}, keras3_weights()[:2000])


def shard_is_the_map(folder: Path) -> Path:
    """A shard is the map itself."""
    return _shards(folder, {VARIABLES: "model.weights.json"})


def shard_with_external_link(folder: Path) -> Path:
    """A shard's weights are a link into another file (rule 3)."""
    path = _shards(folder, {VARIABLES: SHARD})
    (folder / "outside.h5").write_bytes(keras3_weights())
    with h5py.File(folder / SHARD, "a") as file:
        del file[VARIABLES]
        file[VARIABLES] = h5py.ExternalLink("outside.h5", VARIABLES)
    return path


def shard_not_listed(folder: Path) -> Path:
    """A shard holds weights that the map does not name (rule 6)."""
    return _shards(folder, {})


def shards_by_the_ten_thousand(folder: Path) -> Path:
    """The map names 50,000 variables in as many shards that are not there (rule 5)."""
    return _shards(
        folder,
        {VARIABLES: SHARD} | {f"/layers/{index}/vars": f"model_{index:05}.weights.h5" for index in range(1, 50_000)},
    )


def shards_of_the_same_weights(folder: Path) -> Path:
    """Two shards hold the same variables: which are the model's? (rule 6)"""
    (folder / "model_00001.weights.h5").write_bytes(keras3_weights())
    return _shards(folder, {VARIABLES: [SHARD, "model_00001.weights.h5"]})


def shard_without_the_weights(folder: Path) -> Path:
    """The map names variables that its shard has not (bad input: missing groups)."""
    return _shards(folder, {VARIABLES: SHARD, "/layers/dense/vars": SHARD})


def shard_map_a_list(folder: Path) -> Path:
    """The map of weights is a list."""
    return _shards(folder, [VARIABLES, SHARD])


def shard_map_of_numbers(folder: Path) -> Path:
    """The map's shards are numbers."""
    return _shards(folder, {VARIABLES: 0})


def shard_map_missing(folder: Path) -> Path:
    """A map's file without the map."""
    return _map(folder, '{"metadata": {"total_size": 720}}')


def shard_map_10000_deep(folder: Path) -> Path:
    """A map 10,000 deep (rule 1)."""
    return _map(folder, '{"weight_map":' + "[" * 10_000 + "]" * 10_000 + "}")


def shard_map_with_keys_twice(folder: Path) -> Path:
    """The map names one variable twice, in different shards."""
    _shards(folder, {})
    return _map(folder, f'{{"weight_map": {{"{VARIABLES}": "{SHARD}", "{VARIABLES}": "b.h5"}}}}')


def nothing(folder: Path) -> Path:
    """A path without a file."""
    return folder / "model.h5"


def _file(folder: Path, content: bytes, name: str = "model.h5") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def empty(folder: Path) -> Path:
    """A file of no bytes."""
    return _file(folder, b"")


def one_byte(folder: Path) -> Path:
    """A file of one byte."""
    return _file(folder, b"\x89")


def signature_alone(folder: Path) -> Path:
    """A file of nothing but HDF5's signature."""
    return _file(folder, b"\x89HDF\r\n\x1a\n")


def random_bytes(folder: Path) -> Path:
    """A file of noise."""
    return _file(folder, random.Random(0).randbytes(100_000))


def random_after_signature(folder: Path) -> Path:
    """Noise after HDF5's signature."""
    return _file(folder, b"\x89HDF\r\n\x1a\n\0" + random.Random(1).randbytes(100_000))


def zeros(folder: Path) -> Path:
    """A large file of zeros that takes no place on the disk."""
    path = _file(folder, b"")
    os.truncate(path, 2**33)
    return path


def html(folder: Path) -> Path:
    """A page of errors, downloaded under a model's name."""
    return _file(folder, b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n")


def html_as_keras(folder: Path) -> Path:
    """The same under the name of an archive."""
    return _file(folder, html(folder).read_bytes(), "model.keras")


def git_lfs_pointer(folder: Path) -> Path:
    """A git-LFS pointer in place of the file it stands for."""
    return _file(folder, b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n")


def picture(folder: Path) -> Path:
    """A PNG, whose signature resembles HDF5's."""
    return _file(folder, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0")


def pickled(folder: Path) -> Path:
    """A pickle, which would run code on loading (rule 1)."""
    return _file(folder, pickle.dumps({"weights": [1.0]}))


def gzipped(folder: Path) -> Path:
    """A sound model, compressed as a whole, under its old name."""
    return _file(folder, gzip.compress(h5_model(folder / "sound.h5").read_bytes(), mtime=0))


def in_ascii_mode(folder: Path) -> Path:
    """A sound model after a transfer that rewrote its line ends."""
    content = h5_model(folder / "sound.h5").read_bytes()
    return _file(folder, content.replace(b"\r\n", b"\n"))


def directory(folder: Path) -> Path:
    """A folder under a model's name."""
    (folder / "model.h5").mkdir()
    return folder / "model.h5"


def fifo(folder: Path) -> Path:
    """A FIFO, which blocks for ever on opening (row 11, rule 2)."""
    os.mkfifo(folder / "model.h5")
    return folder / "model.h5"


def link_to_itself(folder: Path) -> Path:
    """A symbolic link to itself (rule 2)."""
    (folder / "model.h5").symlink_to(folder / "model.h5")
    return folder / "model.h5"


CASES = table(
    "shards",
    {
        shard_in_parent: "relative path",
        shard_absolute: "relative path",
        shard_of_windows: "relative path",
        shard_with_nul: "relative path",
        shard_of_a_url: "relative path",
        shard_linked_out: "link",
        shard_a_fifo: "regular file",
        shard_a_folder: "regular file",
        shard_missing: "model_00001.weights.h5",
        shard_a_link_to_itself: "not a file name",
        shard_a_hard_link: "hard link",
        shard_of_20_kilobytes: "not a file name",
        shard_of_half_a_character: "not a file name",
        shard_truncated: "truncated",
        shard_is_the_map: "HDF5",
        shard_with_external_link: "external link",
        shard_not_listed: "weight_map",
        shards_by_the_ten_thousand: "50000 files",
        shards_of_the_same_weights: "twice",
        shard_without_the_weights: "layers/dense",
        shard_map_a_list: "weight_map",
        shard_map_of_numbers: "weight_map",
        shard_map_missing: "weight_map",
        shard_map_10000_deep: "deep",
        shard_map_with_keys_twice: "twice",
    },
) | table(
    "not a model",
    {
        nothing: "no such file",
        empty: "empty",
        one_byte: "unrecognised format",
        signature_alone: "truncated",
        random_bytes: "unrecognised format",
        random_after_signature: "HDF5",
        zeros: "unrecognised format",
        html: "HTML",
        html_as_keras: "HTML",
        git_lfs_pointer: "git-lfs",
        picture: "unrecognised format",
        pickled: "pickle",
        gzipped: "gzip",
        in_ascii_mode: "signature",
        directory: "folder",
        fifo: "regular file",
        link_to_itself: "link",
    },
)
