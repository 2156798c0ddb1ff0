"""What TensorFlow's names tell before layouts are asked: which variables are no weights, and how users call theirs.

Optimizers keep slots beside each variable, under its own name and theirs; averages and counters likewise. Source: the
optimizers' `_create_slots` in tensorflow/python/training, and slot_creator.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.names import module_name
from converters.readers.arrays.preparation import Prepared
from converters.readers.arrays.recognition import plain
from layouts import catalogue

_SLOTS = {
    "Adam", "AdaMax", "AdamW", "LazyAdam", "NadamOptimizer", "AMSGrad", "Momentum", "MomentumW", "LARSOptimizer",
    "RMSProp", "Adagrad", "AdagradDA", "Adadelta", "Ftrl", "ProximalAdagrad", "GradientDescent", "Shampoo", "PowerSign",
    "AddSign", "ExponentialMovingAverage", "MovingAverage", "adam_m", "adam_v", "lamb_m", "lamb_v",
    "m", "v", "vhat", "momentum", "rms", "mg", "accumulator", "vr", "vc",
    "AdamOptimizer", "MomentumOptimizer", "RMSPropOptimizer", "AdagradOptimizer", "AdadeltaOptimizer", "FtrlOptimizer",
}  # fmt: skip
"""The names of slots: of optimizers' classes, and of shadows."""
_COUNTERS = {
    "beta1_power", "beta2_power", "global_step", "step", "iteration", "save_counter", "learning_rate", "lr", "decay",
    "loss_scale", "current_loss_scale", "good_steps", "epoch", "iter", "iterations", "beta_1", "beta_2", "rho",
    "momentum",
}  # fmt: skip
"""Scalars of training."""
_PAIRS = (
    ("_w", "_b"), ("_W", "_b"), ("_W", "_B"), ("_weights", "_biases"), ("_weight", "_bias"), ("_weights", "_bias"),
    ("/w", "/b"), ("/W", "/b"), ("/weight", "/bias"), ("/kernel", "/biases"),
)  # fmt: skip
"""How users end the names of a matrix and of its bias."""
_HEADS = (("W_", "b_"), ("W", "b"), ("w", "b"), ("weights_", "biases_"), ("weight_", "bias_"))
"""How users begin them, where the rest is the layer's name, or its number; `w_ru` and `b_ru` are a GRUBlockCell's."""
_TABLES = {"embedding", "embeddings", "embedding_matrix", "embedding_weights", "word_embedding", "word_embeddings"}
_NUMBER = re.compile(r"_\d{1,4}$")
_WRAPPERS = re.compile(r"(^|/)((\w+_)?rnn(_\d+)?|fw|bw|[^/]*cell[^/]*)(/|$)", re.IGNORECASE)
"""Scopes that wrappers of cells open."""

Arrays = Mapping[str, LazyArray]


def prepared(arrays: Arrays, assume: Mapping[str, Any]) -> Prepared:
    """The variables that are weights, under the names that layouts have; and what is left out."""
    plainly = {name.removesuffix(":0"): array for name, array in arrays.items()}
    arrays = plainly if len(plainly) == len(arrays) else arrays
    unused = set(left_out(arrays))
    kept = {name: array for name, array in arrays.items() if name not in unused}
    new = _new_names(kept)
    named = {new.get(name, name): array for name, array in kept.items()}
    pairs = {
        f"{module_name(name.removesuffix('/kernel'))}.class": "Dense" for name in new.values() if "/kernel" in name
    }
    remarks = tuple(f"{name} was read by its name, as {other}" for name, other in new.items())
    told = {**_dense(named), **_cells(named), **pairs}
    return Prepared(named, assume, tuple(name for name in arrays if name in unused), remarks, told)


def left_out(arrays: Arrays) -> Iterator[str]:
    """Variables that are no weights: slots of optimizers, shadows, counters, and scalars that nobody trains."""
    slots = {name: owner for name in arrays if (owner := _owner(name, arrays))}
    for name, array in arrays.items():
        last = _NUMBER.sub("", name.rpartition("/")[2])
        scalar = array.size == 1 and not array.shape
        untrained = bool(slots) and name not in slots.values()
        if name in slots or (scalar and (last in _COUNTERS or not array.is_floating or untrained)):
            yield name


def _owner(name: str, arrays: Arrays) -> str:
    """The variable of which another is a slot: its whole name, maybe below a scope, and the slot's; '' for none."""
    before, _, last = name.rpartition("/")
    if _NUMBER.sub("", last) not in _SLOTS:
        return ""
    words = before.split("/")
    for start in range(len(words)):
        owner = "/".join(words[start:])
        if owner in arrays:
            return owner
    return ""


def _new_names(arrays: Arrays) -> dict[str, str]:
    """Matrices with their biases, and tables of embeddings, under a user's own names: what makes each a layer."""
    new: dict[str, str] = {}
    for name, array in arrays.items():
        for stem, bias in _layers(name):
            if _is_pair(array, arrays.get(bias)):
                new[name], new[bias] = f"{stem}/kernel", f"{stem}/bias"
        if name.rpartition("/")[2] in _TABLES and len(array.shape) == 2 and _stands_alone(name, arrays):
            new[name] = f"{name}/embeddings"
    return {name: other for name, other in new.items() if other not in arrays}


def _layers(name: str) -> Iterator[tuple[str, str]]:
    """The layer whose matrix may be called so, and the name of its bias: 'out_w', 'W_out' and 'W1' beside 'b1'."""
    for kernel, bias in _PAIRS:
        stem = name.removesuffix(kernel)
        if name.endswith(kernel) and stem:
            yield stem, stem + bias
    path, slash, last = name.rpartition("/")
    for kernel, bias in _HEADS:
        rest = last.removeprefix(kernel)
        if last.startswith(kernel) and (rest.isdecimal() or (rest.isidentifier() and kernel.endswith("_"))):
            yield path + slash + (last if rest.isdecimal() else rest), path + slash + bias + rest


def _is_pair(kernel: LazyArray, bias: LazyArray | None) -> bool:
    return bias is not None and len(kernel.shape) == 2 and bias.shape == kernel.shape[1:]


def _stands_alone(name: str, arrays: Arrays) -> bool:
    """Whether a table is no array of a layer of this name already."""
    path, _, last = name.rpartition("/")
    return last != "embeddings" or not path or sum(other.startswith(f"{path}/") for other in arrays) > 1


def _cells(arrays: Arrays) -> dict[str, str]:
    """The layers that are cells by the names of their scopes, as TensorFlow makes them of the names of classes."""
    scopes = {"/".join(words[:end]) for words in (name.split("/") for name in arrays) for end in range(1, len(words))}
    known = _recurrent()
    named = {scope: known.get(plain(scope.rpartition("/")[2])) for scope in scopes}
    return {f"{module_name(scope)}.class": class_name for scope, class_name in named.items() if class_name}


def is_cell(path: str) -> bool:
    """Whether a path is named after the class of a cell."""
    return plain(path.rpartition("/")[2]) in _recurrent()


@cache
def _recurrent() -> Mapping[str, str]:
    """The classes of cells by what their scopes are called."""
    known = catalogue.layers("tensorflow").items()
    return {plain(name): name for name, found in known if "state" in found[0].cell.ties}


def _dense(arrays: Arrays) -> dict[str, str]:
    """The layers of a matrix and a bias that can only be Dense: TensorFlow names cells by their class, and did here.

    Not where no cell of these arrays is named so, and not below what wraps cells: there their user may have named them.
    """
    paths = {name.rpartition("/")[0] for name in arrays if name.endswith(("/kernel", "/weights"))}
    cells = _recurrent()
    known = {plain(name) for name in catalogue.layers("tensorflow")}
    if not any(plain(path.rpartition("/")[2]) in cells for path in paths):
        return {}
    free = (path for path in paths if plain(path.rpartition("/")[2]) not in known and not _WRAPPERS.search(path))
    return {
        f"{module_name(path)}.class": class_name
        for path in free
        for class_name, kernel, bias in (("Dense", "kernel", "bias"), ("fully_connected", "weights", "biases"))
        if _is_only(path, (kernel, bias), arrays) and len(arrays[f"{path}/{kernel}"].shape) == 2
    }


def _is_only(path: str, names: tuple[str, str], arrays: Arrays) -> bool:
    """Whether a matrix and maybe a bias are all there is below a path."""
    own = {name for name in arrays if name.startswith(f"{path}/")}
    return f"{path}/{names[0]}" in own and own <= {f"{path}/{name}" for name in names}
