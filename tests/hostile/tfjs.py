"""Layers models of TensorFlow.js with false manifests, shards and topologies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .cases import SHAPES, Case, model_config, table, values

SHARD = "group1-shard1of1.bin"
DATA = b"".join(values(name).tobytes() for name in SHAPES)


def _weight(name: str, /, **changes: Any) -> dict[str, Any]:
    return {"name": f"lstm/lstm_cell/{name}", "shape": [*SHAPES[name]], "dtype": "float32"} | changes


def _weights(**changes: Any) -> list[dict[str, Any]]:
    """The weights of the model, the kernel with these changes."""
    return [_weight("kernel", **changes), _weight("recurrent_kernel"), _weight("bias")]


def _model(folder: Path, manifest: Any, data: bytes | None = DATA, **changes: Any) -> Path:
    topology = {"keras_version": "2.15.0", "backend": "tensorflow", "model_config": model_config()}
    described = {"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest} | changes
    path = folder / "model.json"
    path.write_text(json.dumps(described))
    if data is not None:
        (folder / SHARD).write_bytes(data)
    return path


def _group(weights: Any = None, paths: Any = (SHARD,)) -> list[dict[str, Any]]:
    return [{"paths": list(paths), "weights": _weights() if weights is None else weights}]


def sound_tfjs(folder: Path) -> Path:
    """Not hostile: a model of one LSTM, its weights in one shard."""
    return _model(folder, _group())


def sound_tfjs_in_shards(folder: Path) -> Path:
    """Not hostile: the same, cut into shards of a byte, three and the rest, named from this folder."""
    paths = []
    for number, (start, stop) in enumerate(((0, 1), (1, 4), (4, len(DATA)))):
        (folder / f"{number}.bin").write_bytes(DATA[start:stop])
        paths.append(f"./{number}.bin")
    return _model(folder, _group(paths=paths), None)


def tfjs_shard_missing(folder: Path) -> Path:
    """A shard that is not there (bad input)."""
    return _model(folder, _group(), None)


def tfjs_shard_cut(folder: Path) -> Path:
    """A shard that ends within an array (bad input)."""
    return _model(folder, _group(), DATA[:-4])


def tfjs_shard_with_a_tail(folder: Path) -> Path:
    """Bytes that belong to no weight (rule 6)."""
    return _model(folder, _group(), DATA + bytes(4))


def tfjs_shard_in_parent(folder: Path) -> Path:
    """A shard outside the folder of the model (rule 2)."""
    (folder / SHARD).write_bytes(DATA)
    (folder / "inside").mkdir()
    return _model(folder / "inside", _group(paths=[f"../{SHARD}"]), None)


def tfjs_shard_linked_out(folder: Path) -> Path:
    """A shard that is a link out of the folder (rule 2)."""
    (folder / "outside.bin").write_bytes(DATA)
    (folder / "inside").mkdir()
    (folder / "inside" / SHARD).symlink_to(folder / "outside.bin")
    return _model(folder / "inside", _group(), None)


def tfjs_shard_of_a_url(folder: Path) -> Path:
    """A shard at another place, which nobody asked to fetch (rule 2)."""
    return _model(folder, _group(paths=["https://example.invalid/shard.bin"]), None)


def tfjs_shard_is_the_model(folder: Path) -> Path:
    """The model's own JSON as a shard (row 6)."""
    return _model(folder, _group(paths=["model.json"]), None)


def tfjs_shard_twice(folder: Path) -> Path:
    """One shard in two groups (row 6)."""
    return _model(folder, [*_group(), {"paths": [SHARD], "weights": []}])


def tfjs_shards_by_the_thousand(folder: Path) -> Path:
    """More shards than are opened (rule 5)."""
    return _model(folder, _group(paths=[f"{k}.bin" for k in range(10_001)]))


def tfjs_weights_by_the_hundred_thousand(folder: Path) -> Path:
    """More weights than are read, all without elements (rule 5)."""
    empty = [{"name": f"{k}", "shape": [0], "dtype": "bool"} for k in range(100_001)]
    return _model(folder, _group(empty), None)


def tfjs_weight_twice(folder: Path) -> Path:
    """One name for two weights (rule 6)."""
    return _model(folder, _group([*_weights(), _weight("bias")]), DATA + bytes(80))


def tfjs_weight_of_nothing(folder: Path) -> Path:
    """A weight that no layer of the model has (rule 6)."""
    return _model(folder, _group([*_weights(), _weight("bias", name="gru/bias")]), DATA + bytes(80))


def tfjs_weight_missing(folder: Path) -> Path:
    """A model whose layer has no arrays (rule 6)."""
    return _model(folder, [{"paths": [], "weights": []}], None)


def tfjs_weight_below_zero(folder: Path) -> Path:
    """A size below zero (rule 5)."""
    return _model(folder, _group(_weights(shape=[-3, -20])))


def tfjs_weight_of_true(folder: Path) -> Path:
    """A size that is a truth (rule 1)."""
    return _model(folder, _group(_weights(shape=[True, 60])))


def tfjs_weight_of_a_huge_shape(folder: Path) -> Path:
    """A shape whose product is 2^124 (rule 5)."""
    return _model(folder, _group(_weights(shape=[(1 << 62) - 1, (1 << 62) - 1])))


def tfjs_weight_of_many_axes(folder: Path) -> Path:
    """A hundred axes (rule 5)."""
    return _model(folder, _group(_weights(shape=[1] * 98 + [3, 20])))


def tfjs_weight_of_texts(folder: Path) -> Path:
    """A weight of texts, whose length only its bytes tell (rule 1)."""
    return _model(folder, _group(_weights(dtype="string")))


def tfjs_weight_of_no_dtype(folder: Path) -> Path:
    """A dtype that NumPy would parse as a structure (rule 1)."""
    return _model(folder, _group(_weights(dtype="f4,f4")))


def tfjs_weight_of_integers(folder: Path) -> Path:
    """Whole numbers where weights are (rule 7)."""
    return _model(folder, _group(_weights(dtype="int32")))


def tfjs_name_10000_deep(folder: Path) -> Path:
    """A name of 10,000 parts (rule 1)."""
    return _model(folder, _group(_weights(name="a/" * 10_000 + "vars/0")))


def tfjs_name_with_control_characters(folder: Path) -> Path:
    """A name that would clear the screen (rule 8)."""
    return _model(folder, _group(_weights(name="a\x1b[2J\nb")))


def _quantized(folder: Path, quantization: Any, **changes: Any) -> Path:
    size = {"uint8": 60, "uint16": 120, "float16": 120}.get(dict(quantization or {}).get("dtype", ""), 240)
    return _model(folder, _group(_weights(quantization=quantization, **changes)), DATA[240 - size :])


def tfjs_quantized_without_a_scale(folder: Path) -> Path:
    """Whole numbers whose meaning nothing tells (rule 7)."""
    return _quantized(folder, {"dtype": "uint8", "min": 0.0})


def tfjs_quantized_by_infinity(folder: Path) -> Path:
    """A scale that JSON parses as infinity (rule 7)."""
    path = _quantized(folder, {"dtype": "uint8", "min": 0.0, "scale": 12345.5})
    path.write_text(path.read_text().replace("12345.5", "1e999"))
    return path


def tfjs_quantized_by_a_whole_number_of_400_digits(folder: Path) -> Path:
    """A scale that no float holds (rule 5)."""
    return _quantized(folder, {"dtype": "uint16", "min": 0, "scale": 10**400})


def tfjs_quantized_to_other_bits(folder: Path) -> Path:
    """Bits that TensorFlow.js does not know (rule 7)."""
    return _quantized(folder, {"dtype": "uint4", "min": 0.0, "scale": 1.0})


def tfjs_quantized_integers(folder: Path) -> Path:
    """Whole numbers made of whole numbers, which are rounded otherwise in Python and JavaScript (rule 7)."""
    return _quantized(folder, {"dtype": "uint8", "min": 0.0, "scale": 1.0}, dtype="int32")


def tfjs_quantized_by_a_list(folder: Path) -> Path:
    """A quantization that is no object (rule 1)."""
    return _model(folder, _group(_weights(quantization=["uint8"])))


def tfjs_manifest_of_numbers(folder: Path) -> Path:
    """A manifest that lists no groups (rule 1)."""
    return _model(folder, [1, 2, 3])


def tfjs_manifest_none(folder: Path) -> Path:
    """A topology alone (bad input)."""
    return _model(folder, None)


def tfjs_paths_of_numbers(folder: Path) -> Path:
    """Shards that are no names (rule 1)."""
    return _model(folder, _group(paths=[1]))


def tfjs_topology_none(folder: Path) -> Path:
    """Weights without a topology (bad input)."""
    return _model(folder, _group(), modelTopology=None)


def tfjs_topology_subclassed(folder: Path) -> Path:
    """A model whose layers its code alone tells (rule 7)."""
    own = {"class_name": "Mine", "config": {"name": "mine"}}
    return _model(folder, _group(), modelTopology={"keras_version": "2.15.0", "model_config": own})


def tfjs_topology_of_theano(folder: Path) -> Path:
    """Kernels that are flipped by whoever reads them as Keras does (rule 7)."""
    topology = {"keras_version": "2.2.4", "backend": "theano", "model_config": model_config()}
    return _model(folder, _group(), modelTopology=topology)


def tfjs_graph_model(folder: Path) -> Path:
    """Operations instead of layers (rule 7)."""
    return _model(folder, _group(), format="graph-model", modelTopology={"node": [], "versions": {}})


def tfjs_graph_model_unsaid(folder: Path) -> Path:
    """The same by a version that names no format (rule 7)."""
    return _model(folder, _group(), format=None, modelTopology={"node": [], "library": {}})


CASES: dict[str, Case] = table(
    "json",
    {
        tfjs_shard_missing: "no such file",
        tfjs_shard_cut: "take",
        tfjs_shard_with_a_tail: "take",
        tfjs_shard_in_parent: "relative path",
        tfjs_shard_linked_out: "link",
        tfjs_shard_of_a_url: "relative path",
        tfjs_shard_is_the_model: "take",
        tfjs_shard_twice: "twice",
        tfjs_shards_by_the_thousand: "10001 shards",
        tfjs_weights_by_the_hundred_thousand: "100001 weights",
        tfjs_weight_twice: "twice",
        tfjs_weight_of_nothing: "gru/bias",
        tfjs_weight_missing: "no arrays",
        tfjs_weight_below_zero: "impossible shape",
        tfjs_weight_of_true: "impossible shape",
        tfjs_weight_of_a_huge_shape: "take",
        tfjs_weight_of_many_axes: "impossible shape",
        tfjs_weight_of_texts: "string",
        tfjs_weight_of_no_dtype: "f4,f4",
        tfjs_weight_of_integers: "int32 numbers",
        tfjs_name_10000_deep: "many parts",
        tfjs_name_with_control_characters: "no layer",
        tfjs_quantized_without_a_scale: "scale",
        tfjs_quantized_by_infinity: "scale",
        tfjs_quantized_by_a_whole_number_of_400_digits: "scale",
        tfjs_quantized_to_other_bits: "uint4",
        tfjs_quantized_integers: "int32",
        tfjs_quantized_by_a_list: "quantized",
        tfjs_manifest_of_numbers: "paths and weights",
        tfjs_manifest_none: "no weightsmanifest",
        tfjs_paths_of_numbers: "paths and weights",
        tfjs_topology_none: "no configuration",
        tfjs_topology_subclassed: "lists no layers",
        tfjs_topology_of_theano: "theano",
        tfjs_graph_model: "graph model",
        tfjs_graph_model_unsaid: "graph model",
    },
)
