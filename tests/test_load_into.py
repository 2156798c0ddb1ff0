"""`load_into`: what matches what, what is refused, and that an error leaves the module untouched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch import nn

import converters
import converters.nn
from converters.torch.loading import load_into

FIXTURES = ROOT / "fixtures"
BIDIRECTIONAL = FIXTURES / "keras3" / "bidirectional" / "model.keras"
Arrays = dict[str, np.ndarray]


class Model(nn.Module):
    """The model of the fixture, under names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(3, 5, batch_first=True, bidirectional=True)
        self.decoder = nn.GRU(10, 11, batch_first=True, bidirectional=True)
        self.head = nn.Linear(22, 13)


def same(module: nn.Module, tensors: Mapping[str, torch.Tensor], prefix: str) -> None:
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    state = module.state_dict()
    assert own.keys() == state.keys()
    for key, value in own.items():
        assert torch.equal(state[key].to(value.dtype), value), key


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def untouched(module: nn.Module, before: Mapping[str, torch.Tensor]) -> None:
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key


def lstm(rng: np.random.Generator, inputs: int, units: int) -> Arrays:
    return {
        "kernel": rng.normal(size=(inputs, 4 * units)).astype("f4"),
        "recurrent_kernel": rng.normal(size=(units, 4 * units)).astype("f4"),
        "bias": rng.normal(size=4 * units).astype("f4"),
    }


SIGMOID = {"activation": "tanh", "recurrent_activation": "sigmoid"}


def keras(module: nn.Module, layers: Mapping[str, Arrays], **options: Any) -> Any:
    return load_into(module, layers, framework="keras", assume=SIGMOID, **options)


def test_a_model_under_other_names_is_matched_by_structure() -> None:
    model = Model()
    report = load_into(model, BIDIRECTIONAL)
    tensors = converters.convert(BIDIRECTIONAL)
    for child, layer in ((model.encoder, "bidirectional"), (model.decoder, "bidirectional_1"), (model.head, "dense")):
        same(child, tensors, f"{layer}.")
    assert len(report.loaded) == 3
    assert not report.left_alone + report.differences


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_parameters_keep_their_dtype(dtype: torch.dtype) -> None:
    model = Model().to(dtype)
    load_into(model, BIDIRECTIONAL)
    expected = converters.convert(BIDIRECTIONAL, layer="dense")["weight"].to(dtype)
    assert model.head.weight.dtype == dtype
    assert torch.equal(model.head.weight, expected)


def test_consecutive_layers_fill_num_layers() -> None:
    rng = np.random.default_rng(0)
    layers = {"one": lstm(rng, 3, 5), "two": lstm(rng, 5, 5)}
    stacked = nn.LSTM(3, 5, num_layers=2, batch_first=True)
    report = keras(stacked, layers)
    assert np.array_equal(stacked.weight_ih_l1.detach(), layers["two"]["kernel"].T)
    assert report.loaded == ("one + two → the module (LSTM), the only one that fits",)


def test_layers_and_modules_of_one_shape_pair_up_in_order_and_by_name() -> None:
    rng = np.random.default_rng(1)
    layers = {"a": lstm(rng, 3, 5), "b": lstm(rng, 3, 5)}
    ordered = nn.ModuleDict({"x": nn.LSTM(3, 5, batch_first=True), "y": nn.LSTM(3, 5, batch_first=True)})
    keras(ordered, layers)
    assert np.array_equal(ordered["y"].weight_hh_l0.detach(), layers["b"]["recurrent_kernel"].T)
    named = nn.ModuleDict({"b": nn.LSTM(3, 5, batch_first=True), "a": nn.LSTM(3, 5, batch_first=True)})
    keras(named, layers)
    assert np.array_equal(named["b"].weight_hh_l0.detach(), layers["b"]["recurrent_kernel"].T)


def test_an_ambiguous_match_lists_the_candidates_and_a_rename_settles_it() -> None:
    rng = np.random.default_rng(2)
    layers = {"a": lstm(rng, 3, 5), "b": lstm(rng, 3, 5)}
    model = nn.ModuleDict({"x": nn.LSTM(3, 5, batch_first=True)})
    with pytest.raises(converters.CoverageError, match=r"a, b into x \(LSTM\).*rename=\{'a': 'x'\}"):
        keras(model, layers, strict=False)
    with pytest.warns(converters.ConversionWarning, match="a .* goes into no module"):
        keras(model, layers, rename={"b": "x"}, strict=False)
    assert np.array_equal(model["x"].weight_hh_l0.detach(), layers["b"]["recurrent_kernel"].T)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (nn.LSTMCell(3, 5), "goes into no module"),
        (nn.GRU(3, 5), "goes into no module"),
        (nn.LSTM(3, 7), "weight_ih_l0 would be"),
        (nn.LSTM(3, 5, bidirectional=True), "nothing fills"),
        (nn.LSTM(3, 5, bias=False), "bias_ih_l0"),
    ],
    ids=["a cell", "another type", "another size", "two directions", "no bias"],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(module: nn.Module, why: str) -> None:
    before = snapshot(module)
    with pytest.raises(converters.CoverageError, match=why):
        keras(module, {"lstm": lstm(np.random.default_rng(3), 3, 5)})
    untouched(module, before)


def test_a_layer_without_bias_gives_zeros() -> None:
    arrays = lstm(np.random.default_rng(4), 3, 5)
    del arrays["bias"]
    module = nn.LSTM(3, 5, batch_first=True)
    report = keras(module, {"lstm": arrays})
    assert not module.bias_ih_l0.any()
    assert "zero" in report.loaded[0]


def test_plain_arrays_name_the_arithmetic_of_a_wrong_shape() -> None:
    module = nn.LSTM(3, 5, 2, bidirectional=True)
    arrays = {key: np.zeros(tuple(value.shape)) for key, value in module.state_dict().items()}
    arrays["weight_ih_l1"] = np.zeros((20, 3))
    before = snapshot(module)
    expected = (
        r"weight_ih_l1 is \(20, 3\); layer 1 of a bidirectional LSTM with hidden_size 5 reads 10 features: "
        r"expected \(20, 10\)"
    )
    with pytest.raises(converters.ShapeError, match=expected):
        load_into(module, arrays)
    untouched(module, before)


def test_plain_arrays_by_name_strict_and_partly() -> None:
    model = Model()
    weight = np.arange(13 * 22, dtype=np.float64).reshape(13, 22)
    with pytest.raises(converters.CoverageError, match=r"nothing fills encoder\.weight_ih_l0"):
        load_into(model, {"head": {"weight": weight}})
    with pytest.warns(converters.ConversionWarning, match=r"nothing fills head\.bias"):
        report = load_into(model, {"out.weight": weight, "more": np.ones(3)}, rename={"out": "head"}, strict=False)
    assert np.array_equal(model.head.weight.detach(), weight.astype("f4"))
    assert "more: the module has no such parameter" in report.left_alone
    with pytest.raises(converters.ShapeError, match="int64"):
        load_into(nn.Linear(2, 1), {"weight": np.ones((1, 2), np.int64), "bias": np.ones(1)})


@pytest.mark.parametrize("step", range(6))
def test_a_failure_at_any_copy_leaves_the_module_untouched(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, count, real = Model(), iter(range(100)), torch.Tensor.copy_
    before = snapshot(model)

    def failing(self: torch.Tensor, other: torch.Tensor, *rest: Any) -> torch.Tensor:
        if next(count) == step:
            raise RuntimeError("the device is gone")
        return real(self, other, *rest)

    monkeypatch.setattr(torch.Tensor, "copy_", failing)
    with pytest.raises(RuntimeError, match="the device is gone"):
        load_into(model, BIDIRECTIONAL)
    monkeypatch.undo()
    untouched(model, before)


def _plain(planned: Any) -> nn.Module:
    """The module of torch.nn with the sizes of a planned one, whatever it computes."""
    call = planned.constructor.replace("converters.nn", "nn")
    plain_call = ", ".join(part for part in call.split(", ") if "activation=" not in part)
    return eval(plain_call, {"nn": nn})


def test_what_torch_nn_cannot_compute_is_refused_and_its_drop_in_takes_it() -> None:
    path = FIXTURES / "keras2" / "lstm_hard_sigmoid" / "model.h5"
    plan = converters.plan(path)
    (module,) = [m for m in plan.modules if m.constructor.startswith("converters.nn.LSTM")][:1]
    sizes = module.parts[0].solved()
    plain = nn.ModuleDict({module.name: nn.LSTM(sizes["input"], sizes["unit"], batch_first=True)})
    with pytest.warns(converters.ConversionWarning, match="hard_sigmoid"):
        load_into(plain, path, strict=False)
    whole = nn.ModuleDict({m.name: _plain(m) for m in plan.modules})
    with pytest.raises(converters.NotRepresentable, match="hard_sigmoid"):
        load_into(whole, path)
    exact = eval(module.constructor, {"converters": converters})
    report = load_into(nn.ModuleDict({module.name: exact}), path, strict=False)
    assert not report.differences


def test_differences_are_reported_and_adjust_sets_them() -> None:
    path = FIXTURES / "keras2" / "gru_reset_before" / "model.h5"
    (planned,) = [m for m in converters.plan(path).modules if m.parts[0].cell.recurrent][:1]
    sizes = planned.parts[0].solved()
    module = nn.ModuleDict({planned.name: converters.nn.GRU(sizes["input"], sizes["unit"])})
    with pytest.warns(converters.ConversionWarning, match="reset_after is True, and the source has False"):
        load_into(module, path, strict=False)
    with pytest.warns(converters.ConversionWarning, match="goes into no module"):
        report = load_into(module, path, strict=False, adjust=True)
    assert module[planned.name].reset_after is False
    assert module[planned.name].batch_first is True
    assert any("reset_after" in text for text in report.adjusted)


def test_epsilon_of_a_norm_is_compared() -> None:
    arrays = {"norm": {name: np.ones(5, "f4") for name in ("gamma", "beta", "moving_mean", "moving_variance")}}
    module = nn.ModuleDict({"norm": nn.BatchNorm1d(5)})
    with pytest.warns(converters.ConversionWarning, match="eps is 1e-05, and the source has 0.001"):
        keras(module, arrays)
    report = keras(module, arrays, adjust=True)
    assert report.differences == () and module["norm"].eps == 1e-3
    path = FIXTURES / "keras1" / "convolution" / "model.h5"
    (planned,) = [m for m in converters.plan(path).modules if m.parts[0].cell.name == "batch_norm"][:1]
    width = planned.tensors[0].shape[0]
    with pytest.warns(converters.ConversionWarning, match="eps is 1e-05, and the source has 0.001"):
        load_into(nn.ModuleDict({planned.name: nn.BatchNorm2d(width)}), path, strict=False)


def test_padding_idx_is_told_and_adjusted() -> None:
    rng = np.random.default_rng(5)
    module = nn.Embedding(11, 3, padding_idx=0)
    arrays = {"embedding": {"embeddings": rng.normal(size=(11, 3)).astype("f4")}}
    with pytest.warns(converters.ConversionWarning, match="padding_idx is 0, and the source has None"):
        keras(module, arrays)
    keras(module, arrays, adjust=True)
    assert module.padding_idx is None


def test_parametrized_and_quantised_modules_say_what_to_do() -> None:
    module = torch.nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    with pytest.raises(converters.NotRepresentable, match="remove_parametrizations"):
        load_into(module, {"weight": np.ones((3, 2)), "bias": np.ones(3)})
    quantised = torch.ao.nn.quantized.dynamic.Linear(2, 3)
    with pytest.raises(converters.NotRepresentable, match="float module"):
        load_into(quantised, {"weight": np.ones((3, 2)), "bias": np.ones(3)})


def test_a_module_says_which_of_several_layers_its_arrays_are() -> None:
    rng = np.random.default_rng(5)
    table, head = (rng.standard_normal(shape).astype("f4") for shape in ((7, 3), (3, 5)))
    module = nn.ModuleDict({"table": nn.Embedding(7, 3), "head": nn.Linear(3, 5, bias=False)})
    arrays = {"table.weight": table, "head.weight": head}
    with pytest.raises(converters.UnknownLayer, match="fit several layers of paddle: Linear, Embedding"):
        converters.convert(arrays, framework="paddle")
    converters.load_into(module, arrays, framework="paddle")
    np.testing.assert_array_equal(module["table"].weight.detach(), table)
    np.testing.assert_array_equal(module["head"].weight.detach(), head.T)


def test_a_cell_takes_the_layer_of_its_name_and_one_of_its_own_kind() -> None:
    weights = lstm(np.random.default_rng(3), 3, 5)
    cell = nn.ModuleDict({"lstm": nn.LSTMCell(3, 5)})
    keras(cell, {"lstm": weights})
    np.testing.assert_array_equal(cell["lstm"].weight_ih.detach(), weights["kernel"].T)
    other = nn.LSTMCell(3, 5)
    step = {f"step.{key}": value for key, value in cell["lstm"].state_dict().items()}
    converters.load_into(other, step, framework="pytorch")
    np.testing.assert_array_equal(other.weight_hh.detach(), weights["recurrent_kernel"].T)
