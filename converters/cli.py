"""The command `gateport`: inspect, plan, convert, upgrade, port, verify, doctor, layouts, formats.

Results go to stdout, messages to stderr. Exit 0: done. 1: refused, one line on stderr. 2: usage error.

What a command needs is imported when it runs, so that help and a usage error cost no more than click does.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from converters import __version__
from converters.show.progress import Bar

if TYPE_CHECKING:
    from converters.planning.plan import Plan
    from converters.show import text
    from layouts.errors import ConversionError

_LONGEST_LINE = 800
_FLAGS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"\bdropins=True", lambda _: "--dropins"),
    (r"\bstrict=False", lambda _: "--no-strict"),
    (r"\bdtype=", lambda _: "--dtype"),
    (r"\bverify=True", lambda _: "--verify"),
    (r"\bmax_shard_size=", lambda _: "--max-shard-size "),
    (r"\bframework=", lambda _: "--framework"),
    (r"\bconstants=\{'(\w+)': ([\d.]+)\}", lambda m: f"--constant {m[1]}={m[2]}"),
    (r"\b(to|like|log|root)=|\b(layer|stack)=(?![\w{'])", lambda m: f"--{m[1] or m[2]}"),
    (r"\btrace\(module, inputs\) tells", lambda _: "`gateport convert FILE.py:CLASS --input SHAPE` traces"),
    (r"\bstack=\{'?([^'}:]+)'?: \[([^]]*)\]\}", lambda m: f"--stack {m[1]}={_listed(m[2])}"),
    (r"\bweights=\{([^}]*)\}", lambda m: " ".join(f"--source-weights {n}=FILE" for n in _names_of(m[1]))),
    (r"\b(rename|assume)=\{([^}]*)\}", lambda m: " ".join(f"--{m[1]} {pair}" for pair in _pairs_of(m[2]))),
)
"""What the library says in Python, and the flag of the command that does it."""


def _listed(items: str) -> str:
    return ",".join(item.strip().strip("'") for item in items.split(","))


def _pairs_of(items: str) -> list[str]:
    return [f"{key}={value}" for key, value in re.findall(r"'([^']*)': '?([^',}]*)'?", items)]


def _names_of(items: str) -> list[str]:
    return re.findall(r"'([^']*)': ?…", items)


def in_flags(text: str) -> str:
    """A message of the library with the flags of the command in place of arguments in Python."""
    for pattern, flag in _FLAGS:
        text = re.sub(pattern, flag, text)
    return text


def one_line(error: ConversionError) -> str:
    """An error on one line, with flags for arguments."""
    text = in_flags(" ".join(str(error).split()))
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}… (`gateport plan` shows all)"


@contextmanager
def _refusing(as_json: bool) -> Iterator[None]:
    """Turn a typed error into one line on stderr and exit code 1; `--debug` lets it through."""
    from layouts.errors import ConversionError

    try:
        yield
    except ConversionError as error:
        if click.get_current_context().find_root().params.get("debug"):
            raise
        if as_json:
            _print({"error": error.data()})
        click.echo(f"gateport: {one_line(error)}", err=True)
        sys.exit(1)
    except (MemoryError, RecursionError):
        click.echo("gateport: out of memory: the file needs more than there is", err=True)
        sys.exit(1)


def _pairs(what: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, str]]:
    """A callback that reads repeated KEY=VALUE options."""

    def parse(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
        found: dict[str, str] = {}
        for value in values:
            key, equals, text = value.partition("=")
            if not equals or not key or not text:
                raise click.BadParameter(f"{value!r}: expected {what}")
            if key in found:
                raise click.BadParameter(f"{key!r} is given twice")
            found[key] = text
        return found

    return parse


def _numbers(what: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, float]]:
    """A callback that reads repeated KEY=NUMBER options."""
    pairs = _pairs(what)

    def parse(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
        try:
            return {key: float(text) for key, text in pairs(context, parameter, values).items()}
        except ValueError as error:
            raise click.BadParameter(f"expected {what}: {error}") from None

    return parse


_SOURCE = click.argument("source", type=click.Path())
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for machines.")
_HTML = click.option(
    "--html", "page", type=click.Path(), metavar="PATH", help="Write it as one page with pictures, and print where."
)
_ASSUME = click.option(
    "--assume",
    multiple=True,
    callback=_pairs("[LAYER.]OPTION=VALUE"),
    metavar="[LAYER.]OPTION=VALUE",
    help="State what a file leaves open: lstm.recurrent_activation=hard_sigmoid of weights alone; an input or an open "
    "size of an ONNX graph, sequence=576. Repeatable.",
)
_FRAMEWORK = click.option(
    "--framework", metavar="NAME", help="Whose layout the arrays of an .npz file have: keras, tensorflow, flax, …"
)
_GIVEN = click.option(
    "--source-weights",
    multiple=True,
    metavar="[NAME=]FILE",
    help="Weights that an ONNX graph takes as inputs: FILE.npz, NAME=FILE.npy, NAME=FILE.pb. Repeatable.",
)
_CHOICES: tuple[Callable[[Any], Any], ...] = (
    click.option("--layer", metavar="PATH", help="Convert one layer alone, its parameters without a prefix."),
    click.option(
        "--stack",
        multiple=True,
        callback=_pairs("NAME=LAYER,LAYER"),
        metavar="NAME=LAYER,LAYER",
        help="Make one module with num_layers out of consecutive recurrent layers. Repeatable.",
    ),
    click.option(
        "--rename",
        multiple=True,
        callback=_pairs("OLD=NEW"),
        metavar="OLD=NEW",
        help="Rename a layer, or a nested model. Repeatable.",
    ),
    click.option(
        "--dtype", type=click.Choice(["float16", "bfloat16", "float32", "float64"]), help="Default: as stored."
    ),
    click.option(
        "--dropins", is_flag=True, help="Accept layers that a drop-in of converters.nn computes and torch.nn does not."
    ),
    click.option(
        "--strict/--no-strict",
        default=True,
        help="--no-strict gives weights of layers that nothing computes exactly, and passes unknown layers through.",
    ),
)


def _choices(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_CHOICES):
        command = option(command)
    return command


def _options(values: Mapping[str, Any]) -> dict[str, Any]:
    return _with_weights(_stacks(values))


def _stacks(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the layers of every stack as a list."""
    return {**values, "stack": {name: paths.split(",") for name, paths in values["stack"].items()}}


def _with_weights(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the arrays of the files of --source-weights, where there are any."""
    stated = values["source_weights"]
    others = {name: value for name, value in values.items() if name != "source_weights"}
    if not stated:
        return others
    from converters.readers.onnx.given import given_arrays

    return {**others, "weights": given_arrays(stated)}


def _width() -> int:
    """The columns of help: what click itself takes, but without `shutil`, whose import takes longer than the help."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        columns = 80
    return max(min(columns, 80) - 2, 50)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "terminal_width": _width()})
@click.version_option(__version__, prog_name="gateport")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Trained recurrent models out of other frameworks and into PyTorch."""


def _without_arithmetic() -> None:
    """Let NumPy start no threads for products of matrices: a move of weights has none, and their start takes long."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _show(*tables: text.Table) -> None:
    from converters.show import text

    text.show(*tables)


def _print(data: Mapping[str, Any]) -> None:
    import json

    click.echo(json.dumps(data, ensure_ascii=False, default=str))


@main.command()
@_SOURCE
@_FRAMEWORK
@_ASSUME
@_GIVEN
@_JSON
def inspect(source: str, as_json: bool, **values: Any) -> None:
    """Show what is in a model file: layers, shapes, settings, and what needs care."""
    with _refusing(as_json):
        _without_arithmetic()
        from converters.api import read

        found = read(source, **_with_weights(values))
        if as_json:
            return _print(found.data())
        _show(found.table())


_TO = click.option("--to", metavar="NAME", help="The framework to convert into: pytorch, keras, …; dcp for a folder.")
_CONSTANT = click.option(
    "--constant",
    "constants",
    multiple=True,
    callback=_numbers("NAME=NUMBER"),
    metavar="NAME=NUMBER",
    help="What the framework of --to adds when it runs, e.g. forget_bias=1.0. Repeatable.",
)


@main.command()
@_SOURCE
@_TO
@_CONSTANT
@_choices
@_FRAMEWORK
@_ASSUME
@_GIVEN
@_HTML
@_JSON
def plan(source: str, page: str | None, as_json: bool, **values: Any) -> None:
    """Show what a conversion would do, and why; convert nothing. Exit 1 when it would be refused."""
    with _refusing(as_json):
        _without_arithmetic()
        from converters.api import plan as planned

        found = planned(source, to=values.pop("to") or "pytorch", **_options(values))
        if page is not None:
            _write_plan(found, page)
        if as_json:
            _print(found.data() | ({} if page is None else {"html": page}))
        elif page is not None:
            refused = f", refused: {len(found.fatal)} problems" if found.fatal else ""
            click.echo(f"{page}: {len(found.modules)} modules{refused}")
        else:
            _show(*map(_in_flags, found.tables()))
        sys.exit(1 if found.fatal else 0)


def _write_plan(found: Plan, page: str) -> None:
    from converters.planning.pictured import plan_page
    from converters.writers.html import write_page

    write_page(page, plan_page(found, in_flags), found.checkpoint.path)


def _in_flags(table: text.Table) -> text.Table:
    return table._replace(lines=tuple(line._replace(words=in_flags(line.words)) for line in table.lines))


_FLEET: tuple[Callable[[Any], Any], ...] = (
    click.option("--out-dir", type=click.Path(), metavar="DIR", help="Convert many files, into this folder."),
    click.option(
        "--suffix", metavar="SUFFIX", help="With --out-dir: what to write. Default: .safetensors, or by --to."
    ),
    click.option("--root", type=click.Path(), metavar="DIR", help="With --out-dir: outputs have the paths below DIR."),
    click.option("--log", type=click.Path(), metavar="PATH", help="With --out-dir: default DIR/conversions.jsonl."),
    click.option("--resume", is_flag=True, help="With --out-dir: leave alone what the log says is done and unchanged."),
    click.option("--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Of each file."),
    click.option("--jobs", type=click.IntRange(1), metavar="N", help="With --out-dir: processes. Default: one a core."),
)
_SHARDS = click.option(
    "--max-shard-size", metavar="SIZE", help="Cut larger weights into several .safetensors and an index: 2GB, 500MB."
)
_FLEET_NAMES = {
    name: f"--{name.replace('_', '-')}" for name in ("suffix", "root", "log", "resume", "time_limit", "jobs")
}
_ONE_NAMES = {
    "max_shard_size": "--max-shard-size",
    "source_weights": "--source-weights",
    "weights": "--weights",
    "inputs": "--input",
}


def _fleet(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FLEET):
        command = option(command)
    return command


@main.command()
@click.argument("paths", type=click.Path(), nargs=-1, required=True, metavar="SOURCE OUTPUT | SOURCE... --out-dir DIR")
@_fleet
@_TO
@click.option(
    "--like", type=click.Path(), metavar="MODEL", help="A model of Keras that is to load the weights: its file."
)
@_SHARDS
@_CONSTANT
@_choices
@click.option("--verify", is_flag=True, help="Prove the file before it appears: build the model and compare it.")
@click.option("--weights", metavar="FILE", help="Weights for a SOURCE of FILE.py:CLASS. Default: those beside it.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="SHAPE",
    help="What a SOURCE of FILE.py:CLASS is traced on: 2,7,3 or 2,7:int64 or x.npy, one for each tensor. Repeatable.",
)
@_FRAMEWORK
@_ASSUME
@_GIVEN
@_JSON
def convert(paths: tuple[str, ...], out_dir: str | None, as_json: bool, **values: Any) -> None:
    """Convert a model file into OUTPUT, or many into a folder.

    OUTPUT is told by its name: .safetensors, .pt, .npz, .keras, .onnx, … (see `formats`). SOURCE may be FILE.py:CLASS,
    a module of your own, which is RUN; into a whole model it goes by --input. With --out-dir, SOURCES are files and
    patterns ('models/**/*.h5'), a file that fails stops no other, and a log in the folder has a line for each.
    """
    if out_dir is not None:
        _go_not_together(values, "--out-dir", _ONE_NAMES)
        return _convert_many(paths, out_dir, as_json, values)
    if len(paths) != 2:
        raise click.UsageError("name one SOURCE and one OUTPUT, or many sources with --out-dir DIR")
    _go_not_together(values, "one OUTPUT", _FLEET_NAMES)
    _convert_one(*paths, as_json, **values)


def _go_not_together(values: dict[str, Any], what: str, names: Mapping[str, str]) -> None:
    """Take these options out, by name -> flag; raise `UsageError` where one of them is stated."""
    stated = [name for name in names if values.pop(name)]
    if stated:
        raise click.UsageError(f"{names[stated[0]]} does not go with {what}")


def _convert_one(
    source: str, output: str, as_json: bool, weights: str | None, inputs: tuple[str, ...], **values: Any
) -> None:
    own = re.search(r"\.py(:\w+)?$", source) is not None
    if not own and (weights or inputs):
        raise click.UsageError("--weights and --input go with a SOURCE of FILE.py:CLASS")
    if not own and not values["verify"]:
        _without_arithmetic()
    with _refusing(as_json), Bar("converting", of_bytes=True) as bar:
        from converters.api import convert_file

        found = _own(source, output, weights, inputs, values["like"]) if own else source
        report = convert_file(found, output, progress=bar.advance, **_options(values))
        bar.stop()
        for warning in report.warnings:
            click.echo(f"gateport: warning: {in_flags(warning)}", err=True)
        if as_json:
            return _print(report.data())
        click.echo(in_flags(str(report)))


def _convert_many(paths: tuple[str, ...], out_dir: str, as_json: bool, values: Mapping[str, Any]) -> None:
    """Exit 0: all are converted. 1: some are not, and stderr says why. 130: interrupted."""
    _without_arithmetic()
    with _refusing(as_json), Bar("converting") as bar:
        from converters.fleet import convert_many

        try:
            found = convert_many(paths, out_dir, progress=bar.advance, **_stacks(values))
        except KeyboardInterrupt:
            bar.stop()
            click.echo("gateport: interrupted: the log has what is done, and --resume goes on from there", err=True)
            sys.exit(130)
        bar.stop()
        for line in found.remarks():
            click.echo(f"gateport: {in_flags(line)}", err=True)
        _print(found.data()) if as_json else click.echo(str(found))
        sys.exit(0 if found.ok else 1)


def _own(source: str, output: str, weights: str | None, inputs: tuple[str, ...], like: str | None) -> Any:
    """The module that FILE.py:CLASS names, traced where inputs are told."""
    if not inputs and not like and output.lower().endswith((".keras", ".onnx", ".h5")):
        from layouts.errors import ConversionError

        raise ConversionError(f"{source}: a whole model is traced on inputs: --input 2,7,3 for each that forward takes")
    from converters.torch.own_source import source_from

    return source_from(source, weights, inputs)


@main.command()
@_SOURCE
@click.argument("output", type=click.Path())
@click.option("--verify", is_flag=True, help="Read the new file back and compare what both compute, in NumPy.")
@_ASSUME
@_GIVEN
@_JSON
def upgrade(source: str, output: str, as_json: bool, **values: Any) -> None:
    """Write a model of any Keras, or an ONNX graph, as OUTPUT for Keras 3: .keras or .h5. No Keras is needed."""
    if not output.lower().endswith((".keras", ".h5", ".hdf5")) or output.lower().endswith(".weights.h5"):
        raise click.BadParameter(f"{output!r}: a whole model is a .keras or .h5 file", param_hint="OUTPUT")
    with _refusing(as_json), Bar("converting", of_bytes=True) as bar:
        from converters.api import convert_file

        report = convert_file(source, output, to="keras", progress=bar.advance, **_with_weights(values))
        bar.stop()
        for warning in report.warnings:
            click.echo(f"gateport: warning: {in_flags(warning)}", err=True)
        if as_json:
            return _print(report.data())
        click.echo(in_flags(str(report)))


@main.command()
@_SOURCE
@click.argument("folder", type=click.Path())
@_FRAMEWORK
@_ASSUME
@_GIVEN
@_JSON
def port(source: str, folder: str, as_json: bool, **values: Any) -> None:
    """Write a model as PyTorch code that one owns into FOLDER: model.py, its weights, and a check."""
    import warnings

    with _refusing(as_json), warnings.catch_warnings(record=True) as caught:
        from converters.planning.report import ConversionWarning
        from converters.torch.port import port as write

        warnings.simplefilter("always", ConversionWarning)
        found = write(source, folder, **_with_weights(values))
        for warning in caught:
            click.echo(f"gateport: warning: {in_flags(str(warning.message))}", err=True)
        if as_json:
            return _print({"folder": folder, "files": list(found.files)})
        click.echo(str(found))


@main.command()
@click.argument("framework", required=False)
@click.argument("layer", required=False)
@_HTML
def layouts(framework: str | None, layer: str | None, page: str | None) -> None:
    """Print the gate-order tables: of all frameworks, of one, or of one layer of it."""
    with _refusing(False):
        if page is not None:
            from converters.show.layout_page import layout_page
            from converters.targets import PYTORCH
            from converters.writers.html import write_page

            write_page(page, layout_page(framework, layer, PYTORCH.frameworks))
            return click.echo(page)
        from converters.show.layouts import layout_tables

        _show(*layout_tables(framework, layer))


@main.command()
def formats() -> None:
    """Print which files are read, and which are written."""
    from converters.formats import formats as tables

    _show(*tables())


_OWN = click.argument("own", metavar="FILE.py[:CLASS]", type=click.Path())
_OWN_WEIGHTS = click.option(
    "--weights", metavar="FILE", help="Weights for the class: .safetensors, .pt. Default: those beside it, of its name."
)
_BY = click.option(
    "--by",
    type=click.Choice(["keras", "tf_keras", "onnxruntime", "onnx", "numpy"]),
    help="What runs the source. Default: the framework where it is installed and able, else our float64 reference.",
)
_RENAME = click.option(
    "--rename", multiple=True, callback=_pairs("LAYER=MODULE"), metavar="LAYER=MODULE", help="Which module is a layer."
)


@main.command()
@_SOURCE
@_OWN
@_OWN_WEIGHTS
@_BY
@_RENAME
@_FRAMEWORK
@_ASSUME
@_GIVEN
@_JSON
def verify(source: str, own: str, weights: str | None, as_json: bool, **values: Any) -> None:
    """Run a model and its port on the same inputs, layer by layer. Exit 1 where they differ.

    FILE.py is RUN, as Python runs it: it is your own code, or the folder that `gateport port` made.
    """
    with _refusing(as_json), Bar("verifying") as bar:
        from converters.torch.own_file import module_from
        from converters.torch.verifying import verify as compare

        found = compare(source, module_from(own, weights), progress=bar.advance, **_with_weights(values))
        bar.stop()
        _print(found.data()) if as_json else _show(found.table())
        sys.exit(0 if found.ok else 1)


@main.command()
@_SOURCE
@_OWN
@_OWN_WEIGHTS
@_RENAME
@_FRAMEWORK
@_ASSUME
@_GIVEN
@_JSON
def doctor(source: str, own: str, weights: str | None, as_json: bool, **values: Any) -> None:
    """Say what is wrong with a port: the first layer that differs, and the known mistake that explains it.

    FILE.py is RUN, as Python runs it: it is your own code. Exit 1 where something is wrong.
    """
    with _refusing(as_json), Bar("verifying") as bar:
        from converters.torch.diagnosing import diagnose
        from converters.torch.own_file import module_from

        found = diagnose(source, module_from(own, weights), progress=bar.advance, **_with_weights(values))
        bar.stop()
        _print(found.data()) if as_json else _show(*found.tables())
        sys.exit(0 if found.ok else 1)


if __name__ == "__main__":
    main()
