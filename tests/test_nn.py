"""`converters.nn`: with the defaults, torch.nn's own numbers; with its keywords, those of `layouts.reference`."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from sampling import sampled
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from converters.torch import nn as drop_in
from converters.torch.module_layout import part_of, views
from converters.torch.nn.activations import activate
from layouts import reference
from layouts.cells import Piece
from layouts.options import Recurrence

BATCH, TIME, INPUT, UNITS, PROJECTION = 3, 7, 5, 11, 2
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
KINDS = ("LSTM", "GRU", "RNN")
Options = Mapping[str, Any]


def identified(kind: str, options: Mapping[str, Any]) -> Any:
    said = [f"{key}={value}" for key, value in options.items()]
    return pytest.param(kind, options, id="-".join([kind, *said]))


def constructions() -> Iterator[Any]:
    """Every combination of what torch.nn's constructors take."""
    for kind, layers, both, bias, first in product(KINDS, (1, 2), (False, True), (True, False), (False, True)):
        options = {"num_layers": layers, "bidirectional": both, "bias": bias, "batch_first": first}
        extras: dict[str, list[dict[str, Any]]] = {
            "LSTM": [{}, {"proj_size": PROJECTION}],
            "GRU": [{}],
            "RNN": [{}, {"nonlinearity": "relu"}],
        }
        for extra in extras[kind]:
            yield identified(kind, options | extra)


EVERY = list(constructions())


def both(kind: str, options: Mapping[str, Any], dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    """torch.nn's layer and ours, with the same weights, handed over strictly in both directions."""
    torch.manual_seed(0)
    theirs = getattr(nn, kind)(INPUT, UNITS, **options).to(dtype)
    ours = getattr(drop_in, kind)(INPUT, UNITS, **options).to(dtype)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    getattr(nn, kind)(INPUT, UNITS, **options).load_state_dict(ours.state_dict(), strict=True)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return theirs, ours


def states_for(module: Any, batch: int | None, dtype: torch.dtype) -> Any:
    """Random initial states; without a batch axis for None."""
    count = module.num_layers * (2 if module.bidirectional else 1)
    widths = [module.proj_size or module.hidden_size, module.hidden_size]
    made = [torch.randn(count, *([] if batch is None else [batch]), width, dtype=dtype) for width in widths]
    return tuple(made) if module.mode == "LSTM" else made[0]


def tensors_of(value: Any) -> list[torch.Tensor]:
    """The tensors of an output, packed ones with the order they are in."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data, *(t for t in (value.batch_sizes, value.sorted_indices) if t is not None)]
    return [tensor for item in value for tensor in tensors_of(item)]


def expect_equal(found: Any, expected: Any, tolerance: float) -> None:
    """Raise unless all tensors have the same shape, dtype and, up to the tolerance, numbers."""
    pairs = list(zip(tensors_of(found), tensors_of(expected), strict=True))
    for one, two in pairs:
        assert (one.shape, one.dtype) == (two.shape, two.dtype)
        torch.testing.assert_close(one, two, rtol=0.0, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "initial"])
@pytest.mark.parametrize("batch", [None, BATCH], ids=["unbatched", "batched"])
@pytest.mark.parametrize(("kind", "options"), EVERY)
def test_the_defaults_are_those_of_torch_nn(
    kind: str, options: Mapping[str, Any], batch: int | None, given: bool, dtype: torch.dtype
) -> None:
    theirs, ours = both(kind, options, dtype)
    leading = [TIME] if batch is None else [batch, TIME] if options["batch_first"] else [TIME, batch]
    x = torch.randn(*leading, INPUT, dtype=dtype)
    initial = states_for(theirs, batch, dtype) if given else None
    expect_equal(ours(x, initial), theirs(x, initial), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "initial"])
@pytest.mark.parametrize("ordered", [True, False], ids=["sorted", "unsorted"])
@pytest.mark.parametrize(("kind", "options"), EVERY)
def test_packed_sequences_are_those_of_torch_nn(
    kind: str, options: Mapping[str, Any], ordered: bool, given: bool, dtype: torch.dtype
) -> None:
    theirs, ours = both(kind, options, dtype)
    lengths = [7, 4, 4, 1] if ordered else [4, 1, 7, 4]
    packed = pack_sequence([torch.randn(n, INPUT, dtype=dtype) for n in lengths], enforce_sorted=ordered)
    initial = states_for(theirs, len(lengths), dtype) if given else None
    expect_equal(ours(packed, initial), theirs(packed, initial), TOLERANCE[dtype])


@pytest.mark.parametrize(("kind", "options"), EVERY)
def test_gradients_are_those_of_torch_nn(kind: str, options: Mapping[str, Any]) -> None:
    theirs, ours = both(kind, options, torch.float64)
    x = torch.randn(BATCH, TIME, INPUT, dtype=torch.float64)
    for module in (theirs, ours):
        sum(tensor.square().sum() for tensor in tensors_of(module(x))).backward()
    for (name, one), (_, two) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert one.grad is not None and two.grad is not None
        torch.testing.assert_close(one.grad, two.grad, rtol=0.0, atol=1e-10, msg=name)


def variations() -> Iterator[Any]:
    """What torch.nn cannot compute: every option by itself, and all of an LSTM together."""
    for name in drop_in.ACTIVATIONS:
        for kind in KINDS:
            yield identified(kind, {"activation": name})
        for kind in ("LSTM", "GRU"):
            yield identified(kind, {"recurrent_activation": name})
        yield identified("LSTM", {"output_activation": name})
    for kind in KINDS:
        yield identified(kind, {"clip": 0.3})
        yield identified(kind, {"clip": 0.3, "bias": False})
    for before in ({}, {"bias": False}, {"recurrent_activation": "hard_sigmoid_0.2"}, {"clip": 0.3}):
        yield identified("GRU", {"reset_after": False} | before)
    for extra in ({}, {"bias": False}, {"proj_size": PROJECTION}, {"input_forget": True}, {"clip": 0.3}):
        yield identified("LSTM", {"peepholes": True} | extra)
    yield identified("LSTM", {"input_forget": True})
    together = {"peepholes": True, "input_forget": True, "clip": 0.3, "recurrent_activation": "hard_sigmoid_1/6"}
    yield identified("LSTM", together | {"activation": "softsign", "proj_size": PROJECTION})
    yield identified("LSTM", together | {"activation": "softsign", "output_activation": "elu"})


VARIED = list(variations())


def varied(kind: str, options: Mapping[str, Any], **more: Any) -> Any:
    torch.manual_seed(1)
    return getattr(drop_in, kind)(INPUT, UNITS, **options, **more).to(torch.float64)


def by_reference(module: Any, x: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """Outputs (batch, time, …) and final h of every layer and direction, by the NumPy definition of the cell."""
    found = part_of(module)
    pieces = {piece: view.numpy() for piece, view in views(module, found).items()}
    names = ("activation", "recurrent_activation", "output_activation", "input_forget")
    options = {name: getattr(module, name) for name in names if hasattr(module, name)} | {"clip": module.clip or None}
    finals = []
    for layer in range(found.layers):
        ways = []
        for direction in found.ways:
            own: dict[Piece, Any] = {p: v for p, v in pieces.items() if (p.layer, p.direction) == (layer, direction)}
            place = {"layer": layer, "direction": direction}
            y, states = reference.forward(found.layout.cell, own, x, options=Recurrence(**options), **place)
            ways.append(y)
            finals.append(states[0])
        x = np.concatenate(ways, axis=-1)
    return x, finals


def expect_within(found: Any, expected: Any) -> None:
    """Raise unless finite numbers agree to 1e-12 of the largest, or of 1."""
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-12 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("deep", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "deep"])
@pytest.mark.parametrize(("kind", "options"), VARIED)
def test_every_option_computes_what_the_reference_does(
    kind: str, options: Mapping[str, Any], deep: Mapping[str, Any]
) -> None:
    module = varied(kind, options, batch_first=True, **deep)
    x = 2.0 * torch.randn(BATCH, TIME, INPUT, dtype=torch.float64)
    with torch.no_grad():
        if "exponential" in options.values():
            for parameter in module.parameters():
                parameter.mul_(0.1)
        y, states = module(x)
    expected, finals = by_reference(module, x.numpy())
    expect_within(y.numpy(), expected)
    expect_within((states[0] if kind == "LSTM" else states).numpy(), np.stack(finals))


@pytest.mark.parametrize("name", drop_in.ACTIVATIONS)
def test_each_activation_is_that_of_the_reference(name: str) -> None:
    x = torch.linspace(-30.0, 30.0, 2401, dtype=torch.float64)
    expected = reference.ACTIVATIONS[name](x.numpy())
    error = np.abs(activate(x, name).numpy() - expected) / np.maximum(1.0, np.abs(expected))
    assert error.max() <= 1e-12


def test_the_activations_are_those_of_the_reference() -> None:
    assert sorted(drop_in.ACTIVATIONS) == sorted(reference.ACTIVATIONS)


def test_there_are_no_two_activations_alike() -> None:
    x = torch.linspace(-4.0, 4.0, 801, dtype=torch.float64)
    values = [activate(x, name) for name in drop_in.ACTIVATIONS]
    assert all((one - two).abs().max() > 1e-2 for k, one in enumerate(values) for two in values[:k])


SMOOTH = [
    param for param in VARIED if not {"relu", "leaky_relu_0.01", "exponential"} & {*map(str, param.values[1].values())}
]


@pytest.mark.parametrize(("kind", "options"), sampled(SMOOTH, 3))
def test_gradients_are_right(kind: str, options: Mapping[str, Any]) -> None:
    torch.manual_seed(2)
    small = {**options, "proj_size": 1} if "proj_size" in options else options
    module = getattr(drop_in, kind)(2, 2, bidirectional=True, **small).double()
    x = torch.randn(2, 1, 2, dtype=torch.float64, requires_grad=True)  # a Jacobian takes two runs for every number
    names = list(dict(module.named_parameters()))

    def run(x: torch.Tensor, *values: torch.Tensor) -> Any:
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(run, (x, *module.parameters()))


COMPILED = [
    identified("LSTM", {}),
    identified("LSTM", {"peepholes": True, "clip": 2.0, "recurrent_activation": "hard_sigmoid_0.2", "proj_size": 2}),
    identified("LSTM", {"input_forget": True, "bias": False, "output_activation": "relu"}),
    identified("GRU", {}),
    identified("GRU", {"reset_after": False, "bias": False}),
    identified("RNN", {"activation": "elu"}),
]
STEPS = 2
"""Few: a compiler unrolls them."""
DEEP = {"num_layers": 2, "bidirectional": True, "batch_first": True}


def sample(kind: str, options: Mapping[str, Any]) -> tuple[Any, torch.Tensor]:
    module = varied(kind, options, **DEEP).float().eval()
    return module, torch.randn(BATCH, STEPS, INPUT)


@pytest.mark.parametrize(("kind", "options"), COMPILED)
def test_torch_jit_script(kind: str, options: Mapping[str, Any]) -> None:
    module, x = sample(kind, options)
    scripted = torch.jit.script(module)
    expect_equal(scripted(x), module(x), 1e-6)
    initial = states_for(module, BATCH, torch.float32)
    expect_equal(scripted(x, initial), module(x, initial), 1e-6)
    expect_equal(scripted(x[0]), module(x[0]), 1e-6)


@pytest.mark.parametrize("backend", sampled(["aot_eager", "eager"], 2))
@pytest.mark.parametrize(("kind", "options"), sampled(COMPILED, 3))
def test_torch_compile(kind: str, options: Mapping[str, Any], backend: str) -> None:
    module, x = sample(kind, options)
    torch.compiler.reset()
    try:
        compiled = torch.compile(module, backend=backend, fullgraph=True)
        found = compiled(x)
    except RuntimeError as error:
        if "not supported" in str(error):
            pytest.skip(f"torch.compile: {error}")
        raise
    expect_equal(found, module(x), 1e-6)


@pytest.mark.parametrize(("kind", "options"), sampled(COMPILED, 6))
def test_torch_export(kind: str, options: Mapping[str, Any]) -> None:
    module, x = sample(kind, options)
    program = torch.export.export(module, (x,))
    expect_equal(program.module()(x), module(x), 1e-6)


def test_torch_export_takes_any_batch() -> None:
    module, x = sample("GRU", {"reset_after": False})
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    wide = torch.randn(BATCH + 4, STEPS, INPUT)
    expect_equal(program.module()(wide), module(wide), 1e-6)


@pytest.mark.parametrize(("kind", "options"), COMPILED)
@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_copies_compute_the_same_and_share_nothing(kind: str, options: Mapping[str, Any], way: str) -> None:
    module, x = sample(kind, options)
    other = copy.deepcopy(module) if way == "deepcopy" else pickle.loads(pickle.dumps(module))
    expect_equal(other(x), module(x), 0.0)
    before = module(x)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    expect_equal(module(x), before, 0.0)
    assert not torch.equal(other(x)[0], before[0])


@pytest.mark.parametrize(("kind", "options"), COMPILED)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_other_dtypes(kind: str, options: Mapping[str, Any], dtype: torch.dtype) -> None:
    module, x = sample(kind, options)
    expected = module(x)[0]
    found = module.to(dtype)(x.to(dtype))[0]
    assert found.dtype == dtype
    tolerance = {torch.float16: 2e-2, torch.bfloat16: 1e-1, torch.float64: 1e-6}[dtype]
    torch.testing.assert_close(found.float(), expected, rtol=0.0, atol=tolerance)


def test_a_loaded_or_replaced_parameter_is_used() -> None:
    module, x = sample("LSTM", {"peepholes": True})
    before = module(x)[0]
    module.weight_p_l0 = nn.Parameter(module.weight_p_l0.detach() + 1.0)
    assert not torch.equal(module(x)[0], before)
    again = varied("LSTM", {"peepholes": True}, **DEEP).float()
    again.load_state_dict(module.state_dict(), strict=True)
    expect_equal(again(x), module(x), 0.0)


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2.0 * weight


def weight_normed(module: nn.Module) -> None:
    nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    with torch.no_grad():
        module.parametrizations.weight_hh_l0.original0.mul_(3.0)


CHANGES = {
    "parametrised": lambda m: nn.utils.parametrize.register_parametrization(m, "weight_hh_l0", Doubled()),
    "weight-norm": weight_normed,
    "pruned": lambda m: prune.ln_structured(m, "weight_hh_l0", 0.5, 1, 0),
}


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES.items()])
@pytest.mark.parametrize("kind", KINDS)
def test_parametrised_and_pruned_weights_are_used_as_by_torch_nn(kind: str, change: Any) -> None:
    theirs, ours = both(kind, {}, torch.float64)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    before = ours(x)[0]
    for module in (theirs, ours):
        change(module)
    expect_equal(ours(x), theirs(x), 1e-12)
    assert not torch.equal(ours(x)[0], before)
    ours(x)[0].sum().backward()
    assert all(parameter.grad is not None for name, parameter in ours.named_parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_between_layers_and_in_training_alone(kind: str) -> None:
    module = getattr(drop_in, kind)(INPUT, UNITS, num_layers=2, dropout=0.5)
    plain = getattr(drop_in, kind)(INPUT, UNITS, num_layers=2)
    plain.load_state_dict(module.state_dict())
    x = torch.randn(TIME, BATCH, INPUT)
    expect_equal(module.eval()(x), plain(x), 0.0)
    module.train()
    torch.manual_seed(3)
    one = module(x)
    torch.manual_seed(3)
    expect_equal(module(x), one, 0.0)
    assert not torch.equal(module(x)[0], one[0])
    h = [out[1][0] if kind == "LSTM" else out[1] for out in (one, plain(x))]
    assert torch.equal(h[0][0], h[1][0]) and not torch.equal(h[0][1], h[1][1])
    assert (one[0] != 0.0).all()


def test_everything_dropped_leaves_the_second_layer_its_biases() -> None:
    """dropout=1 zeroes what layer 1 reads: its output depends on nothing of layer 0."""
    module = drop_in.GRU(INPUT, UNITS, num_layers=2, dropout=1.0).train()
    theirs = nn.GRU(INPUT, UNITS, num_layers=2, dropout=1.0).train()
    theirs.load_state_dict(module.state_dict())
    x = torch.randn(TIME, BATCH, INPUT)
    expect_equal(module(x), theirs(x), 1e-6)


def test_a_layer_learns() -> None:
    torch.manual_seed(4)
    module = drop_in.GRU(1, 8, batch_first=True, reset_after=False, recurrent_activation="hard_sigmoid_0.2")
    head = nn.Linear(8, 1)
    x = torch.randn(64, 6, 1)
    wanted = x.sum(1)
    optimiser = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (head(module(x)[0][:, -1]) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: drop_in.LSTM(3, 5, activation="tahn"), "activation='tahn' is not known.*tanh", id="name"),
        pytest.param(
            lambda: drop_in.GRU(3, 5, recurrent_activation="hard_sigmoid"),
            r"hard_sigmoid_0\.2, hard_sigmoid_1/6",
            id="which-hard-sigmoid",
        ),
        pytest.param(lambda: drop_in.RNN(3, 5, nonlinearity="cosine"), "cosine", id="nonlinearity"),
        pytest.param(
            lambda: drop_in.LSTM(3, 5, output_activation="sine"), "output_activation='sine' is not known", id="output"
        ),
        pytest.param(lambda: drop_in.LSTM(3, 5, clip=-1.0), "clip=-1.0: expected a positive number", id="clip"),
        pytest.param(lambda: drop_in.LSTM(3, 5, proj_size=5), "proj_size", id="projection"),
    ],
)
def test_mistakes_in_the_constructor_are_told(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "state", "message"),
    [
        pytest.param((TIME, BATCH, 4), None, rf"\[7, 3, 4\]: expected 2 or 3 axes, the last of {INPUT}", id="features"),
        pytest.param((INPUT,), None, "expected 2 or 3 axes", id="axes"),
        pytest.param((0, BATCH, INPUT), None, "no steps", id="empty"),
        pytest.param((TIME, BATCH, INPUT), (1, BATCH + 1, UNITS), r"initial state 0 of shape \[1, 4, 11\]", id="batch"),
        pytest.param((TIME, BATCH, INPUT), (1, BATCH, UNITS - 1), r"expected \[1, 3, 11\]", id="width"),
        pytest.param((TIME, BATCH, INPUT), (2, BATCH, UNITS), "expected", id="layers"),
        pytest.param((TIME, INPUT), (1, 1, UNITS), "initial state", id="unbatched"),
    ],
)
def test_wrong_shapes_are_told(kind: str, shape: tuple[int, ...], state: Any, message: str) -> None:
    module = getattr(drop_in, kind)(INPUT, UNITS)
    given = None if state is None else torch.zeros(state)
    with pytest.raises(ValueError, match=message):
        module(torch.zeros(shape), (given, given) if kind == "LSTM" and state else given)


def test_a_wrong_state_of_packed_sequences_is_told() -> None:
    packed = pack_sequence([torch.zeros(3, INPUT), torch.zeros(2, INPUT)])
    with pytest.raises(ValueError, match="initial state 0"):
        drop_in.GRU(INPUT, UNITS)(packed, torch.zeros(1, 3, UNITS))


@pytest.mark.parametrize("kind", KINDS)
def test_the_layer_prints_what_it_computes(kind: str) -> None:
    text = repr(getattr(drop_in, kind)(3, 5, activation="softsign"))
    assert "softsign" in text and "3, 5" in text


def test_an_lstm_prints_what_torch_nn_has_not() -> None:
    text = repr(drop_in.LSTM(3, 5, output_activation="relu", peepholes=True, clip=0.5, input_forget=True))
    for part in ("output_activation='relu'", "peepholes=True", "clip=0.5", "input_forget=True"):
        assert part in text
    assert all(name not in repr(drop_in.LSTM(3, 5)) for name in ("output_activation", "clip", "peepholes"))
