"""Three ways over the steps of a sequence: written in place, step by step for autograd, and as one loop of a compiler.

A step takes the projected input of one time step, (batch, …), the states and what it needs of the weights, and gives
the new states; the first of the states is its output.
"""

from typing import Callable, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

States = List[Tensor]
Step = Callable[[Tensor, States, List[Tensor]], States]
Writer = Callable[[Sequence[Tensor], States], States]


def _release(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split("+")[0].split(".")[:2])


SCANS = _release(torch.__version__) >= (2, 13)
"""Whether compilers get a loop over the steps, of any length. Older versions of torch get every step written out."""


@torch.jit.unused
def scans() -> bool:
    """Whether a compiler is reading, and takes a loop."""
    return SCANS and torch.compiler.is_compiling()


@torch.jit.unused
def recorded() -> bool:
    """Whether what is done now is recorded for other numbers, so that no length may decide what is done."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


@torch.jit.unused
def writable(x: Tensor, states: List[Tensor], weights: List[Tensor]) -> bool:
    """Whether steps may write over x: no gradient, no transform of torch.func, no tracing, no mixed precision."""
    tensors = [x, *states, *weights]
    if torch.jit.is_tracing() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return False
    return len({tensor.dtype for tensor in tensors}) == 1


def write(step: Writer, blocks: Sequence[Tensor], sizes: List[int], initial: States, reverse: bool) -> States:
    """Run `step(rows of every block, states)`, which writes over them, along packed steps; the final states.

    Blocks are (sum of sizes, …) views of the projected input, `sizes` the batch of every step, longest sequence first.
    """
    rows = list(zip(*(block.split(sizes) for block in blocks)))
    order = range(len(sizes))
    held = sizes[-1 if reverse else 0]
    states = [state[:held].clone() for state in initial]
    ended: List[States] = []
    for t in reversed(order) if reverse else order:
        if sizes[t] > held:
            states = [torch.cat([s, first[held : sizes[t]]]) for s, first in zip(states, initial)]
        elif sizes[t] < held:
            ended.append([state[sizes[t] :] for state in states])
            states = [state[: sizes[t]] for state in states]
        held = sizes[t]
        states = step(rows[t], states)
    if not ended:
        return states
    return [torch.cat(parts) for parts in zip(states, *reversed(ended))]


def scan(
    step: Step, x: Tensor, initial: States, constants: List[Tensor], reverse: bool, lengths: Optional[Tensor] = None
) -> Tuple[Tensor, States]:
    """The outputs (time, batch, …) and final states over x (time, batch, …), as one loop in the graph of a compiler.

    lengths: (batch), the steps of each sequence that count, the first ones; zeros stand behind their outputs.

    A loop takes no two views of one tensor: states and constants are copies. The results of its body are copies too,
    each of another kind: neither may share memory with what the backward pass keeps, and equal ones would be merged.
    With gradients torch keeps a copy of the recurrent weight for every step: it is slower than the eager steps.
    """
    count, told = len(initial), 1 if lengths is None else len(initial)

    def body(*tensors: Tensor) -> List[Tensor]:
        states, x_t, own = list(tensors[:count]), tensors[count], list(tensors[count + 1 :])
        new = [state.to(old.dtype) for state, old in zip(step(x_t, states, own), states)]
        return [state.clone(memory_format=torch.contiguous_format) for state in new] + [s.clone() for s in new[:told]]

    rows = turned(x, lengths) if reverse else x
    copies = [[tensor.clone() for tensor in tensors] for tensors in (initial, constants)]
    found = _loop(body, copies[0], rows, copies[1])
    final, y = found[:count], found[count]
    if lengths is not None:
        final = [_at(states, lengths - 1) for states in found[count:]]
        y = y.masked_fill(_counting(lengths, y) >= lengths.view(1, -1, 1), 0.0)
    return turned(y, lengths) if reverse else y, final


def turned(x: Tensor, lengths: Optional[Tensor]) -> Tensor:
    """x (time, batch, features) with the steps that count from the last to the first; all where no lengths are told."""
    if lengths is None:
        return x.flip(0)
    number, count = _counting(lengths, x), lengths.view(1, -1, 1)
    return x.gather(0, torch.where(number < count, count - 1 - number, number).expand_as(x))


def _counting(lengths: Tensor, x: Tensor) -> Tensor:
    """The numbers of the steps of x, (time, 1, 1)."""
    return torch.arange(x.size(0), device=lengths.device).view(-1, 1, 1)


def _at(x: Tensor, steps: Tensor) -> Tensor:
    """Of x (time, batch, features) one step of each sequence, (batch, features)."""
    return x.gather(0, steps.view(1, -1, 1).expand(1, -1, x.size(2))).squeeze(0)


def _loop(body: Callable[..., List[Tensor]], initial: States, x: Tensor, constants: List[Tensor]) -> List[Tensor]:
    """torch's scan: by its function for torch.compile, and by its operator for torch.export.

    To export, the function would compile its body, and find what it compiled for another length before.
    """
    if not scans():
        return _unrolled(body, initial, x, constants)
    if not torch.compiler.is_dynamo_compiling():
        return list(torch.ops.higher_order.scan(body, initial, [x], tuple(constants)))
    from torch._higher_order_ops.scan import scan as function

    def nested(states: List[Tensor], x_t: Tensor) -> Tuple[List[Tensor], List[Tensor]]:
        found = body(*states, x_t, *constants)
        return found[: len(states)], found[len(states) :]

    final, told = function(nested, initial, x)
    return [*final, *told]


def _unrolled(body: Callable[..., List[Tensor]], states: States, x: Tensor, constants: List[Tensor]) -> List[Tensor]:
    """The same with every step written out."""
    count, told = len(states), []
    for row in x.unbind(0):
        found = body(*states, row, *constants)
        states, own = found[:count], found[count:]
        told.append(own)
    return [*states, *(torch.stack(column) for column in zip(*told))]
