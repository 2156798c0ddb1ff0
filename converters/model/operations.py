"""What a node of a graph computes when it has no weights of its own: neutral, typed, as data.

Axes are counted on the value as the source has it, batch first; negative ones from the end. `channels_last` says where
a source keeps the channels of an image or a sequence. A node with weights has the operation `Apply`.
"""

from __future__ import annotations

from layouts.records import dataclass


@dataclass(frozen=True)
class Apply:
    """The node's layer, with its weights, as its `Call` says.

    Of attention the inputs are (query, value) or (query, value, key), and it may give its scores too. The mask is that
    of the keys, (batch, key), or of pairs, (batch, query, key), perhaps with an axis for heads behind the batch;
    `causal`: no step of the query sees a later one. `zeros`: a query that sees no key weighs all of them with zero,
    and not alike.
    """

    causal: bool = False
    zeros: bool = False


@dataclass(frozen=True)
class Identity:
    """What does nothing at inference: dropout, noise, regularization."""


@dataclass(frozen=True)
class Activation:
    """A function of each element, or of an axis: names of `layouts.reference.ACTIVATIONS`, and some with numbers.

    Beside those: "softmax" and "log_softmax" (`axis`), "leaky_relu" (`alpha`: slope below 0), "elu" (`alpha`),
    "celu" (`alpha`), "thresholded_relu" (`alpha`: the threshold), "relu" with `ceiling`, `threshold` and `alpha` as
    Keras's ReLU layer has them, "relu6", "hard_silu", "hard_tanh", "mish", "softmin", "log_sigmoid", "gelu_tanh",
    "hard_shrink", "soft_shrink", "tanh_shrink", "square", "sqrt", "abs", "negative", "reciprocal", "log", "erf",
    "floor", "ceil", "round" (halves to the even number), "sign", "power" (`alpha`: the exponent).
    """

    function: str
    axis: int = -1
    alpha: float | None = None
    ceiling: float | None = None
    threshold: float = 0.0


@dataclass(frozen=True)
class Combine:
    """Several values, element by element and broadcast: "add", "subtract", "multiply", "divide", "average", "maximum",
    "minimum", "power"."""

    how: str


@dataclass(frozen=True)
class Concatenate:
    """Several values side by side along an axis."""

    axis: int = -1


@dataclass(frozen=True)
class Dot:
    """The product of two values summed over one axis of each, batch by batch; `normalize` divides by lengths first,
    or by `least` where they are shorter."""

    axes: tuple[int, int]
    normalize: bool = False
    least: float = 1e-6


@dataclass(frozen=True)
class MatrixProduct:
    """The matrix product of two values over their last two axes."""


@dataclass(frozen=True)
class Einsum:
    """Products of several values summed over the letters that the equation names left of its arrow alone."""

    equation: str


@dataclass(frozen=True)
class Flatten:
    """All axes but the batch as one, in the order of the source."""


@dataclass(frozen=True)
class Reshape:
    """Other axes behind the batch; one of them may be -1."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """The size of this axis of the input."""

    number: int


@dataclass(frozen=True)
class Regroup:
    """Other axes in the place of all, the batch among them: each a size, that of an axis, or -1 for what is left."""

    sizes: tuple[int | Axis, ...]


@dataclass(frozen=True)
class Expand:
    """(x) or (x, like): repeated along axes of one, or new ones in front, to sizes: numbers, or axes of like."""

    sizes: tuple[int | Axis, ...]


@dataclass(frozen=True)
class Constant:
    """Numbers of the program, no weights of a layer: in row-major order, and their shape."""

    numbers: tuple[float, ...]
    shape: tuple[int, ...] = ()
    dtype: str = "float32"


@dataclass(frozen=True)
class Stored:
    """No inputs: one array of the node's layer as it is, a parameter that arithmetic reads; `name` is its own there."""

    name: str


@dataclass(frozen=True)
class Permute:
    """The axes in another order: the whole order, the batch at 0 among it."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class Repeat:
    """(batch, features) repeated to (batch, count, features)."""

    count: int


@dataclass(frozen=True)
class Pool:
    """The "max" or "average" of windows. Zeros of padding count for nothing. `padding` as in `Convolution`."""

    how: str
    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str = "valid"
    pads: tuple[int, ...] = ()
    channels_last: bool = True


@dataclass(frozen=True)
class GlobalPool:
    """The "max" or "average" over all axes but batch and channels; over unmasked steps alone where there is a mask."""

    how: str
    keep_axes: bool = False
    channels_last: bool = True


@dataclass(frozen=True)
class Pad:
    """Zeros, or another number, around the axes that are no channels: (before, after) for each of them.

    `how`: "constant", or, in the place of the number, what stands there: "reflect" (mirrored, the element at the edge
    once) or "edge" (that element again and again).
    """

    amounts: tuple[tuple[int, int], ...]
    value: float = 0.0
    channels_last: bool = True
    how: str = "constant"


@dataclass(frozen=True)
class Crop:
    """The reverse of `Pad`."""

    amounts: tuple[tuple[int, int], ...]
    channels_last: bool = True


@dataclass(frozen=True)
class UpSample:
    """Every element of the axes that are no channels repeated, or ("bilinear") interpolated."""

    factors: tuple[int, ...]
    interpolation: str = "nearest"
    channels_last: bool = True


@dataclass(frozen=True)
class Take:
    """A part of one axis: from start to stop by step, or, with `index`, one place of it, without the axis."""

    axis: int
    start: int = 0
    stop: int | None = None
    step: int = 1
    index: int | None = None


@dataclass(frozen=True)
class Pick:
    """(x, indices), with as many axes: at each place of the indices, the element of x that stands there along one axis.

    Along the others x is at least as long as the indices. Negative ones count from the end, or there are none.
    """

    axis: int
    from_end: bool = False


@dataclass(frozen=True)
class AddAxis:
    """A new axis of one."""

    axis: int


@dataclass(frozen=True)
class DropAxis:
    """Without an axis of one."""

    axis: int


@dataclass(frozen=True)
class Reverse:
    """One axis backwards."""

    axis: int


@dataclass(frozen=True)
class Reduce:
    """ "sum", "mean", "max", "min", "prod" over axes."""

    how: str
    axes: tuple[int, ...]
    keep_axes: bool = False


@dataclass(frozen=True)
class Scale:
    """x × factor + offset, by stored numbers that are no weights."""

    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class UnitLength:
    """Each vector along an axis divided by its length, or by `least` where it is shorter."""

    axis: int = -1
    least: float = 1e-6


@dataclass(frozen=True)
class Standardize:
    """Without weights: minus the mean and divided by the deviation, √(variance + epsilon), over some axes together."""

    axes: tuple[int, ...]
    epsilon: float


@dataclass(frozen=True)
class StandardizeGroups:
    """The same over the other axes but the batch and each group of channels; as many groups as channels for -1."""

    groups: int
    epsilon: float
    axis: int = -1


@dataclass(frozen=True)
class DotAttention:
    """softmax(query × keyᵀ × scale) × value, of inputs (query, value) or (query, value, key).

    `score` "dot", or "additive" and "concat": sum(tanh(query + key)). `causal`: no step sees a later one. The node's
    mask is that of the value. A learned scale is the weight of the node's layer. It may give its scores too.
    """

    score: str = "dot"
    causal: bool = False


@dataclass(frozen=True)
class MaskOf:
    """A mask (batch, time): steps with some feature that is not `value`; with `indices`, indices that are not."""

    value: float = 0.0
    indices: bool = False


@dataclass(frozen=True)
class MaskOfLengths:
    """A mask (batch, time) out of (x, lengths): the first steps of each sequence."""


@dataclass(frozen=True)
class BothMasks:
    """The steps that are in all of several masks."""


@dataclass(frozen=True)
class EitherMask:
    """The steps that are in any of several masks."""


@dataclass(frozen=True)
class EveryStep:
    """A mask (batch, time) of all steps of x, to stand beside another mask."""


@dataclass(frozen=True)
class Masked:
    """(x, mask): zeros, or another number, in the steps that the mask leaves out."""

    value: float = 0.0


@dataclass(frozen=True)
class Choose:
    """(x, other, mask): x in the steps of the mask, `other` elsewhere."""


@dataclass(frozen=True)
class MergeTime:
    """Batch and time as one axis, so that a layer runs on every step."""


@dataclass(frozen=True)
class SplitTime:
    """(x, like): the first axis cut into the batch and time of `like`."""


BY_HAND = "write it by hand"
"""What to do about code and somebody's own classes."""


@dataclass(frozen=True)
class Unknown:
    """What is not known here, or is code: `why` says which, and what to do."""

    why: str


Operation = (
    Apply
    | Identity
    | Activation
    | Combine
    | Concatenate
    | Dot
    | MatrixProduct
    | Einsum
    | Flatten
    | Reshape
    | Regroup
    | Expand
    | Constant
    | Stored
    | Permute
    | Repeat
    | Pool
    | GlobalPool
    | Pad
    | Crop
    | UpSample
    | Take
    | Pick
    | AddAxis
    | DropAxis
    | Reverse
    | Reduce
    | Scale
    | UnitLength
    | Standardize
    | StandardizeGroups
    | DotAttention
    | MaskOf
    | MaskOfLengths
    | BothMasks
    | EitherMask
    | EveryStep
    | Masked
    | Choose
    | MergeTime
    | SplitTime
    | Unknown
)
