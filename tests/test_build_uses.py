"""What a built module is good for: TorchScript, torch.export of any batch, torch.compile, training, other devices."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from sampling import sampled
from test_build import FILES, built, drafted, read, recorded

import converters

FIXTURES = ROOT / "fixtures"

LONG_NAMES = "keras2/chunked_names/model.h5"


def unscripted(file: Path, module: torch.nn.Module) -> str:
    """Why TorchScript does not take a module, or ''."""
    if file == FIXTURES / LONG_NAMES:
        return "a name too long for a line is reached through _modules"
    words = {word for name, _ in module.named_modules() for word in name.split(".")}
    return "a module called forward" if "forward" in words else ""


def buildable() -> list[Any]:
    """The first file of every kind of fixture that can be built."""
    found, seen = [], set()
    for param in FILES:
        (file,) = param.values
        if file.parent.name in seen or read(file).graph is None:
            continue
        seen.add(file.parent.name)
        try:
            drafted(file)
        except converters.NotRepresentable:
            continue
        found.append(param)
    return found


BUILDABLE = buildable()


def inputs_of(file: Path) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in recorded(np.load(file.parent / "io.npz"), "in")]


def flat(found: Any) -> list[torch.Tensor]:
    return list(found) if isinstance(found, tuple) else [found]


def assert_equal(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    for one, other in zip(flat(found), flat(expected), strict=True):
        assert one.shape == other.shape and (one.double() - other.double()).abs().max() <= tolerance


@pytest.mark.parametrize("file", sampled(BUILDABLE, 10))
def test_scripts(file: Path) -> None:
    module, inputs = built(file), inputs_of(file)
    if why := unscripted(file, module):
        with pytest.raises((AssertionError, RuntimeError, AttributeError)):
            torch.jit.script(copy.deepcopy(module))
        pytest.skip(why)
    scripted = torch.jit.script(copy.deepcopy(module))
    with torch.no_grad():
        assert_equal(scripted(*inputs), module(*inputs))


EXPORTED = (
    "keras1/surroundings/model.h5",
    "keras2/conv_bn_lstm/model.h5",
    "keras2/encoder_decoder/model.h5",
    "keras2/gru_reset_before/model.h5",
    "keras3/attention/model.keras",
    "keras3/merge_modes/model.keras",
    "keras3/stacked_cells/model.keras",
    "keras3/time_distributed/model.keras",
)


@pytest.mark.parametrize("case", sampled(EXPORTED, 4))
def test_exports_with_any_batch(case: str) -> None:
    module, inputs = built(FIXTURES / case), inputs_of(FIXTURES / case)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(module, tuple(inputs), dynamic_shapes=tuple({0: batch} for _ in inputs)).module()
    larger = [torch.cat([x, x, x[:1]]) for x in inputs]
    with torch.no_grad():
        assert_equal(program(*larger), module(*larger))


@pytest.mark.parametrize("case", ["keras2/conv_bn_lstm/model.h5", "keras2/masking/model.h5"])
def test_compiles(case: str) -> None:
    module, inputs = built(FIXTURES / case), inputs_of(FIXTURES / case)
    with torch.no_grad():
        assert_equal(torch.compile(module, backend="aot_eager")(*inputs), module(*inputs))


TRAINED = ("keras2/masking/model.h5", "keras2/conv_bn_lstm/model.h5", "keras2/gru_reset_before/model.h5")


@pytest.mark.parametrize("case", TRAINED)
def test_fine_tuning_makes_the_loss_smaller(case: str) -> None:
    module, inputs = built(FIXTURES / case).train(), inputs_of(FIXTURES / case)
    torch.manual_seed(0)
    target = torch.rand_like(module(*inputs)).detach()
    optimizer, losses = torch.optim.Adam(module.parameters(), 1e-2), []
    for _ in range(12):
        optimizer.zero_grad()
        loss = (module(*inputs) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_a_state_dict_goes_round(tmp_path: Path) -> None:
    file = FIXTURES / "keras3/nested/model.keras"
    one, other = built(file), built(file)
    for parameter in one.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(one.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    with torch.no_grad():
        assert_equal(one(*inputs_of(file)), other(*inputs_of(file)), 0.0)


@pytest.mark.parametrize("case", TRAINED)
def test_moves_to_another_dtype(case: str) -> None:
    module, inputs = built(FIXTURES / case), inputs_of(FIXTURES / case)
    with torch.no_grad():
        expected = module(*inputs)
        assert_equal(module.double()(*(x.double() for x in inputs)), expected, 1e-5)
