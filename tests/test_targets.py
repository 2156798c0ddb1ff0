"""A third framework as a target: its layouts as data, its spelling of keys. Both directions, and the same refusals."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch import nn

import converters
from converters.planning.execution import execute
from converters.planning.plan import make_plan
from converters.targets import Target, find
from converters.writers.arrays import Arrays
from layouts import Layout, catalogue, cells
from layouts.errors import LayoutError, NotRepresentable

# The toy: gates o g f i, outputs last, input and state stacked in one matrix, one bias, and 1 added to the forget gate.
LSTM = Layout(
    "toy",
    cells.LSTM,
    {"both": "(input + state) (gate unit) -> input_weight + recurrent_weight", "shift": "(gate unit) -> input_bias"},
    gates="ogfi",
    added={"f": 1.0},
    computes={"activation": ("tanh",), "recurrent_activation": ("sigmoid",), "clip": (None,)},
    class_name="ToyLSTM",
)
LINEAR = Layout("toy", cells.LINEAR, {"m": "in out -> weight", "s": "out -> bias"}, class_name="ToyLinear")
LAYERS = {"ToyLSTM": (LSTM,), "ToyLinear": (LINEAR,)}
TOY = Target(
    "toy",
    "Toy",
    package="toy.{}",
    separator=":",
    holder="a toy box",
    places=lambda places: [f"{way[0]}{layer}" for way, layer in places],
    constructor=lambda layer, parts, exact: f"toy.{layer.class_name}({parts[0].solved()})",
    notes=lambda layer, apart: [f"{layer.path}: mind the box"] if apart else [],
)


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The framework registered as one more file of `layouts.frameworks`."""
    module: Any = ModuleType("layouts.frameworks.toy")
    module.LAYERS = LAYERS
    monkeypatch.setitem(sys.modules, "layouts.frameworks.toy", module)
    yield
    catalogue.layers.cache_clear()
    find.cache_clear()


def filled(plan: Any) -> dict[str, np.ndarray[Any, Any]]:
    sink = Arrays()
    for _ in execute(plan, sink):
        pass
    return sink.arrays


def test_a_keras_file_becomes_toy_arrays_and_pytorch_out_of_them() -> None:
    file = ROOT / "fixtures" / "keras2" / "defaults_2_3" / "model.h5"
    plan = make_plan(converters.read(file), TOY, rename=None)
    recurrent = [module for module in plan.modules if module.exact and module.layers[0].recurrent]
    assert recurrent and all(tensor.key.count(":") == 1 for module in recurrent for tensor in module.tensors)
    assert recurrent[0].constructor.startswith("toy.LSTM({")
    arrays = filled(make_plan(converters.read(file), TOY, layer=recurrent[0].path))
    back = converters.convert(arrays, framework="toy")
    direct = converters.convert(file, layer=recurrent[0].path)
    for key, tensor in direct.items():
        torch.testing.assert_close(back[key], tensor, rtol=0.0, atol=1e-6)
    assert torch.equal(back["weight_ih_l0"], direct["weight_ih_l0"])


def test_a_module_becomes_toy_arrays_a_cell_at_a_time() -> None:
    module = nn.LSTM(3, 5, num_layers=2, bidirectional=True).double()
    with pytest.warns(converters.ConversionWarning, match="became one, their sum"):
        arrays = converters.export_arrays(module, "toy")
    assert {name: {k: v.shape for k, v in own.items()} for name, own in arrays.items()} == {
        place: {"both": (3 + 5 if place.startswith("l0") else 10 + 5, 20), "shift": (20,)}
        for place in ("l0", "l0_reverse", "l1", "l1_reverse")
    }
    forget = arrays["l1_reverse"]["shift"][10:15]
    expected = (module.bias_ih_l1_reverse + module.bias_hh_l1_reverse)[5:10] - 1.0
    np.testing.assert_allclose(forget, expected.detach().numpy(), rtol=0.0, atol=1e-15)


def test_a_bidirectional_layer_has_the_names_of_the_target() -> None:
    file = ROOT / "fixtures" / "keras3" / "merge_modes" / "model.keras"
    plan = make_plan(converters.read(file), TOY)
    names = [module.name for module in plan.modules if module.path == "bidirectional"]
    assert names == ["bidirectional.f0", "bidirectional.b0"]
    keys = [tensor.key for module in plan.modules for tensor in module.tensors]
    assert "bidirectional:b0:both" in keys


def test_what_the_toy_does_not_compute_is_refused_in_its_own_words() -> None:
    file = ROOT / "fixtures" / "keras1" / "lstm" / "model.h5"
    plan = make_plan(converters.read(file), TOY)
    with pytest.raises(NotRepresentable, match=r"hard_sigmoid.*toy\.ToyLSTM computes sigmoid"):
        plan.check()
    assert not any(module.drop_in for module in plan.modules)


def test_a_cell_that_the_toy_lacks_is_refused_by_absence() -> None:
    with pytest.raises(NotRepresentable, match="toy has no layer that computes gru"):
        converters.export_arrays(nn.GRU(3, 5), "toy")


def test_every_framework_with_layouts_is_a_target() -> None:
    for name in catalogue.frameworks():
        assert find(name).name == name
    with pytest.raises(LayoutError, match="no layouts for 'nobody'"):
        find("nobody")


def test_a_constant_that_a_target_adds_has_to_be_stated() -> None:
    with pytest.raises(NotRepresentable, match="forget_bias"):
        converters.export_arrays(nn.LSTM(3, 5), "tensorflow")
