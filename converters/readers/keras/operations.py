"""What layers without weights compute, by their class and configuration, in any version of Keras.

Rows of one table; `Unknown` for what no row tells. Defaults are those of the version that left the argument out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converters.model import operations as op
from converters.model.graph import Shape
from converters.readers.keras import windows
from converters.readers.keras.config import Config
from converters.readers.keras.semantics import EPSILON, Version, activation
from layouts.errors import UnreadableCheckpoint, printable
from layouts.reference import ACTIVATIONS

_CODE = {"Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"}


def operation(class_name: str, config: Config, version: Version, shape: Shape | None) -> op.Operation:
    """What a layer of this class does to its inputs, of which `shape` is the first's; `Unknown` says why not."""
    row = _TABLE.get(class_name)
    if row is None:
        return op.Unknown(_why(class_name))
    try:
        return row(config, version, shape)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnreadableCheckpoint(f"the configuration of a {class_name} is malformed: {printable(error)}") from None


def _why(class_name: str) -> str:
    if class_name in _CODE:
        return f"{class_name} holds code, which is never executed here: {op.BY_HAND}"
    if ">" in class_name:
        return f"{printable(class_name)} is somebody's own class: {op.BY_HAND}"
    return f"what {printable(class_name)} computes is not known here"


def is_known(class_name: str) -> bool:
    """Whether a row tells what a layer of this class computes."""
    return class_name in _TABLE


def function(value: Any, version: Version, slope: float = 0.2) -> op.Operation:
    """An activation as an operation: a name, a serialised function, or a layer that stands in its place."""
    if isinstance(value, dict) and value.get("class_name") in _TABLE and isinstance(value.get("config"), dict):
        return operation(value["class_name"], value["config"], version, None)
    name = activation(value, version)
    if name == "leaky_relu":
        return op.Activation(name, alpha=slope)
    if name == "linear":
        return op.Identity()
    if name in _FUNCTIONS or name in ACTIVATIONS:
        return op.Activation(_FUNCTIONS.get(name, name))
    return op.Unknown(f"the activation {printable(name)!r} is not known here")


_FUNCTIONS = {
    "softmax": "softmax",
    "log_softmax": "log_softmax",
    "relu6": "relu6",
    "hard_silu": "hard_silu",
    "hard_tanh": "hard_tanh",
    "mish": "mish",
    "celu": "celu",
    "log_sigmoid": "log_sigmoid",
    "hard_shrink": "hard_shrink",
    "soft_shrink": "soft_shrink",
    "tanh_shrink": "tanh_shrink",
}


def _identity(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Identity()


def _activation(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return function(config["activation"], version)


def _softmax(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    axis = config.get("axis", -1)
    if not isinstance(axis, int):
        return op.Unknown(f"a softmax over the axes {printable(axis)} together")
    return op.Activation("softmax", axis=axis)


def _number(value: Any, otherwise: float) -> float:
    """A number, in a list or a serialised array of one as some versions write it."""
    if isinstance(value, dict):
        value = value.get("value", (value.get("config") or {}).get("value"))
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return otherwise if value is None else float(value)


def _relu(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    ceiling = config.get("max_value")
    slope, threshold = _number(config.get("negative_slope"), 0.0), _number(config.get("threshold"), 0.0)
    if ceiling is None and not slope and not threshold:
        return op.Activation("relu")
    return op.Activation(
        "relu", alpha=slope, ceiling=None if ceiling is None else _number(ceiling, 0.0), threshold=threshold
    )


def _leaky_relu(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Activation("leaky_relu", alpha=_number(config.get("negative_slope", config.get("alpha")), 0.3))


def _elu(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Activation("elu", alpha=_number(config.get("alpha"), 1.0))


def _thresholded(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Activation("thresholded_relu", alpha=_number(config.get("theta"), 1.0))


def _flatten(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Flatten()


def _reshape(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Reshape(tuple(int(size) if size is not None else -1 for size in config["target_shape"]))


def _permute(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Permute((0, *(int(axis) for axis in config["dims"])))


def _repeat(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Repeat(int(config["n"]))


def _scale(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    factor, offset = config["scale"], config.get("offset", 0.0)
    if isinstance(factor, list | dict) or isinstance(offset, list | dict):
        return op.Unknown("a Rescaling by several numbers")
    return op.Scale(float(factor), float(offset))


_LEAST, _LEAST_SINCE, _LEAST_OF_DOT = 1e-6, 1e-12, 1e-7
"""The least length that a vector is divided by: of squares 1e-12 until Keras 3.5 in UnitNormalization and until Keras 2
in Dot, of lengths 1e-12 and 1e-7 since. Sources: `UnitNormalization.call`, `Dot`, `ops.normalize`, `l2_normalize`."""


def _unit_length(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    axis = config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    least = _LEAST_SINCE if version.number >= (3, 6) else _LEAST
    return op.UnitLength(int(axes[0]), least) if len(axes) == 1 else op.Unknown("a length over several axes")


def _standardize(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    if config.get("rms_scaling"):
        return op.Unknown("a LayerNormalization by the root mean square, without a scale")
    axis, epsilon = config.get("axis", -1), config.get("epsilon")
    axes = tuple(int(each) for each in (axis if isinstance(axis, list) else [axis]))
    return op.Standardize(axes, EPSILON["LayerNormalization"] if epsilon is None else float(epsilon))


def _standardize_groups(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    epsilon, groups = config.get("epsilon"), int(config.get("groups", 32))
    usual = EPSILON["GroupNormalization"]
    return op.StandardizeGroups(groups, usual if epsilon is None else float(epsilon), int(config.get("axis", -1)))


def _bare(row: Callable[..., op.Operation]) -> Callable[..., op.Operation]:
    """A normalization, where its configuration switches its weights off."""

    def found(config: Config, version: Version, shape: Shape | None) -> op.Operation:
        bare = config.get("center") is False and config.get("scale") is False
        return row(config, version, shape) if bare else op.Unknown("a normalization whose weights are not stored")

    return found


def _combine(how: str) -> Callable[..., op.Operation]:
    return lambda config, version, shape: op.Combine(how)


def _concatenate(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    return op.Concatenate(int(config.get("axis", config.get("concat_axis", -1))))


def _dot(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    axes = config.get("axes", config.get("dot_axes", -1))
    pair = axes if isinstance(axes, list) else [axes, axes]
    if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
        return op.Unknown(f"a Dot over the axes {printable(axes)}")
    normalize = bool(config.get("normalize", config.get("mode") == "cos"))
    return op.Dot((pair[0], pair[1]), normalize, _LEAST_OF_DOT if version.major >= 3 else _LEAST)


_MODES = {"sum": "add", "mul": "multiply", "ave": "average", "max": "maximum"}


def _merge(config: Config, version: Version, shape: Shape | None) -> op.Operation:
    mode = config.get("mode", "sum")
    if mode in _MODES:
        return op.Combine(_MODES[mode])
    if mode == "concat":
        return op.Concatenate(int(config.get("concat_axis", -1)))
    if mode in ("dot", "cos"):
        return _dot(config, version, shape)
    return op.Unknown(
        f"a Merge by {printable(mode)}" if isinstance(mode, str) and len(mode) < 20 else "a Merge by code"
    )


def _attention(score: str) -> Callable[..., op.Operation]:
    def row(config: Config, version: Version, shape: Shape | None) -> op.Operation:
        mode = config.get("score_mode", "dot")
        if mode not in ("dot", "concat"):
            return op.Unknown(f"attention by score_mode={printable(repr(mode))}")
        return op.DotAttention("concat" if mode == "concat" else score, config.get("causal") is True)

    return row


_TABLE: dict[str, Callable[..., op.Operation]] = {
    **windows.ROWS,
    **dict.fromkeys(
        (
            "ActivityRegularization",
            "AlphaDropout",
            "Dropout",
            "GaussianDropout",
            "GaussianNoise",
            "Identity",
            "SpatialDropout1D",
            "SpatialDropout2D",
            "SpatialDropout3D",
        ),
        _identity,
    ),
    "Activation": _activation,
    "Softmax": _softmax,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "ThresholdedReLU": _thresholded,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "Rescaling": _scale,
    "UnitNormalization": _unit_length,
    "LayerNormalization": _bare(_standardize),
    "GroupNormalization": _bare(_standardize_groups),
    "Add": _combine("add"),
    "Subtract": _combine("subtract"),
    "Multiply": _combine("multiply"),
    "Average": _combine("average"),
    "Maximum": _combine("maximum"),
    "Minimum": _combine("minimum"),
    "Concatenate": _concatenate,
    "Dot": _dot,
    "Merge": _merge,
    "Attention": _attention("dot"),
    "AdditiveAttention": _attention("additive"),
}
