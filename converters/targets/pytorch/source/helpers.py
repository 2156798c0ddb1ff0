"""Functions that the file defines where it needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_TEXTS = {
    "pack_valid": '''
def pack_valid(x: Tensor, mask: Tensor) -> PackedSequence:
    """The steps of x (batch, time, …) at which mask (batch, time) is true; of a row without any, its first."""
    order = torch.argsort(~mask, dim=1, stable=True)
    front = x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.size(2)))
    lengths = mask.sum(1).clamp(min=1).cpu()
    return pack_padded_sequence(front, lengths, batch_first=True, enforce_sorted=False)
''',
    "unpack_zeros": '''
def unpack_zeros(steps: PackedSequence, mask: Tensor) -> Tensor:
    """Outputs (batch, time, …) back at their steps, and zeros at those that are masked."""
    y, _ = pad_packed_sequence(steps, batch_first=True, total_length=mask.size(1))
    place = (mask.cumsum(1) - 1).clamp(min=0)
    y = y.gather(1, place.unsqueeze(-1).expand(-1, -1, y.size(2)))
    return y.masked_fill(~mask.unsqueeze(-1), 0.0)
''',
    "unpack_repeated": '''
def unpack_repeated(steps: PackedSequence, mask: Tensor, backward: bool = False) -> Tensor:
    """Outputs (batch, time, …) back at their steps; a masked one has that of the step read before it, or zeros."""
    y, _ = pad_packed_sequence(steps, batch_first=True, total_length=mask.size(1))
    count = mask.cumsum(1)
    place = count - mask.long() if backward else count - 1
    none = (place < 0) | (place >= count[:, -1:])
    place = place.clamp(0, mask.size(1) - 1)
    y = y.gather(1, place.unsqueeze(-1).expand(-1, -1, y.size(2)))
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


IMPORTS = {
    "pack_valid": ("PackedSequence", "pack_padded_sequence"),
    "unpack_zeros": ("PackedSequence", "pad_packed_sequence"),
    "unpack_repeated": ("PackedSequence", "pad_packed_sequence"),
}
"""What a function needs of torch.nn.utils.rnn."""
