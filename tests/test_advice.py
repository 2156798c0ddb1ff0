"""The printed constructor call, and the notes on forward code: each there when its option is set, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from keras_files import Made, bidirectional, dense, numbers, other, recurrent, write

import converters


def planned(path: Path, layer: Made) -> Any:
    (module,) = converters.plan(write(path / "m.h5", layer), strict=False).modules
    return module


def _conv(**config: Any) -> Made:
    return other("Conv1D", "x", {"kernel": numbers(3, 2, 5), "bias": numbers(5)}, filters=5, **config)


def _transposed(**config: Any) -> Made:
    return other("Conv1DTranspose", "x", {"kernel": numbers(3, 5, 2), "bias": numbers(5)}, filters=5, **config)


def _lstm(**config: Any) -> Made:
    return recurrent("LSTM", "x", 3, 5, **config)


def _both(**config: Any) -> Made:
    return bidirectional("LSTM", "x", 3, 5, **config)


def _batch_norm(**config: Any) -> Made:
    arrays = {key: numbers(5) for key in ("gamma", "beta", "moving_mean", "moving_variance")}
    return other("BatchNormalization", "x", arrays, **config)


def _embedding(**config: Any) -> Made:
    return other("Embedding", "x", {"embeddings": numbers(13, 5)}, input_dim=13, output_dim=5, **config)


def _layer_norm(axis: Any) -> Made:
    return other("LayerNormalization", "x", {"gamma": numbers(5), "beta": numbers(5)}, axis=axis)


NOTES = [
    pytest.param(
        _conv(padding="causal"), _conv(padding="valid"), "F.pad(x, ((kernel_size - 1) * dilation, 0))", id="causal"
    ),
    pytest.param(_conv(padding="same", strides=2), _conv(padding="same"), "the odd one at the end", id="strided-same"),
    pytest.param(_transposed(padding="same", strides=2), _transposed(), "more // 2 at the start", id="transposed"),
    pytest.param(
        _conv(data_format="channels_last"), _conv(data_format="channels_first"), "channels to axis 1", id="last"
    ),
    pytest.param(_conv(activation="relu"), _conv(activation="linear"), "apply relu to the output", id="activation"),
    pytest.param(_lstm(stateful=True), _lstm(), "initial state of the next", id="stateful"),
    pytest.param(_lstm(return_state=True), _lstm(), "they are h_n (and c_n)", id="return-state"),
    pytest.param(_lstm(time_major=True), _lstm(), "batch_first=False", id="time-major"),
    pytest.param(_lstm(recurrent_dropout=0.3), _lstm(), "training only", id="recurrent-dropout"),
    pytest.param(_lstm(go_backwards=True), _lstm(), "feed x.flip(1)", id="go-backwards"),
    pytest.param(_lstm(return_sequences=False), _lstm(), "use h_n[-1]", id="last-output"),
    pytest.param(_both(merge_mode="sum"), _both(), "forward + backward", id="merge-sum"),
    pytest.param(_both(merge_mode="mul"), _both(), "forward * backward", id="merge-mul"),
    pytest.param(_both(merge_mode="ave"), _both(), "(forward + backward) / 2", id="merge-ave"),
    pytest.param(_both(merge_mode=None), _both(), "the pair (forward, backward)", id="merge-none"),
    pytest.param(_both(return_sequences=False), _both(), "forward, backward = h_n[-2], h_n[-1]", id="merge-last"),
    pytest.param(_batch_norm(axis=2), _batch_norm(axis=-1), "the channels are axis 2", id="axis"),
    pytest.param(_layer_norm([1]), _layer_norm([-1]), "move them to the end", id="layer-norm-axis"),
    pytest.param(_embedding(mask_zero=True), _embedding(mask_zero=False), "index 0 is padding", id="mask-zero"),
]


@pytest.mark.parametrize(("layer", "without", "note"), NOTES)
def test_a_note_stands_where_its_option_is_set_and_nowhere_else(
    layer: Made, without: Made, note: str, tmp_path: Path
) -> None:
    assert [text for text in planned(tmp_path, layer).notes if note in text]
    assert not [text for text in planned(tmp_path, without).notes if note in text]


@pytest.mark.parametrize(
    "note", ["F.pad", "x.flip(1)", "forward + backward", "mask_zero"], ids=["conv", "reversed", "merge", "mask"]
)
def test_notes_are_printed_with_the_plan(note: str, tmp_path: Path) -> None:
    layers = _conv(padding="causal"), _lstm(go_backwards=True), _both(merge_mode="sum"), _embedding(mask_zero=True)
    named = [made._replace(config=made.config | {"name": f"n{number}"}) for number, made in enumerate(layers)]
    assert note in " ".join(str(converters.plan(write(tmp_path / "m.h5", *named))).split())


CALLS = [
    pytest.param(_lstm(), "nn.LSTM(3, 5, batch_first=True)", id="lstm"),
    pytest.param(_lstm(time_major=True), "nn.LSTM(3, 5)", id="time-major"),
    pytest.param(_lstm(use_bias=False), "nn.LSTM(3, 5, bias=False, batch_first=True)", id="no-bias"),
    pytest.param(
        recurrent("SimpleRNN", "x", 3, 5, activation="relu"),
        "nn.RNN(3, 5, nonlinearity='relu', batch_first=True)",
        id="relu",
    ),
    pytest.param(_both(), "nn.LSTM(3, 5, batch_first=True, bidirectional=True)", id="bidirectional"),
    pytest.param(dense("x", 3, 5), "nn.Linear(3, 5)", id="dense"),
    pytest.param(_embedding(), "nn.Embedding(13, 5)", id="embedding"),
    pytest.param(_conv(padding="same"), "nn.Conv1d(2, 5, kernel_size=3, padding='same')", id="same"),
    pytest.param(_conv(padding="same", strides=[2]), "nn.Conv1d(2, 5, kernel_size=3, stride=2)", id="strided"),
    pytest.param(_conv(dilation_rate=[2]), "nn.Conv1d(2, 5, kernel_size=3, dilation=2)", id="dilated"),
    pytest.param(_conv(groups=5), "nn.Conv1d(10, 5, kernel_size=3, groups=5)", id="groups"),
    pytest.param(_transposed(strides=2), "nn.ConvTranspose1d(2, 5, kernel_size=3, stride=2)", id="transposed"),
    pytest.param(_batch_norm(momentum=0.9), "nn.BatchNorm1d(5, eps=0.001, momentum=0.1)", id="batch-norm"),
    pytest.param(_layer_norm(-1), "nn.LayerNorm(5, eps=0.001)", id="layer-norm"),
]


@pytest.mark.parametrize(("layer", "call"), CALLS)
def test_the_constructor_is_the_call_that_a_person_writes(layer: Made, call: str, tmp_path: Path) -> None:
    assert planned(tmp_path, layer).constructor == call


def test_masks_are_noted_on_what_reads_them_and_end_with_the_sequence(tmp_path: Path) -> None:
    layers = [
        _embedding(mask_zero=True)._replace(config=_embedding(mask_zero=True).config | {"name": "tokens"}),
        recurrent("GRU", "first", 5, 5),
        recurrent("GRU", "second", 5, 5, return_sequences=False),
        dense("head", 5, 2),
    ]
    modules = converters.plan(write(tmp_path / "m.h5", *layers)).modules
    masked = [module.name for module in modules if any("a mask reaches" in note for note in module.notes)]
    assert masked == ["first", "second"]


@pytest.mark.parametrize("zero", [True, False])
def test_a_zeroed_last_output_is_noted_behind_a_mask(zero: bool, tmp_path: Path) -> None:
    tokens = _embedding(mask_zero=True)._replace(config=_embedding(mask_zero=True).config | {"name": "tokens"})
    layer = recurrent("GRU", "rnn", 5, 5, return_sequences=False, zero_output_for_mask=zero)
    notes = converters.plan(write(tmp_path / "m.h5", tokens, layer)).modules[1].notes
    assert any("the output is 0 where the last step" in note for note in notes) == zero


@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("version", ["2.15.0", "3.9.0"])
def test_bidirectional_zeroes_masked_steps_of_sequences_alone(
    version: str, sequences: bool, zero: bool, tmp_path: Path
) -> None:
    """Whatever the layer inside says: the wrapper sets it in both of its layers."""
    layer = bidirectional("GRU", "both", 5, 5, return_sequences=sequences, zero_output_for_mask=zero)
    found = converters.read(write(tmp_path / "m.h5", layer, version=version)).layer("both")
    assert found.call.zeros_where_masked is sequences
