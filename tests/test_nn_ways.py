"""`converters.nn` by every way over the steps: written in place, for autograd, and as a loop in a compiler's graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sampling import sampled
from test_nn import BATCH, COMPILED, INPUT, KINDS, VARIED, Options, expect_equal, sample, states_for, tensors_of, varied
from torch import nn
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from converters.torch import nn as drop_in
from converters.torch.nn import loops

LENGTHS = [4, 1, 7, 4]


def packed() -> PackedSequence:
    return pack_sequence([torch.randn(n, INPUT, dtype=torch.float64) for n in LENGTHS], enforce_sorted=False)


@pytest.mark.parametrize("given", [False, True], ids=["zeros", "initial"])
@pytest.mark.parametrize("form", ["dense", "packed"])
@pytest.mark.parametrize(("kind", "options"), VARIED)
def test_steps_written_in_place_are_those_for_autograd(kind: str, options: Options, form: str, given: bool) -> None:
    module = varied(kind, options, num_layers=2, bidirectional=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.1 if "exponential" in options.values() else 1.0)
    x: Any = packed() if form == "packed" else torch.randn(5, len(LENGTHS), INPUT, dtype=torch.float64)
    initial = states_for(module, len(LENGTHS), torch.float64) if given else None
    before = [tensor.clone() for tensor in tensors_of([x, *([] if initial is None else [initial])])]
    expected = module(x, initial)
    tolerance = 1e-12 * max(1.0, *(float(tensor.detach().abs().max()) for tensor in tensors_of(expected)))
    with torch.no_grad():
        expect_equal(module(x, initial), expected, tolerance)
    expect_equal(tensors_of([x, *([] if initial is None else [initial])]), before, 0.0)
    module.requires_grad_(False)
    expect_equal(module(x, initial), expected, tolerance)


@pytest.mark.parametrize("first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize(("kind", "options"), VARIED)
def test_told_lengths_are_a_packed_sequence(kind: str, options: Options, first: bool) -> None:
    module = varied(kind, options, num_layers=2, bidirectional=True, batch_first=first)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.1)
    lengths, initial = torch.tensor(LENGTHS), states_for(module, len(LENGTHS), torch.float64)
    x = torch.randn(*((len(LENGTHS), 8) if first else (8, len(LENGTHS))), INPUT, dtype=torch.float64)
    steps, states = module(pack_padded_sequence(x, lengths, first, enforce_sorted=False), initial)
    expected = [pad_packed_sequence(steps, first, total_length=8)[0], *tensors_of(states)]
    expect_equal(tensors_of(module(x, initial, lengths=lengths)), expected, 1e-12)
    with torch.no_grad():
        expect_equal(tensors_of(module(x, initial, lengths=lengths)), expected, 1e-12)


@pytest.mark.parametrize(("kind", "options"), sampled(COMPILED, 2))
def test_lengths_in_scripts_and_traces(kind: str, options: Options) -> None:
    module, lengths = varied(kind, options, bidirectional=True), torch.tensor(LENGTHS)
    x, initial = torch.randn(8, len(LENGTHS), INPUT).double(), states_for(module, len(LENGTHS), torch.float64)
    expected = tensors_of(module(x, initial, lengths=lengths))
    traced = torch.jit.trace(module, (x, initial, torch.tensor([8, 3, 1, 2])))
    expect_equal(tensors_of(traced(x, initial, lengths)), expected, 1e-12)
    expect_equal(tensors_of(torch.jit.script(module)(x, initial, lengths=lengths)), expected, 1e-12)


def test_lengths_are_one_for_each_sequence() -> None:
    module = drop_in.GRU(INPUT, 3)
    for x, lengths in ((torch.randn(5, 2, INPUT), [5]), (torch.randn(5, INPUT), [5])):
        with pytest.raises(ValueError, match="one for each sequence"):
            module(x, lengths=torch.tensor(lengths))


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_run_the_kernel_of_torch_nn(kind: str) -> None:
    theirs, ours = getattr(nn, kind)(INPUT, 11, 2), getattr(drop_in, kind)(INPUT, 11, 2)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(6, BATCH, INPUT)
    expect_equal(ours(x), theirs(x), 0.0)


@pytest.mark.parametrize(("kind", "options"), COMPILED)
def test_outputs_and_states_are_tensors_of_their_own(kind: str, options: Options) -> None:
    module, x = sample(kind, options)
    with torch.no_grad():
        y, states = module(x)
        kept = [tensor.clone() for tensor in tensors_of(states)]
        y.fill_(0.0)
    expect_equal(tensors_of(states), kept, 0.0)


@pytest.mark.parametrize(("kind", "options"), COMPILED)
def test_one_weight_of_many_under_vmap(kind: str, options: Options) -> None:
    module, x = sample(kind, {**options, "activation": "softsign"})
    own = {name: value.detach() for name, value in module.named_parameters()}
    many = torch.stack([own["weight_hh_l0"], 2.0 * own["weight_hh_l0"]])

    def run(weight: torch.Tensor) -> Any:
        return torch.func.functional_call(module, {**own, "weight_hh_l0": weight}, (x,))[0]

    with torch.no_grad():
        expect_equal(torch.func.vmap(run)(many), torch.stack([run(weight) for weight in many]), 1e-6)


@pytest.mark.parametrize(("kind", "options"), COMPILED)
def test_forward_derivatives_without_gradients(kind: str, options: Options) -> None:
    module, x = sample(kind, {**options, "activation": "softsign"})
    module, x = module.double(), x.double()
    direction = torch.randn_like(x)
    with torch.no_grad(), forward_ad.dual_level():
        found = forward_ad.unpack_dual(module(forward_ad.make_dual(x, direction))[0]).tangent
    step = 1e-6 * direction
    expected = (module(x + step)[0] - module(x - step)[0]) / 2e-6
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-7)


@pytest.mark.parametrize(("kind", "options"), COMPILED)
def test_mixed_precision(kind: str, options: Options) -> None:
    module, x = sample(kind, {**options, "activation": "softsign"})
    expected = module(x)[0]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(module(x)[0].float(), expected, rtol=0.0, atol=0.1)


class Counting:
    """A backend that runs what it is given, and keeps the number of nodes of every graph."""

    def __init__(self) -> None:
        self.nodes: list[int] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: Any) -> Any:
        inner = [m for m in graph.modules() if isinstance(m, torch.fx.GraphModule)]
        self.nodes.append(sum(len(m.graph.nodes) for m in inner))
        return graph.forward


needs_scan = pytest.mark.skipif(not loops.SCANS, reason="this version of torch has no loop for compilers")


@needs_scan
@pytest.mark.parametrize(("kind", "options"), sampled(COMPILED, 4))
def test_a_long_sequence_is_as_large_a_graph_as_a_short_one(kind: str, options: Options) -> None:
    module = varied(kind, options, batch_first=True).float()
    backend = Counting()
    for steps in (10, 60):
        torch.compiler.reset()
        x = torch.randn(BATCH, steps, INPUT)
        found = torch.compile(module, backend=backend, fullgraph=True, dynamic=False)(x)
        expect_equal(found, module(x), 1e-6)
    assert backend.nodes[0] == backend.nodes[1]


@needs_scan
@pytest.mark.parametrize(("kind", "options"), sampled(COMPILED, 4))
def test_a_second_length_is_compiled_once_for_all(kind: str, options: Options) -> None:
    module = varied(kind, options, batch_first=True).float()
    backend = Counting()
    torch.compiler.reset()
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    for batch, steps in ((3, 5), (4, 9), (5, 17), (3, 23)):
        x = torch.randn(batch, steps, INPUT)
        expect_equal(compiled(x), module(x), 1e-6)
    assert len(backend.nodes) == 2


@needs_scan
@pytest.mark.parametrize(("kind", "options"), sampled(COMPILED, 4))
def test_lengths_export_with_any_batch_and_length(kind: str, options: Options) -> None:
    module, x = sample(kind, options)
    lengths = torch.tensor([5, 1, 3])
    shapes = {
        "input": {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")},
        "lengths": {0: torch.export.Dim("batch")},
    }
    program = torch.export.export(module, (x,), {"lengths": lengths}, dynamic_shapes=shapes).module()
    for batch, steps in ((2, 41), (BATCH + 4, 4)):
        other, own = torch.randn(batch, steps, INPUT), torch.arange(batch) % steps + 1
        expect_equal(tensors_of(program(other, lengths=own)), tensors_of(module(other, lengths=own)), 1e-6)


@needs_scan
@pytest.mark.parametrize("strict", sampled([False, True], 2), ids=["non-strict", "strict"])
@pytest.mark.parametrize(("kind", "options"), sampled(COMPILED, 4))
def test_torch_export_takes_any_batch_and_length(kind: str, options: Options, strict: bool) -> None:
    module, x = sample(kind, options)
    if strict:
        module = varied(kind, options, batch_first=True).float()
    torch.export.export(module, (x,))  # what is fixed here must not be found again below
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    program = torch.export.export(module, (x,), dynamic_shapes=(dynamic,), strict=strict).module()
    for batch, steps in ((2, 41), (BATCH + 4, 2)):
        other = torch.randn(batch, steps, INPUT)
        expect_equal(program(other), module(other), 1e-6)


@pytest.mark.parametrize(("kind", "options"), sampled(COMPILED, 4))
def test_compilers_without_a_loop_get_every_step(kind: str, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "SCANS", False)
    module, x = sample(kind, {**options, "activation": "softsign"})
    torch.compiler.reset()
    expect_equal(torch.compile(module, backend="aot_eager", fullgraph=True)(x), module(x), 1e-6)
    expect_equal(torch.export.export(module, (x,)).module()(x), module(x), 1e-6)


@pytest.mark.parametrize("backend", sampled(["aot_eager", "inductor"], 2))
@pytest.mark.parametrize(("kind", "options"), sampled([COMPILED[1], COMPILED[4]], 2))
def test_gradients_of_a_compiled_module(kind: str, options: Options, backend: str) -> None:
    module = varied(kind, options).float()
    x = torch.randn(6, BATCH, INPUT)
    torch.compiler.reset()
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    gradients = []
    for run in (compiled, module):
        module.zero_grad(set_to_none=True)
        sum(tensor.square().sum() for tensor in tensors_of(run(x))).backward()
        gradients.append([parameter.grad for parameter in module.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=0.0, atol=1e-5)
