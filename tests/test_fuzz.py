"""Damaged real files: read as planned, or refused by one typed error; never a crash, a hang, or much memory.

Seeds are fixed, so a failure is the same everywhere: its output names the seed and the file. `fuzzing.DAMAGES` says
what is done to the bytes; for half of the mutants it is done outside the arrays alone, where bytes have meaning.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import fuzzing
import hostile
import pytest
from conftest import ROOT
from forkserver import MEGABYTES, SECONDS, ForkServer
from sampling import sampled

MUTANTS = 40
AT_ONCE = 10
FIXTURES = [
    "keras1/bidirectional_lstm/model.h5",
    "keras2/stacked_cells/model.h5",
    "keras2/chunked_names/model.h5",
    "tf_keras/nested/model.h5",
    "keras3/bidirectional/model.keras",
    "keras3/attention/model.keras",
    "keras3/bidirectional/model.h5",
    "keras3/bfloat16/model.keras",
    "keras3/sharded/model.weights.json",
    "onnx_torch/lstm_stacked/model.onnx",
    "onnx_torch/not_folded/model.onnx",
    "onnx_dynamo/external_data/model.onnx",
    "onnx_keras/gru_reset_after/model.onnx",
    "onnx_tf2onnx/nested/model.onnx",
]
BUILT = [
    hostile.odd.superblock_3,
    hostile.odd.chunks_with_every_filter,
    hostile.odd.crowded_group_of_the_newest,
    hostile.odd.many_attributes_of_the_newest,
    hostile.odd.names_of_variable_length,
    hostile.odd.deflated_archive,
]


def survives(source: Path, folder: Path, server: ForkServer) -> None:
    """Raise unless every mutant of a file ends as it should; both ends have to occur."""
    kinds: Counter[str | None] = Counter()
    for first in range(0, MUTANTS, AT_ONCE):
        spans = fuzzing.structure(source) if first % (2 * AT_ONCE) else None
        run = server.run("mutants", str(source), str(folder), list(range(first, first + AT_ONCE)), spans)
        assert run.code == 0, f"{run.stdout}\n{run.stderr}"
        assert run.seconds < SECONDS and run.megabytes < MEGABYTES
        kinds.update(result["kind"] for result in run.result)
    assert 0 < kinds[None] < MUTANTS, kinds


@pytest.mark.parametrize("name", sampled(FIXTURES, 2))
def test_a_damaged_fixture_is_read_as_planned_or_refused(name: str, tmp_path: Path, server: ForkServer) -> None:
    survives(ROOT / "fixtures" / name, tmp_path, server)


@pytest.mark.parametrize("build", BUILT, ids=lambda build: build.__name__)
def test_a_damaged_form_of_hdf5_or_zip_is_too(build: Any, tmp_path: Path, server: ForkServer) -> None:
    (tmp_path / "mutants").mkdir()
    survives(build(tmp_path), tmp_path / "mutants", server)


def test_a_seed_gives_the_same_mutant_every_time() -> None:
    content = bytes(range(256))
    mutants = [fuzzing.mutant(content, seed, None) for seed in range(50)]
    assert mutants == [fuzzing.mutant(content, seed, None) for seed in range(50)]
    assert len({*mutants, content}) > 45
