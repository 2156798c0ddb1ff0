"""What a plan decides: stacks, names, dtypes, what is refused, and what the user may state."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from keras_files import Made, bidirectional, dense, numbers, other, recurrent, stacked, write
from torch import nn

import converters
from converters import ConversionError, ConversionWarning, CoverageError, NotRepresentable, UnknownLayer

KINDS = ("LSTM", "GRU", "SimpleRNN")


def loose(source: Any, **options: Any) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return converters.convert(source, strict=False, **options)


def module(call: str, tensors: dict[str, torch.Tensor], prefix: str) -> nn.Module:
    built = eval(call, {"nn": nn})
    own = {key.removeprefix(f"{prefix}."): t for key, t in tensors.items() if key.startswith(f"{prefix}.")}
    built.load_state_dict(own, strict=True)
    return built


def only_module(source: Any, **options: Any) -> Any:
    (found,) = converters.plan(source, **options).modules
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_equals_the_chain_of_its_layers(kind: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", recurrent(kind, "one", 3, 5), recurrent(kind, "two", 5, 5))
    apart, plan = converters.convert(file), converters.plan(file, stack={"rnn": ["one", "two"]})
    whole = module(plan.modules[0].constructor, converters.convert(file, stack={"rnn": ["one", "two"]}), "rnn")
    calls = [m.constructor for m in converters.plan(file).modules]
    x = torch.from_numpy(numbers(2, 7, 3))
    chained = module(calls[1], apart, "two")(module(calls[0], apart, "one")(x)[0])[0]
    assert "num_layers=2" in plan.modules[0].constructor
    torch.testing.assert_close(whole(x)[0], chained, rtol=0, atol=1e-6)


def test_a_stack_of_bidirectional_layers_equals_their_chain(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", bidirectional("LSTM", "one", 3, 5), bidirectional("LSTM", "two", 10, 5))
    found = only_module(file, stack={"rnn": ["one", "two"]})
    apart, calls = converters.convert(file), [m.constructor for m in converters.plan(file).modules]
    x = torch.from_numpy(numbers(2, 7, 3))
    chained = module(calls[1], apart, "two")(module(calls[0], apart, "one")(x)[0])[0]
    whole = module(found.constructor, converters.convert(file, stack={"rnn": ["one", "two"]}), "rnn")(x)[0]
    torch.testing.assert_close(whole, chained, rtol=0, atol=1e-6)


def _lstm(name: str, inputs: int, units: int, **config: Any) -> Made:
    return recurrent("LSTM", name, inputs, units, **config)


UNSTACKABLE = [
    pytest.param(_lstm("a", 3, 5), _lstm("b", 5, 7), "units differ", id="units"),
    pytest.param(_lstm("a", 3, 5), recurrent("GRU", "b", 5, 5), "types differ", id="types"),
    pytest.param(_lstm("a", 3, 5), _lstm("b", 5, 5, activation="relu"), "activations differ", id="activations"),
    pytest.param(_lstm("a", 3, 5, return_sequences=False), _lstm("b", 5, 5), "last output only", id="last-output"),
    pytest.param(_lstm("a", 3, 5), _lstm("b", 5, 5, go_backwards=True), "goes backwards", id="go-backwards"),
    pytest.param(_lstm("a", 3, 5), dense("b", 5, 5), "only recurrent layers stack", id="dense"),
    pytest.param(
        bidirectional("LSTM", "a", 3, 5, merge_mode="sum"), bidirectional("LSTM", "b", 5, 5), "by sum", id="merge-mode"
    ),
    pytest.param(_lstm("a", 3, 5), bidirectional("LSTM", "b", 5, 5), "some in both", id="one-direction-under-two"),
    pytest.param(bidirectional("LSTM", "a", 3, 5), _lstm("b", 10, 5), "some in both", id="two-directions-under-one"),
]


@pytest.mark.parametrize(("first", "second", "reason"), UNSTACKABLE)
def test_what_is_no_stack_is_refused(first: Made, second: Made, reason: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", first, second)
    with pytest.raises(ConversionError, match=reason):
        converters.convert(file, stack={"rnn": ["a", "b"]}, strict=False)


def test_layers_with_another_between_them_are_no_stack(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", _lstm("a", 3, 5), dense("between", 5, 5), _lstm("b", 5, 5))
    with pytest.raises(NotRepresentable, match="between"):
        converters.convert(file, stack={"rnn": ["a", "b"]})


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        pytest.param({"rnn": ["a", "nobody"]}, "no layer nobody|no layer 'nobody'", id="unknown"),
        pytest.param({"rnn": ["a", "a"]}, "named twice", id="twice"),
        pytest.param({"rnn": []}, "names no layer", id="empty"),
        pytest.param({"r": ["a"], "s": ["a", "b"]}, "named twice", id="in-two-stacks"),
    ],
)
def test_a_wrong_stack_is_refused(stack: dict[str, list[str]], message: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", _lstm("a", 3, 5), _lstm("b", 5, 5))
    with pytest.raises(ConversionError, match=message):
        converters.plan(file, stack=stack)


def test_one_layer_alone_has_no_prefix(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", _lstm("a", 3, 5), dense("head", 5, 2))
    whole, alone = converters.convert(file), converters.convert(file, layer="a")
    assert set(alone) == {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}
    assert all(torch.equal(value, whole[f"a.{key}"]) for key, value in alone.items())
    nn.LSTM(3, 5, batch_first=True).load_state_dict(alone, strict=True)


def test_an_unknown_layer_lists_those_that_are_there(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", _lstm("a", 3, 5), dense("head", 5, 2))
    with pytest.raises(UnknownLayer, match="a, head"):
        converters.convert(file, layer="nobody")


@pytest.mark.parametrize("option", [{"stack": {"r": ["a"]}}, {"rename": {"a": "b"}}], ids=["stack", "rename"])
def test_one_layer_alone_is_neither_stacked_nor_renamed(option: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="do not go with it"):
        converters.plan(write(tmp_path / "m.h5", _lstm("a", 3, 5)), layer="a", **option)


def test_rename_replaces_whole_names_and_prefixes(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", _lstm("enc/rnn", 3, 5), _lstm("enc/rnn_1", 5, 5), dense("encoder", 5, 2))
    keys = {key.rpartition(".")[0] for key in converters.convert(file, rename={"enc": "body.e", "enc/rnn": "first"})}
    assert keys == {"first", "body.e.rnn_1", "encoder"}


def test_a_stack_can_be_renamed(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", _lstm("a", 3, 5), _lstm("b", 5, 5))
    assert only_module(file, stack={"rnn": ["a", "b"]}, rename={"rnn": "core.rnn"}).name == "core.rnn"


@pytest.mark.parametrize(
    ("rename", "kind", "message"),
    [
        pytest.param({"nobody": "x"}, UnknownLayer, "no layer 'nobody'", id="unknown"),
        pytest.param({"a": "head"}, CoverageError, "would both be called head", id="collision"),
        pytest.param({"a": ""}, ConversionError, "not a name for a module", id="empty"),
    ],
)
def test_a_wrong_rename_is_refused(rename: dict[str, str], kind: type[Exception], message: str, tmp_path: Path) -> None:
    layers = dense("a", 3, 5), dense("head", 5, 2)
    with pytest.raises(kind, match=message):
        converters.plan(write(tmp_path / "m.h5", *layers), rename=rename)


def test_two_paths_with_one_key_are_refused_until_one_is_renamed(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", dense("a/b", 3, 5), dense("a.b", 5, 2))
    with pytest.raises(CoverageError, match="would both be called"):
        converters.plan(file)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64"])
def test_a_dtype_is_the_stored_number_rounded_once(name: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", _lstm("a", 3, 5))
    kind = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
    plain, cast = converters.convert(file), converters.convert(file, dtype=name)
    for key, tensor in cast.items():
        assert tensor.dtype == getattr(torch, name)
        assert np.array_equal(tensor.to(torch.float64).numpy(), plain[key].numpy().astype(kind).astype("float64")), key


@pytest.mark.parametrize("dtype", [torch.float16, np.float16, np.dtype("float16"), "torch.float16"], ids=repr)
def test_a_dtype_can_be_said_in_several_ways(dtype: Any, tmp_path: Path) -> None:
    tensors = converters.convert(write(tmp_path / "m.h5", dense("a", 3, 5)), dtype=dtype)
    assert {t.dtype for t in tensors.values()} == {torch.float16}


@pytest.mark.parametrize("dtype", ["int8", "complex64", "nonsense", np.int32], ids=str)
def test_a_dtype_that_holds_no_weights_is_refused(dtype: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="can be written"):
        converters.plan(write(tmp_path / "m.h5", dense("a", 3, 5)), dtype=dtype)


def test_the_stacks_of_cells_become_layers_or_modules(tmp_path: Path) -> None:
    same = only_module(write(tmp_path / "same.h5", stacked("rnn", "LSTM", 3, 5, 5)))
    assert "num_layers=2" in same.constructor and "rnn.weight_ih_l1" in {t.key for t in same.tensors}
    plan = converters.plan(write(tmp_path / "other.h5", stacked("rnn", "LSTM", 3, 5, 7)))
    assert [m.name for m in plan.modules] == ["rnn.0", "rnn.1"]
    assert [m.constructor for m in plan.modules] == [
        "nn.LSTM(3, 5, batch_first=True)",
        "nn.LSTM(5, 7, batch_first=True)",
    ]


def test_directions_of_other_sizes_become_two_modules(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", bidirectional("GRU", "both", 3, 5, backward=7))
    plan, tensors = converters.plan(file), converters.convert(file)
    assert [m.name for m in plan.modules] == ["both.forward", "both.backward"]
    assert all("flipped back" in " ".join(m.notes) for m in plan.modules)
    assert tensors["both.backward.weight_ih_l0"].shape == (21, 3)
    for found in plan.modules:
        module(found.constructor, tensors, found.name)


HARD = {"recurrent_activation": "hard_sigmoid"}
REFUSED = [
    pytest.param(_lstm("x", 3, 5, **HARD), NotRepresentable, "weight_ih_l0", id="hard-sigmoid"),
    pytest.param(_lstm("x", 3, 5, activation="relu"), NotRepresentable, "weight_ih_l0", id="relu-lstm"),
    pytest.param(recurrent("GRU", "x", 3, 5, reset_after=False), NotRepresentable, "weight_hh_l0", id="reset-before"),
    pytest.param(other("Strange", "x", {"spell": numbers(3, 2)}), UnknownLayer, "spell", id="unknown-class"),
    pytest.param(
        other("Dense", "x", {"kernel": numbers(3, 2), "odd": numbers(2)}), UnknownLayer, "odd", id="odd-array"
    ),
]


@pytest.mark.parametrize(("layer", "kind", "key"), REFUSED)
def test_strict_refuses_and_loose_warns(layer: Made, kind: type[Exception], key: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", layer)
    with pytest.raises(kind, match="x"):
        converters.convert(file)
    with pytest.warns(ConversionWarning, match="x"):
        tensors = converters.convert(file, strict=False)
    assert any(key in name for name in tensors)
    assert sum(t.numel() for t in tensors.values()) >= sum(a.size for a in layer.arrays.values())


def test_an_unknown_layer_passes_bit_by_bit(tmp_path: Path) -> None:
    layer = other("Strange", "x", {"spell": numbers(3, 2)})
    (tensor,) = loose(write(tmp_path / "m.h5", layer)).values()
    assert np.array_equal(tensor.numpy(), layer.arrays["x/spell"])


def test_all_problems_are_raised_at_once(tmp_path: Path) -> None:
    file = write(
        tmp_path / "m.h5", _lstm("one", 3, 5, **HARD), dense("fine", 5, 5), other("Odd", "two", {"w": numbers(2)})
    )
    plan = converters.plan(file)
    assert [problem.layer for problem in plan.problems] == ["one", "two"]
    with pytest.raises(NotRepresentable, match=r"(?s)one: .*\n.*two \(Odd\)") as caught:
        plan.check()
    assert caught.value.path == str(file)


def test_a_refusal_names_the_call_that_does_compute_it(tmp_path: Path) -> None:
    (problem,) = converters.plan(write(tmp_path / "m.h5", _lstm("x", 3, 5, **HARD))).problems
    assert "converters.nn.LSTM(3, 5, recurrent_activation='hard_sigmoid_1/6', batch_first=True)" in str(problem)


def test_what_is_planned_is_what_is_converted(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", _lstm("a", 3, 5), bidirectional("GRU", "b", 5, 7), dense("c", 14, 2))
    planned = {t.key: (t.shape, str(t.dtype)) for t in converters.plan(file).tensors}
    done = {key: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for key, t in converters.convert(file).items()}
    assert planned == done
