"""What a row claimed of its end at half and at three quarters of its bytes, and how well that held when it ended. Pure.

A claim is an ETA with the half-width of its interval. When the series is complete its error is known: how many
half-widths the truth was away. `calibrated` learns from many of them by what factor intervals must be widened.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import CLAIMS, NONE, Health, Rows
from taskstream.schemas.compiled import compiled

Floats = npt.NDArray[np.float64]

FIRST_PART: Final = 0.5
SECOND_PART: Final = 0.75
HELD_PART: Final = 0.8
"""How often intervals should hold."""
LEAST_CLAIMS: Final = 20
"""From how many claims a factor is learnt; below it is 1."""
LEAST_FACTOR, MOST_FACTOR = 0.4, 3.0


@compiled
def note_claims(rows: Rows, slot: int) -> None:
    """Keep the ETA of one row, if it has one, as the claim at each part of the bytes that was reached just now."""
    row = rows[slot]
    eta_s = row["eta_s"]
    if math.isnan(eta_s):
        return
    for claim in range(CLAIMS):
        part = FIRST_PART if claim == 0 else SECOND_PART
        if row["claim_at"][claim] == NONE and float(row["replicatesize"]) >= part * float(row["totalsize"]):
            row["claim_at"][claim] = row["last_seen"]
            row["claim_eta_s"][claim] = eta_s
            row["claim_width"][claim] = math.log(row["eta_high_s"] / eta_s)


def claim_errors(rows: Rows) -> Floats:
    """[rows, claims] How many half-widths lie between claim and truth; NaN where there is no claim, or no end yet.

    The end is the last advance of a complete series. A claim within a second of it counts as none.
    """
    left_s = (rows["last_advance"][:, None] - rows["claim_at"]) / US_PER_S
    known = (rows["claim_at"] != NONE) & (rows["health"] == Health.COMPLETE)[:, None] & (left_s > 1.0)
    known &= (rows["claim_width"] > 0.0) & (rows["claim_eta_s"] > 0.0)
    errors = np.full(left_s.shape, np.nan)
    errors[known] = np.abs(np.log(rows["claim_eta_s"][known] / left_s[known])) / rows["claim_width"][known]
    return errors


def calibrated(errors: Floats) -> float:
    """The factor by which half-widths must be multiplied so that 80 percent of the intervals hold; 1 for few errors.

    errors: [claims], as `claim_errors` gives them, without NaN. The factor is 0.4 to 3.

    Source: split conformal prediction (V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World",
    2005): the ceil(0.8 (n + 1))-th smallest of n errors.
    """
    count = errors.shape[0]
    if count < LEAST_CLAIMS:
        return 1.0
    rank = min(math.ceil(HELD_PART * (count + 1)), count)
    return float(np.clip(np.partition(errors, rank - 1)[rank - 1], LEAST_FACTOR, MOST_FACTOR))


def held_apart(errors: Floats) -> int:
    """How many of these claims hold with the factor that `calibrated` would give of the others alone.

    errors: [claims], without NaN. The r-th smallest of the others is the r-th of all, or the next one if the claim that
    is left out is among the r smallest.
    """
    others = errors.shape[0] - 1
    if others < LEAST_CLAIMS:
        return int(np.count_nonzero(errors <= 1.0))
    rank = min(math.ceil(HELD_PART * (others + 1)), others)
    ordered = np.sort(errors)
    factors = np.where(np.arange(others + 1) < rank, ordered[rank], ordered[rank - 1])
    return int(np.count_nonzero(ordered <= np.clip(factors, LEAST_FACTOR, MOST_FACTOR)))
