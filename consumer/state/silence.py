"""Which series have gone quiet for too long. It is judged against a clock that is passed in, never by the fold.

A series that was marked stays so until its next accepted report, which says what it is from then on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, SIGNAL, Health, Rows, Signal
from taskstream.consumer.state.series_table import SeriesTable

Ints = npt.NDArray[np.int64]


def silent(rows: Rows, now_us: int, bucket_us: int) -> Ints:
    """The slots without a report for longer than their quiet limit, that are not complete and not marked yet."""
    waiting = np.flatnonzero(rows["live"] & (rows["silent_since"] == NONE) & (rows["health"] != Health.COMPLETE))
    limits_s = quiet_limits_s(rows["typical_gap_s"][waiting], bucket_us)
    return waiting[(now_us - rows["last_seen"][waiting]) / US_PER_S > limits_s]


def mark_silent(table: SeriesTable, slots: Ints, now_us: int) -> npt.NDArray[np.void]:
    """Mark these series as silent since their last report, withhold their ETA, and give one signal [SIGNAL] each.

    Part of the table's transaction. One that is marked already gives none.
    """
    slots = slots[table.rows["silent_since"][slots] == NONE]
    table.touch(slots)
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
    signals["limit_s"] = quiet_limits_s(rows["typical_gap_s"], table.settings.bucket_us)
    for name in ("last_seen", "last_advance", "progress", "replicatesize", "totalsize"):
        signals[name] = rows[name]
    for name in ("rate_fast_bps", "rate_slow_bps", "trend_change_pct"):
        signals[name] = rows[name]
    table.rows["silent_since"][slots] = rows["last_seen"]
    for name in ("eta_s", "eta_low_s", "eta_high_s"):
        table.rows[name][slots] = np.nan
    return signals


def quiet_limits_s(typical_gaps_s: npt.NDArray[np.float64], bucket_us: int) -> npt.NDArray[np.float64]:
    """What `rates.quiet_limit` says of each: one bucket, or five typical gaps if that is more."""
    limits_s: npt.NDArray[np.float64] = np.fmax(bucket_us / US_PER_S, 5.0 * typical_gaps_s)
    return limits_s
