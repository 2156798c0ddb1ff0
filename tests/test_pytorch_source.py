"""PyTorch as a source: every key comes back as it was, whatever the file; what cannot be read is refused by name."""

from __future__ import annotations

import argparse
import warnings
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile import pytorch as built
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import converters
import converters.nn
from converters import ConversionError, NotRepresentable, UnknownLayer, UnreadableCheckpoint, UnsafeCheckpoint

State = dict[str, torch.Tensor]


class Zoo(nn.Module):
    """A module of every kind that has a layout, and some that have none."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 3)
        self.lstm = nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True)
        self.projected = nn.LSTM(3, 5, proj_size=2)
        self.gru = nn.GRU(10, 7, bias=False)
        self.rnn = nn.RNN(7, 13, nonlinearity="relu")
        self.cells = nn.ModuleList([nn.LSTMCell(13, 3), nn.GRUCell(3, 5), nn.RNNCell(5, 7, nonlinearity="relu")])
        self.head = nn.Sequential(nn.Linear(5, 2), nn.BatchNorm1d(2), nn.LayerNorm(2), nn.PReLU(2))
        self.conv = nn.Conv2d(6, 12, (2, 3), groups=6, stride=(1, 2), padding=(1, 0), dilation=2)
        self.transposed = nn.ConvTranspose1d(6, 4, 3, stride=2, groups=2, output_padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(2, 6), nn.RMSNorm(7), nn.BatchNorm3d(5, affine=False)])
        self.attention = nn.MultiheadAttention(6, 2)
        self.odd = nn.MultiheadAttention(6, 2, add_bias_kv=True)
        self.encoder = nn.TransformerEncoderLayer(6, 2, 7)
        self.bilinear = nn.Bilinear(2, 3, 5)
        self.own = nn.Parameter(torch.randn(3, 2, 2))
        self.register_buffer("table", torch.arange(7))


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    torch.manual_seed(0)
    made = Zoo().eval()
    for buffer in made.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
        elif not buffer.ndim:
            buffer.fill_(7)
    return made


def converted(source: Any, **options: Any) -> State:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(source, **options)


def assert_same(found: State, expected: State) -> None:
    assert {*found} == {*expected}
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


def legacy(value: Any, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


SAVED: dict[str, Callable[[Any, Path], None]] = {"zip": torch.save, "legacy": legacy, "safetensors": save_file}


@pytest.mark.parametrize("way", SAVED)
def test_every_key_comes_back_as_it_was(way: str, zoo: Zoo, tmp_path: Path) -> None:
    SAVED[way](zoo.state_dict(), tmp_path / "model")
    found = converted(tmp_path / "model")
    assert_same(found, zoo.state_dict())
    Zoo().load_state_dict(found, strict=True)


def test_a_module_in_memory_tells_its_classes_and_settings(zoo: Zoo) -> None:
    plan = converters.plan(zoo)
    made = {module.name: module.constructor for module in plan.modules}
    assert made["lstm"] == "nn.LSTM(3, 5, num_layers=2, batch_first=True, bidirectional=True)"
    assert made["projected"] == "nn.LSTM(3, 5, proj_size=2)"
    assert made["rnn"] == "nn.RNN(7, 13, nonlinearity='relu')"
    assert made["cells.2"] == "nn.RNNCell(5, 7, nonlinearity='relu')"
    conv = "nn.Conv2d(6, 12, kernel_size=(2, 3), stride=(1, 2), padding=(1, 0), dilation=(2, 2), groups=6)"
    assert made["conv"] == conv
    assert made["transposed"].endswith("stride=2, output_padding=1, groups=2)")
    assert made["norms.0"] == "nn.GroupNorm(2, 6, eps=1e-05)"
    assert made["norms.2"].startswith("nn.BatchNorm3d(5")
    assert made["attention"] == "nn.MultiheadAttention(6, 2)"
    assert made["odd"] == "" and "odd.bias_k" in {tensor.key for tensor in plan.tensors}
    assert_same(converted(zoo), zoo.state_dict())


def test_what_no_layout_describes_goes_back_and_nowhere_else() -> None:
    modules = [nn.Conv1d(3, 5, 2, padding=1, padding_mode="circular"), nn.Embedding(11, 3, max_norm=1.0)]
    net = nn.Sequential(*modules, nn.MultiheadAttention(6, 2, add_zero_attn=True))
    assert_same(converted(net), net.state_dict())
    for layer, words in zip(converters.read(net).layers, ("circular", "max_norm=1.0", "add_zero_attn"), strict=True):
        assert words in str(layer.unknown)
    with pytest.raises(UnknownLayer, match="padding_mode='circular'"):
        converters.convert(net, to="keras")


def test_a_state_dict_in_memory_needs_no_framework(zoo: Zoo) -> None:
    assert_same(converted(zoo.state_dict()), zoo.state_dict())
    assert_same(converted(dict(zoo.named_parameters())), {k: v.detach() for k, v in zoo.named_parameters()})
    arrays = {name: tensor.numpy() for name, tensor in zoo.state_dict().items()}
    assert_same(converted(arrays, framework="pytorch"), zoo.state_dict())


@pytest.mark.parametrize("way", SAVED)
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2], ids=str
)
def test_dtypes_pass_on_bits(dtype: torch.dtype, way: str, tmp_path: Path) -> None:
    state = {name: tensor.to(dtype) for name, tensor in nn.GRU(3, 5).state_dict().items()}
    SAVED[way](state, tmp_path / "model")
    for found in (converted(tmp_path / "model"), converted(state)):
        assert all(found[name].dtype == dtype for name in state)
        assert all(torch.equal(found[k].view(torch.uint8), v.view(torch.uint8)) for k, v in state.items())


def test_other_numbers_pass_as_they_are(tmp_path: Path) -> None:
    kinds = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
    state = {"lin.weight": torch.randn(3, 5)} | {str(kind)[6:]: torch.arange(7).to(kind) for kind in kinds}
    for way in ("zip", "legacy", "safetensors"):
        SAVED[way](state, tmp_path / "model")
        assert_same(converted(tmp_path / "model"), state)


@pytest.mark.parametrize("save", [torch.save, legacy])
def test_views_are_read_where_they_stand(save: Callable[[Any, Path], None], tmp_path: Path) -> None:
    """Transposed, sliced, tied, expanded and empty ones, several of one storage."""
    whole = torch.arange(210.0).reshape(2, 15, 7)
    state = {
        "a.weight": whole[0].t(),
        "b.weight": whole[1, 3:, ::2],
        "c.weight": whole[1, 3:, ::2],
        "d.bias": torch.tensor([3.0]).expand(5),
        "e.weight": whole[:, :, 2].t()[4:],
        "f.weight": torch.empty(0, 3),
        "g": torch.tensor(2.5),
    }
    save(state, tmp_path / "model.pt")
    assert_same(converted(tmp_path / "model.pt"), state)


def test_stored_storages_are_mapped_and_not_copied(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 5).state_dict(), tmp_path / "model.pt")
    (layer,) = converters.read(tmp_path / "model.pt").layers
    array = layer.parts[0].arrays["weight"].read()
    assert not array.flags.owndata and not array.flags.writeable


def test_big_endian_storages_are_turned(tmp_path: Path) -> None:
    path = built.archive(tmp_path, stored=np.arange(60, dtype=">f4").tobytes(), byteorder=b"big")
    assert torch.equal(converted(path)["lin.weight"], torch.arange(60.0).reshape(20, 3))


def test_an_older_batch_norm_without_its_counter_gets_none(tmp_path: Path) -> None:
    state = nn.BatchNorm1d(5).state_dict()
    del state["num_batches_tracked"]
    torch.save(dict(state), tmp_path / "model.pt")
    assert_same(converted(tmp_path / "model.pt"), dict(state))


def test_names_of_python_2_are_read(tmp_path: Path) -> None:
    """A name was bytes there; a storage was named by its address, and a tensor had four parts."""
    old = built.tensor().replace(b"_rebuild_tensor_v2", b"_rebuild_tensor").replace(b"\x89}t", b"t")
    name = b"U\x0alin.weight"
    whole = built.legacy_bytes(b"\x80\x02}" + name + old + b"s.", ["0"], (60, np.arange(60, dtype="<f4").tobytes()))
    (tmp_path / "model.pth").write_bytes(whole)
    assert torch.equal(converted(tmp_path / "model.pth")["lin.weight"], torch.arange(60.0).reshape(20, 3))


# --- checkpoints


def training(model: nn.Module) -> dict[str, Any]:
    optimizer = torch.optim.Adam(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    return {
        "epoch": 3,
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": torch.tensor(0.5),
        "rng": torch.get_rng_state(),
        "args": {"lr": 0.1, "names": ["a", "b"], "none": None},
        "size": torch.Size([2, 3]),
        "options": argparse.Namespace(path=Path("a"), device=torch.device("cpu"), dtype=torch.float32),
        "losses": deque([0.5, 0.25], maxlen=7),
        "counts": Counter("abca"),
        "kinds": {1, 2},
        "score": np.float64(0.25),
    }


@pytest.mark.parametrize("save", [torch.save, legacy])
def test_a_checkpoint_gives_its_state_dict_and_names_the_rest(save: Any, tmp_path: Path) -> None:
    model = nn.LSTM(3, 5)
    save(training(model), tmp_path / "model.pt")
    found = converters.read(tmp_path / "model.pt")
    said = " ".join(found.remarks)
    assert "'state_dict'" in said and all(name in said for name in ("epoch", "optimizer", "best", "rng", "score"))
    assert_same(converted(tmp_path / "model.pt"), model.state_dict())


def test_several_state_dicts_are_a_question(tmp_path: Path) -> None:
    one, two = nn.GRU(3, 5), nn.GRU(3, 5)
    torch.save({"model": one.state_dict(), "ema": two.state_dict(), "step": 7}, tmp_path / "model.pt")
    with pytest.raises(UnknownLayer, match=r"model, ema\. State which: assume=\{'state_dict': 'model'\}"):
        converters.read(tmp_path / "model.pt")
    assert_same(converted(tmp_path / "model.pt", assume={"state_dict": "ema"}), two.state_dict())
    both = {f"{way}.{k}": v for way, m in (("model", one), ("ema", two)) for k, v in m.state_dict().items()}
    assert_same(converted(tmp_path / "model.pt", assume={"state_dict": "all"}), both)
    with pytest.raises(UnknownLayer, match="no such state_dict; there are: model, ema"):
        converters.read(tmp_path / "model.pt", assume={"state_dict": "net"})


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_left_off_and_said(prefix: str, tmp_path: Path) -> None:
    state = {"rnn." + k: v for k, v in nn.LSTM(3, 5).state_dict().items()}
    torch.save(OrderedDict((prefix + k, v) for k, v in state.items()), tmp_path / "model.pt")
    assert all(part in " ".join(converters.read(tmp_path / "model.pt").remarks) for part in prefix.split(".")[:-1])
    assert_same(converted(tmp_path / "model.pt"), state)


def test_a_prefix_that_not_all_names_have_stays(tmp_path: Path) -> None:
    state = {"module.weight": torch.randn(5, 3), "other.weight": torch.randn(5, 3)}
    torch.save(state, tmp_path / "model.pt")
    assert_same(converted(tmp_path / "model.pt"), state)


def test_lightning_keeps_the_name_of_its_attribute(tmp_path: Path) -> None:
    state = {"model.rnn." + k: v for k, v in nn.LSTM(3, 5).state_dict().items()}
    value = {"state_dict": state, "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}}}
    torch.save(value | {"pytorch-lightning_version": "2.0", "hyper_parameters": {"lr": 0.1}}, tmp_path / "model.ckpt")
    assert_same(converted(tmp_path / "model.ckpt"), state)


# --- computed weights


def test_weight_normalisation_is_worked_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lstm, conv, linear = nn.LSTM(3, 5), nn.Conv1d(3, 5, 2), nn.Linear(3, 5)
    expected = {}
    for model in (parametrizations.weight_norm(lstm, "weight_hh_l0"), parametrizations.weight_norm(conv, dim=1)):
        for parameter in model.parameters():
            parameter.data = torch.randn_like(parameter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = weight_norm(linear, dim=None)
    old.weight_g.data = torch.tensor(2.5)
    old(torch.zeros(1, 3))
    net = nn.ModuleDict({"lstm": lstm, "conv": conv, "linear": linear})
    torch.save(net.state_dict(), tmp_path / "model.pt")
    for name, model, weight in (("lstm", lstm, "weight_hh_l0"), ("conv", conv, "weight"), ("linear", linear, "weight")):
        expected[f"{name}.{weight}"] = getattr(model, weight).detach()
    found = converted(tmp_path / "model.pt")
    plain = nn.ModuleDict({"lstm": nn.LSTM(3, 5), "conv": nn.Conv1d(3, 5, 2), "linear": nn.Linear(3, 5)})
    plain.load_state_dict(found, strict=True)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=3e-7, atol=0.0)
    assert "computed by weight normalisation" in " ".join(converters.read(tmp_path / "model.pt").remarks)


def test_arrays_that_only_look_like_parts_of_a_norm_stay_as_they_are(tmp_path: Path) -> None:
    state = {"gate_g": torch.randn(5, 1), "gate_v": torch.randn(5, 3)} | {
        f"mix.weight_{part}": torch.randn(5, 3) for part in "gv"
    }
    torch.save(state, tmp_path / "model.pt")
    assert_same(converted(tmp_path / "model.pt"), state)


def test_pruned_weights_are_worked_out(tmp_path: Path) -> None:
    linear = prune.random_unstructured(nn.Linear(7, 5), "weight", 0.5)
    torch.save(linear.state_dict(), tmp_path / "model.pt")
    found = converted(tmp_path / "model.pt")
    assert torch.equal(found["weight"], linear.weight) and {*found} == {"weight", "bias"}


def spectral() -> nn.Module:
    return nn.ModuleDict({"a": parametrizations.spectral_norm(nn.Linear(3, 5)), "b": nn.Linear(5, 2)})


def hooked() -> nn.Module:
    return nn.ModuleDict({"a": spectral_norm(nn.Linear(3, 5)), "b": nn.Linear(5, 2)})


@pytest.mark.parametrize(
    ("make", "undo"), [(spectral, "remove_parametrizations"), (hooked, "torch.nn.utils.remove_spectral_norm")]
)
def test_other_computed_weights_are_refused_with_the_way_out(make: Any, undo: str, tmp_path: Path) -> None:
    torch.save(make().state_dict(), tmp_path / "model.pt")
    with pytest.raises(NotRepresentable, match=undo):
        converters.convert(tmp_path / "model.pt")
    assert_same(
        {k: v for k, v in converted(tmp_path / "model.pt", strict=False).items() if k.startswith("b.")},
        {k: v for k, v in torch.load(tmp_path / "model.pt").items() if k.startswith("b.")},
    )


# --- what is not read


def packed(kind: type[nn.Module]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(nn.Linear(3, 5) if kind is nn.Linear else nn.LSTM(3, 5))
        return torch.ao.quantization.quantize_dynamic(model, {kind}).state_dict()


@pytest.mark.parametrize("kind", [nn.Linear, nn.LSTM])
def test_quantized_weights_are_refused_by_name(kind: type[nn.Module], tmp_path: Path) -> None:
    torch.save(packed(kind), tmp_path / "model.pt")
    with pytest.raises(NotRepresentable, match=r"0\._(packed_params|all_weight_values).*quantized"):
        converters.read(tmp_path / "model.pt")


@pytest.mark.parametrize("save", [torch.save, legacy])
def test_a_whole_module_is_refused_with_the_way_out(save: Any, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(nn.LSTM(3, 5), tmp_path / "model.pt")
    with pytest.raises(UnsafeCheckpoint, match=r"names torch\.nn\.modules\.rnn\.LSTM.*torch\.save\(model\.state_dict"):
        converters.read(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.randn(3, 5), "one array without a name"),
        ([torch.randn(3, 5)], "holds a list"),
        ({"epoch": 3}, "no dictionary in the file holds weights"),
        ({"a": torch.randn(3, 5).to_sparse()}, "a is sparse"),
        ({"a": torch.empty(3, 5, device="meta"), "b": torch.randn(3)}, "device 'meta'"),
    ],
)
def test_what_is_no_state_dict_is_refused(value: Any, words: str, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "model.pt")
    with pytest.raises(ConversionError, match=words):
        converters.read(tmp_path / "model.pt")


def test_a_frozen_program_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.freeze(torch.jit.trace(nn.Linear(3, 5).eval(), torch.randn(2, 3)))
        torch.jit.save(program, tmp_path / "model.pt")
    with pytest.raises(NotRepresentable, match=r"before torch\.jit\.freeze"):
        converters.read(tmp_path / "model.pt")


# --- safetensors, shards, folders


def test_safetensors_say_whose_they_are_or_are_asked(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(nn.LSTM(3, 5).state_dict(), path)
    assert "read as pytorch's" in " ".join(converters.read(path).remarks)
    save_file(nn.LSTM(3, 5).state_dict(), path, {"format": "pt"})
    assert converters.read(path).remarks == ()
    save_file(nn.LSTM(3, 5).state_dict(), path, {"format": "tf"})
    with pytest.raises(ConversionError, match="its format is tf: framework="):
        converters.read(path)
    save_file({"rnn.Wx": torch.randn(20, 3), "rnn.Wh": torch.randn(20, 5)}, path)
    with pytest.raises(ConversionError, match=r"rnn \(W[hx], W[hx]\): no layer of PyTorch's, .*mlx.*framework="):
        converters.read(path)
    assert [layer.class_name for layer in converters.read(path, framework="mlx").layers] == ["LSTM"]


def test_second_names_of_paddle_are_said(tmp_path: Path) -> None:
    folder = Path(__file__).parents[1] / "fixtures/paddle/lstm"
    said = " ".join(converters.read(folder / "model.pdparams").remarks)
    assert "second names of arrays of cells: lstm.weight_ih_l0" in said
    flat = {"weight_ih_l0": np.ones((20, 3), "f4"), "weight_hh_l0": np.ones((20, 5), "f4")}
    (layer,) = converters.read({"lstm": flat}, framework="paddle").layers
    assert (layer.path, layer.class_name) == ("lstm", "LSTM")


def test_one_shard_alone_leads_to_its_index() -> None:
    folder = Path(__file__).parents[1] / "fixtures/pytorch/net"
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.bin"):
        with pytest.raises(UnreadableCheckpoint, match=r"one shard of several: give their index, model\.[a-z]+\.index"):
            converters.read(folder / name)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_the_hub_is_read(name: str, tmp_path: Path) -> None:
    state = nn.LSTM(3, 5).state_dict()
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (save_file if name.endswith("s") else torch.save)(state, tmp_path / name)
    assert_same(converted(tmp_path), state)


def test_names_that_would_become_one_are_refused(tmp_path: Path) -> None:
    torch.save({"a/b.weight": torch.randn(5, 3), "a.b.weight": torch.randn(5, 3)}, tmp_path / "model.pt")
    with pytest.raises(ConversionError, match="are both weight of one layer"):
        converters.convert(tmp_path / "model.pt")
