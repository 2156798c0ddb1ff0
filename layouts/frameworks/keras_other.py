"""Keras: dense layers, embeddings, norms and slopes. How they differ from PyTorch is told in `frameworks.keras`."""

from layouts import cells
from layouts.layout import Layout

_BATCH = {"epsilon": 1e-3, "momentum": 0.99, "axes": (-1,)}
_LAYER = {"epsilon": 1e-3}
_GROUPS = {"epsilon": 1e-3, "groups": 32, "axes": (-1,)}
_RMS = {"epsilon": 1e-6}
_ACTIVATED = {"activation": "linear"}
_BIAS = {"bias": "out -> bias"}
_B = {"b": "out -> bias"}
_AFFINE = {"gamma": "channel -> weight", "beta": "channel -> bias"}
_MOVING = {"moving_mean": "channel -> running_mean", "moving_variance": "channel -> running_var"}
_RUNNING = {"running_mean": "channel -> running_mean", "running_std": "channel -> running_var"}
_RENORM = ("moving_stddev", "renorm_mean", "renorm_stddev")

DENSE = (
    Layout("keras", cells.LINEAR, {"kernel": "in out -> weight"} | _BIAS, beside=_ACTIVATED, class_name="Dense"),
    Layout("keras", cells.LINEAR, {"W": "in out -> weight"} | _B, beside=_ACTIVATED, class_name="Dense (Keras 1)"),
)
EMBEDDING = (
    Layout("keras", cells.EMBEDDING, {"embeddings": "index feature -> weight"}, class_name="Embedding"),
    Layout("keras", cells.EMBEDDING, {"W": "index feature -> weight"}, class_name="Embedding (Keras 1)"),
)
BATCH_NORM = (
    Layout(
        "keras", cells.BATCH_NORM, _AFFINE | _MOVING, ignored=_RENORM, defaults=_BATCH, class_name="BatchNormalization"
    ),
    Layout("keras", cells.BATCH_NORM, _AFFINE | _RUNNING, defaults=_BATCH, class_name="BatchNormalization (Keras 1)"),
)
LAYER_NORM = (
    Layout(
        "keras",
        cells.LAYER_NORM,
        {"gamma": "feature -> weight", "beta": "feature -> bias"},
        defaults=_LAYER,
        class_name="LayerNormalization",
    ),
    Layout(
        "keras",
        cells.LAYER_NORM_2D,
        {"gamma": "row feature -> weight", "beta": "row feature -> bias"},
        defaults=_LAYER,
        class_name="LayerNormalization",
    ),
    Layout(
        "keras",
        cells.LAYER_NORM_3D,
        {"gamma": "plane row feature -> weight", "beta": "plane row feature -> bias"},
        defaults=_LAYER,
        class_name="LayerNormalization",
    ),
)
GROUP_NORM = (Layout("keras", cells.GROUP_NORM, _AFFINE, defaults=_GROUPS, class_name="GroupNormalization"),)
RMS_NORM = (
    Layout("keras", cells.RMS_NORM, {"scale": "feature -> weight"}, defaults=_RMS, class_name="RMSNormalization"),
)
PRELU = (
    Layout("keras", cells.PRELU, {"alpha": "1 channel -> weight"}, class_name="PReLU"),
    Layout("keras", cells.PRELU, {"alpha": "1 1 channel -> weight"}, class_name="PReLU"),
    Layout("keras", cells.PRELU, {"alpha": "1 1 1 channel -> weight"}, class_name="PReLU"),
    Layout("keras", cells.PRELU, {"alpha": "channel -> weight"}, class_name="PReLU"),
    Layout("keras", cells.PRELU_BY_ELEMENT, {"alpha": "row channel -> weight"}, class_name="PReLU (by element)"),
    Layout(
        "keras", cells.PRELU_BY_ELEMENT_2D, {"alpha": "row column channel -> weight"}, class_name="PReLU (by element)"
    ),
    Layout("keras", cells.PRELU, {"alphas": "1 channel -> weight"}, class_name="PReLU (Keras 1)"),
    Layout("keras", cells.PRELU, {"alphas": "1 1 channel -> weight"}, class_name="PReLU (Keras 1)"),
    Layout("keras", cells.PRELU, {"alphas": "channel -> weight"}, class_name="PReLU (Keras 1)"),
    Layout("keras", cells.PRELU_BY_ELEMENT, {"alphas": "row channel -> weight"}, class_name="PReLU (Keras 1)"),
    Layout(
        "keras", cells.PRELU_BY_ELEMENT_2D, {"alphas": "row column channel -> weight"}, class_name="PReLU (Keras 1)"
    ),
)
NORMALIZATION = (
    Layout(
        "keras",
        cells.NORMALIZATION,
        {"mean": "feature -> mean", "variance": "feature -> variance"},
        ignored=("count",),
        class_name="Normalization",
    ),
    Layout(
        "keras",
        cells.NORMALIZATION_OF_ALL,
        {"mean": "-> mean", "variance": "-> variance"},
        ignored=("count",),
        class_name="Normalization (of all)",
    ),
)
EINSUM_DENSE = (
    Layout(
        "keras",
        cells.EINSUM_2_1,
        {"kernel": "one two -> weight", "bias": "first -> bias"},
        beside=_ACTIVATED,
        class_name="EinsumDense",
    ),
    Layout(
        "keras",
        cells.EINSUM_2_2,
        {"kernel": "one two -> weight", "bias": "first second -> bias"},
        beside=_ACTIVATED,
        class_name="EinsumDense",
    ),
    Layout(
        "keras",
        cells.EINSUM_3_1,
        {"kernel": "one two three -> weight", "bias": "first -> bias"},
        beside=_ACTIVATED,
        class_name="EinsumDense",
    ),
    Layout(
        "keras",
        cells.EINSUM_3_2,
        {"kernel": "one two three -> weight", "bias": "first second -> bias"},
        beside=_ACTIVATED,
        class_name="EinsumDense",
    ),
)

LAYERS = {
    "Dense": DENSE,
    "TimeDistributedDense": DENSE,
    "Embedding": EMBEDDING,
    "BatchNormalization": BATCH_NORM,
    "SyncBatchNormalization": BATCH_NORM,
    "LayerNormalization": LAYER_NORM,
    "GroupNormalization": GROUP_NORM,
    "RMSNormalization": RMS_NORM,
    "PReLU": PRELU,
    "Normalization": NORMALIZATION,
    "EinsumDense": EINSUM_DENSE,
}
