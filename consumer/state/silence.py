"""Decides which series are silent: no report for longer than the quiet limit, by the clock that is passed in.

The fold does not decide it. A series that is marked as silent stays so until its next accepted report.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, SIGNAL, EtaReason, Health, Rows, Signal
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.stall import quiet_limits_s

Ints = npt.NDArray[np.int64]


def silent(rows: Rows, now_us: int, bucket_us: int) -> Ints:
    """The slots without a report for longer than their quiet limit, that are not complete and not marked yet."""
    waiting = np.flatnonzero(rows["live"] & (rows["silent_since"] == NONE) & (rows["health"] != Health.COMPLETE))
    return waiting[is_overdue(rows, waiting, now_us, bucket_us)]


def is_overdue(rows: Rows, slots: Ints, now_us: int, bucket_us: int) -> npt.NDArray[np.bool_]:
    """Whether the last report of each of these series, complete or not, is older than its quiet limit. [slots]."""
    quiet_us = now_us - rows["last_seen"][slots]
    return quiet_us / US_PER_S > quiet_limits_s(rows["quiet_limit_s"][slots], bucket_us)


def mark_silent(table: SeriesTable, slots: Ints, now_us: int) -> npt.NDArray[np.void]:
    """Mark these series as silent since their last report, withhold their ETA, and return one signal each [SIGNAL].

    The marks are part of the table's transaction. A series that is marked already gives no signal.
    """
    slots = slots[table.rows["silent_since"][slots] == NONE]
    table.save(slots)
    rows = table.rows[slots]
    signals = np.zeros(slots.shape[0], SIGNAL)
    signals["slot"] = slots
    signals["signal"] = Signal.SILENT
    signals["before"] = rows["health"]
    signals["after"] = Health.SILENT
    signals["raised_at"] = now_us
    signals["since"] = rows["last_seen"]
    signals["before_since"] = rows["health_since"]
    signals["eta"] = NONE
    signals["eta_before"] = rows["eta_told"]
    signals["limit_s"] = quiet_limits_s(rows["quiet_limit_s"], table.settings.bucket_us)
    for name in ("last_seen", "last_advance", "progress", "replicatesize", "totalsize"):
        signals[name] = rows[name]
    for name in ("rate_fast_bps", "rate_slow_bps", "trend_change_pct"):
        signals[name] = rows[name]
    table.rows["silent_since"][slots] = rows["last_seen"]
    for name in ("eta_s", "eta_low_s", "eta_high_s"):
        table.rows[name][slots] = np.nan
    table.rows["eta_reason"][slots] = EtaReason.SILENT
    return signals
