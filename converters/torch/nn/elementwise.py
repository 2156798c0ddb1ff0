"""Layers of numbers for each feature or element that torch.nn does not have, and the dense layer of any equation."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn


class Normalization(nn.Module):
    """(x - mean) / max(√variance, 1e-7), as Keras's Normalization computes it of stored statistics; or its inverse.

    features: the size of the last axis; 0 for one mean and one variance of all.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int = 0, invert: bool = False, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.invert, sizes = invert, [features] if features else []
        self.register_buffer("mean", torch.zeros(sizes, device=device, dtype=dtype))
        self.register_buffer("variance", torch.ones(sizes, device=device, dtype=dtype))

    def extra_repr(self) -> str:
        """The arguments of the constructor."""
        return f"{self.mean.numel() if self.mean.ndim else 0}, invert={self.invert}"

    def forward(self, x: Tensor) -> Tensor:
        """x (…, features)."""
        deviation = self.variance.sqrt().clamp(min=1e-7)
        return x * deviation + self.mean if self.invert else (x - self.mean) / deviation


class PReLU(nn.Module):
    """`torch.nn.PReLU` with a slope for every element behind the batch; sizes of one share it along their axis."""

    def __init__(self, *sizes: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(sizes, 0.25, device=device, dtype=dtype))

    def extra_repr(self) -> str:
        """The sizes of the slopes."""
        return ", ".join(str(size) for size in self.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, *sizes)."""
        return torch.where(x > 0, x, self.weight * x)


class EinsumDense(nn.Module):
    """torch.einsum of the input and a weight by an equation, and a bias: Keras's EinsumDense."""

    def __init__(
        self,
        equation: str,
        weight: Tuple[int, ...],
        bias: Optional[Tuple[int, ...]] = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.equation = equation
        self.weight = nn.Parameter(torch.empty(weight, device=device, dtype=dtype))
        own = None if bias is None else nn.Parameter(torch.zeros(bias, device=device, dtype=dtype))
        self.bias: Optional[Tensor] = own
        nn.init.xavier_uniform_(self.weight)

    def extra_repr(self) -> str:
        """The equation and the sizes."""
        return f"{self.equation!r}, {tuple(self.weight.shape)}"

    def forward(self, x: Tensor) -> Tensor:
        """x as the equation reads it."""
        y = torch.einsum(self.equation, [x, self.weight])
        return y if self.bias is None else y + self.bias
