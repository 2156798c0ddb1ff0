"""The doctor: every known mistake planted in turn in a port that is right, and named with its fix."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from conftest import ROOT
from keras_files import bidirectional, dense, numbers, other, recurrent, write
from torch import nn

import converters
from converters.torch.own_file import module_from

KERAS3, KERAS2 = ROOT / "fixtures" / "keras3", ROOT / "fixtures" / "keras2"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A source by name: a fixture, or a file of keras_files that is written when it is first asked for."""
    folder = tmp_path_factory.mktemp("sources")

    @cache
    def source(name: str) -> Path:
        if name in HAND_MADE:
            return write(folder / f"{name}.h5", *HAND_MADE[name])
        found = ROOT / "fixtures" / name
        return next(path for path in (found / "model.keras", found / "model.h5") if path.exists())

    return source


HAND_MADE = {
    "plain": [
        recurrent("LSTM", "lstm", 5, 5, batch_input_shape=[None, None, 5]),
        recurrent("GRU", "gru", 5, 5),
        dense("dense", 5, 5),
        dense("head", 5, 3, activation="softmax"),
    ],
    "convolved": [
        other("Conv1D", "conv", {"kernel": numbers(3, 5, 5), "bias": numbers(5)}, filters=5, kernel_size=[3],
              padding="same", activation="relu", batch_input_shape=[None, 12, 5]),
        other("MaxPooling1D", "pool", {}, pool_size=[2], strides=[2], padding="valid"),
        other("BatchNormalization", "norm", {
            "gamma": numbers(5), "beta": numbers(5) + 1,
            "moving_mean": numbers(5) - 1, "moving_variance": abs(numbers(5)) + 0.05,
        }, axis=-1, epsilon=1e-3, momentum=0.99),
        other("LeakyReLU", "leaky", {}, negative_slope=0.3),
        recurrent("LSTM", "lstm", 5, 7, return_sequences=False),
        dense("dense", 7, 3, activation="tanh"),
    ],
    "both": [
        bidirectional("LSTM", "both", 3, 5, return_sequences=True, batch_input_shape=[None, None, 3]),
        bidirectional("GRU", "last", 10, 7, merge_mode="concat", return_sequences=False),
        dense("dense", 14, 2),
    ],
}  # fmt: skip

Tensors = dict[str, torch.Tensor]


class Plant(NamedTuple):
    """A mistake: in which source, how it is made, and words that its diagnosis has to have."""

    source: str
    make: Callable[[nn.Module], None] | tuple[str, str]
    words: tuple[str, ...]


def weights(change: Callable[[Tensors], None]) -> Callable[[nn.Module], None]:
    """A mistake in the tensors."""

    def make(module: nn.Module) -> None:
        tensors = dict(module.state_dict())
        with torch.no_grad():
            change(tensors)
        for key, value in tensors.items():
            owner, _, name = key.rpartition(".")
            getattr(module.get_submodule(owner), name).data.copy_(value.clone())

    return make


def reordered(name: str, order: tuple[int, ...], *keys: str) -> Callable[[nn.Module], None]:
    def change(t: Tensors) -> None:
        for key in keys or ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            blocks = t[f"{name}.{key}"].chunk(len(order))
            t[f"{name}.{key}"] = torch.cat([blocks[k] for k in order])

    return weights(change)


def each_block(name: str, count: int, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[nn.Module], None]:
    def make(t: Tensors) -> None:
        t[name] = torch.cat([change(block) for block in t[name].chunk(count)])

    return weights(make)


def set_to(key: str, value: Callable[[Tensors], torch.Tensor]) -> Callable[[nn.Module], None]:
    return weights(lambda t: t.update({key: value(t)}))


def setting(name: str, **values: Any) -> Callable[[nn.Module], None]:
    def make(module: nn.Module) -> None:
        for key, value in values.items():
            setattr(module.get_submodule(name), key, value)

    return make


def forget(added: float) -> Callable[[nn.Module], None]:
    def make(t: Tensors) -> None:
        t["lstm.bias_ih_l0"] = t["lstm.bias_ih_l0"] + torch.tensor([0.0, added, 0.0, 0.0]).repeat_interleave(5)

    return weights(make)


def untracked(module: nn.Module) -> None:
    module.norm.track_running_stats = False
    module.norm.running_mean = module.norm.running_var = None


PLANTS = {
    "gates in the order of TF1": Plant("plain", reordered("lstm", (0, 2, 1, 3)), ("i, g, f, o", "tensorflow")),
    "gates in the order of ONNX": Plant("plain", reordered("lstm", (0, 2, 3, 1)), ("stored as i, f, g, o", "onnx")),
    "gates of the kernel alone": Plant(
        "plain", reordered("lstm", (0, 1, 3, 2), "weight_ih_l0"), ("of the input weights alone", "i, f, o, g")
    ),
    "GRU blocks as they are stored": Plant("plain", reordered("gru", (1, 0, 2)), ("stored as z, r, n", "r, z, n")),
    "recurrent weights not transposed": Plant(
        "plain", each_block("lstm.weight_hh_l0", 4, lambda b: b.T), ("recurrent_weight were not transposed",)
    ),
    "input weights not transposed": Plant(
        "plain", each_block("gru.weight_ih_l0", 3, lambda b: b.T), ("input_weight were not transposed",)
    ),
    "reshape of the kernel": Plant(
        "both",
        weights(lambda t: t.update({
            f"both.weight_ih_l0{end}": t[f"both.weight_ih_l0{end}"].T.reshape(20, 3) for end in ("", "_reverse")
        })),
        ("input_weight", "reshaped"),
    ),
    "Dense not transposed": Plant("plain", set_to("dense.weight", lambda t: t["dense.weight"].T), ("not transposed",)),
    "bias doubled": Plant("plain", set_to("lstm.bias_hh_l0", lambda t: t["lstm.bias_ih_l0"]), ("doubled",)),
    "bias halved": Plant("plain", set_to("lstm.bias_ih_l0", lambda t: t["lstm.bias_ih_l0"] / 2), ("halved",)),
    "no bias": Plant("plain", set_to("lstm.bias_ih_l0", lambda t: t["lstm.bias_ih_l0"] * 0), ("no bias",)),
    "second bias missing": Plant(
        "plain", set_to("gru.bias_hh_l0", lambda t: t["gru.bias_hh_l0"] * 0), ("second bias",)
    ),
    "first bias missing": Plant("plain", set_to("gru.bias_ih_l0", lambda t: t["gru.bias_ih_l0"] * 0), ("first bias",)),
    "biases exchanged": Plant(
        "plain",
        weights(
            lambda t: t.update(
                {"gru.bias_ih_l0": t["gru.bias_hh_l0"].clone(), "gru.bias_hh_l0": t["gru.bias_ih_l0"].clone()}
            )
        ),
        ("two biases are exchanged",),
    ),
    "biases of a GRU added up": Plant(
        "plain",
        weights(lambda t: t.update({
            "gru.bias_ih_l0": t["gru.bias_ih_l0"] + t["gru.bias_hh_l0"], "gru.bias_hh_l0": t["gru.bias_hh_l0"] * 0,
        })),
        ("added up",),
    ),
    "sense of the update gate": Plant(
        "plain",
        weights(lambda t: [t[f"gru.{k}"].__setitem__(slice(5, 10), -t[f"gru.{k}"][5:10])
                           for k in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]),
        ("opposite sense", "negate"),
    ),
    "gates of a ConvLSTM": Plant(
        "tf_keras/conv_lstm", ('"hard_sigmoid_0.2"', '"sigmoid"'), ("of the gates is sigmoid",)
    ),
    "reset after for before": Plant(
        "keras3/gru_reset_before",
        ("cells.GRU(3, 5, reset_after=False, batch_first=True)", "nn.GRU(3, 5, batch_first=True)"),
        ("resets after the matrix product", "reset_after=False"),
    ),
    "the hard_sigmoid of Keras 2": Plant(
        "keras3/lstm_options", ("hard_sigmoid_1/6", "hard_sigmoid_0.2"), ("clip(0.2 x + 0.5)", "clip(x/6 + 0.5)")
    ),
    "the hard_sigmoid of Keras 3": Plant(
        "keras2/lstm_hard_sigmoid", ("hard_sigmoid_0.2", "hard_sigmoid_1/6"), ("is hard_sigmoid clip(x/6",)
    ),
    "sigmoid for hard_sigmoid": Plant(
        "keras3/lstm_options", ("hard_sigmoid_1/6", "sigmoid"), ("of the gates is sigmoid",)
    ),
    "tanh for relu": Plant("keras3/lstm_options", ('activation="relu"', 'activation="tanh"'), ("is tanh", "relu")),
    "last step of the reverse half": Plant(
        "both",
        ("_, h = self.last(x)\n        x = torch.cat([h[-2], h[-1]], dim=-1)", "x = self.last(x)[0][:, -1]"),
        ("y[:, -1]", "h_n[-1]"),
    ),
    "halves exchanged": Plant("both", ("torch.cat([h[-2], h[-1]]", "torch.cat([h[-1], h[-2]]"), ("halves",)),
    "directions exchanged": Plant(
        "both",
        weights(lambda t: t.update({
            f"both.{k}{end}": t[f"both.{k}{'' if end else '_reverse'}"].clone()
            for k in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0") for end in ("", "_reverse")
        })),
        ("two directions are exchanged",),
    ),
    "merged by sum": Plant(
        "keras3/merge_modes", ("ahead * back", "ahead + back"), ("merged by sum", "in the source by mul")
    ),
    "eps of a norm": Plant("convolved", setting("norm", eps=1e-5), ("eps is 1e-05", "eps=0.001")),
    "statistics not loaded": Plant(
        "convolved",
        weights(lambda t: t.update({"norm.running_mean": torch.zeros(5), "norm.running_var": torch.ones(5)})),
        ("statistics are not loaded",),
    ),
    "deviation for variance": Plant(
        "convolved", set_to("norm.running_var", lambda t: t["norm.running_var"].sqrt()), ("deviation",)
    ),
    "statistics of the batch": Plant("convolved", untracked, ("statistics of the batch", "eval()")),
    "gamma and beta exchanged": Plant(
        "convolved",
        weights(lambda t: t.update({"norm.weight": t["norm.bias"].clone(), "norm.bias": t["norm.weight"].clone()})),
        ("gamma and beta",),
    ),
    "flattened with channels last": Plant(
        "keras3/flatten_dense", ("conv2d.flatten(1)", "conv2d.movedim(1, -1).flatten(1)"), ("channels", "order")
    ),
    "weights not permuted": Plant(
        "keras3/flatten_dense",
        set_to("dense2d.weight", lambda t: t["dense2d.weight"].unflatten(1, (2, 20)).movedim(1, -1).flatten(1)),
        ("different orders", "channels"),
    ),
    "1 added to the forget gate": Plant("plain", forget(1.0), ("1 is added to the bias of the forget gate",)),
    "1 not added to the forget gate": Plant("plain", forget(-1.0), ("the source adds 1",)),
    "h and c exchanged": Plant(
        "keras3/return_state",
        ("(encoder_h.unsqueeze(0), encoder_c.unsqueeze(0))", "(encoder_c.unsqueeze(0), encoder_h.unsqueeze(0))"),
        ("h and c", "(h_0, c_0)"),
    ),
    "states not handed on": Plant(
        "keras3/return_state", (", (encoder_h.unsqueeze(0), encoder_c.unsqueeze(0))", ""), ("not handed on",)
    ),
    "batch_first": Plant("plain", ("nn.LSTM(5, 5, batch_first=True)", "nn.LSTM(5, 5)"), ("batch_first=True",)),
    "activation missing": Plant("convolved", ("torch.relu(", "("), ("activation relu of conv is missing",)),
    "softmax missing": Plant("plain", ("torch.softmax(", "torch.mul("), ("softmax of head is missing",)),
    "pooling missing": Plant("convolved", ("functional.max_pool1d(x, 2)", "x"), ("pool (MaxPooling1D) is missing",)),
    "average for max": Plant("convolved", ("max_pool1d", "avg_pool1d"), ("takes the average", "max pooling")),
    "slope of a LeakyReLU": Plant("convolved", ("0.3)", "0.01)"), ("0.01", "0.3")),
    "another activation": Plant("convolved", ("torch.tanh(", "torch.sigmoid("), ("dense is sigmoid", "tanh")),
    "mask ignored": Plant(
        "keras3/embedding_mask", ("mask = words != 0", "mask = words != -1"), ("mask of both is ignored",)
    ),
    "read forwards": Plant("keras3/go_backwards", ("self.lstm(x.flip(1))", "self.lstm(x)"), ("lstm runs",)),
    "first step for the last": Plant(
        "convolved",
        (
            "_, (h, _) = self.lstm(x.movedim(1, -1))\n        x = h[-1]",
            "x = self.lstm(x.movedim(1, -1))[0][:, 0]",
        ),
        ("first step of lstm",),
    ),
    "c for h": Plant("convolved", ("_, (h, _)", "_, (_, h)"), ("cell state c_n",)),
    "kernel flipped": Plant("convolved", set_to("conv.weight", lambda t: t["conv.weight"].flip(2)), ("flipped",)),
    "in and out exchanged": Plant(
        "convolved", set_to("conv.weight", lambda t: t["conv.weight"].transpose(0, 1)), ("inputs and outputs",)
    ),
    "padding_idx": Plant(
        "keras3/embedding_mask",
        set_to("embedding.weight", lambda t: t["embedding.weight"] * (torch.arange(17) > 0)[:, None]),
        ("row 0 is zero", "padding_idx"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_mistake_is_named(name: str, sources: Callable[[str], Path], tmp_path: Path) -> None:
    plant = PLANTS[name]
    source = sources(plant.source)
    module = planted(source, plant, tmp_path)
    found = converters.diagnose(source, module)
    assert not found.ok
    assert found.explanation is not None, str(found)
    said = f"{found.explanation.what}. {found.explanation.fix}"
    assert [word for word in plant.words if word not in said] == [], said
    json.dumps(found.data())


def planted(source: Path, plant: Plant, folder: Path) -> nn.Module:
    """The port of a source with a mistake in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        converters.port(source, folder / "ported")
    file = folder / "ported" / "model.py"
    if isinstance(plant.make, tuple):
        text = file.read_text()
        assert plant.make[0] in text, text[text.index("class Model") :]
        file.write_text(_with_mul(text.replace(plant.make[0], plant.make[1], 1)))
        return module_from(str(file))
    module = module_from(str(file))
    plant.make(module)
    return module


def _with_mul(text: str) -> str:
    """softmax(x, dim) without the softmax."""
    import re

    return re.sub(r"torch\.mul\((.*), (dim=)?-1\)", r"(\1)", text)


def cases() -> Iterator[str]:
    yield from HAND_MADE
    yield from ("keras3/lstm_options", "keras3/gru_reset_before", "keras3/embedding_mask", "keras2/masking")


@pytest.mark.parametrize("name", list(cases()))
def test_nothing_is_wrong_with_a_port_that_is_right(name: str, sources: Callable[[str], Path], tmp_path: Path) -> None:
    found = converters.diagnose(sources(name), planted(sources(name), Plant(name, lambda _: None, ()), tmp_path))
    assert found.ok, str(found)
    assert found.explanation is None


def test_a_momentum_of_the_other_sense_is_noted(sources: Callable[[str], Path], tmp_path: Path) -> None:
    plant = Plant("convolved", setting("norm", momentum=0.99), ())
    found = converters.diagnose(sources("convolved"), planted(sources("convolved"), plant, tmp_path))
    assert found.ok
    assert found.notes and "training alone" in found.notes[0] and found.notes[0] in " ".join(str(found).split())
