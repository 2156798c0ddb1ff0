"""Functions that the file defines where it needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_TEXTS = {
    "valid_first": '''
def valid_first(x: Tensor, mask: Tensor) -> Tensor:
    """x (batch, time, …) with the steps at which mask (batch, time) is true in front of the others."""
    order = torch.argsort(~mask, dim=1, stable=True)
    return x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.size(2)))
''',
    "last_valid": '''
def last_valid(steps: Tensor, mask: Tensor) -> Tensor:
    """The last output (batch, …) that counts, of those in front; zeros in a row without any."""
    last = (mask.sum(1) - 1).clamp(min=0)
    y = steps.gather(1, last.view(-1, 1, 1).expand(-1, 1, steps.size(2))).squeeze(1)
    return y.masked_fill(~mask.any(1, keepdim=True), 0.0)
''',
    "spread_zeros": '''
def spread_zeros(steps: Tensor, mask: Tensor) -> Tensor:
    """Outputs (batch, time, …) of the steps in front back where they belong, and zeros where mask is false."""
    place = (mask.cumsum(1) - 1).clamp(min=0)
    y = steps.gather(1, place.unsqueeze(-1).expand(-1, -1, steps.size(2)))
    return y.masked_fill(~mask.unsqueeze(-1), 0.0)
''',
    "spread_repeated": '''
def spread_repeated(steps: Tensor, mask: Tensor, backward: bool = False) -> Tensor:
    """Outputs (batch, time, …) of the steps in front back where they belong; a masked step has the one read before.

    Where none was read before there are zeros.
    """
    count = mask.cumsum(1)
    place = count - mask.long() if backward else count - 1
    none = (place < 0) | (place >= count[:, -1:])
    place = place.clamp(0, mask.size(1) - 1)
    y = steps.gather(1, place.unsqueeze(-1).expand(-1, -1, steps.size(2)))
    return y.masked_fill(none.unsqueeze(-1), 0.0)
''',
    "same_amounts": '''
def same_amounts(x: Tensor, reach: list[int], stride: list[int], lower: bool) -> list[int]:
    """Zeros around the space of x (batch, channels, …), so that there is one window for every stride."""
    amounts: list[int] = []
    for axis in range(len(reach) - 1, -1, -1):
        size = x.size(axis + 2)
        total = max(((size - 1) // stride[axis]) * stride[axis] + reach[axis] - size, 0)
        half = total - total // 2 if lower else total // 2
        amounts += [half, total - half]
    return amounts
''',
    "pad_same": '''
def pad_same(x: Tensor, reach: list[int], stride: list[int], value: float = 0.0) -> Tensor:
    """x padded so that there is one window for every stride, the odd element at the end."""
    return functional.pad(x, same_amounts(x, reach, stride, False), value=value)
''',
    "pad_same_lower": '''
def pad_same_lower(x: Tensor, reach: list[int], stride: list[int], value: float = 0.0) -> Tensor:
    """x padded so that there is one window for every stride, the odd element at the start."""
    return functional.pad(x, same_amounts(x, reach, stride, True), value=value)
''',
}
_NEEDS = {"pad_same": ("same_amounts",), "pad_same_lower": ("same_amounts",)}
NAMES = frozenset(_TEXTS)


def texts(names: Iterable[str]) -> Iterator[str]:
    """The functions of these names, and those that they call, in order."""
    wanted = {need for name in names for need in (*_NEEDS.get(name, ()), name)}
    return (text.strip("\n") for name, text in _TEXTS.items() if name in wanted)
