"""What a comparison found: a row a layer, the first layer that diverges, and how; printable, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.show import text
from converters.verification.comparison import Difference
from layouts.errors import VerificationFailed, printable
from layouts.records import dataclass


@dataclass(frozen=True)
class LayerResult:
    """One layer, at its worst over all cases and calls.

    arrived: what reached its module, against what reaches it in the source; own: what its module made of that, against
    the reference for it. None where it was not compared; `note` says why.
    """

    layer: str
    class_name: str
    module: str = ""
    arrived: Difference | None = None
    own: Difference | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        return all(each is None or each.ok for each in (self.arrived, self.own))

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "layer": self.layer,
            "class_name": self.class_name,
            "module": self.module or None,
            "arrived": self.arrived.data() if self.arrived else None,
            "own": self.own.data() if self.own else None,
            "note": self.note or None,
            "ok": self.ok,
        }


@dataclass(frozen=True)
class OutputResult:
    """One output of the whole model, at its worst over all cases."""

    name: str
    difference: Difference

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {"name": self.name, "ok": self.difference.ok, **self.difference.data()}


@dataclass(frozen=True)
class Divergence:
    """The first place, in the order of the data's flow, where the two sides part.

    kind: "wiring" (what reaches the layer is wrong), "layer" (it makes something else of what reaches it), "output", or
    "raised" (the module raised an error). between: what stands on the way from the last layers that are right.
    """

    kind: str
    layer: str
    case: str
    difference: Difference | None = None
    between: tuple[str, ...] = ()
    module: str = ""
    raised: str = ""

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "kind": self.kind,
            "layer": self.layer,
            "module": self.module or None,
            "case": self.case,
            "between": list(self.between),
            "raised": self.raised or None,
            **(self.difference.data() if self.difference else {}),
        }

    def __str__(self) -> str:
        name, where = printable(self.layer), f" ({printable(self.module)})" if self.module else ""
        between = f" Look at {', '.join(map(printable, self.between))}." if self.between else ""
        what = {
            "wiring": f"what reaches {name}{where} is wrong: the error is before it.{between}",
            "layer": f"{name}{where} gets the right input and gives the wrong output: its weights or its settings.",
            "output": f"the output {name} is wrong, and every layer before it that was compared is right.{between}",
            "raised": f"the module raised {self.raised}",
        }[self.kind]
        return f"{what} {self.difference or ''}".strip() + f" (case: {self.case})"


@dataclass(frozen=True, eq=False)
class Verification:
    """Source and module compared on identical inputs. `print` it; `check()` raises where they differ.

    against: what ran the source; opinion: how far our own reference is from that, where both ran.
    """

    path: str
    against: str
    cases: tuple[str, ...]
    outputs: tuple[OutputResult, ...]
    layers: tuple[LayerResult, ...]
    first: Divergence | None
    opinion: str = ""
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.first is None

    @property
    def largest(self) -> float:
        """The largest difference of any output."""
        return max((result.difference.largest for result in self.outputs), default=0.0)

    @property
    def sentence(self) -> str:
        """What was found, in one."""
        if self.first is not None:
            return str(self.first)
        return (
            f"verified against {printable(self.against)}: {len(self.cases)} cases, {len(self.layers)} layers, "
            f"largest difference of an output {self.largest:.1e}"
        )

    def check(self) -> Verification:
        """Itself, or `VerificationFailed`, which carries it."""
        if self.first is not None:
            raise VerificationFailed(str(self.first), report=self, layer=self.first.layer, path=self.path)
        return self

    def table(self) -> text.Table:
        """One row a layer, then the outputs; sentences below."""
        title = f"{printable(self.path)} against {printable(self.against)}, {len(self.cases)} cases"
        columns = ("layer", "class", "module", "arrives", "gives", "tolerance", "verdict")
        rows = (*map(_layer_row, self.layers), *map(_output_row, self.outputs))
        return text.Table(title, columns, rows, tuple(self._lines()))

    def _lines(self) -> Iterator[text.Line]:
        yield text.Line("·", f"cases: {'; '.join(self.cases)}")
        yield from (text.Line("·", note) for note in (self.opinion, *self.notes) if note)
        if self.first is not None:
            yield text.Line("✗", str(self.first))

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "path": self.path,
            "ok": self.ok,
            "against": self.against,
            "opinion": self.opinion or None,
            "cases": list(self.cases),
            "first": self.first.data() if self.first else None,
            "outputs": [result.data() for result in self.outputs],
            "layers": [result.data() for result in self.layers],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return text.render(self.table())

    def __repr__(self) -> str:
        verdict = "equal" if self.ok else "they differ"
        return f"<Verification {printable(self.path)} against {printable(self.against)}: {verdict}>"

    def _repr_html_(self) -> str:
        return text.html(self.table())


def _layer_row(result: LayerResult) -> text.Row:
    used = [each.tolerance for each in (result.own, result.arrived) if each is not None]
    cells = (
        printable(result.layer),
        printable(result.class_name),
        printable(result.module) or "–",
        _amount(result.arrived),
        _amount(result.own),
        f"{used[0]:.1e}" if used else "–",
        _verdict(result),
    )
    return text.Row(cells, refused=not result.ok)


def _verdict(result: LayerResult) -> str:
    if result.arrived is not None and not result.arrived.ok:
        return "wrong input"
    if result.own is not None and not result.own.ok:
        return "differs"
    return result.note or "equal"


def _output_row(result: OutputResult) -> text.Row:
    difference = result.difference
    cells = (
        printable(result.name),
        "output",
        "",
        "",
        _amount(difference),
        f"{difference.tolerance:.1e}",
        "equal" if difference.ok else "differs",
    )
    return text.Row(cells, refused=not difference.ok)


def _amount(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    return "shape" if difference.shapes else f"{difference.largest:.1e}"
