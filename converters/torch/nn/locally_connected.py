"""Convolutions without shared kernels in one and two dimensions, as Keras computes them, channels first."""

import math
from typing import Any, ClassVar, List, Optional, Tuple, Union

import torch
from torch import Tensor, nn
from torch.nn import functional

Extent = Union[int, Tuple[int, ...]]


def _one_each(name: str, value: Extent, rank: int) -> List[int]:
    found = [value] * rank if isinstance(value, int) else list(value)
    if len(found) != rank or min(found) < 1:
        raise ValueError(f"{name}={value!r}: expected a positive number, or {rank} of them")
    return found


def _zeros_around(padding: Extent, rank: int) -> List[int]:
    """All beginnings, and then all ends."""
    found = [padding] * 2 * rank if isinstance(padding, int) else list(padding)
    if len(found) != 2 * rank or min(found) < 0:
        raise ValueError(f"padding={padding!r}: expected {rank} numbers for the beginnings and {rank} for the ends")
    return found


class _LocallyConnected(nn.Module):
    """Both of them: every place of the output has a kernel of its own, (out, in, …), and a bias."""

    _rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        output_size: Extent,
        kernel_size: Extent,
        stride: Extent = 1,
        padding: Extent = 0,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        rank = self._rank
        self.in_channels, self.out_channels = in_channels, out_channels
        self.output_size = _one_each("output_size", output_size, rank)
        self.kernel_size = _one_each("kernel_size", kernel_size, rank)
        self.stride, self.padding = _one_each("stride", stride, rank), _zeros_around(padding, rank)
        place = {"device": device, "dtype": dtype}
        kernel = (out_channels, in_channels, *self.kernel_size)
        self.weight = nn.Parameter(torch.empty(*self.output_size, *kernel, **place))
        own = nn.Parameter(torch.empty(out_channels, *self.output_size, **place)) if bias else None
        self.bias: Optional[Tensor] = own
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within ±1/√n, n the number of values that a place sums: as torch.nn does for convolutions."""
        bound = 1.0 / math.sqrt(self.in_channels * math.prod(self.kernel_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The arguments of the constructor."""
        names = ("output_size", "kernel_size", "stride", "padding")
        said = [f"{name}={tuple(getattr(self, name))}" for name in names]
        return ", ".join([f"{self.in_channels}, {self.out_channels}", *said, f"bias={self.bias is not None}"])

    def _padded(self, x: Tensor) -> Tensor:
        rank = len(self.kernel_size)
        zeros: List[int] = []
        for k in range(rank):
            axis = rank - 1 - k
            zeros.extend([self.padding[axis], self.padding[axis + rank]])
        return functional.pad(x, zeros) if max(zeros) > 0 else x

    def _check(self, x: Tensor, windows: List[int]) -> None:
        """Raise unless there are as many windows as kernels."""
        if windows != self.output_size:
            raise ValueError(
                f"expected an input with {self.output_size} windows of {self.kernel_size}, and {list(x.shape)} has "
                f"{windows}"
            )

    def _biased(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias


class LocallyConnected1D(_LocallyConnected):
    """`torch.nn.Conv1d` with a kernel and a bias for every place of its output: Keras's LocallyConnected1D.

    weight (output_size, out, in, kernel_size), bias (out, output_size). padding: zeros before and after, or one number
    for both.
    """

    _rank = 1

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, in, width) -> (batch, out, output_size)."""
        windows = self._padded(x).unfold(2, self.kernel_size[0], self.stride[0])
        self._check(x, list(windows.shape[2:3]))
        return self._biased(torch.einsum("bicx,coix->boc", [windows, self.weight]))


class LocallyConnected2D(_LocallyConnected):
    """`torch.nn.Conv2d` with a kernel and a bias for every place of its output: Keras's LocallyConnected2D.

    weight (*output_size, out, in, *kernel_size), bias (out, *output_size). padding: zeros above, left, below and right,
    or one number for all.
    """

    _rank = 2

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, in, height, width) -> (batch, out, *output_size)."""
        rows = self._padded(x).unfold(2, self.kernel_size[0], self.stride[0])
        windows = rows.unfold(3, self.kernel_size[1], self.stride[1])
        self._check(x, list(windows.shape[2:4]))
        return self._biased(torch.einsum("bircyx,rcoiyx->borc", [windows, self.weight]))
