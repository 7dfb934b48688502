"""When a series will end, and between which bounds: computed from its observed rates. Pure, compiled."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, Rows, Signal
from taskstream.consumer.state.signals import append_signal
from taskstream.consumer.state.stall import is_stalled, quiet_limit
from taskstream.schemas.compiled import compiled

MIN_SAMPLES = 3
Z80 = 1.28
"""The normal quantile z for which 80 percent lie between -z and +z."""
MAX_ETA_S = 100 * 365.25 * 86_400
"""A hundred years. An end that is further away means that the rate is practically zero, so it is withheld."""
MOVE_FLOOR_BUCKETS = 5
"""The remaining time that a move of the ETA is compared with is at least this many buckets."""

SIGNAL_ETA_MOVED = int(Signal.ETA_MOVED)


@compiled
def update_eta(rows: Rows, slot: int, bucket_us: int) -> None:
    """Set eta_s, eta_low_s and eta_high_s of one row: seconds after last_seen, NaN where withheld.

    The ETA is withheld when the series is complete, when fewer than three samples or less than one bucket were
    measured, when a rate is zero, and while the series is stalled: the rates then decay with each report, and an end
    computed from them would only recede.

    The middle is m = remaining / sqrt(fast slow). The interval is m exp(-w) to m exp(w) with
    w = 1.28 sqrt(2 s^2 (1/n + 1/h) + d^2). s, the standard deviation of the log minute rates, counts once for the n
    minutes that the rate was measured over and once for the h minutes that it must hold; the 2 is for their
    autocorrelation; d = ln(fast/slow) is how far the two rates disagree.

    Source: an 80 % interval of a log-normal rate; the form of w was chosen by its score on simulated copies, and is
    not derived.
    """
    row = rows[slot]
    row["eta_s"] = np.nan
    row["eta_low_s"] = np.nan
    row["eta_high_s"] = np.nan
    fast = row["rate_fast_bps"]
    slow = row["rate_slow_bps"]
    measured_us = row["last_seen"] - row["rated_from"]
    if row["progress"] == 100 or row["samples"] < MIN_SAMPLES or measured_us < bucket_us:
        return
    if not (fast > 0.0 and slow > 0.0):
        return
    bucket_s = bucket_us / US_PER_S
    if is_stalled(row["last_advance"], row["last_seen"], quiet_limit(row["typical_gap_s"], bucket_s)):
        return
    remaining = float(max(row["totalsize"] - row["replicatesize"], 0))
    middle = remaining / (math.sqrt(fast) * math.sqrt(slow))  # the product of both can be too small for a double
    if middle > MAX_ETA_S:
        return
    row["eta_s"] = middle
    deviation = row["log_rate_sd"]
    if math.isnan(deviation):
        return
    measured = float(min(row["complete_minutes"], 10))
    horizon = max(1.0, middle / bucket_s)
    disagreement = math.log(fast / slow)
    width = Z80 * math.sqrt(
        2.0 * deviation * deviation * (1.0 / measured + 1.0 / horizon) + disagreement * disagreement
    )
    row["eta_low_s"] = middle * math.exp(-width)
    row["eta_high_s"] = min(middle * math.exp(min(width, 700.0)), MAX_ETA_S)


@compiled
def signal_moved_eta(
    rows: Rows, slot: int, bucket_us: int, eta_part: float, signals: npt.NDArray[np.void], signal_count: int
) -> int:
    """Record the first end time of one row; append ETA_MOVED when a later one has moved too far from the recorded one.

    Returns the new number of signals.
    """
    row = rows[slot]
    if math.isnan(row["eta_s"]):
        return signal_count
    end_us = row["last_seen"] + np.int64(row["eta_s"] * US_PER_S)
    if row["eta_told"] != NONE:
        if not has_moved(end_us, row["eta_told"], row["eta_told_at"], eta_part, bucket_us):
            return signal_count
        health = row["health"]
        signal_count = append_signal(
            rows, slot, SIGNAL_ETA_MOVED, health, health, row["eta_told_at"], np.nan, signals, signal_count
        )
    row["eta_told"] = end_us
    row["eta_told_at"] = row["last_seen"]
    return signal_count


@compiled
def has_moved(end_us: int, recorded_end_us: int, recorded_at_us: int, eta_part: float, bucket_us: int) -> bool:
    """Whether an end time differs from the recorded one by more than the part `eta_part` of the time then remaining."""
    remaining_us = max(recorded_end_us - recorded_at_us, MOVE_FLOOR_BUCKETS * bucket_us)
    return abs(end_us - recorded_end_us) > eta_part * remaining_us
