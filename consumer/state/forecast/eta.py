"""When a series will end, and between which bounds: computed from its observed rates. Pure, compiled."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.forecast.mixed_rate import PLAIN, mixed_end
from taskstream.consumer.state.rates import US_PER_S, is_total_known
from taskstream.consumer.state.series import NONE, EtaReason, Rows, Signal
from taskstream.consumer.state.signals import append_signal
from taskstream.consumer.state.stall import is_stalled, limit_or_first
from taskstream.schemas.compiled import compiled

MIN_SAMPLES = 3
MAX_ETA_S = 100 * 365.25 * 86_400
"""A hundred years. An end that is further away means that the rate is practically zero, so it is withheld."""
LOG_MAX_ETA = math.log(MAX_ETA_S)
MOVE_FLOOR_BUCKETS = 5
"""The remaining time that a move of the ETA is compared with is at least this many buckets."""

MOVE_MINUTES = 5
"""For how many minutes after the first the end must lie too far from the recorded one, on the same side."""
CONVERGING_BUCKETS = 5
"""How many buckets must be measured before a total can be found to grow as fast as the copy."""
LEAST_NET_PART = 0.05
"""The least part of the rate that must remain after the growth of the total."""

SIGNAL_ETA_MOVED = int(Signal.ETA_MOVED)
ETA_KNOWN = int(EtaReason.NONE)
COMPLETE, TOTAL_UNKNOWN, CHECKING = int(EtaReason.COMPLETE), int(EtaReason.TOTAL_UNKNOWN), int(EtaReason.CHECKING)
TOO_YOUNG, STALLED, NO_RATE = int(EtaReason.TOO_YOUNG), int(EtaReason.STALLED), int(EtaReason.NO_RATE)
NOT_CONVERGING, TOO_FAR = int(EtaReason.NOT_CONVERGING), int(EtaReason.TOO_FAR)


@compiled
def update_eta(rows: Rows, slot: int, bucket_us: int) -> None:
    """Set eta_s, eta_low_s, eta_high_s and eta_reason of one row: seconds after last_seen, NaN where withheld.

    The middle is m = exp(x) of `mixed_end`, and the interval m exp(-w) to m exp(w), where w is the standard deviation
    of x by the errors of the past. These are no draws of one normal distribution: that one deviation to both sides
    holds about 80 percent was found on simulated copies; the view corrects it by the fleet's own past (`eta_claims`).
    """
    row = rows[slot]
    row["eta_s"] = np.nan
    row["eta_low_s"] = np.nan
    row["eta_high_s"] = np.nan
    reason = withheld_by_reports(row, bucket_us)
    row["eta_reason"] = reason
    if reason != ETA_KNOWN:
        return
    remaining = float(row["totalsize"] - row["replicatesize"])
    log_left, width = mixed_end(rows, slot, remaining, bucket_us / US_PER_S)
    if log_left > LOG_MAX_ETA:
        row["eta_reason"] = TOO_FAR
        return
    middle = math.exp(log_left)
    row["eta_s"] = middle
    row["eta_low_s"] = middle * math.exp(-width)
    row["eta_high_s"] = min(middle * math.exp(min(width, 700.0)), MAX_ETA_S)


@compiled
def withheld_by_reports(row: np.void, bucket_us: int) -> int:
    """The `EtaReason` that withholds the ETA before it is computed, or NONE.

    The ETA of a stalled series is withheld because the rates decay with each report: an end computed from them would
    only recede.
    """
    measured_us = row["last_seen"] - row["rated_from"]
    slow_bps = row["rate_slow_bps"]
    if row["progress"] == 100:
        return COMPLETE
    if not is_total_known(row["totalsize"], row["replicatesize"]):
        return TOTAL_UNKNOWN
    if row["totalsize"] == row["replicatesize"]:
        return CHECKING
    if row["samples"] < MIN_SAMPLES or not row["counted_s"] >= bucket_us / US_PER_S:
        return TOO_YOUNG
    limit_s = limit_or_first(row["stall_limit_s"], bucket_us / US_PER_S)
    if is_stalled(row["last_advance"], row["last_seen"], limit_s):
        return STALLED
    if not row["eta_rates"][PLAIN] > 0.0:
        return NO_RATE
    if measured_us >= CONVERGING_BUCKETS * bucket_us and not is_converging(slow_bps, row["growth_bps"]):
        return NOT_CONVERGING
    return ETA_KNOWN


@compiled
def is_converging(rate_bps: float, growth_bps: float) -> bool:
    """Whether what remains shrinks by more than a twentieth of the rate (bytes/s). growth_bps: NaN if unknown."""
    return math.isnan(growth_bps) or rate_bps - growth_bps > LEAST_NET_PART * rate_bps


@compiled
def signal_moved_eta(
    rows: Rows,
    slot: int,
    closed_minutes: int,
    bucket_us: int,
    eta_part: float,
    signals: npt.NDArray[np.void],
    signal_count: int,
) -> int:
    """Record the first end time of one row; append ETA_MOVED when it lies too far from the recorded one for minutes.

    closed_minutes: how many minutes this report closed. The end is looked at when it closed any, and must lie too far
    away, on the same side, for five more minutes. Returns the new number of signals.
    """
    row = rows[slot]
    if math.isnan(row["eta_s"]):
        return signal_count
    end_us = row["last_seen"] + np.int64(row["eta_s"] * US_PER_S)
    if row["eta_told"] != NONE:
        if closed_minutes == 0:
            return signal_count
        moved = has_moved(end_us, row["eta_told"], row["eta_told_at"], eta_part, bucket_us)
        is_later = end_us > row["eta_told"]
        row["eta_late_minutes"] = minutes_off(row["eta_late_minutes"], closed_minutes, moved and is_later)
        row["eta_early_minutes"] = minutes_off(row["eta_early_minutes"], closed_minutes, moved and not is_later)
        if max(row["eta_late_minutes"], row["eta_early_minutes"]) <= MOVE_MINUTES:
            return signal_count
        health = row["health"]
        signal_count = append_signal(
            rows, slot, SIGNAL_ETA_MOVED, health, health, row["eta_told_at"], np.nan, signals, signal_count
        )
    row["eta_told"] = end_us
    row["eta_told_at"] = row["last_seen"]
    row["eta_late_minutes"] = 0
    row["eta_early_minutes"] = 0
    return signal_count


@compiled
def minutes_off(minutes: int, closed_minutes: int, is_off: bool) -> int:
    """For how many minutes on end the end is off after `closed_minutes` more; the close that finds it first is one."""
    if not is_off:
        return 0
    return 1 if minutes == 0 else minutes + closed_minutes


@compiled
def has_moved(end_us: int, recorded_end_us: int, recorded_at_us: int, eta_part: float, bucket_us: int) -> bool:
    """Whether an end time differs from the recorded one by more than the part `eta_part` of the time then remaining."""
    remaining_us = max(recorded_end_us - recorded_at_us, MOVE_FLOOR_BUCKETS * bucket_us)
    return abs(end_us - recorded_end_us) > eta_part * remaining_us
