"""What is given as arrays in memory: how it is nested, keyed and kept; what is no array; and what no array tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT

import converters
from converters import ConversionError, CoverageError, UnknownLayer
from converters.model.arrays import in_memory
from converters.readers.pickled.paddle import classes
from converters.readers.tensorflow import checkpoints, objects


def z(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("f4")


CELL = {"weight_ih": z(20, 3), "weight_hh": z(20, 5), "bias": z(20)}
HEAD = {"weight": z(2, 5), "bias": z(2)}


@dataclass
class Linear:
    """As equinox.nn.Linear: arrays, and settings beside them."""

    weight: Any
    bias: Any
    in_features: int = 5
    activation: Callable[..., Any] = len


@dataclass
class Cell:
    weight_ih: Any
    weight_hh: Any
    bias: Any


@dataclass
class Model:
    cells: list[Any]
    head: Any
    sizes: tuple[int, ...] = (3, 5)


class Own:
    """An array of another library: `shape`, and one way to its numbers."""

    def __init__(self, way: str, value: np.ndarray[Any, Any]) -> None:
        self.shape = value.shape
        setattr(self, way, value if way == "array" else lambda *_, **__: value)


class WithArray(Own):
    def __init__(self, value: np.ndarray[Any, Any]) -> None:
        super().__init__("read", value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = self.read()  # type: ignore[attr-defined]
        return found


def joined(form: Callable[[str, str], Any]) -> dict[Any, Any]:
    return {form(path, name): a for path, own in (("cells.0", CELL), ("head", HEAD)) for name, a in own.items()}


def keystr(path: str, name: str) -> str:
    """As jax.tree_util.keystr writes a path."""
    return f".{path.replace('.0', '[0]')}.{name}"


FORMS: dict[str, Any] = {
    "nested": {"cells": {"0": CELL}, "head": HEAD},
    "a list": {"cells": [CELL], "head": HEAD},
    "a tuple": {"cells": (CELL,), "head": HEAD},
    "points": joined(lambda path, name: f"{path}.{name}"),
    "slashes": joined(lambda path, name: f"{path}/{name}".replace(".", "/")),
    "bytes": joined(lambda path, name: f"{path}.{name}".encode()),
    "tuples": joined(lambda path, name: (*path.split("."), name)),
    "paths of JAX": joined(keystr),
    "paths of JAX by keys": joined(lambda path, name: "".join(f"['{w}']" for w in (*path.split("."), name))),
    "a module": Model([Cell(**CELL)], Linear(**HEAD)),
    "settings": {"cells": [{**CELL, "hidden_size": 5, "use_bias": True}], "head": {**HEAD, "act": len}, "note": "mine"},
    "asnumpy": joined(lambda path, name: f"{path}.{name}"),
}
for way in ("asnumpy", "numpy", "get_value", "array"):
    FORMS[way] = {name: Own(way, array) for name, array in FORMS["points"].items()}
FORMS["__array__"] = {name: WithArray(array) for name, array in FORMS["points"].items()}
FORMS["tensors"] = {name: torch.nn.Parameter(torch.from_numpy(array)) for name, array in FORMS["points"].items()}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_are_read_however_they_are_given(form: str) -> None:
    found = converters.convert(FORMS[form], framework="equinox")
    assert {*found} == {*(f"cells.0.{n}_l0" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))} | {
        *("head.weight", "head.bias")
    }
    np.testing.assert_array_equal(found["cells.0.weight_ih_l0"].detach(), CELL["weight_ih"])
    np.testing.assert_array_equal(found["head.weight"].detach(), HEAD["weight"])


def test_settings_are_named_and_not_dropped() -> None:
    unused = converters.read(FORMS["settings"], framework="equinox").unused
    assert unused == ("cells/0/hidden_size", "cells/0/use_bias", "head/act", "note")


def test_a_list_is_arrays_in_order() -> None:
    found = converters.convert(
        [*CELL.values(), *HEAD.values()], framework="equinox", assume={"order": "a=LSTMCell b=Linear"}
    )
    np.testing.assert_array_equal(found["b.weight"], HEAD["weight"])
    alone = converters.convert([*CELL.values()], framework="equinox", assume={"class": "LSTMCell"})
    np.testing.assert_array_equal(alone["weight_ih_l0"], CELL["weight_ih"])
    with pytest.raises(UnknownLayer, match=r"have no names: state the classes of the layers in order"):
        converters.convert([*CELL.values()], framework="equinox")


def test_settings_of_a_tree_tell_what_they_are() -> None:
    tree = {"norm": {"weight": z(7), "bias": z(7), "groups": 7, "eps": 0.25}}
    (module,) = converters.plan(tree, framework="equinox").modules
    assert module.constructor == "nn.GroupNorm(7, 7, eps=0.25)"


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(CoverageError, match="a/bias is there twice"):
        converters.convert({"a": HEAD, "a/bias": z(2)}, framework="equinox")


@pytest.mark.parametrize(
    "value", [[[1.0, 2.0], [1.0]], Own("nothing", z(3, 5))], ids=["rows of several lengths", "memory of its own"]
)
def test_what_has_no_numbers_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConversionError, match="d/kernel"):
        converters.convert({"d": {"kernel": value}}, framework="flax")


def test_a_count_is_no_weight() -> None:
    found = converters.read({"epoch": np.int64(3), "rnn": CELL}, framework="equinox")
    assert found.unused == ("epoch",)
    assert [layer.path for layer in found.layers] == ["rnn"]


def test_a_number_with_a_fraction_may_be_a_weight() -> None:
    with pytest.raises(UnknownLayer, match="no layout fits the arrays scale"):
        converters.convert({"scale": np.float32(3), "rnn": CELL}, framework="equinox")


STATE = {f"rnn.{name}": array for name, array in torch.nn.LSTM(3, 5).state_dict().items()}


@pytest.mark.parametrize(
    "source",
    [
        {"state_dict": STATE},
        {"model": STATE, "epoch": 3, "lr": 0.1},
        {"net": STATE, "optimizer": {"state": {0: {"exp_avg": z(2)}}, "param_groups": [{"lr": 0.1}]}},
        {"n_averaged": torch.tensor(3), **{f"module.{name}": array for name, array in STATE.items()}},
    ],
    ids=["state_dict", "epoch", "optimizer", "averaged"],
)
def test_a_checkpoint_of_pytorch_in_memory_is_its_state_dict(source: Mapping[str, Any]) -> None:
    assert {*converters.convert(source, framework="pytorch")} == {*STATE}


def test_nested_modules_of_pytorch_are_no_checkpoint() -> None:
    own = dict(torch.nn.LSTM(3, 5).state_dict())
    assert {*converters.convert({"a": own, "b": {"c": own}}, framework="pytorch")} == {
        f"{path}.{name}" for path in ("a", "b.c") for name in own
    }


SAME = {
    "mxnet": ({"emb": {"weight": z(7, 3)}}, "nn.Linear(3, 7, bias=False) or nn.Embedding(7, 3)"),
    "chainer": ({"emb": {"W": z(7, 3)}}, "nn.Linear(3, 7, bias=False) or nn.Embedding(7, 3)"),
    "equinox": (
        {"norm": {"weight": z(7), "bias": z(7)}},
        "nn.LayerNorm(7, eps=1e-05) or nn.GroupNorm(?, 7, eps=1e-05)",
    ),
}


@pytest.mark.parametrize("framework", SAME)
def test_nobody_is_asked_which_of_two_layers_it_is_where_both_have_the_same_tensors(framework: str) -> None:
    arrays, call = SAME[framework]
    (module,) = converters.plan(arrays, framework=framework).modules
    ((path, own),) = arrays.items()
    assert module.constructor == call
    found = converters.convert(arrays, framework=framework)
    np.testing.assert_array_equal(found[f"{path}.weight"], next(iter(own.values())))
    (layer,) = converters.read(arrays, framework=framework).layers
    assert "fit several layers" in str(layer.unknown)


@pytest.mark.parametrize(
    ("framework", "arrays"),
    [
        ("paddle", {"emb": {"weight": z(7, 3)}}),
        ("mlx", {"conv": {"weight": z(7, 3, 5), "bias": z(7)}}),
        ("mxnet", {"rnn": {"i2h_weight": z(20, 3), "h2h_weight": z(20, 5), "i2h_bias": z(21), "h2h_bias": z(20)}}),
    ],
)
def test_layers_of_other_tensors_are_asked_or_refused(framework: str, arrays: Mapping[str, Any]) -> None:
    with pytest.raises(ConversionError):
        converters.convert(arrays, framework=framework)


def test_another_framework_as_target_asks_where_its_arrays_differ() -> None:
    with pytest.raises(UnknownLayer, match=r"emb\.class"):
        converters.convert({"emb": {"weight": z(7, 3)}}, framework="mxnet", to="keras")


@pytest.mark.parametrize("framework", ["paddle", "mlx", "haiku", "equinox"])
def test_the_number_of_groups_is_asked_where_nothing_tells_it(framework: str) -> None:
    names = {"haiku": ("scale", "offset")}.get(framework, ("weight", "bias"))
    arrays = {"norm": dict(zip(names, (z(6), z(6)), strict=True))}
    stated = {"norm.class": "GroupNorm"} | ({"norm.pytorch_compatible": "true"} if framework == "mlx" else {})
    with pytest.raises(UnknownLayer, match=r"how many groups this GroupNorm has: .*'norm.groups': '4'"):
        converters.convert(arrays, framework=framework, assume=stated)
    (module,) = converters.plan(arrays, framework=framework, assume=stated | {"norm.groups": "3"}).modules
    assert module.constructor.startswith("nn.GroupNorm(3, 6")


def test_one_cell_in_a_row_of_other_layers_keeps_its_number() -> None:
    cell = {"i2h_weight": z(20, 3), "h2h_weight": z(20, 5), "i2h_bias": z(20), "h2h_bias": z(20)}
    row = {"0": cell, "1.base_cell": {**cell, "i2h_weight": z(20, 5)}}
    assert [layer.path for layer in converters.read(row, framework="mxnet").layers] == ["0", "1.base_cell"]


def test_instance_norms_of_haiku_are_told_by_their_name() -> None:
    (module,) = converters.plan({"instance_norm": {"scale": z(7), "offset": z(7)}}, framework="haiku").modules
    assert module.constructor == "nn.GroupNorm(7, 7, eps=1e-05)"


@pytest.mark.parametrize(
    "state", [{"ema_first_time_index": {"init": np.array(True)}}, {"batch_counter": {"init": np.array(0)}}]
)
def test_a_batch_norm_of_equinox_is_refused_by_name(state: dict[str, Any]) -> None:
    with pytest.raises(converters.NotRepresentable, match=r"bn.*its averages are in a State beside the module"):
        converters.convert({"bn": {"weight": z(7), "bias": z(7), **state}}, framework="equinox")


def test_an_embedding_among_modules_of_sonnet_makes_no_model_of_keras() -> None:
    def variables(*keys: str) -> list[objects.Variable]:
        return [
            objects.Variable(f"net/{key}", f"net/{key}/.ATTRIBUTES/VARIABLE_VALUE", in_memory(key, z(2)))
            for key in keys
        ]

    assert checkpoints.whose(variables("emb/embeddings", "core/_w_i", "core/b")) == "sonnet"
    assert checkpoints.whose(variables("emb/embeddings", "dense/kernel", "core/w")) == "keras"
    assert checkpoints.whose(variables("emb/embeddings")) == "keras"


def test_what_paddle_calls_a_parameter_tells_the_class_of_its_layer() -> None:
    told = classes(
        {
            "emb.weight": "embedding_0.w_0",
            "ln.bias": "layer_norm_12.b_0",
            "up.weight": "conv2d_transpose_3.w_0",
            "mine.weight": "my_own_layer_0.w_0",
            "weight": "linear_1.w_0",
            "odd.weight": 7,
        }
    )
    assert told == {
        "emb.class": "Embedding",
        "ln.class": "LayerNorm",
        "up.class": "Conv2DTranspose",
        "class": "Linear",
    }


def test_a_file_of_paddle_needs_no_word_about_its_layers() -> None:
    checkpoint = converters.read(ROOT / "fixtures/paddle/around/model.pdparams")
    found = {layer.path: layer.class_name for layer in checkpoint.layers if layer.unknown is None}
    assert {found[path] for path in ("embedding", "group", "layer")} == {"Embedding", "GroupNorm", "LayerNorm"}
