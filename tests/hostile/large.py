"""Cases that are a matter of size: every day as small files under divided limits, and once at full scale.

`LARGE` says by how much a file is divided, and the limits of the library that are divided by the same; a case without
limits meets none that grows with it. `FULL_SCALE` are the cases that run at full scale too: at least one for every
limit, and those whose time or memory at full scale is the point.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from .cases import Case, divided

_ONNX = "converters.readers.onnx"
NODES, STRUCTURE = f"{_ONNX}.file.skeleton._MOST_NODES", f"{_ONNX}.file.skeleton._MOST_STRUCTURE"
SHARED = f"{_ONNX}.layers.all._MOST_SHARED"
FOLDED = (f"{_ONNX}.graph.scope._DEEPEST", f"{_ONNX}.graph.scope._MOST_NODES")
MEMBERS = "converters.readers.archives._MOST_MEMBERS"
STEPS = "converters.readers.pickled.machine._MOST_STEPS"
HANDED = "converters.readers.pickled.stack._MOST_HANDED"
CONFIG, TEXT = "converters.readers.keras.files._MOST_CONFIG", "converters.readers.hdf5.tree._MOST_TEXT"


class Part(NamedTuple):
    """How much smaller the file of every day is, and which limits are."""

    divisor: int
    limits: tuple[str, ...] = ()

    def build(self, case: Case, folder: Path) -> Path:
        """The smaller file."""
        with divided(self.divisor):
            return case.build(folder)

    def divisors(self) -> dict[str, int]:
        """By what each limit is divided."""
        return dict.fromkeys(self.limits, self.divisor)

    def expects(self, case: Case) -> str:
        """The phrase of the error, its numbers divided as well."""
        if self.divisor == 1:
            return case.expects
        return re.sub(r"\d+", lambda number: str(int(number.group()) // self.divisor), case.expects)


LARGE = {
    "config_of_60_megabytes": Part(100, (CONFIG,)),
    "h5_config_of_60_megabytes": Part(100, (TEXT,)),
    "members_by_the_ten_thousand": Part(100, (MEMBERS,)),
    "onnx_100000_identities": Part(100, FOLDED),
    "onnx_100000_nodes_backwards": Part(100, FOLDED),
    "onnx_200000_nodes": Part(100, (NODES, STRUCTURE)),
    "onnx_endless_heads": Part(100),
    "onnx_half_a_million_attributes": Part(100, (NODES, STRUCTURE)),
    "onnx_hundred_million_integers": Part(100, (STRUCTURE,)),
    "onnx_million_activations": Part(100),
    "onnx_million_attributes": Part(100, (STRUCTURE,)),
    "onnx_million_axes": Part(100),
    "onnx_million_functions": Part(100, (STRUCTURE,)),
    "onnx_million_inputs": Part(100, (STRUCTURE,)),
    "onnx_million_nodes": Part(100, (NODES,)),
    "onnx_million_operator_sets": Part(100, (STRUCTURE,)),
    "onnx_million_tensors": Part(100, (STRUCTURE,)),
    "onnx_million_unknown_fields": Part(100, (STRUCTURE,)),
    "onnx_names_of_10_megabytes": Part(100),
    "onnx_one_array_10000_times": Part(100, (SHARED,)),
    "onnx_one_lstm_10000_times": Part(100, (SHARED,)),
    "onnx_region_under_many_names": Part(10, (SHARED,)),
    "onnx_subgraphs_100000_deep": Part(100),
    "pickle_hands_over_for_ever": Part(100, (HANDED,)),
    "pickle_of_many_objects": Part(100, (STEPS,)),
    "pickle_of_many_steps": Part(100, (STEPS,)),
}

FULL_SCALE = (
    "config_of_60_megabytes",
    "h5_config_of_60_megabytes",
    "members_by_the_ten_thousand",
    "onnx_100000_identities",
    "onnx_100000_nodes_backwards",
    "onnx_200000_nodes",
    "onnx_endless_heads",
    "onnx_half_a_million_attributes",
    "onnx_million_activations",
    "onnx_million_nodes",
    "onnx_million_unknown_fields",
    "onnx_names_of_10_megabytes",
    "onnx_one_array_10000_times",
    "onnx_subgraphs_100000_deep",
    "pickle_hands_over_for_ever",
    "pickle_of_many_objects",
)

_UNTRIED = {limit for part in LARGE.values() for limit in part.limits} - {
    limit for name in FULL_SCALE for limit in LARGE[name].limits
}
if _UNTRIED:
    raise ValueError(f"limits that no case meets at full scale: {_UNTRIED}")
