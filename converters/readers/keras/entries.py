"""What comes into a model from outside: names, shapes and dtypes, as every version of Keras writes them down."""

from __future__ import annotations

from typing import Any

from converters.model.graph import Shape
from converters.readers.keras.config import Config, Container, Leaf

_SHAPES = ("batch_shape", "batch_input_shape")
_DTYPES = {"bool", *(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)), "bfloat16"}


def name(item: Config, member: Leaf | Container) -> str:
    """The name of an input: that of its own layer, or of the layer that is the first of a Sequential."""
    own = member.path.rpartition("/")[2]
    return own if is_input(member) else f"{own}_input"


def is_input(member: Leaf | Container) -> bool:
    """Whether a member is nothing but the place of an input."""
    return isinstance(member, Leaf) and member.class_name == "InputLayer"


def shape(item: Config, member: Leaf | Container, model: Container) -> Shape | None:
    """The shape of an input, where the configuration tells it."""
    places = [item.get("config"), *_configs(member), {"batch_shape": _built(item)}]
    places.append({"batch_shape": model.config.get("build_input_shape")})
    found = (place[key] for place in places if isinstance(place, dict) for key in _SHAPES if key in place)
    return next((tuple(each) for each in found if is_shape(each)), None)


def _configs(member: Leaf | Container) -> list[Any]:
    """The configurations of a layer, and of what stands first inside it."""
    if isinstance(member, Leaf):
        return [member.config, *(cell.config for cell in member.cells[:1])]
    first = member.members[:1]
    return [member.config, *(each["config"] for each, _ in first), *(c for _, inner in first for c in _configs(inner))]


def _built(item: Config) -> Any:
    built = item.get("build_config")
    return built.get("input_shape") if isinstance(built, dict) else None


def is_shape(value: Any) -> bool:
    """Whether this is the shape of one tensor."""
    return isinstance(value, list) and all(size is None or (isinstance(size, int) and size >= 0) for size in value)


def dtype(item: Config, member: Leaf | Container) -> str:
    """The dtype of an input: whole numbers where an Embedding is the first layer of a Sequential."""
    if isinstance(member, Leaf) and member.class_name == "Embedding":
        return "int32"
    for config in (item.get("config"), *_configs(member)):
        for key in ("input_dtype", "dtype"):
            if isinstance(config, dict) and config.get(key) in _DTYPES:
                return str(config[key])
    return "float32"
