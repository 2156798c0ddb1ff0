"""Gate views: the same storage, at the right place, writable where the source is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from layout_samples import BOTH, every_layout, normal, numbered, recurrent, shapes_of
from torch import nn
from torch.nn.utils import parametrizations, prune

import converters
from converters import CoverageError, NotRepresentable, UnknownLayer, gates
from converters.torch import nn as drop_in
from layouts import Layout
from layouts.cells import Piece
from layouts.frameworks import coreml, pytorch

MODULES = {
    "LSTM": lambda: nn.LSTM(3, 5, 2, bidirectional=True),
    "LSTM-projected": lambda: nn.LSTM(3, 5, 2, proj_size=2),
    "LSTM-no-bias": lambda: nn.LSTM(3, 5, bias=False),
    "GRU": lambda: nn.GRU(3, 5, 2, bidirectional=True),
    "RNN": lambda: nn.RNN(3, 5, 2, bidirectional=True),
    "LSTMCell": lambda: nn.LSTMCell(3, 5),
    "GRUCell": lambda: nn.GRUCell(3, 5),
    "RNNCell": lambda: nn.RNNCell(3, 5, bias=False),
    "converters.nn.LSTM": lambda: drop_in.LSTM(3, 5, 2, bidirectional=True, proj_size=2, peepholes=True),
    "converters.nn.GRU": lambda: drop_in.GRU(3, 5, reset_after=False),
    "converters.nn.GRU-after": lambda: drop_in.GRU(3, 5, 2),
    "converters.nn.RNN": lambda: drop_in.RNN(3, 5, activation="elu"),
}
EVERY = [pytest.param(make, id=name) for name, make in MODULES.items()]

ROWS = {"LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n"), "RNN": ("",)}
"""The order of the blocks of rows, as PyTorch's documentation has it."""


def by_hand(module: Any) -> dict[tuple[str, str, str], torch.Tensor]:
    """(layer, slot, gate) -> the slice that PyTorch's documentation says it is."""
    slots = {"weight_ih": "input_weight", "weight_hh": "recurrent_weight", "bias_ih": "input_bias"}
    slots |= {"bias_hh": "recurrent_bias", "weight_hr": "projection", "weight_p": "peephole"}
    order = next(rows for name, rows in ROWS.items() if type(module).__name__.startswith(name))
    found = {}
    for name, parameter in module.named_parameters():
        stem, _, layer = name.partition("_l")
        rows = {"projection": ("",), "peephole": ("i", "f", "o")}.get(slots[stem], order)
        layer = f"l{layer}" if layer else ""
        for gate, block in zip(rows, parameter.detach().chunk(len(rows)), strict=True):
            found[layer, slots[stem], gate] = block
    return found


@pytest.mark.parametrize("make", EVERY)
def test_views_are_the_documented_blocks_in_the_same_storage(make: Any) -> None:
    module = make()
    found, expected = gates(module), by_hand(module)
    assert {(found.name(p), p.slot, p.gate) for p in found.views} == set(expected)
    for piece, view in found.views.items():
        block = expected[found.name(piece), piece.slot, piece.gate]
        assert (view.data_ptr(), view.shape, view.stride()) == (block.data_ptr(), block.shape, block.stride())
        assert view.untyped_storage().data_ptr() == block.untyped_storage().data_ptr()
        own = getattr(found[found.name(piece)], piece.slot)
        assert (own[piece.gate] if piece.gate else own) is view


@pytest.mark.parametrize("make", EVERY)
def test_writing_a_view_writes_those_elements_and_no_others(make: Any) -> None:
    module = make()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    for number, view in enumerate(gates(module).views.values(), start=1):
        view += number
    written = torch.cat([parameter.detach().reshape(-1) for parameter in module.parameters()])
    counts = {number: view.numel() for number, view in enumerate(gates(module).views.values(), start=1)}
    assert {int(n): int((written == n).sum()) for n in written.unique()} == counts


def test_the_readme_call() -> None:
    lstm = nn.LSTM(3, 5)
    view = gates(lstm)["l0"].recurrent_weight["f"]
    view[...] = 7.0
    assert torch.equal(lstm.weight_hh_l0[5:10], torch.full((5, 5), 7.0))
    assert not (lstm.weight_hh_l0[:5] == 7.0).any() and not (lstm.weight_hh_l0[10:] == 7.0).any()
    assert not view.requires_grad and lstm.weight_hh_l0.requires_grad


def test_writing_changes_the_outputs_as_the_equation_says() -> None:
    lstm = nn.LSTM(3, 5).double()
    found = gates(lstm)["l0"]
    found.input_bias["o"].fill_(-1e9)
    y, (_, c) = lstm(torch.randn(4, 2, 3, dtype=torch.float64))
    assert torch.equal(y, torch.zeros_like(y)) and (c != 0.0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_any_device_and_dtype(device: str, dtype: torch.dtype) -> None:
    view = gates(nn.GRU(3, 5, device=device, dtype=dtype))["l0"].input_weight["z"]
    assert (view.device.type, view.dtype, tuple(view.shape)) == (device, dtype, (5, 3))


def test_parameters_inside_a_larger_storage_and_out_of_order() -> None:
    storage = torch.zeros(100)
    cell = nn.LSTMCell(3, 5)
    cell.weight_ih = nn.Parameter(storage[7:67].reshape(3, 20).t())
    gates(cell)[""].input_weight["g"].fill_(1.0)
    assert torch.equal(cell.weight_ih.detach()[10:15], torch.ones(5, 3))
    assert storage.sum() == 15


def test_one_parameter_in_two_places() -> None:
    lstm = nn.LSTM(5, 5, 2)
    lstm.weight_hh_l1 = lstm.weight_hh_l0
    found = gates(lstm)
    found["l1"].recurrent_weight["f"].fill_(3.0)
    assert (found["l0"].recurrent_weight["f"] == 3.0).all()


def test_autograd_notices_a_write_between_forward_and_backward() -> None:
    lstm = drop_in.LSTM(3, 5)
    y, _ = lstm(torch.randn(4, 2, 3))
    gates(lstm)["l0"].recurrent_weight["f"].fill_(0.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


UNTOLD = {coreml.GRU_BEFORE: {"reset_after": "false"}, coreml.NETWORK_LSTM: {"forget_bias": "false"}}
"""Layouts whose arrays are those of another layout of their class too: what then tells them apart has to be stated."""


@pytest.mark.parametrize("layout", numbered(UNTOLD))
def test_arrays_of_two_layouts_of_one_class_are_a_question(layout: Layout) -> None:
    (option,) = UNTOLD[layout]
    with pytest.raises(UnknownLayer, match=f"fit several layers of coreml.*{option}"):
        gates(normal(shapes_of(layout)), framework=layout.framework, assume={"class": layout.class_name})


@pytest.mark.parametrize("layout", numbered(every_layout(*recurrent())))
def test_views_of_arrays_of_every_framework_write_the_arrays(layout: Layout) -> None:
    arrays = normal(shapes_of(layout))
    if any(entry.custom for entry in layout.entries()):
        with pytest.raises(NotRepresentable, match="reshaped buffers"):
            gates(arrays, framework=layout.framework)
        return
    found = gates(arrays, framework=layout.framework, assume={"class": layout.class_name} | UNTOLD.get(layout, {}))
    for view in found.views.values():
        view[...] = 1.0
    assert all((array == 1.0).all() for array in arrays.values())
    assert sum(view.size for view in found.views.values()) == sum(array.size for array in arrays.values())


def test_keras_arrays() -> None:
    arrays = {"kernel": np.zeros((3, 20)), "recurrent_kernel": np.zeros((5, 20)), "bias": np.zeros(20)}
    found = gates(arrays, framework="keras")
    found["l0"].input_bias["f"][...] = 1.0
    assert arrays["bias"].tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10
    assert found["l0"].input_weight["f"].shape == (5, 3)
    assert found["l0"].input_weight["f"].base is not None


def test_stacked_arrays_under_the_names_of_pytorch() -> None:
    arrays = {name: value.numpy() for name, value in nn.GRU(3, 5, 2, bidirectional=True).state_dict().items()}
    found = gates(arrays, framework="pytorch")
    assert list(found) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    found["l1_reverse"].recurrent_bias["n"][...] = 9.0
    assert (arrays["bias_hh_l1_reverse"][10:] == 9.0).all()


def test_offsets_added_at_run_time_are_noted() -> None:
    arrays = {"basic_lstm_cell": {"kernel": np.zeros((8, 20)), "bias": np.zeros(20)}}
    found = gates(arrays, framework="tensorflow")
    assert "adds forget_bias to gate f" in str(found)
    assert not found["l0"].input_bias["f"].any()


def test_a_layer_of_a_checkpoint_is_read_only() -> None:
    path = next((ROOT / "fixtures" / "keras3" / "bidirectional").glob("*.keras"))
    layer = next(layer for layer in converters.read(path).layers if layer.recurrent)
    found = gates(layer)
    assert list(found) == ["l0", "l0_reverse"]
    with pytest.raises(ValueError, match="read-only"):
        found["l0"].recurrent_weight[next(iter(found["l0"].recurrent_weight))][...] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = converters.convert(path, layer=layer.path, strict=False)
    layout = pytorch.LSTM if found.cell is pytorch.LSTM.cell else pytorch.GRU
    first = layout.gates[0]
    units = len(found["l0_reverse"].input_weight[first])
    assert np.array_equal(state["weight_ih_l0_reverse"][:units].numpy(), found["l0_reverse"].input_weight[first])


def test_it_prints_a_table() -> None:
    text = str(gates(nn.LSTM(3, 5, 2, bidirectional=True)))
    for words in ("l1_reverse", "recurrent_weight", "f forget", "5×3", "5×10"):
        assert words in text
    assert "tensor(" not in repr(gates(nn.LSTM(3, 5))) + repr(gates(nn.LSTM(3, 5))["l0"])
    assert "–" in str(gates(nn.RNNCell(3, 5)))


def test_what_is_not_there_is_told() -> None:
    found = gates(nn.LSTM(3, 5, bias=False))
    with pytest.raises(KeyError, match="no layer 'l1'; there are: 'l0'"):
        found["l1"]
    with pytest.raises(KeyError, match="recurrent_weight has no gate 'z'; there are: i, f, g, o"):
        found["l0"].recurrent_weight["z"]
    with pytest.raises(AttributeError, match="no input_bias; it has: input_weight, recurrent_weight"):
        _ = found["l0"].input_bias
    assert Piece("input_weight", "f") in found.views


def quantized() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "fbgemm" not in torch.backends.quantized.supported_engines:
            pytest.skip("this build of torch quantises nothing")
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(3, 5)), {nn.LSTM}, torch.qint8)[0]


def hooked(undo: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(nn.utils, undo)(nn.LSTM(3, 5), "weight_hh_l0")


OPAQUE = {
    "parametrized": (
        lambda: parametrizations.weight_norm(nn.LSTM(3, 5), "weight_hh_l0"),
        r"weight_hh_l0 is parametrized.*remove_parametrizations\(module, 'weight_hh_l0'\)",
    ),
    "weight-norm": (lambda: hooked("weight_norm"), "remove_weight_norm"),
    "spectral-norm": (lambda: hooked("spectral_norm"), "remove_spectral_norm"),
    "pruned": (lambda: prune.l1_unstructured(nn.LSTM(3, 5), "weight_hh_l0", 0.5), "prune.remove"),
    "quantized": (quantized, "quantized, its weights are packed integers"),
}


@pytest.mark.parametrize(("make", "message"), [pytest.param(*case, id=name) for name, case in OPAQUE.items()])
def test_weights_that_are_computed_or_packed_are_refused(make: Any, message: str) -> None:
    module = make()
    for act in (gates, converters.export_arrays, lambda m: converters.initialize(m, scheme="keras")):
        with pytest.raises(NotRepresentable, match=message):
            act(module)


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        pytest.param(nn.Linear(3, 5), UnknownLayer, "not recurrent: it has no gates", id="linear"),
        pytest.param(nn.Sequential(nn.LSTM(3, 5)), UnknownLayer, "Sequential has no layout", id="container"),
        pytest.param(3, converters.ConversionError, "a int has no gates: expected a module", id="number"),
        pytest.param({"kernel": [[0.0]]}, converters.ConversionError, "views are made of NumPy arrays", id="list"),
        pytest.param({"kernel": np.zeros((3, 5))}, converters.ConversionError, "framework=", id="no-framework"),
        pytest.param(nn.LazyLinear(3), CoverageError, "no shape yet", id="lazy"),
    ],
)
def test_what_has_no_gates_is_told(source: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        gates(source)


def test_several_layers_of_arrays_are_told() -> None:
    one = {"kernel": np.zeros((3, 20)), "recurrent_kernel": np.zeros((5, 20)), "bias": np.zeros(20)}
    with pytest.raises(UnknownLayer, match="2 layers"):
        gates({"a": one, "b": one}, framework="keras")


def test_a_class_of_ones_own_is_what_it_derives_from() -> None:
    class Mine(nn.LSTM):
        def __init__(self) -> None:
            super().__init__(3, 5)
            self.scale = nn.Parameter(torch.ones(1))

    assert list(gates(Mine())["l0"].input_weight) == ["i", "f", "g", "o"]
    with pytest.raises(CoverageError, match="scale has no place"):
        converters.export_arrays(Mine())


def test_both_directions_have_a_name() -> None:
    assert [gates(nn.RNN(3, 5, bidirectional=True)).name(Piece("input_weight", direction=d)) for d in BOTH] == [
        "l0",
        "l0_reverse",
    ]
