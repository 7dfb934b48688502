"""When a series will end, and between which bounds: from its observed rates. Pure, compiled, one series a call."""

from __future__ import annotations

import math

import numpy as np

from taskstream.consumer.state.rates import US_PER_S, quiet_limit
from taskstream.consumer.state.series import Rows
from taskstream.schemas.compiled import compiled

LEAST_SAMPLES = 3
Z80 = 1.28
"""The normal quantile that leaves 80 percent between plus and minus."""
FARTHEST_S = 100 * 365.25 * 86_400
"""A hundred years: an end that is further away is a rate of nothing, and withheld."""


@compiled
def judge_eta(rows: Rows, slot: int, width: int) -> None:
    """Set eta_s, eta_low_s and eta_high_s of one row: seconds after last_seen, NaN where withheld.

    Withheld of what is done, of what is too young to tell, at a rate of nothing, and while nothing grows (NO_PROGRESS):
    the rates then decay from report to report, and the end that they tell only runs away.

    The middle is m = remaining / sqrt(fast slow). The interval is m exp(-w) to m exp(w) with
    w = 1.28 sqrt(2 s^2 (1/n + 1/h) + d^2): s, the standard deviation of the log minute rates, counts once for the n
    minutes that the rate was learnt from and once for the h minutes that it must hold; the 2 is for their
    autocorrelation; d = ln(fast/slow) is how far the two rates disagree. Scored on simulated copies, not derived.
    """
    row = rows[slot]
    row["eta_s"] = np.nan
    row["eta_low_s"] = np.nan
    row["eta_high_s"] = np.nan
    fast = row["rate_fast_bps"]
    slow = row["rate_slow_bps"]
    seen = row["last_seen"] - row["rated_from"]
    if row["progress"] == 100 or row["samples"] < LEAST_SAMPLES or seen < width or not (fast > 0.0 and slow > 0.0):
        return
    if (row["last_seen"] - row["last_advance"]) / US_PER_S > quiet_limit(row["typical_gap_s"], width / US_PER_S):
        return
    left = float(max(row["totalsize"] - row["replicatesize"], 0))
    middle = left / (math.sqrt(fast) * math.sqrt(slow))  # the product of both can be too small for a double
    if middle > FARTHEST_S:
        return
    row["eta_s"] = middle
    deviation = row["log_rate_sd"]
    if math.isnan(deviation):
        return
    learnt = float(min(row["complete_minutes"], 10))
    horizon = max(1.0, middle / (width / US_PER_S))
    disagree = math.log(fast / slow)
    wide = Z80 * math.sqrt(2.0 * deviation * deviation * (1.0 / learnt + 1.0 / horizon) + disagree * disagree)
    row["eta_low_s"] = middle * math.exp(-wide)
    row["eta_high_s"] = min(middle * math.exp(min(wide, 700.0)), FARTHEST_S)
