"""The configuration inside a Keras file: which layers there are, how they nest, and where each keeps its weights.

A configuration is data from a stranger: nothing in it is imported, executed or allocated by. Formats: Keras 1 (a
Sequential is a list), Keras 2 and 3 (a model is `{"layers": […]}`); wrappers hold `layer`, recurrent wrappers `cell`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from layouts.errors import CheckpointError, UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass, field

Config = Mapping[str, Any]

_SEQUENTIAL = {"Sequential"}
_MODELS = {"Sequential", "Functional", "Model", "Graph"}
_WRAPPERS = {"TimeDistributed", "SpectralNormalization", "EagerSpectralNormalization"}
_MOST_LAYERS = 5_000
_DEEPEST = 20


@dataclass(frozen=True, eq=False)
class CellConfig:
    """One cell of a leaf: its class and configuration, its direction and depth, and its folder below the leaf's."""

    class_name: str
    config: Config
    folder: str = ""
    direction: str = "forward"
    depth: int = 0


@dataclass(frozen=True, eq=False)
class Leaf:
    """One layer that may hold weights, inside any nesting of models and wrappers.

    `path`: names from the outermost model, joined by '/'. `group`: the name of the outermost layer, under which a
    legacy file keeps it. `storage`: its folder in a `.keras` file, derived from class names.
    """

    path: str
    group: str
    storage: str
    class_name: str
    config: Config
    cells: tuple[CellConfig, ...]
    wrappers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def kind(self) -> str:
        """As a person would say it: 'Bidirectional(LSTM)', 'TimeDistributed(Dense)'."""
        inner = self.class_name
        if self.class_name == "Bidirectional":
            inner = f"Bidirectional({self.cells[0].class_name})"
        elif self.class_name == "RNN":
            classes = [cell.class_name for cell in self.cells]
            inner = f"RNN([{', '.join(classes)}])" if len(classes) > 1 else f"RNN({classes[0]})"
        for wrapper in reversed(self.wrappers):
            inner = f"{wrapper}({inner})"
        return inner

    @property
    def trainable(self) -> bool:
        return bool(self.config.get("trainable", True))


@dataclass
class Container:
    """A model or nested model: its members in order, each a `Leaf` or another container."""

    path: str
    sequential: bool
    config: Config
    members: list[tuple[Config, Leaf | Container]] = field(default_factory=list)

    def leaves(self) -> Iterator[Leaf]:
        """Every leaf, in model order."""
        for _, member in self.members:
            if isinstance(member, Leaf):
                yield member
            else:
                yield from member.leaves()


def read_model(config: Any, path: str) -> Container:
    """The structure of a `model_config` or `config.json`. Raises `UnreadableCheckpoint` when it is malformed."""
    try:
        return _Reader(path).container(_member(config), "", "", "layers", 0)
    except CheckpointError as error:
        error.path = error.path or path
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise UnreadableCheckpoint(f"the model configuration is malformed: {printable(error)!s}", path=path) from None


def is_model(config: Any) -> bool:
    """Whether a configuration lists layers, as Sequential and functional models do and subclassed ones do not."""
    if not isinstance(config, dict):
        return False
    inner = config.get("config")
    return (
        config.get("class_name") in _MODELS
        or _listed(inner) is not None
        or (isinstance(inner, dict) and "layers" in inner)
    )


def check_object(config: Any, what: str, path: str) -> None:
    """Raise `UnreadableCheckpoint` unless this is the configuration of some object."""
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise UnreadableCheckpoint(f"{what} is malformed: it describes no model", path=path)


def snake_case(name: str) -> str:
    """The folder Keras derives from a class name: LSTM -> lstm, SimpleRNN -> simple_rnn, PReLU -> p_re_lu."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _member(config: Any) -> Config:
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise UnreadableCheckpoint(f"expected an object with a class_name, found {printable(repr(config))}")
    return config


def _listed(config: Any) -> list[Any] | None:
    """The member layers of a model's configuration, or None when it is no model."""
    if isinstance(config, list):
        return config
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list):
        return None
    return layers if all(isinstance(item, dict) and "class_name" in item for item in layers) else None


class _Reader:
    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0

    def container(self, config: Config, path: str, group: str, storage: str, depth: int) -> Container:
        if depth > _DEEPEST:
            raise UnreadableCheckpoint("models are nested too deeply", path=self._path)
        inner = config["config"]
        found = Container(path, config["class_name"] in _SEQUENTIAL, inner if isinstance(inner, dict) else {})
        names: dict[str, int] = {}
        listed = _listed(inner)
        if listed is None:
            raise UnreadableCheckpoint("the model configuration lists no layers", path=self._path)
        for item in self._flat(listed, sequential=found.sequential):
            self._count += 1
            if self._count > _MOST_LAYERS:
                raise UnreadableCheckpoint(f"more than {_MOST_LAYERS} layers", path=self._path)
            folder = self._folder(item, found.sequential, names)
            found.members.append((item, self._read(item, path, group, f"{storage}/{folder}", depth)))
        return found

    def _flat(self, listed: list[Any], *, sequential: bool) -> Iterator[Config]:
        """Members in order; the branches of a Keras 1 Merge come before it, as its file lists them, and it tells their
        sizes. Keras reads a stated input shape where the model begins, and nowhere else: others are left out."""
        for place, item in enumerate(map(_member, listed)):
            branches = _listed(item["config"]) if item["class_name"] == "Merge" else None
            sizes = []
            for branch in branches or ():
                members = list(self._flat(_listed(branch["config"]) or [], sequential=True))
                sizes.append(len(members))
                yield from members
            if branches is not None:
                item = {**item, "config": {**item["config"], "layers": None, "branches": sizes}}
            begins = item["class_name"] == "InputLayer" or (sequential and not place)
            yield item if begins else _without_shape(item)

    @staticmethod
    def _folder(item: Config, sequential: bool, names: dict[str, int]) -> str:
        base = snake_case(item["class_name"])
        if sequential and item["class_name"] == "InputLayer":
            return base
        names[base] = names.get(base, -1) + 1
        return f"{base}_{names[base]}" if names[base] else base

    def _read(self, item: Config, path: str, group: str, storage: str, depth: int) -> Leaf | Container:
        name = _name(item)
        path, group = f"{path}/{name}" if path else name, group or name
        if _listed(item["config"]) is not None:
            return self.container(item, path, group, f"{storage}/layers", depth + 1)
        return self._leaf(item, path, group, storage)

    def _leaf(self, item: Config, path: str, group: str, storage: str) -> Leaf | Container:
        wrappers: list[str] = []
        while item["class_name"] in _WRAPPERS and len(wrappers) < _DEEPEST:
            wrappers.append(item["class_name"])
            outer, item = item, _member(item["config"]["layer"])
            storage += "/layer"
            if _listed(item["config"]) is not None:
                return self.container(item, path, group, f"{storage}/layers", len(wrappers) + 1)
            item = {**item, "config": {"trainable": outer["config"].get("trainable", True), **item["config"]}}
        class_name = _own_class(item)
        cells = tuple(_cells(class_name, dict(item["config"])))
        return Leaf(path, group, storage, class_name, dict(item["config"]), cells, tuple(wrappers))


def _without_shape(item: Config) -> Config:
    """A layer without the input shape that was passed to it."""
    config = item["config"]
    if not isinstance(config, dict) or _SHAPE not in config:
        return item
    return {**item, "config": {name: value for name, value in config.items() if name != _SHAPE}}


_SHAPE = "batch_input_shape"


def _own_class(item: Config) -> str:
    """The class name; under its package when somebody registered a class of their own, perhaps by a known name."""
    registered, module, name = item.get("registered_name"), item.get("module"), str(item["class_name"])
    if isinstance(registered, str) and ">" in registered:
        return registered
    if isinstance(module, str) and module.split(".")[0] not in ("keras", "tensorflow", "tf_keras", "builtins"):
        return f"{module}>{name}"
    return name


def _name(item: Config) -> str:
    config = item["config"]
    name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
    if not name and isinstance(config, list) and config:
        return snake_case(item["class_name"])
    if not isinstance(name, str) or not name:
        raise UnreadableCheckpoint(f"a layer of class {printable(item['class_name'])} has no name")
    words = name.replace("\\", "/").split("/")
    if not name.isprintable() or ".." in words or not all(words):
        raise UnsafeCheckpoint(f"the layer name {printable(repr(name))} is not a name for a module: refused")
    return name


def _cells(class_name: str, config: Config) -> Iterator[CellConfig]:
    """The cells of a leaf in the order in which a legacy file stores them."""
    if class_name == "Bidirectional":
        forward = _member(config["layer"])
        backward = _member(config["backward_layer"]) if config.get("backward_layer") else forward
        for direction, side in (("forward", forward), ("backward", backward)):
            for cell in _cells(side["class_name"], dict(side["config"])):
                folder = f"/{direction}_layer{cell.folder}"
                yield CellConfig(cell.class_name, cell.config, folder, direction, cell.depth)
    elif class_name == "RNN":
        yield from _rnn_cells(config)
    else:
        yield CellConfig(class_name, config, "/cell" if class_name in _WITH_CELL else "")


_WITH_CELL = {"LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}


def _rnn_cells(config: Config) -> Iterator[CellConfig]:
    cell = config["cell"]
    listed = cell if isinstance(cell, list) else None
    folder = "/cell"
    if isinstance(cell, dict) and cell.get("class_name") == "StackedRNNCells":
        listed, folder = cell["config"]["cells"], "/cell/cells"
    if listed is None:
        cell = _member(cell)
        yield CellConfig(cell["class_name"], {**cell["config"], **_sequence_facts(config)}, folder)
        return
    names: dict[str, int] = {}
    for depth, item in enumerate(map(_member, listed)):
        base = snake_case(item["class_name"])
        names[base] = names.get(base, -1) + 1
        inner = f"{base}_{names[base]}" if names[base] else base
        facts = {**item["config"], **_sequence_facts(config)}
        yield CellConfig(item["class_name"], facts, f"{folder}/{inner}", depth=depth)


def _sequence_facts(config: Config) -> dict[str, Any]:
    return {name: config[name] for name in _OF_SEQUENCES if name in config}


_OF_SEQUENCES = (
    *("return_sequences", "return_state", "go_backwards", "stateful"),
    *("zero_output_for_mask", "time_major", "unroll"),
)
