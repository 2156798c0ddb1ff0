"""`ConvLSTM1D`, `ConvLSTM2D` and `ConvLSTM3D`: the numbers of Keras's own layers, channels first."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from sampling import sampled

from converters.torch import nn as drop_in

BATCH, TIME, INPUT, HIDDEN = 2, 5, 3, 7
SPACES = {1: (11,), 2: (11, 8), 3: (6, 5, 7)}
KERNELS = {1: [(3,), (4,)], 2: [(3, 3), (2, 5), (4, 1)], 3: [(3, 2, 3)]}
SMALL = {1: (5,), 2: (4, 5), 3: (3, 4, 3)}

Options = Mapping[str, Any]


def configurations() -> list[Any]:
    """Every kernel and padding, with strides, with dilation, with the two hard sigmoids, without bias."""
    extras: list[dict[str, Any]] = [
        {},
        {"stride": 2},
        {"dilation": 2},
        {"recurrent_activation": "hard_sigmoid_1/6", "activation": "relu"},
        {"bias": False},
    ]
    found = []
    for rank, padding in product(SPACES, ("same", "valid")):
        for kernel, extra in product(KERNELS[rank], extras):
            if extra.get("dilation") and padding == "valid" and min(SPACES[rank]) < 2 * max(kernel):
                continue
            said = "-".join([f"{rank}d", padding, "x".join(map(str, kernel)), *map(str, extra.values())])
            found.append(pytest.param(rank, {"kernel_size": kernel, "padding": padding, **extra}, id=said))
    return found


def make(rank: int, **options: Any) -> Any:
    torch.manual_seed(0)
    return getattr(drop_in, f"ConvLSTM{rank}D")(INPUT, HIDDEN, **options)


def channels_last(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(np.moveaxis(x, 2, -1))


def by_keras(module: Any, rank: int, x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Outputs, h and c of Keras's layer with the same weights, put back into channels first."""
    keras = pytest.importorskip("keras", minversion="3")
    names = {"hard_sigmoid_1/6": "hard_sigmoid"}
    layer = getattr(keras.layers, f"ConvLSTM{rank}D")(
        HIDDEN,
        tuple(module.kernel_size),
        strides=tuple(module.stride),
        dilation_rate=tuple(module.dilation),
        padding=module.padding,
        use_bias=module.bias,
        activation=module.activation,
        recurrent_activation=names.get(module.recurrent_activation, module.recurrent_activation),
        return_sequences=True,
        return_state=True,
        data_format="channels_last",
    )
    layer.build((BATCH, TIME, *x.shape[3:], INPUT))
    weights = [w.numpy() for w in (module.weight_ih_l0, module.weight_hh_l0)]
    weights = [np.moveaxis(w, (0, 1), (-1, -2)) for w in weights]
    layer.set_weights([*weights, *([module.bias_ih_l0.numpy()] if module.bias else [])])
    y, h, c = (np.asarray(keras.ops.convert_to_numpy(value)) for value in layer(channels_last(x)))
    return [np.moveaxis(y, -1, 2), np.moveaxis(h, -1, 1), np.moveaxis(c, -1, 1)]


@pytest.mark.parametrize(("rank", "options"), configurations())
def test_the_numbers_are_those_of_keras(rank: int, options: Options) -> None:
    module = make(rank, **options).requires_grad_(False)
    x = torch.randn(BATCH, TIME, INPUT, *SPACES[rank])
    y, (h, c) = module(x)
    for found, expected in zip((y, h, c), by_keras(module, rank, x.numpy()), strict=True):
        assert tuple(found.shape) == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-6 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("rank", SPACES)
def test_a_sequence_in_two_parts_is_the_sequence(rank: int) -> None:
    module = make(rank, kernel_size=2, stride=2, padding="same")
    x = torch.randn(BATCH, TIME, INPUT, *SMALL[rank])
    whole, (h, c) = module(x)
    first, states = module(x[:, :2])
    second, last = module(x[:, 2:], states)
    for found, expected in ((torch.cat([first, second], 1), whole), (last[0], h), (last[1], c)):
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-6)
    assert torch.equal(whole[:, -1], h)


GRADIENTS = [
    {"padding": "same", "stride": 2, "recurrent_activation": "hard_sigmoid_0.2"},
    {"padding": "valid", "bias": False, "activation": "softsign"},
]


@pytest.mark.parametrize("options", GRADIENTS, ids=["same", "valid"])
@pytest.mark.parametrize("rank", [1, 2])
def test_gradients_are_right(rank: int, options: Options) -> None:
    torch.manual_seed(1)
    module = getattr(drop_in, f"ConvLSTM{rank}D")(2, 2, 2, **options).double()
    x = torch.randn(1, 3, 2, *SMALL[rank], dtype=torch.float64, requires_grad=True)
    names = list(dict(module.named_parameters()))

    def run(x: torch.Tensor, *values: torch.Tensor) -> Any:
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(run, (x, *module.parameters()))


@pytest.mark.parametrize("options", [{"padding": "same", "stride": 2}, {"bias": False}], ids=["same", "valid"])
@pytest.mark.parametrize("rank", SPACES)
def test_torch_jit_script(rank: int, options: Options) -> None:
    module = make(rank, kernel_size=2, **options)
    x = torch.randn(BATCH, TIME, INPUT, *SMALL[rank])
    scripted = torch.jit.script(module)
    for _ in range(3):
        y, states = scripted(x)
        torch.testing.assert_close(y, module(x)[0], rtol=0.0, atol=1e-6)
    torch.testing.assert_close(scripted(x, states)[0], module(x, states)[0], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("rank", sampled(SPACES, 3))
def test_torch_compile(rank: int) -> None:
    module = make(rank, kernel_size=2, padding="same")
    x = torch.randn(BATCH, TIME, INPUT, *SMALL[rank])
    torch.compiler.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x)[0], module(x)[0], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("rank", sampled(SPACES, 3))
def test_torch_export_takes_any_batch_and_length(rank: int) -> None:
    module = make(rank, kernel_size=2, padding="same")
    x = torch.randn(BATCH, TIME, INPUT, *SMALL[rank])
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    program = torch.export.export(module, (x,), dynamic_shapes=(dynamic,))
    other = torch.randn(BATCH + 1, TIME + 6, INPUT, *SMALL[rank])
    torch.testing.assert_close(program.module()(other)[0], module(other)[0], rtol=0.0, atol=1e-6)


def masks(rank: int) -> dict[str, torch.Tensor]:
    """A mask of the steps, and one of every place of them."""
    torch.manual_seed(3)
    steps = torch.tensor([[False, True, True, False, True], [True, False, False, False, True]])
    return {"steps": steps, "places": torch.rand(BATCH, TIME, *SMALL[rank]) > 0.4}


@pytest.mark.parametrize("kind", ["steps", "places"])
@pytest.mark.parametrize("rank", SPACES)
def test_a_mask_keeps_the_states(rank: int, kind: str) -> None:
    module, mask = make(rank, kernel_size=2, padding="same").requires_grad_(False), masks(rank)[kind]
    x, states = torch.randn(BATCH, TIME, INPUT, *SMALL[rank]), None
    y, final = module(x, None, mask)
    held = [torch.zeros(BATCH, HIDDEN, *SMALL[rank])] * 2
    for t in range(TIME):
        keep = mask[:, t].view(BATCH, 1, *mask.shape[2:], *[1] * (rank + 2 - mask.dim()))
        _, states = module(x[:, t : t + 1], tuple(held))
        held = [torch.where(keep, new, old) for new, old in zip(states, held, strict=True)]
        torch.testing.assert_close(y[:, t], held[0], rtol=0.0, atol=1e-6)
    torch.testing.assert_close(final[1], held[1], rtol=0.0, atol=1e-6)
    assert not torch.allclose(y, module(x)[0])


@pytest.mark.parametrize("kind", sampled(["steps", "places"], 2))
def test_a_mask_scripts_compiles_and_exports(kind: str) -> None:
    module, mask = make(2, kernel_size=2, padding="same"), masks(2)[kind]
    x = torch.randn(BATCH, TIME, INPUT, *SMALL[2])
    expected = module(x, None, mask)[0]
    torch.compiler.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    exported = torch.export.export(module, (x, None, mask)).module()
    for other in (torch.jit.script(module), compiled, exported):
        torch.testing.assert_close(other(x, None, mask)[0], expected, rtol=0.0, atol=1e-6)


def test_numbers_of_padding_and_the_odd_zero_of_the_state() -> None:
    """'same_lower' has the odd zero at the start, and numbers stand for themselves: all beginnings, then all ends."""
    x = torch.randn(BATCH, TIME, INPUT, *SMALL[2])
    padded = torch.nn.functional.pad(x, (1, 0, 2, 3))
    told = make(2, kernel_size=(4, 2), padding=(2, 1, 3, 0))
    plain = make(2, kernel_size=(4, 2))
    assert torch.equal(told(x)[0], plain(padded)[0])
    lower = make(2, kernel_size=(4, 2), padding="same_lower", recurrent_padding="same_lower")
    upper = make(2, kernel_size=(4, 2), padding="same")
    upper.load_state_dict(
        {name: weight.flip(-1, -2) if weight.dim() == 4 else weight for name, weight in lower.state_dict().items()}
    )
    torch.testing.assert_close(lower(x)[0], upper(x.flip(-1, -2))[0].flip(-1, -2), rtol=0.0, atol=1e-6)


def test_a_mask_of_another_shape_is_told() -> None:
    with pytest.raises(ValueError, match=r"mask of shape \[2, 4\]: expected \[2, 5\], or \[2, 5, 2, 3\]"):
        make(2, kernel_size=3)(torch.zeros(BATCH, TIME, INPUT, *SMALL[2]), None, torch.ones(BATCH, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"kernel_size": (3, 3, 3)}, "kernel_size", id="kernel"),
        pytest.param(
            {"kernel_size": 3, "stride": 0}, "stride=0: expected a positive number, or 2 of them", id="stride"
        ),
        pytest.param({"kernel_size": 3, "padding": "causal"}, "'same', 'same_lower', 'valid'", id="padding"),
        pytest.param({"kernel_size": 3, "padding": (1, 1)}, "2 numbers for the beginnings and 2", id="numbers"),
        pytest.param(
            {"kernel_size": 3, "recurrent_padding": "valid"}, "'same' or 'same_lower'", id="recurrent-padding"
        ),
        pytest.param({"kernel_size": 3, "recurrent_activation": "hard_sigmoid"}, "hard_sigmoid_1/6", id="activation"),
    ],
)
def test_mistakes_in_the_constructor_are_told(options: Options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(2, **options)


@pytest.mark.parametrize(
    ("shape", "state"),
    [
        pytest.param((BATCH, TIME, INPUT + 1, 5, 5), None, id="channels"),
        pytest.param((BATCH, TIME, INPUT, 5), None, id="axes"),
        pytest.param((BATCH, 0, INPUT, 5, 5), None, id="no-steps"),
        pytest.param((BATCH, TIME, INPUT, 5, 5), (BATCH, HIDDEN, 5, 5), id="state"),
    ],
)
def test_wrong_shapes_are_told(shape: tuple[int, ...], state: tuple[int, ...] | None) -> None:
    states = None if state is None else (torch.zeros(state), torch.zeros(state))
    with pytest.raises(ValueError, match="expected"):
        make(2, kernel_size=3)(torch.zeros(shape), states)


def test_the_layer_prints_what_it_computes() -> None:
    text = repr(make(2, kernel_size=(3, 2), padding="same"))
    assert text.startswith("ConvLSTM2D(3, 7, ") and "padding='same'" in text and "activation='tanh'" in text
