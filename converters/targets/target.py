"""A target: what a framework offers as a destination, as one object that planning asks.

Most of it is data. A framework that has layouts is a target already (`Target(name, title)`): its arrays under its own
names. What else it can say, a constructor call for each layer, notes on the code around, layers that compute what its
own do not, is given as the fields below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from converters.model.flow import operation_line
from converters.model.graph import Node
from converters.model.layers import Layer, Part
from layouts import catalogue
from layouts.errors import ConversionError, printable
from layouts.layout import DIRECTIONS, Layout
from layouts.records import dataclass, field

Places = Sequence[tuple[str, int]]
"""Direction and layer of each cell of a layer that becomes several modules."""


def by_label(places: Places) -> list[str]:
    """'forward', 'backward'; or the number in a stack, '0', '1'; or both, 'forward.0'."""
    both, deep = (len({place[k] for place in places}) > 1 for k in (0, 1))
    return [".".join(filter(None, (way if both else "", str(layer) if deep else ""))) for way, layer in places]


def by_number(places: Places) -> list[str]:
    """'0', '1', …: the directions of every layer in turn."""
    ways = len({way for way, _ in places})
    return [str(layer * ways + (way != DIRECTIONS[0])) for way, layer in places]


def _nothing(*_: object) -> Iterable[str]:
    return ()


@dataclass(frozen=True, eq=False)
class Target:
    """What a framework offers as a destination."""

    name: str
    """The framework, as its layouts name it."""
    title: str
    """As messages say it: 'PyTorch'."""
    frameworks: tuple[str, ...] = ()
    """Whose layouts it takes, best first; those after the first are of drop-ins for what it does not compute."""
    library: str = ""
    """Where its classes are, as messages say it: 'torch.nn'."""
    package: str = "{}"
    """What a class of its own is called in messages: 'nn.{}'."""
    drop_ins: str = ""
    """Where the drop-ins for what it does not compute are: 'converters.nn'."""
    holder: str = "its arrays"
    """What carries the weights: 'a state_dict'."""
    separator: str = "/"
    """Between a layer's name and an array's."""
    places: Callable[[Places], list[str]] = by_label
    """Names for the modules of a layer that becomes several."""
    listed: tuple[str, ...] = ()
    """How the names of classes begin that are a list of cells, with a place for each, even where it is but one."""
    lacks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Cell, or slot of a cell, that only a drop-in has -> what that is in two words, and the whole sentence."""
    constructor: Callable[[Layer, Sequence[Part], bool], str] = lambda *_: ""
    """The call that makes the module of a layer; of a drop-in where the framework's own is not exact."""
    drop_in: Callable[[Layer, Sequence[Part]], bool] = lambda *_: False
    """Whether a drop-in computes these cells exactly."""
    notes: Callable[[Layer, str], Iterable[str]] = _nothing
    """What the code around the module has to do, a sentence each; given why a layer is several modules, or ''."""
    line: Callable[[Node], str] = operation_line
    """The code that does what a layer without weights does; the operation in neutral words where none is written."""
    turns: bool = False
    """Whether sequences are turned round by the code around its modules, for one direction or for both."""
    keeps_own: bool = False
    """Whether what comes from this framework goes back to it under its own names, recognised or not."""
    suffixes: tuple[str, ...] = (".npz",)
    """The files that can be written for it."""
    channels_last: bool = False
    """Whether a map that was flattened into a layer's input keeps its channels last, as the sources tell such maps."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Functions of the layouts -> what this version of the framework computes under their names."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "frameworks", self.frameworks or (self.name,))
        object.__setattr__(self, "library", self.library or self.title)

    def key(self, module: str, array: str) -> str:
        """The name of an array as the target spells it, within the whole."""
        return f"{module.replace('.', self.separator)}{self.separator}{array}" if module else array

    def called(self, layout: Layout) -> str:
        """The target's own class of a layout, as messages say it: 'nn.LSTM'."""
        return self.package.format(layout.class_name)

    def lists(self, layout: Layout) -> bool:
        """Whether the class of a layout is a list of cells."""
        return bool(self.listed) and (layout.class_name or "").startswith(self.listed)

    def ending(self, name: str) -> str:
        """The longest of its suffixes that a file name ends with; '' where none does."""
        fitting = [suffix for suffix in self.suffixes if name.lower().endswith(suffix)]
        return max(fitting, key=len, default="")

    def check_constants(self, constants: Mapping[str, float]) -> None:
        """Raise `ConversionError` for a constant that none of its layouts asks for."""
        known = {
            option for framework in self.frameworks for layout in catalogue.of(framework) for option in layout.asked
        }
        for stranger in constants.keys() - known:
            listed = ", ".join(sorted(known)) or "nothing"
            raise ConversionError(f"{self.name} asks for {listed}, not {printable(stranger)!r}")
