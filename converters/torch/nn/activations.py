"""Activations by name: as new tensors for autograd and compilers, and written over their argument for inference."""

from typing import Callable, Dict

import torch
from torch import Tensor
from torch.nn import functional

ACTIVATIONS = (
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid_0.2",
    "hard_sigmoid_1/6",
    "leaky_relu_0.01",
    "linear",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
)
"""Every activation by the name it has in `layouts.reference`; the two that Keras calls hard_sigmoid are two names."""


def activate(x: Tensor, kind: str) -> Tensor:
    """The activation of this name, element by element; scriptable and differentiable."""
    if kind == "tanh":
        return torch.tanh(x)
    if kind == "sigmoid":
        return torch.sigmoid(x)
    if kind == "hard_sigmoid_0.2":
        return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)
    if kind == "hard_sigmoid_1/6":
        return functional.hardsigmoid(x)
    if kind == "relu":
        return torch.relu(x)
    if kind == "leaky_relu_0.01":
        return functional.leaky_relu(x, 0.01)
    if kind == "elu":
        return functional.elu(x)
    if kind == "selu":
        return torch.selu(x)
    if kind == "gelu":
        return functional.gelu(x)
    if kind == "silu":
        return functional.silu(x)
    if kind == "softplus":
        return functional.softplus(x, threshold=50.0)
    if kind == "softsign":
        return functional.softsign(x)
    if kind == "exponential":
        return torch.exp(x)
    return x


Overwrite = Callable[[Tensor], Tensor]

_OVERWRITES: Dict[str, Overwrite] = {
    "tanh": Tensor.tanh_,
    "sigmoid": Tensor.sigmoid_,
    "hard_sigmoid_1/6": lambda x: functional.hardsigmoid(x, inplace=True),
    "relu": Tensor.relu_,
    "leaky_relu_0.01": lambda x: functional.leaky_relu(x, 0.01, inplace=True),
    "elu": lambda x: functional.elu(x, inplace=True),
    "selu": torch.selu_,
    "silu": lambda x: functional.silu(x, inplace=True),
    "exponential": Tensor.exp_,
    "linear": lambda x: x,
}


def overwrite(kind: str, clip: float, like: Tensor) -> Overwrite:
    """A function that writes the activation over its argument, clipped to [-clip, clip] before unless clip is 0.

    It is for arguments of the dtype and device of `like`: a number would be made a tensor anew at every step.
    """
    if kind == "hard_sigmoid_0.2":
        slope, half = like.new_full((), 0.2), like.new_full((), 0.5)
        write: Overwrite = lambda x: x.mul_(slope).add_(half).clamp_(0.0, 1.0)  # noqa: E731
    else:
        write = _OVERWRITES.get(kind, lambda x: x.copy_(activate(x, kind)))
    return write if clip <= 0.0 else lambda x: write(x.clamp_(-clip, clip))


def checked(name: str, value: str) -> str:
    """The value of the argument `name`; a ValueError with all names where it is none of them."""
    if value not in ACTIVATIONS:
        raise ValueError(f"{name}={value!r} is not known; there are: {', '.join(ACTIVATIONS)}")
    return value
