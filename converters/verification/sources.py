"""What runs the source: the framework itself where it is installed and able, the ONNX reference, or our own evaluator.

A framework is able when it is of the version whose semantics the file has, and opens the file. Nothing of a file that
holds code is given to a framework.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.model.checkpoint import Checkpoint
from converters.readers.keras.semantics import parse_version
from converters.verification.evaluate import evaluate
from layouts.errors import ConversionError, MissingDependency, NotRepresentable, printable
from layouts.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Runner:
    """Runs the source on inputs in its order. `exact`: in float64, so that it adds no rounding of its own."""

    name: str
    run: Callable[[Sequence[Array]], list[Array]]
    exact: bool = False


NUMPY = "numpy"
KINDS = ("keras", "tf_keras", "onnxruntime", "onnx", NUMPY)
"""What `by` may name."""


def choose(source: Any, checkpoint: Checkpoint, inputs: Sequence[Array], by: str | None = None) -> Runner:
    """The first that opens the source and runs these inputs, or the one that is named.

    Raises `NotRepresentable` where nothing can run the source.
    """
    if by is not None and by not in KINDS:
        raise ConversionError(f"by={printable(by)!r}: expected one of {', '.join(KINDS)}")
    for kind, open_ in _candidates(source, checkpoint):
        runner = open_() if by in (None, kind) else None
        if runner is not None and (runner.exact or _runs(runner, inputs)):
            return runner
    raise NotRepresentable(
        f"nothing here can run {printable(checkpoint.path)}" + (f" by {by}" if by else "") + f": {_why(checkpoint)}",
        path=checkpoint.path,
    )


def _runs(runner: Runner, inputs: Sequence[Array]) -> bool:
    try:
        runner.run(inputs)
    except Exception:  # some kernels are missing, and are found to be when they are run
        return False
    return True


def _why(checkpoint: Checkpoint) -> str:
    graph = checkpoint.graph
    if graph is None:
        return "the file does not tell how its layers are wired"
    unknown = ", ".join(f"{printable(node.name)} ({printable(node.class_name)})" for node in graph.unknown)
    return f"not known: {unknown}" if unknown else "it is not installed, or does not open the file"


Open = Callable[[], "Runner | None"]


def _candidates(source: Any, checkpoint: Checkpoint) -> Iterator[tuple[str, Open]]:
    if _in_memory(source):
        yield "keras", lambda: _called(source, type(source).__module__.partition(".")[0])
    major = checkpoint.version.partition(".")[0]
    file = isinstance(source, str | os.PathLike) and not _holds_code(checkpoint)
    if checkpoint.framework == "keras" and file:
        kind = {"3": "keras", "2": "tf_keras"}.get(major)
        if kind is not None and not (kind == "tf_keras" and _masks_otherwise(checkpoint)):
            yield kind, lambda: _keras(kind, os.fspath(source))
    if checkpoint.framework == "onnx":
        yield "onnxruntime", lambda: _onnxruntime(source, checkpoint.given)
        yield "onnx", lambda: _onnx_reference(source, checkpoint.given)
    graph = checkpoint.graph
    if graph is not None and not graph.unknown:
        yield NUMPY, lambda: Runner("the NumPy float64 reference", lambda x: _evaluated(checkpoint, x), exact=True)


def _evaluated(checkpoint: Checkpoint, inputs: Sequence[Array]) -> list[Array]:
    assert checkpoint.graph is not None
    values = evaluate(checkpoint.graph, inputs)
    return [values[name] for name in checkpoint.graph.outputs]


def _masks_otherwise(checkpoint: Checkpoint) -> bool:
    """Whether tf_keras computes another model: of multi-backend Keras 2 a Bidirectional layer repeats masked steps."""
    masked = checkpoint.graph is not None and any(node.mask for node in checkpoint.graph.nodes)
    return masked and not parse_version(checkpoint.version).zeroes_masked


def _in_memory(source: Any) -> bool:
    return callable(source) and hasattr(source, "get_weights")


def _holds_code(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.custom_layers) or checkpoint.graph is None or bool(checkpoint.graph.unknown)


def _keras(package: str, path: str) -> Runner | None:
    """A file opened by Keras 3 or tf_keras; None where it is not installed, or does not open the file."""
    from importlib import import_module

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        keras = import_module(package)
        options = {"safe_mode": True} if package == "keras" or path.endswith(".keras") else {}
        model = keras.saving.load_model(path, compile=False, **options)
    except Exception:  # whatever a framework has against a file, the next one is asked
        return None
    return _called(model, package, getattr(keras, "__version__", ""))


def _called(model: Any, package: str, version: str = "") -> Runner:
    names = {"keras": "Keras", "tf_keras": "tf_keras", "tensorflow": "tf.keras"}

    def run(inputs: Sequence[Array]) -> list[Array]:
        for layer in getattr(model, "layers", ()):
            reset = getattr(layer, "reset_state", None) or getattr(layer, "reset_states", None)
            if getattr(layer, "stateful", False) and callable(reset):
                reset()
        given = [np.asarray(x) for x in inputs]
        found = model(given[0] if len(given) == 1 else given, training=False)
        return [_numpy(y) for y in _flat(found)]

    return Runner(f"{names.get(package, package)} {version}".strip(), run)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _numpy(value: Any) -> Array:
    value = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


Given = Mapping[str, Array]
_NOTHING: Given = {}


def onnx_runner(path: os.PathLike[str]) -> Runner:
    """What runs an ONNX file. Raises `MissingDependency` where nothing that does is installed, or takes the file."""
    runner = _onnxruntime(path) or _onnx_reference(path)
    if runner is None:
        raise MissingDependency("to run an ONNX file takes onnxruntime or onnx: pip install onnxruntime")
    return runner


def _onnxruntime(source: Any, given: Given = _NOTHING) -> Runner | None:
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        content = os.fspath(source) if isinstance(source, str | os.PathLike) else source.SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:  # as above: what is not installed or does not open the file is not able
        return None
    names = {entry.name: _ONNX_TYPES.get(entry.type) for entry in session.get_inputs()}
    return Runner(
        f"onnxruntime {onnxruntime.__version__}",
        lambda x: [np.asarray(y) for y in session.run(None, _fed(names, x, given))],
    )


_SILENT = 4
_ONNX_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
}


def _fed(names: dict[str, str | None], inputs: Sequence[Array], given: Given) -> dict[str, Array]:
    """Inputs by name, in the dtypes that the graph declares; those that are given once and for all among them."""
    open_names = [name for name in names if name not in given]
    every = {**given, **dict(zip(open_names, inputs, strict=True))}
    return {name: np.asarray(x).astype(names[name]) if names.get(name) else np.asarray(x) for name, x in every.items()}


def _onnx_reference(source: Any, given: Given = _NOTHING) -> Runner | None:
    try:
        import onnx
        from onnx.reference import ReferenceEvaluator

        model = onnx.load(os.fspath(source)) if isinstance(source, str | os.PathLike) else source
        session = ReferenceEvaluator(model)
    except Exception:  # as above
        return None
    stored = {tensor.name for tensor in model.graph.initializer}
    kinds = {
        entry.name: onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type).name
        for entry in model.graph.input
        if entry.name not in stored
    }
    return Runner(
        f"the ONNX reference evaluator {onnx.__version__}",
        lambda x: [np.asarray(y) for y in session.run(None, _fed(dict(kinds), x, given))],
    )
