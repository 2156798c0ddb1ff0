"""A module run with its layers watched: what each call of each of them got and gave, as NumPy float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from converters.verification.modules import Given
from layouts.records import dataclass, field

Array = np.ndarray[Any, Any]

RAISED = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    NotImplementedError,
)
"""What somebody's module may raise when it is called with what its source takes: that is a finding."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One call of one module: what it got and what it gave, nothing where it raised an error."""

    given: Given
    outputs: tuple[Array, ...]


@dataclass(eq=False)
class Ran:
    """One run of the whole: its outputs, the calls of every watched module, and the error that it raised."""

    outputs: list[Array] = field(default_factory=list)
    calls: dict[str, list[Seen]] = field(default_factory=dict)
    raised: str = ""


def run_watched(module: nn.Module, inputs: Sequence[Array], watched: Mapping[str, tuple[nn.Module, nn.Module]]) -> Ran:
    """Run a copy of a module on inputs; `watched` names pairs of modules, of which the first gets and the second gives.

    The copy is in eval mode, so that states which a module keeps between calls start anew.
    """
    memo: dict[int, Any] = {}
    double = copy.deepcopy(module, memo).eval()
    ran = Ran(calls={name: [] for name in watched})
    with ExitStack() as hooks, torch.no_grad():
        for name, (first, last) in watched.items():
            hooks.callback(_watch(memo[id(first)], memo[id(last)], ran.calls[name]))
        try:
            found = double(*arguments(double, inputs))
        except RAISED as error:
            ran.raised = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        else:
            ran.outputs = [numbers(y) for y in flat(found)]
    return ran


def arguments(module: nn.Module, inputs: Sequence[Array]) -> list[torch.Tensor]:
    """Inputs as tensors: numbers in the dtype of the weights, indices as int64."""
    first = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    tensors = [torch.from_numpy(np.array(x)) for x in inputs]
    kinds = [x.to(first.dtype) if x.is_floating_point() else x if x.dtype is torch.bool else x.long() for x in tensors]
    return [x.to(first.device) for x in kinds]


def flat(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of an output, in order."""
    if isinstance(value, PackedSequence):
        value = pad_packed_sequence(value, batch_first=True)[0]
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from flat(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from flat(each)


def numbers(tensor: torch.Tensor) -> Array:
    """A tensor as NumPy: float64, or whole numbers."""
    tensor = tensor.detach().cpu()
    return np.array(tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy())


def _watch(first: nn.Module, last: nn.Module, calls: list[Seen]) -> Callable[[], None]:
    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append(Seen(_given(module, args, kwargs), ()))

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if calls:
            calls[-1] = Seen(calls[-1].given, tuple(_gave(module, output)))

    handles = [
        first.register_forward_pre_hook(before, with_kwargs=True),
        last.register_forward_hook(after, with_kwargs=True),
    ]

    def unwatch() -> None:
        for handle in handles:
            handle.remove()

    return unwatch


def _given(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Given:
    if isinstance(module, nn.RNNBase):
        return _recurrent(module, *args, **kwargs)
    if _has_heads(module):
        return _heads(module, *args, **kwargs)
    if type(module).__name__ == "Attention" and len(args) >= 3:
        return _scored(*args, **kwargs)
    if isinstance(module, nn.RNNCellBase):
        return _step(*args, **kwargs)
    if _over_maps(module):
        return _maps(*args, **kwargs)
    tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
    return Given(tuple(numbers(x) for x in tensors))


def _recurrent(module: nn.RNNBase, input: Any, hx: Any = None, lengths: Any = None, **_: Any) -> Given:
    if isinstance(input, PackedSequence):
        input, lengths = pad_packed_sequence(input, batch_first=True)
        x = numbers(input)
    else:
        x = numbers(input if input.dim() > 2 else input.unsqueeze(0 if module.batch_first else 1))
        x = x if module.batch_first else x.swapaxes(0, 1)
    states = tuple(numbers(s if s.dim() > 2 else s.unsqueeze(1)) for s in flat(hx))
    return Given((x,), states, None if lengths is None else numbers(lengths))


def _over_maps(module: nn.Module) -> bool:
    """Whether it is a ConvLSTM, of this library or as `port` writes it out."""
    return type(module).__name__.startswith("ConvLSTM")


def _maps(input: Any, hx: Any = None, mask: Any = None) -> Given:
    seen = None if mask is None else numbers(mask)
    return Given((numbers(input),), tuple(numbers(state) for state in flat(hx)), mask=seen)


def _step(input: Any, hx: Any = None) -> Given:
    """A cell called for one step, as a sequence of one."""
    return Given((numbers(input)[:, None],), tuple(numbers(state)[None] for state in flat(hx)))


def _has_heads(module: nn.Module) -> bool:
    """Whether it is attention by heads: that of torch.nn, of this library, or as `port` writes it out."""
    return isinstance(module, nn.MultiheadAttention) or type(module).__name__ == "MultiheadAttention"


def _heads(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    key_padding_mask: Any = None,
    need_weights: Any = True,
    attn_mask: Any = None,
    average_attn_weights: Any = True,
    is_causal: bool = False,
) -> Given:
    """Query, value and key, and which keys each query sees; in masks of PyTorch what is not zero is hidden."""
    x = [numbers(each) for each in (query, value, key)]
    x = x if module.batch_first else [each.swapaxes(0, 1) for each in x]
    mask = None if key_padding_mask is None else ~numbers(key_padding_mask).astype(bool)
    if attn_mask is not None:
        pairs = ~numbers(attn_mask).astype(bool)
        pairs = pairs.reshape(-1, module.num_heads if pairs.ndim == 3 else 1, *pairs.shape[-2:])
        mask = pairs if mask is None else pairs & mask[:, None, None, :]
    return Given(tuple(x), mask=mask)


def _scored(query: Any, key: Any, value: Any, seen: Any = None) -> Given:
    return Given(tuple(numbers(each) for each in (query, value, key)), mask=None if seen is None else numbers(seen))


def _gave(module: nn.Module, output: Any) -> Iterator[Array]:
    tensors = list(flat(output))
    if isinstance(module, nn.RNNCellBase):
        yield numbers(tensors[0])[:, None]
        yield from (numbers(tensor)[None] for tensor in tensors)
        return
    if _has_heads(module) or type(module).__name__ == "Attention":
        tensors = tensors[:1]
    for number, tensor in enumerate(tensors):
        y = numbers(tensor)
        if isinstance(module, nn.RNNBase) and y.ndim == 2:
            y = y[None] if module.batch_first and number == 0 else y[:, None]
        packed = number == 0 and _is_packed(output)
        first = not getattr(module, "batch_first", True) and number == 0 and not packed
        yield y.swapaxes(0, 1) if first else y


def _is_packed(output: Any) -> bool:
    return isinstance(output, tuple) and bool(output) and isinstance(output[0], PackedSequence)
