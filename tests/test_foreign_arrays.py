"""Arrays of MXNet, Chainer, Lasagne and DyNet in memory, and DL4J's vector: what is stated, refused, and left out."""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT

import converters
from converters import ConversionError, CoverageError, NotRepresentable, ShapeError, UnknownLayer


def z(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("f4")


def convert(source: Any, **options: Any) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(source, **options)


# --- MXNet: one vector for a stack

BLOB = {"mode": "lstm", "units": "5", "layers": "2", "bidirectional": "true"}
SIZE = 2 * 20 * (3 + 5 + 10 + 5) + 4 * 2 * 20


def test_a_vector_is_cut_as_it_is_stated() -> None:
    own = z(SIZE)
    found = convert({"rnn_parameters": own}, framework="mxnet", assume={f"rnn.{k}": v for k, v in BLOB.items()})
    assert len(found) == 16
    assert np.array_equal(found["rnn.weight_ih_l0"], own[:60].reshape(20, 3))
    assert np.array_equal(found["rnn.weight_ih_l0_reverse"], own[160:220].reshape(20, 3))
    assert np.array_equal(found["rnn.bias_hh_l1_reverse"], own[-20:])


def test_a_vector_of_which_nothing_is_stated_says_what_to_state() -> None:
    with pytest.raises(UnknownLayer, match=r"rnn_parameters.*-symbol.json.*'rnn.mode': 'lstm'"):
        convert({"rnn_parameters": z(SIZE)}, framework="mxnet")


def test_a_vector_that_is_no_such_stack_is_refused() -> None:
    told = {f"rnn.{k}": v for k, v in (BLOB | {"units": "7"}).items()}
    with pytest.raises(ShapeError, match="are no stack of 2 layers of 7 units"):
        convert({"rnn_parameters": z(SIZE)}, framework="mxnet", assume=told)


def test_a_symbolic_norm_is_a_question_without_its_symbol() -> None:
    own = {f"bn_{name}": z(5) for name in ("gamma", "beta", "moving_mean", "moving_var")}
    with pytest.raises(UnknownLayer, match="fix_gamma"):
        convert(own, framework="mxnet")
    fixed = convert(own, framework="mxnet", assume={"bn.fix_gamma": "true"})
    assert bool((fixed["bn.weight"] == 1).all())
    assert np.array_equal(
        convert(own, framework="mxnet", assume={"bn.fix_gamma": "false"})["bn.weight"], own["bn_gamma"]
    )


def test_a_graph_alone_says_which_file_to_give() -> None:
    with pytest.raises(ConversionError, match=r"give the \.params file"):
        converters.read(ROOT / "fixtures/mxnet/fused_gru/module-symbol.json")


# --- Chainer


def chainer_gru(bias: float) -> dict[str, Any]:
    names = [f"{kind}{gate}" for kind in "WU" for gate in ("", "_r", "_z")]
    own = {f"{name}/W": z(5, 3 if name[0] == "W" else 5) for name in names}
    return own | {f"{name}/b": z(5) if name[0] == "W" else np.full(5, bias, "f4") for name in names}


def test_a_stateful_gru_with_biases_on_its_state_is_refused() -> None:
    with pytest.raises(NotRepresentable, match=r"leaves out the products with its state.*stateful=false"):
        convert({"gru": chainer_gru(0.5)}, framework="chainer", dropins=True)
    assert len(convert({"gru": chainer_gru(0.5)}, framework="chainer", dropins=True, assume={"stateful": "false"})) == 4


def test_a_stateful_gru_without_them_is_one_like_any_other() -> None:
    first = convert({"gru": chainer_gru(0.0)}, framework="chainer", dropins=True)
    other = convert({"gru": chainer_gru(0.0)}, framework="chainer", dropins=True, assume={"gru.class": "StatelessGRU"})
    for key, value in other.items():
        assert bool((first[key] == value).all()) if key in first else not value.any()


def test_a_stateful_gru_may_have_a_bias_on_its_reset_gate_which_meets_a_state_of_zeros() -> None:
    own = chainer_gru(0.0) | {"U_r/b": np.arange(1.0, 6.0, dtype="f4")}
    found = convert({"gru": own}, framework="chainer", dropins=True)
    summed = sum(found[f"gru.bias_{side}_l0"][:5].numpy() for side in ("ih", "hh") if f"gru.bias_{side}_l0" in found)
    assert np.array_equal(summed, own["W_r/b"] + own["U_r/b"])


@pytest.mark.parametrize("class_name", ["StatefulPeepholeLSTM", "StatefulMGU", "ChildSumTreeLSTM"])
def test_what_no_module_computes_is_refused_by_name(class_name: str) -> None:
    from layouts.frameworks import chainer

    refusal = next(one for one in chainer.REFUSED if one.class_name == class_name)
    own = {name: z(5, 5) if name.endswith("W") else z(5) for name in refusal.arrays}
    with pytest.raises(NotRepresentable, match=class_name):
        convert({"net": own}, framework="chainer")


# --- Lasagne

VALUES = [z(11, 3), z(3, 5), z(5), z(5, 2)]


def named(values: list[Any]) -> dict[str, Any]:
    return {f"arr_{k}": value for k, value in enumerate(values)}


def test_a_list_of_values_needs_the_classes_in_order() -> None:
    with pytest.raises(UnknownLayer, match="have no names: state the classes of the layers in order"):
        convert(named(VALUES), framework="lasagne")
    order = {"order": "table=EmbeddingLayer DenseLayer head=DenseLayer-b", "activation": "linear"}
    found = convert(named(VALUES), framework="lasagne", assume=order)
    assert [*found] == ["table.weight", "1.weight", "1.bias", "head.weight"]
    assert np.array_equal(found["head.weight"], VALUES[3].T)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("EmbeddingLayer DenseLayer", "do not fit the order"),
        ("EmbeddingLayer LSTMLayer DenseLayer", "do not fit the order"),
        ("EmbeddingLayer Dense", "no order of 'Dense' is known"),
        ("EmbeddingLayer DenseLayer-W DenseLayer", "no array of these names may be missing"),
    ],
)
def test_an_order_that_the_arrays_are_not_in_is_refused(order: str, message: str) -> None:
    with pytest.raises(UnknownLayer, match=message):
        convert(named(VALUES), framework="lasagne", assume={"order": order})


def test_an_order_that_fits_in_two_ways_is_a_question() -> None:
    values = [z(3, 5), z(5), z(5), z(5), z(5)]
    with pytest.raises(UnknownLayer, match=r"fit in several ways.*DenseLayer-b"):
        convert(named(values), framework="lasagne", assume={"order": "DenseLayer BatchNormLayer"})


def test_learned_initial_states_are_left_out_on_demand_alone() -> None:
    own = dict(np.load(ROOT / "fixtures/lasagne/recurrent/named.npz"))
    lstm = {name: array for name, array in own.items() if name.startswith("lstm.")}
    lstm["lstm.cell_init"] = np.ones_like(lstm["lstm.cell_init"])
    with pytest.raises(NotRepresentable, match=r"cell_init is not zero.*initial_state=given.*c0"):
        convert(lstm, framework="lasagne")
    assert len(convert(lstm, framework="lasagne", assume={"lstm.initial_state": "given"})) == 4


def test_an_inverse_deviation_that_is_none_is_refused() -> None:
    own = {name: z(5) for name in ("beta", "gamma", "mean", "inv_std")}
    with pytest.raises(ConversionError, match="an inverse of a deviation is above 0"):
        convert({"bn": own}, framework="lasagne")


# --- DyNet


def test_numbered_parameters_of_a_builder_are_named() -> None:
    own = {f"/enc/vanilla-lstm-builder_1/_{k}": z(*s) for k, s in enumerate([(20, 3), (20, 5), (20,)])}
    found = convert(own, framework="dynet")
    assert np.array_equal(
        found["enc.vanilla-lstm-builder_1.weight_hh_l0"][:5], own["/enc/vanilla-lstm-builder_1/_1"][:5]
    )
    bias = own["/enc/vanilla-lstm-builder_1/_2"]
    assert np.allclose(found["enc.vanilla-lstm-builder_1.bias_ih_l0"][5:10], bias[5:10] + 1)


# --- DL4J


def dl4j(folder: Path, layers: list[dict[str, Any]], values: np.ndarray[Any, Any], later: bool = False) -> Path:
    """An archive as DL4J writes it, before or after 1.0.0-beta4."""

    def text(word: str) -> bytes:
        return struct.pack(">H", len(word)) + word.encode()

    kind, count = ("MIXED_DATA_TYPES", ">q") if later else ("JAVACPP", ">i")
    shape = np.array([2, 1, values.size, 1, 1, 0, 1, 99], ">i8" if later else ">i4")
    data = b"".join(
        text(kind) + struct.pack(count, array.size) + text(word) + array.tobytes()
        for word, array in (("LONG" if later else "INT", shape), ("FLOAT", values.astype(">f4")))
    )
    path = folder / "net.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("configuration.json", json.dumps({"confs": layers}))
        file.writestr("coefficients.bin", data)
    return path


GRAVES = {"layer": {"gravesLSTM": {"nin": 3, "nout": 5, "layerName": "rnn"}}, "variables": ["W", "RW", "b"]}
GRAVES["layer"]["gravesLSTM"]["activationFn"] = {"TanH": {}}
OUTPUT = {"layer": {"rnnoutput": {"nin": 5, "nout": 2}}, "variables": ["W", "b"]}
POOL = {"layer": {"subsampling": {}}}


@pytest.mark.parametrize("later", [False, True])
def test_a_vector_of_dl4j_is_cut_column_by_column(later: bool, tmp_path: Path) -> None:
    values = z(60 + 115 + 20 + 10 + 2)
    found = convert(dl4j(tmp_path, [GRAVES, POOL, OUTPUT], values, later), dropins=True)
    w = values[:60].reshape(3, 20, order="F")
    gates = {gate: w[:, 5 * k : 5 * k + 5].T for k, gate in enumerate("gfoi")}
    assert np.array_equal(found["rnn.weight_ih_l0"], np.concatenate([gates[gate] for gate in "ifgo"]))
    f, o, i = values[160:175].reshape(3, 5)
    assert np.array_equal(found["rnn.weight_p_l0"], np.concatenate([i, f, o]))
    assert np.array_equal(found["2.weight"], values[195:205].reshape(5, 2, order="F").T)


def test_a_layer_of_dl4j_with_other_parameters_is_refused(tmp_path: Path) -> None:
    rnn = {"@class": "org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn", "nin": 3, "nout": 5}
    config = [{"layer": rnn, "variables": ["W", "RW", "b", "g"]}]
    with pytest.raises(UnknownLayer, match="has the parameters W, RW, b, g"):
        convert(dl4j(tmp_path, config, z(55)))


def test_parameters_that_no_layer_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CoverageError, match="12 parameters, and 13 are stored"):
        convert(dl4j(tmp_path, [OUTPUT], z(13)))


def test_layers_of_dl4j_that_were_never_compared_are_named(tmp_path: Path) -> None:
    layer = {"layer": {"embedding": {"nin": 7, "nout": 3}}, "variables": ["W"]}
    with pytest.warns(converters.ConversionWarning, match="never compared with what it computes"):
        converters.convert(dl4j(tmp_path, [layer], z(21)))


@pytest.mark.parametrize(
    "file", ["cntk/embedding/net.model", "coreml/around/net.mlmodel", "coreml/around/net.mlpackage"]
)
def test_nothing_can_be_stated_of_a_source_that_tells_its_layers(file: str) -> None:
    with pytest.raises(ConversionError, match="tells its layers itself"):
        converters.read(ROOT / "fixtures" / file, assume={"activation": "relu"})
