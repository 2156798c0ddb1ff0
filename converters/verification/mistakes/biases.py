"""Biases of recurrent layers: missing, doubled, added up, exchanged, and the 1 of the forget gate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.verification.mistakes.mistake import Mistake, changed, has, with_pieces, without
from converters.verification.modules import Own


def biases(own: Own) -> Iterator[Mistake]:
    both = has(own, "input_bias", "recurrent_bias")
    if not has(own, "input_bias"):
        return
    only = {p: x for p, x in own.pieces.items() if p.slot == "input_bias"}
    second = {p._replace(slot="recurrent_bias"): x for p, x in only.items()}
    yield Mistake(
        "no bias is loaded",
        "load the bias into bias_ih, and zeros into bias_hh",
        without(own, "input_bias", "recurrent_bias"),
    )
    if not both:
        yield Mistake(
            "the bias is doubled: it stands in bias_ih and again in bias_hh, and both are added",
            "bias_ih = bias; bias_hh = zeros",
            with_pieces(own, second),
        )
        yield Mistake(
            "the bias is halved: half of it stands in bias_ih, and none in bias_hh",
            "bias_ih = bias; bias_hh = zeros",
            changed(own, lambda _, x: x / 2.0, ("input_bias",)),
        )
        return
    yield Mistake(
        "the second bias is missing: bias_hh is zero, or was not loaded",
        "bias_ih = bias[0]; bias_hh = bias[1]",
        without(own, "recurrent_bias"),
    )
    yield Mistake(
        "the first bias is missing: bias_ih is zero", "bias_ih = bias[0]; bias_hh = bias[1]", without(own, "input_bias")
    )
    twin = {p: own.pieces[p._replace(slot="recurrent_bias")] for p in only}
    yield Mistake(
        "the two biases are exchanged",
        "bias_ih = bias[0]; bias_hh = bias[1]",
        with_pieces(own, {**twin, **second}),
    )
    total = {p: np.asarray(x, np.float64) + twin[p] for p, x in only.items()}
    yield Mistake(
        "the two biases were added up; that of the candidate stands inside r × (…) and cannot be moved",
        "bias_ih = bias[0]; bias_hh = bias[1], not their sum",
        with_pieces(without(own, "recurrent_bias"), total),
    )
    yield Mistake(
        "the first bias is loaded twice: into bias_ih and bias_hh",
        "bias_ih = bias[0]; bias_hh = bias[1]",
        with_pieces(own, second),
    )
    yield Mistake(
        "the biases are halved",
        "bias_ih = bias[0]; bias_hh = bias[1], as they are",
        changed(own, lambda _, x: x / 2.0, ("input_bias", "recurrent_bias")),
    )
    yield Mistake(
        "the biases are doubled",
        "bias_ih = bias[0]; bias_hh = bias[1], as they are",
        changed(own, lambda _, x: x * 2.0, ("input_bias", "recurrent_bias")),
    )


def forget_bias(own: Own) -> Iterator[Mistake]:
    if "f" not in own.cell.gates:
        return
    for added, what, fix in (
        (1.0, "1 is added to the bias of the forget gate, and the source does not", "leave the bias as it is stored"),
        (-1.0, "the source adds 1 to the forget gate when it runs, and the module does not",
         "bias_ih[units:2 * units] += 1 (the forget gate)"),
    ):  # fmt: skip
        pieces = {
            p._replace(slot="input_bias"): np.asarray(own.pieces.get(p._replace(slot="input_bias"), 0.0))
            + added
            + np.zeros(len(x))
            for p, x in own.pieces.items()
            if p.slot == "input_weight" and p.gate == "f"
        }
        yield Mistake(what, fix, with_pieces(own, pieces))
