"""Trees of arrays as Flax, Orbax and Equinox store them: what is stored comes out, what is no weight is named."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from hostile import databases
from hostile.leaves import leaves
from hostile.msgpack import DENSE, INPUT, UNIT, array, model, number, sound_chunked, sound_msgpack, text, tree, values
from hostile.zarr import metadata, orbax, sound_orbax, sound_sharded

import converters
from converters.readers.orbax import ocdbt, zarr
from layouts.errors import CheckpointError, CoverageError, MissingDependency, UnknownLayer

FLAX = ROOT / "fixtures/flax/linen_cells"
WEIGHT, BIAS = values(INPUT, UNIT).T, values(UNIT)


SOUND = [sound_msgpack, sound_chunked, sound_orbax, sound_sharded, databases.sound_database]


def expect_dense(found: Mapping[str, torch.Tensor]) -> None:
    """Raise unless these are the weights of the one Dense, and nothing else."""
    assert {*found} == {"Dense_0.weight", "Dense_0.bias"}
    np.testing.assert_array_equal(found["Dense_0.weight"].numpy(), WEIGHT)
    np.testing.assert_array_equal(found["Dense_0.bias"].numpy(), BIAS)


@pytest.mark.parametrize("build", SOUND, ids=lambda build: build.__name__)
def test_what_is_sound_is_read(build: Callable[[Path], Path], tmp_path: Path) -> None:
    expect_dense(converters.convert(build(tmp_path)))


@pytest.mark.parametrize("build", [sound_msgpack, sound_chunked], ids=lambda build: build.__name__)
def test_bytes_cut_anywhere_are_refused(build: Callable[[Path], Path], tmp_path: Path) -> None:
    whole = build(tmp_path).read_bytes()
    for length in range(0, len(whole), 5):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            converters.convert(tmp_path / "cut")


@pytest.mark.parametrize("file", ["manifest.ocdbt", "d/data"])
def test_a_database_damaged_anywhere_is_refused(file: str, tmp_path: Path) -> None:
    """Every block has a checksum: a byte less, and a byte that is another, are noticed."""
    place = databases.database(tmp_path)
    whole = (place / file).read_bytes()
    for length in range(0, len(whole), 11):
        for damaged in (whole[:length], whole[:length] + bytes([whole[length] ^ 64]) + whole[length + 1 :]):
            (place / file).write_bytes(damaged)
            with pytest.raises(CheckpointError):
                converters.convert(place)


def test_arrays_of_other_types_keep_their_bits(tmp_path: Path) -> None:
    import ml_dtypes

    half = values(UNIT).astype(ml_dtypes.bfloat16)
    (tmp_path / "model.msgpack").write_bytes(model(bias=array(half, dtype="bfloat16")))
    layer = converters.read(tmp_path / "model.msgpack").layer("Dense_0")
    assert layer.parts[0].arrays["bias"].read().tobytes() == half.tobytes()


def test_what_is_beside_the_weights_is_left_out_by_name(tmp_path: Path) -> None:
    state = {
        "step": number(7),
        "params": {"params": {"Dense_0": DENSE}},
        "opt_state": {"0": {"mu": {"Dense_0": DENSE}, "count": array(np.array(3, "<i4"), dtype="int32", code=3)}},
        "note": text("hello"),
    }
    (tmp_path / "state").write_bytes(tree(state))
    found = converters.read(tmp_path / "state")
    assert [layer.path for layer in found.layers] == ["Dense_0"]
    mu = "opt_state/0/mu/Dense_0"
    assert {*found.unused} == {"step", f"{mu}/kernel", f"{mu}/bias", "opt_state/0/count", "note"}


def test_a_number_among_the_parameters_is_no_silence(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(model(scale=number(2)))
    with pytest.raises(UnknownLayer, match="scale"):
        converters.convert(tmp_path / "model")


def test_two_collections_with_one_name_are_refused() -> None:
    arrays = {"params": {"x": {"kernel": WEIGHT}}, "batch_stats": {"x": {"kernel": WEIGHT}}}
    with pytest.raises(CoverageError, match="two collections"):
        converters.convert(arrays, framework="flax")


def test_a_branch_of_the_weights_may_be_called_as_what_is_none() -> None:
    """`step` is a counter beside a collection, and any module's name below one or where there is none."""
    dense = {"kernel": WEIGHT.T, "bias": BIAS}
    for branches in ({"step": dense}, {"params": {"step": dense}}):
        assert {*converters.convert(branches, framework="flax")} == {"step.weight", "step.bias"}


def test_trees_in_memory_may_have_lists_numbers_and_gaps() -> None:
    plain = {"kernel": WEIGHT.T, "bias": None}
    tree = {"layers": [plain, {"kernel": WEIGHT.T, "bias": BIAS}], "more": {0: plain}}
    found = converters.convert(tree, framework="flax")
    assert {*found} == {"layers.0.weight", "layers.1.weight", "layers.1.bias", "more.0.weight"}


def test_names_may_be_joined_by_points() -> None:
    """As `flatten_dict(sep=".")` makes them; a layer's arrays are those of its layout all the same."""
    with np.load(FLAX / "model.npz") as file:
        slashes = {name: file[name] for name in file.files if "minimal" not in name}
    points = {name.replace("/", "."): array_ for name, array_ in slashes.items()}
    found, expected = (converters.convert(arrays, framework="flax") for arrays in (points, slashes))
    assert {*found} == {*expected}
    assert all(torch.equal(found[name], expected[name]) for name in expected)


class Key:
    """As a key of JAX, of which NumPy makes no array."""

    def __array__(self, *_: Any) -> Any:
        raise TypeError("JAX array with PRNGKey dtype cannot be converted to a NumPy array.")


def test_keys_of_random_numbers_are_left_out() -> None:
    tree = {"lin": {"kernel": WEIGHT.T}, "drop": {"rngs": {"key": Key(), "count": np.uint32(1)}}}
    found = converters.read(tree, framework="flax")
    assert found.unused == ("drop/rngs/key", "drop/rngs/count")
    with pytest.raises(converters.ConversionError, match="no layout fits"):
        converters.convert({"lin": {"kernel": Key()}}, framework="flax")


def test_cells_that_are_scanned_alone_are_a_stack_where_their_sizes_allow() -> None:
    def cell(inputs: int) -> dict[str, Any]:
        return {
            "i": {"kernel": np.ones((2, inputs, 5), "f"), "bias": np.ones((2, 5), "f")},
            "h": {"kernel": np.ones((2, 5, 5), "f")},
        }

    def modules(tree: dict[str, Any]) -> list[str]:
        return [module.constructor for module in converters.plan(tree, framework="flax").modules]

    assert modules({"a": cell(5)}) == ["nn.RNN(5, 5, num_layers=2, batch_first=True)"]
    assert modules({"a": cell(3)}) == ["nn.RNN(3, 5, batch_first=True)"] * 2
    both = modules({"ScanSimpleCell_0": cell(5), "ScanSimpleCell_1": cell(5)})
    assert both == ["nn.RNN(5, 5, num_layers=2, batch_first=True)"] * 2
    assert modules({"a": cell(5), "b": cell(5)}) == ["nn.RNN(5, 5, batch_first=True)"] * 4
    assert modules({"a": cell(5), "b": {"c": cell(5)}}) == ["nn.RNN(5, 5, num_layers=2, batch_first=True)"] * 2


def stored(shape: tuple[int, ...], chunk: tuple[int, ...], order: str = "C") -> tuple[np.ndarray, dict[str, bytes]]:
    """An array, and the values of zarr 2 that hold it."""
    whole, told = values(*shape), metadata(values(*shape), chunks=[*chunk], order=order)
    found = {"x/.zarray": json.dumps(told).encode()}
    for place in np.ndindex(*(-(-n // c) for n, c in zip(shape, chunk, strict=True))):
        piece = np.full(chunk, -1, "<f4")
        own = whole[tuple(slice(k * c, (k + 1) * c) for k, c in zip(place, chunk, strict=True))]
        piece[tuple(slice(n) for n in own.shape)] = own
        found["x/" + ".".join(map(str, place))] = piece.tobytes(order)
    return whole, found


def get(found: Mapping[str, bytes]) -> zarr.Get:
    return lambda key: memoryview(found[key]) if key in found else None


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("chunk", [(3, 5), (2, 5), (1, 2), (3, 1)])
def test_chunks_are_put_together(chunk: tuple[int, ...], order: str) -> None:
    whole, found = stored((3, 5), chunk, order)
    np.testing.assert_array_equal(zarr.array("x", "x", get(found), complete=True)[0].read(), whole)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_axes_that_are_stored_in_another_order_are_put_back(order: tuple[int, ...]) -> None:
    whole = values(2, 3, 5)
    told = {
        "zarr_format": 3, "node_type": "array", "shape": [2, 3, 5], "data_type": "float32", "fill_value": 0.0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3, 5]}},
        "chunk_key_encoding": {"name": "default"},
        "codecs": [{"name": "transpose", "configuration": {"order": [*order]}}, {"name": "bytes"}, {"name": "gzip"}],
    }  # fmt: skip
    data = gzip.compress(np.ascontiguousarray(whole.transpose(order)).tobytes())
    found = {"x/zarr.json": json.dumps(told).encode(), "x/c/0/0/0": data}
    np.testing.assert_array_equal(zarr.array("x", "x", get(found), complete=True)[0].read(), whole)


def test_a_chunk_that_is_not_stored_holds_the_fill_value() -> None:
    whole, found = stored((3, 5), (1, 5))
    del found["x/1.0"]
    with pytest.raises(CheckpointError, match=r"1\.0 is missing"):
        zarr.array("x", "x", get(found), complete=True)
    whole[1] = 0
    np.testing.assert_array_equal(zarr.array("x", "x", get(found), complete=False)[0].read(), whole)


def test_arrays_of_which_nothing_is_stored_are_told(tmp_path: Path) -> None:
    """Older checkpoints leave out what is zero; that is legal, and said."""
    place = orbax(tmp_path, store_array_data_equal_to_fill_value=False)
    (place / "params.Dense_0.bias/0").unlink()
    with pytest.warns(converters.ConversionWarning, match="params/Dense_0/bias.*not stored"):
        found = converters.convert(place)
    assert not found["Dense_0.bias"].any()


def test_the_steps_of_a_run_are_a_question(tmp_path: Path) -> None:
    steps = []
    for number_ in (2, 10):
        (tmp_path / "run" / str(number_)).mkdir(parents=True)
        place = orbax(tmp_path / "run" / str(number_))
        (place.parent / "_CHECKPOINT_METADATA").write_text("{}")
        steps.append(place.parent)
    with pytest.raises(CheckpointError, match="the steps 2, 10"):
        converters.convert(tmp_path / "run")
    expect_dense(converters.convert(steps[0]))
    for file in sorted(steps[0].rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    expect_dense(converters.convert(tmp_path / "run"))


def test_the_items_of_a_step_are_one_tree(tmp_path: Path) -> None:
    (tmp_path / "_CHECKPOINT_METADATA").write_text("{}")
    orbax(tmp_path).rename(tmp_path / "model")
    orbax(tmp_path).rename(tmp_path / "opt_state")
    found = converters.read(tmp_path)
    assert [layer.path for layer in found.layers] == ["model/Dense_0"]
    assert {*found.unused} == {f"opt_state/params/Dense_0/{name}" for name in ("kernel", "bias")}


def test_a_database_without_metadata_tells_its_arrays_itself(tmp_path: Path) -> None:
    """Names and values as TensorStore wrote them: nodes below nodes, keys by what they share, values in other files."""
    found = ocdbt.values(FLAX / "ocdbt")
    assert json.loads(bytes(found["params.lstm.cell.hf.bias/.zarray"]))["shape"] == [5]
    assert len([key for key in found if key.endswith("/.zarray")]) == 91
    expect_dense(converters.convert(databases.database(tmp_path)))


@pytest.mark.parametrize("file", ["_METADATA", "manifest.ocdbt", "ocdbt.process_0/manifest.ocdbt"])
def test_one_file_of_a_checkpoint_leads_to_its_folder(file: str) -> None:
    with pytest.raises(CheckpointError, match=r"give its folder, .*linen_cells/ocdbt$"):
        converters.read(FLAX / "ocdbt" / file)


def test_without_zstandard_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingDependency, match=r"gateport\[orbax\]"):
        converters.convert(FLAX / "zarr")


@pytest.mark.parametrize(
    ("assume", "message"),
    [
        ({}, "have no names.*LSTMCell"),
        ({"names": "a.weight"}, "1 names, and 2 arrays"),
        ({"names": "a.weight a.weight"}, "a.weight stands twice"),
        ({"order": "LSTMCell"}, "do not fit"),
        ({"order": "Nonsense"}, "no order of 'Nonsense'"),
    ],
)
def test_leaves_need_names(assume: dict[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "model.eqx").write_bytes(leaves(WEIGHT, BIAS))
    with pytest.raises(UnknownLayer, match=message):
        converters.convert(tmp_path / "model.eqx", assume=assume)


def test_leaves_are_named_by_a_list_or_an_order(tmp_path: Path) -> None:
    (tmp_path / "model.eqx").write_bytes(leaves(WEIGHT, BIAS, np.array(0.5), np.array(False)))
    for assume in ({"names": "head.weight, head.bias"}, {"order": "head=Linear"}):
        found = converters.convert(tmp_path / "model.eqx", assume=assume)
        np.testing.assert_array_equal(found["head.weight"].numpy(), WEIGHT)
        assert converters.read(tmp_path / "model.eqx", assume=assume).unused == ("arr_2", "arr_3")


def test_the_leaves_of_one_layer_need_its_class_alone(tmp_path: Path) -> None:
    (tmp_path / "cell.eqx").write_bytes(leaves(values(15, 3), values(15, 5), values(15), values(5)))
    found = converters.convert(tmp_path / "cell.eqx", assume={"class": "GRUCell"})
    assert {name: tuple(t.shape) for name, t in found.items()} == {
        "weight_ih_l0": (15, 3), "weight_hh_l0": (15, 5), "bias_ih_l0": (15,), "bias_hh_l0": (15,)
    }  # fmt: skip
    np.testing.assert_array_equal(found["bias_hh_l0"].numpy(), np.concatenate([np.zeros(10), values(5)]).astype("f"))
    with pytest.raises(UnknownLayer, match="do not fit"):
        converters.convert(tmp_path / "cell.eqx", assume={"class": "Linear"})


def test_a_line_of_settings_before_the_leaves_is_shown(tmp_path: Path) -> None:
    (tmp_path / "model.eqx").write_bytes(b'{"hidden": 5}\n' + leaves(WEIGHT))
    with pytest.warns(converters.ConversionWarning, match=r'begins with what its writer noted: \{"hidden": 5\}'):
        found = converters.convert(tmp_path / "model.eqx", assume={"order": "head=Linear"})
    np.testing.assert_array_equal(found["head.weight"].numpy(), WEIGHT)


def test_leaves_of_bfloat16_keep_their_bits(tmp_path: Path) -> None:
    import ml_dtypes

    half = WEIGHT.astype(ml_dtypes.bfloat16)
    (tmp_path / "model.eqx").write_bytes(leaves(half.view("V2"), BIAS.astype(ml_dtypes.bfloat16).view("V2")))
    found = converters.convert(tmp_path / "model.eqx", assume={"order": "head=Linear"})
    assert found["head.weight"].dtype == torch.bfloat16
    assert found["head.weight"].view(torch.int16).numpy().tobytes() == half.tobytes()


@pytest.mark.parametrize("file", ["ocdbt", "zarr3", "model.msgpack"])
def test_reading_imports_no_framework(file: str, tmp_path: Path) -> None:
    code = (
        "import sys, converters; converters.convert_file(sys.argv[1], sys.argv[2], strict=False); "
        "print([name for name in ('jax', 'flax', 'orbax', 'tensorstore', 'equinox', 'torch') if name in sys.modules])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(FLAX / file), str(tmp_path / "out.safetensors")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
