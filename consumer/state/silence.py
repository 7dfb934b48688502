"""Decides which series are silent, and which have expired: no report for too long, by the clock that is passed in.

The fold decides neither. A series that is marked as silent stays so until its next accepted report.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, SIGNAL, EtaReason, Health, Rows, Signal
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.stall import quiet_limits_s

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def is_overdue(rows: Rows, slots: Ints, now_us: int | Ints, bucket_us: int) -> npt.NDArray[np.bool_]:
    """Whether the last report of each of these series, complete or not, is older than its quiet limit. [slots].

    now_us: one time for all, or the time of each.
    """
    quiet_us = now_us - rows["last_seen"][slots]
    return quiet_us / US_PER_S > quiet_limits_s(rows["quiet_limit_s"][slots], bucket_us)


def expired(rows: Rows, now_us: int, keep_s: float) -> Ints:
    """The slots whose last report is more than `keep_s` ago, so that the table need not hold them."""
    return np.flatnonzero(rows["live"] & (now_us - rows["last_seen"] > keep_s * US_PER_S))


def mark_silent(
    table: SeriesTable, slots: Ints, now_us: int | Ints, limits_s: Floats | None = None
) -> npt.NDArray[np.void]:
    """Mark these series as silent since their last report, withhold their ETA, and return one signal each [SIGNAL].

    The marks are part of the table's transaction. A series that is marked already gives no signal.
    now_us: when they were found silent, one time for all or the time of each. limits_s: the limit that each exceeded;
    None: its quiet limit.
    """
    if limits_s is None:
        limits_s = quiet_limits_s(table.rows["quiet_limit_s"][slots], table.settings.bucket_us)
    unmarked = table.rows["silent_since"][slots] == NONE
    slots, limits_s, raised_at_us = (
        slots[unmarked],
        limits_s[unmarked],
        np.broadcast_to(now_us, unmarked.shape)[unmarked],
    )
    table.save(slots)
    rows = table.rows[slots]
    signals = _signals_of(rows, slots, Signal.SILENT, raised_at_us)
    # the task of a complete series waits for its next subtask
    signals["before"] = np.where(rows["health"] == Health.COMPLETE, Health.OK, rows["health"])
    signals["after"] = Health.SILENT
    signals["since"] = rows["last_seen"]
    signals["before_since"] = rows["health_since"]
    signals["limit_s"] = limits_s
    table.rows["silent_since"][slots] = rows["last_seen"]
    for name in ("eta_s", "eta_low_s", "eta_high_s"):
        table.rows[name][slots] = np.nan
    table.rows["eta_reason"][slots] = EtaReason.SILENT
    return signals


def end_pauses(table: SeriesTable, slots: Ints, now_us: int | Ints) -> npt.NDArray[np.void]:
    """Remove the marks of these complete series: their tasks went on with another subtask. One signal each [SIGNAL].

    now_us: when the next subtask reported, one time for all or the time of each.
    """
    table.save(slots)
    rows = table.rows[slots]
    signals = _signals_of(rows, slots, Signal.RESUMED, np.broadcast_to(now_us, slots.shape))
    signals["before"] = Health.SILENT
    signals["after"] = Health.OK
    signals["since"] = now_us
    signals["before_since"] = rows["silent_since"]
    signals["limit_s"] = np.nan
    table.rows["silent_since"][slots] = NONE
    return signals


def _signals_of(rows: Rows, slots: Ints, signal: Signal, raised_at_us: Ints) -> npt.NDArray[np.void]:
    """One signal of each row, without an ETA, its healths and their times."""
    signals = np.zeros(slots.shape[0], SIGNAL)
    signals["slot"] = slots
    signals["signal"] = signal
    signals["raised_at"] = raised_at_us
    signals["eta"] = NONE
    signals["eta_before"] = rows["eta_told"]
    for name in ("last_seen", "last_advance", "progress", "replicatesize", "totalsize"):
        signals[name] = rows[name]
    for name in ("rate_fast_bps", "rate_slow_bps", "trend_change_pct"):
        signals[name] = rows[name]
    return signals
