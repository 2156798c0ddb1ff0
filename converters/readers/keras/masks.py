"""Who makes, passes and combines masks, in the version of Keras that wrote the model.

Sources: `supports_masking` and `compute_mask` of every layer of Keras 1.2.2, 2.2.4, tf_keras 2.21, and Keras 3.0 to
3.15. A layer that does not support masks stops them.
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.model import operations as op
from converters.readers.keras.draft import Draft, Flow
from converters.readers.keras.semantics import Version

PASSES = {
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "Identity",
    "InputLayer",
    "LayerNormalization",
    "LeakyReLU",
    "Normalization",
    "PReLU",
    "ParametricSoftplus",
    "ReLU",
    "Rescaling",
    "SReLU",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SyncBatchNormalization",
    "ThresholdedReLU",
    "TimeDistributedDense",
    "UnitNormalization",
}
"""Layers that hand the mask of their input on."""
READS = {"GlobalAveragePooling1D"}
"""Layers without weights that compute otherwise where a mask reaches them."""


def merged(draft: Draft, path: str, operation: op.Operation, flows: Sequence[Flow], version: Version) -> str:
    """The mask behind a layer that reads several values and makes one."""
    if not any(flow.mask for flow in flows):
        return ""
    if isinstance(operation, op.Combine):
        return _combined(draft, path, [flow.mask for flow in flows], version)
    if isinstance(operation, op.Concatenate):
        return _concatenated(draft, path, operation.axis, flows, version)
    return ""


def _combined(draft: Draft, path: str, masks: Sequence[str], version: Version) -> str:
    """Keras 3 since 3.4: steps that are in any of the masks, and no mask where one input has none. Before: in all."""
    if any_counts(version):
        return either(draft, path, masks) if all(masks) else ""
    return both(draft, path, [mask for mask in masks if mask])


def any_counts(version: Version) -> bool:
    """Whether merging layers keep a step that is in the mask of one input alone."""
    return version.number >= _EITHER_SINCE


_EITHER_SINCE = (3, 4)


def both(draft: Draft, path: str, masks: Sequence[str]) -> str:
    """The steps that are in all masks."""
    different = list(dict.fromkeys(masks))
    return draft.mask(path, op.BothMasks(), different) if len(different) > 1 else different[0]


def either(draft: Draft, path: str, masks: Sequence[str]) -> str:
    """The steps that are in any mask."""
    different = list(dict.fromkeys(masks))
    return draft.mask(path, op.EitherMask(), different) if len(different) > 1 else different[0]


def _concatenated(draft: Draft, path: str, axis: int, flows: Sequence[Flow], version: Version) -> str:
    """Along the features, the masks are combined; along the steps, they stand one behind the other."""
    ranks = {len(shape) for shape in draft.shapes(flow.value for flow in flows) if shape}
    rank = ranks.pop() if len(ranks) == 1 else None
    if axis == -1 or (rank is not None and axis % rank == rank - 1):
        if any_counts(version):
            return either(draft, path, [flow.mask for flow in flows]) if all(flow.mask for flow in flows) else ""
        return both(draft, path, [flow.mask for flow in flows if flow.mask])
    if rank is None or axis % rank == 0:
        return ""
    return along(draft, path, axis % rank, [flow.mask or every(draft, path, flow.value) for flow in flows])


def every(draft: Draft, path: str, value: str) -> str:
    """A mask that leaves nothing out, to stand beside others."""
    return draft.mask(path, op.EveryStep(), [value])


def along(draft: Draft, path: str, axis: int, masks: Sequence[str]) -> str:
    """Masks one behind the other along an axis."""
    return draft.mask(path, op.Concatenate(axis), masks)


def behind_steps(draft: Draft, path: str, flow: Flow, like: Flow, version: Version) -> str:
    """The mask behind a TimeDistributed: in Keras 2 that of its layer, or the steps that hold anything."""
    if version.major != 2:
        return like.mask
    if flow.mask:
        return draft.mask(path, op.SplitTime(), [flow.mask, like.value])
    mask = like.mask
    for _ in (draft.shape(mask) or ())[2:] if mask else ():
        mask = draft.mask(path, op.MaskOf(), [mask])
    return mask
