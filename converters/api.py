"""The public functions: read, plan, convert, convert_file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from converters import destination, readers
from converters.model.arrays import bfloat16
from converters.model.checkpoint import Checkpoint
from converters.model.tree import Tree
from converters.planning.execution import Sink, execute
from converters.planning.pairing import Choices
from converters.planning.plan import Plan, make_plan
from converters.planning.report import Report, announce
from converters.targets import KERAS, PYTORCH, find, of_file
from layouts.errors import ConversionError, printable
from layouts.records import replace

if TYPE_CHECKING:
    from pathlib import Path

    import torch

Progress = Callable[[int, int], None]
"""Called with the bytes just written and the bytes there are in all."""

Writes = TypeVar("Writes", bound=Callable[..., Report])
"""A function that writes an output, its second argument."""


def read(
    source: Any,
    *,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> Checkpoint:
    """What is in a source: layers, cells, shapes, settings, and what needs care; `print` it. No data is converted.

    `source`: a file or folder that Keras wrote (any version) or an ONNX file, told apart by content, or its URL
    (``s3://…``, ``https://…``: what fsspec knows); a Keras model or an ONNX ModelProto in memory; or with `framework=`
    a mapping of arrays in that framework's layout. `assume` states what a source does not store:
    ``{"lstm.recurrent_activation": "hard_sigmoid"}``. `weights` gives arrays for inputs of an ONNX graph that hold
    weights: ``{"W": array, "R": array}``.

    Raises `CheckpointError` and its kinds.
    """
    return readers.read(source, framework=framework, assume=assume, weights=weights)


def plan(
    source: Any,
    *,
    to: str = PYTORCH.name,
    layer: str | None = None,
    stack: Mapping[str, Sequence[str]] | None = None,
    rename: Mapping[str, str] | None = None,
    dtype: str | np.dtype[Any] | torch.dtype | None = None,
    dropins: bool = False,
    strict: bool = True,
    constants: Mapping[str, float] | None = None,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> Plan:
    """What a conversion would do, and why; `print` it. Nothing is written and no data is read.

    The arguments are those of `convert`. Problems are gathered in `Plan.problems`; `Plan.check()` raises them.
    """
    checkpoint = read(source, framework=framework, assume=assume, weights=weights)
    choices = Choices(_numpy_dtype(dtype), constants=constants or {}, dropins=dropins)
    return _planned(checkpoint, to, choices, layer=layer, stack=stack, rename=rename, strict=strict)


def _planned(checkpoint: Checkpoint, to: str, choices: Choices, **how: Any) -> Plan:
    """The plan of a source that is read already."""
    target = find(to)
    target.check_constants(choices.constants)
    if checkpoint.plans is None:
        return make_plan(checkpoint, target, choices=choices, **how)
    asked = f"{to} {choices} {how}"
    found = checkpoint.plans.get(asked) or make_plan(checkpoint, target, choices=choices, **how)
    if not found.problems:  # which name the file
        checkpoint.plans[asked] = found
    return replace(found, checkpoint=checkpoint)


def convert(
    source: Any,
    *,
    to: str = PYTORCH.name,
    layer: str | None = None,
    stack: Mapping[str, Sequence[str]] | None = None,
    rename: Mapping[str, str] | None = None,
    dtype: str | np.dtype[Any] | torch.dtype | None = None,
    dropins: bool = False,
    strict: bool = True,
    verify: bool = False,
    constants: Mapping[str, float] | None = None,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> dict[str, Any]:
    """Convert a source into a PyTorch state_dict, ``{"lstm.weight_ih_l0": tensor, …}``, or another framework's arrays.

    Keys are the layer's path and PyTorch's own names, one module a layer; shapes and order are those of `nn.LSTM`,
    `nn.GRU`, `nn.RNN` and of the modules around them, so that ``load_state_dict(strict=True)`` takes them. The plan
    prints their calls, with ``batch_first=True`` unless the source has the time first. Each element is copied once;
    tensors are on the CPU.

    to: another framework, whose arrays are given by layer and its own names: ``convert(source, to="keras")`` is
        ``{"lstm/kernel": array, …}``, NumPy arrays in the order in which the framework lists those of a layer. "keras"
        means Keras 3. See `gateport layouts` for what there is.
    layer: one layer alone, with no prefix: ``nn.LSTM(8, 16).load_state_dict(convert(path, layer="lstm"))``.
    stack: ``{"rnn": ["lstm", "lstm_1"]}``, consecutive layers as one module with ``num_layers=2``.
    rename: ``{"dense": "head"}``, whole names of layers or nested models.
    dtype: "float32", "float16", "bfloat16", "float64" or a torch dtype; default the stored one.
    dropins: True accepts layers that a drop-in of `converters.nn` computes exactly, and torch.nn does not.
    strict: False gives the weights of layers that no module computes exactly, and passes unknown layers through under
        their own names, each with a `ConversionWarning`.
    verify: True builds the module, gives it these tensors, and compares it with the source (see `verify`).
    constants: what the framework of `to` adds when it runs: ``{"forget_bias": 1.0}`` for LSTM cells of TensorFlow 1.
    framework, assume, weights: see `read`.

    Raises `NotRepresentable` for a layer that the target cannot compute, `UnknownLayer`, `CoverageError`,
    `ShapeError`, `UnreadableCheckpoint`, `UnsafeCheckpoint`, `VerificationFailed`; all are `ConversionError`.
    """
    from converters.writers.arrays import Arrays
    from converters.writers.pytorch import StateDict

    if verify:
        _check_whole(to, layer, stack, rename)
    found = plan(
        source,
        to=to,
        layer=layer,
        stack=stack,
        rename=rename,
        dtype=dtype,
        dropins=dropins,
        strict=strict,
        constants=constants,
        framework=framework,
        assume=assume,
        weights=weights,
    )
    if found.target is not PYTORCH:
        plain = Arrays()
        announce(_carry_out(found, plain, None))
        return plain.arrays
    sink = StateDict()
    announce(_carry_out(found, sink, None))
    tensors = sink.tensors()
    if verify:
        _prove(source, tensors, framework, assume, weights)
    return tensors


def _landing(function: Writes) -> Writes:
    """The same for an output that is a URL: written here, and uploaded when it is complete."""

    @functools.wraps(function)
    def convert_file(source: Any, output: str | os.PathLike[str], **options: Any) -> Report:
        if "://" not in os.fspath(output):
            return function(source, output, **options)
        from converters.writers.remote import landing

        with landing(output, source) as land:
            return land.named(function(source, land.path, **options))

    return cast(Writes, convert_file)


@_landing
def convert_file(
    source: Any,
    output: str | os.PathLike[str],
    *,
    to: str | None = None,
    like: Any = None,
    progress: Progress | None = None,
    layer: str | None = None,
    stack: Mapping[str, Sequence[str]] | None = None,
    rename: Mapping[str, str] | None = None,
    dtype: str | np.dtype[Any] | torch.dtype | None = None,
    dropins: bool = False,
    strict: bool = True,
    verify: bool = False,
    synced: bool = True,
    max_shard_size: int | str | None = None,
    constants: Mapping[str, float] | None = None,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> Report:
    """Convert a source into a file: `.safetensors` (with the plan in its metadata), `.pt`, `.npz`, `.onnx`, or Keras's.

    `.keras` and `.h5` are whole models that Keras 3 loads, `.onnx` is one of LSTM, GRU and RNN nodes, all written where
    the source tells its network; `.weights.h5` is the weights of such a model of Keras. With `like=`, a model of Keras,
    its file or its configuration (`.json`), `.weights.h5` and `.h5` are weights that this model loads, layers matched
    by name, else by type, shapes and order.
    `.msgpack` is for Flax, `.eqx` for Equinox, `.params` for MXNet, `.pdparams` for PaddlePaddle, `.ckpt` the prefix of
    a checkpoint of TensorFlow 1. `to` names the framework whose arrays an `.npz` or a `.safetensors` holds, if it is
    not PyTorch; otherwise the name of the output tells it.

    A `.safetensors` file and those of Keras are written in place: no framework is imported, and memory stays within
    some megabytes whatever the size. The output appears complete or not at all. Options are those of `convert`;
    `progress(bytes, total)` is called as modules are done. `verify` reads the file back and proves it before it
    appears; that needs torch, but for a model of Keras, which NumPy evaluates, and of ONNX, which onnxruntime runs.
    ``to="dcp"`` makes a folder of `torch.distributed.checkpoint`. Weights of more than `max_shard_size` ("2GB") become
    several `.safetensors` files and an index, in the layout of Hugging Face's hub.
    A URL as output is written here and uploaded when it is complete.
    `synced=False` does not wait for the disk, which is right for one of many files that are synced together.
    """
    from pathlib import Path

    from converters.writers import DISTRIBUTED, check_folder, check_output, last_file, writing
    from converters.writers.atomic import making, replacing

    target = Path(output)
    framework_of = PYTORCH if to == DISTRIBUTED else of_file(target.name, to)
    suffix = DISTRIBUTED if to == DISTRIBUTED else check_output(target, framework_of, stated=to is not None)
    if suffix == DISTRIBUTED:
        check_folder(target)
    _check_pieces(suffix, max_shard_size, verify)
    if verify:
        _check_whole(PYTORCH.name if suffix in destination.NETWORKS else framework_of.name, layer, stack, rename)
    checkpoint = read(source, framework=framework, assume=assume, weights=weights)
    calls = suffix == ".onnx"
    choices = Choices(_numpy_dtype(dtype), constants=constants or {}, dropins=dropins, calls=calls)
    tree: Tree | None
    if like is not None:
        if framework_of is not KERAS:
            raise ConversionError(
                f"like= is a model of Keras: its weights are a .weights.h5 or .h5 file, not {printable(target.name)}"
            )
        if layer or stack:
            raise ConversionError("like= takes the whole source: layer= and stack= do not go with it")
        found, tree = destination.for_model(checkpoint, like, suffix, rename or {}, choices)
    else:
        name = framework_of.name
        found = _planned(checkpoint, name, choices, layer=layer, stack=stack, rename=rename, strict=strict)
        found = destination.of_network(found, suffix)
        found.check()
        tree = destination.laid_out(found, suffix)
    if max_shard_size is not None:
        shards = _in_shards(found, target, max_shard_size, synced, progress)
        if shards is not None:
            return shards
    last = last_file(target, suffix)
    place = making(target) if suffix == DISTRIBUTED else replacing(last, found.checkpoint.path, synced=synced)
    with place as temporary:
        with writing(suffix, temporary, target, found, tree) as writer:
            warnings = (*_carry_out(found, writer, progress), *(tree.remarks if tree else ()))
        proof = ""
        if verify and suffix in destination.NETWORKS:
            from converters.verification.rewritten import proved

            proof = proved(found.checkpoint, temporary, suffix)
        elif verify:
            from converters.torch.proving import stored

            proof = _prove(source, stored(temporary, target.suffix), framework, assume, weights)
    return Report(found, os.fspath(output), warnings, proof)


def _check_pieces(suffix: str, max_shard_size: int | str | None, verify: bool) -> None:
    """Raise `ConversionError` for shards of another format, and for a proof of what is no single file."""
    from converters.writers import DISTRIBUTED

    if max_shard_size is not None and suffix != ".safetensors":
        raise ConversionError("max_shard_size= cuts .safetensors files: name the output so")
    if verify and (max_shard_size is not None or suffix == DISTRIBUTED):
        raise ConversionError("verify=True reads one file back: prove one, and then write it in pieces")


def _in_shards(
    found: Plan, target: Path, max_shard_size: int | str, synced: bool, progress: Progress | None
) -> Report | None:
    """Write several files and their index; None where one file holds all."""
    from converters.model.amounts import size_of
    from converters.writers.shards import shards_of, writing_shards

    shards = shards_of(found, size_of(max_shard_size, "max_shard_size"))
    if len(shards) < 2:
        return None
    with writing_shards(target, found, shards, found.checkpoint.path, synced=synced) as (index, writer):
        warnings = _carry_out(found, writer, progress)
    return Report(found, os.fspath(index), warnings)


def _check_whole(to: str, *choices: object) -> None:
    """Raise where only a part of the source, or the whole under other names, is converted, or not to PyTorch."""
    if to != PYTORCH.name:
        raise ConversionError(f"verify=True builds a module of PyTorch, and {printable(to)} is the target")
    if any(choices):
        raise ConversionError(
            "verify=True proves a whole model under its own names: layer=, stack= and rename= do not go with it"
        )


def _prove(
    source: Any,
    tensors: Mapping[str, torch.Tensor],
    framework: str | None,
    assume: Mapping[str, str] | None,
    weights: Mapping[str, np.ndarray[Any, Any]] | None,
) -> str:
    """Compare the module that has these tensors with the source; what was found, as a sentence."""
    from converters.torch.proving import prove

    return prove(source, tensors, framework=framework, assume=assume, weights=weights).sentence


def _carry_out(found: Plan, sink: Sink, progress: Progress | None) -> tuple[str, ...]:
    """Execute a plan in whose way nothing stands; returns its warnings."""
    found.check()
    total = sum(tensor.nbytes for tensor in found.tensors)
    warnings = [*found.warnings, *(" ".join(str(problem).split()) for problem in found.problems)]
    try:
        for done in execute(found, sink):
            warnings += done.remarks
            if progress:
                progress(sum(tensor.nbytes for tensor in done.module.tensors), total)
    except ConversionError as error:
        error.path = error.path or found.checkpoint.path
        raise
    return tuple(dict.fromkeys(warnings))


def _numpy_dtype(dtype: Any) -> np.dtype[Any] | None:
    """A dtype by name or as torch's, as NumPy's; floating point only."""
    if dtype is None:
        return None
    name = str(dtype).removeprefix("torch.") if not isinstance(dtype, np.dtype | type) else np.dtype(dtype).name
    if name == "bfloat16":
        return bfloat16()
    if name not in ("float16", "float32", "float64"):
        raise ConversionError(f"dtype {printable(name)}: float16, bfloat16, float32 and float64 can be written")
    return np.dtype(name)
