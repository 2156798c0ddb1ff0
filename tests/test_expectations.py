"""The entries of case.json are believed by the equivalence tests, so what they let pass is tested here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from equivalence import assert_nothing_else_is_listed, is_compared, planned

from layouts.errors import NotRepresentable

REFUSED = SimpleNamespace(problems=[NotRepresentable("nothing here\n  computes it", layer="rnn")])
GIVEN = SimpleNamespace(problems=[])


def case_of(folder: Path, **entries: Any) -> Path:
    path = folder / "case.json"
    path.write_text(json.dumps(entries))
    return path


@pytest.mark.parametrize(
    ("entries", "compared"),
    [({"refused": {"rnn": ["here computes"]}}, False), ({"refused_but_compared": {"rnn": ["nothing", "it"]}}, True)],
)
def test_a_refusal_that_is_listed_passes(entries: Any, compared: bool, tmp_path: Path) -> None:
    assert is_compared(case_of(tmp_path, **entries), REFUSED, "rnn") == compared  # type: ignore[arg-type]


def test_a_layer_without_entries_is_compared(tmp_path: Path) -> None:
    assert is_compared(case_of(tmp_path), GIVEN, "rnn")  # type: ignore[arg-type]


def test_what_was_not_recorded_is_not_compared(tmp_path: Path) -> None:
    assert not is_compared(case_of(tmp_path, unrecorded={"rnn": "in a branch"}), GIVEN, "rnn")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entries", "plan", "message"),
    [
        ({}, REFUSED, "rnn is refused: nothing here computes it"),
        ({"unrecorded": {"rnn": "in a branch"}}, REFUSED, "rnn is refused"),
        ({"refused": {"rnn": ["nothing", "elsewhere"]}}, REFUSED, "without a word of ['elsewhere']"),
        ({"refused": {"rnn": ["nothing"]}}, GIVEN, "rnn is not refused"),
        ({"refused_but_compared": {"rnn": ["nothing"]}}, GIVEN, "rnn is not refused"),
    ],
)
def test_any_other_outcome_fails(entries: Any, plan: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        is_compared(case_of(tmp_path, **entries), plan, "rnn")


def test_an_entry_of_no_layer_fails(tmp_path: Path) -> None:
    case = case_of(tmp_path, refused={"gone": ["…"]}, unrecorded={"there": "…"})
    with pytest.raises(AssertionError, match="'gone'"):
        assert_nothing_else_is_listed(case, ["there"])


def test_a_transposed_convolution_that_is_refused_fails() -> None:
    """The hole that was: with every ConvTranspose refused, all tests passed."""
    case = ROOT / "fixtures/keras3/conv_transpose/case.json"
    plan = planned(case.parent / "model.keras")
    path = plan.checkpoint.layers[0].path
    refused = SimpleNamespace(problems=[NotRepresentable("no module", layer=path)])
    assert is_compared(case, plan, path)
    with pytest.raises(AssertionError, match="is refused"):
        is_compared(case, refused, path)  # type: ignore[arg-type]
