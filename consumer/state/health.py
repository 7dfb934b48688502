"""Decides the health of a series from its reports: COMPLETE, NO_PROGRESS, SLOW or OK. Pure, compiled.

`stall` decides NO_PROGRESS, and `trend` decides SLOW. SILENT needs a clock, so `silence` decides it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, Health, Rows, Signal
from taskstream.consumer.state.signals import append_signal, signalled_health, signalled_since
from taskstream.consumer.state.stall import is_stalled, limit_or_first
from taskstream.schemas.compiled import compiled

OK, SLOW, NO_PROGRESS, COMPLETE = int(Health.OK), int(Health.SLOW), int(Health.NO_PROGRESS), int(Health.COMPLETE)
SIGNAL_NO_PROGRESS, SIGNAL_SLOW = int(Signal.NO_PROGRESS), int(Signal.SLOW)
SIGNAL_RESUMED, SIGNAL_COMPLETE = int(Signal.RESUMED), int(Signal.COMPLETE)


@compiled
def update_health(rows: Rows, slot: int, bucket_us: int, signals: npt.NDArray[np.void], signal_count: int) -> int:
    """Set the health of one row, end its silence, and append a signal if the health differs from the last signalled.

    Returns the new number of signals.
    """
    row = rows[slot]
    before = signalled_health(row)
    before_since = signalled_since(row)
    limit_s = limit_or_first(row["stall_limit_s"], bucket_us / US_PER_S)
    after = health_of_reports(row["progress"], is_stalled(row["last_advance"], row["last_seen"], limit_s), row["slow"])
    since = row["last_advance"] if after == NO_PROGRESS else row["last_seen"]
    by_reports_before = row["health"]
    row["silent_since"] = NONE
    if by_reports_before != after:
        row["health"] = after
        row["health_since"] = since
    if after == before:
        return signal_count
    signal = signal_of_change(before, by_reports_before, after)
    signal_count = append_signal(rows, slot, signal, before, after, since, limit_s, signals, signal_count)
    signals[signal_count - 1]["before_since"] = before_since
    return signal_count


@compiled
def health_of_reports(progress: int, stalled: bool, slow: bool) -> int:
    """COMPLETE at 100 percent, else NO_PROGRESS if stalled, else SLOW if slow, else OK."""
    if progress == 100:
        return COMPLETE
    if stalled:
        return NO_PROGRESS
    if slow:
        return SLOW
    return OK


@compiled
def signal_of_change(before: int, by_reports_before: int, after: int) -> int:
    """The signal of a change of health. A series that is slow after anything worse than OK has resumed.

    by_reports_before: the health without any silence. A silent series that is again what it was before its silence has
    resumed, so that one stall is one NO_PROGRESS.
    """
    if by_reports_before == after:
        return SIGNAL_RESUMED
    if after == COMPLETE:
        return SIGNAL_COMPLETE
    if after == NO_PROGRESS:
        return SIGNAL_NO_PROGRESS
    if after == SLOW and before == OK:
        return SIGNAL_SLOW
    return SIGNAL_RESUMED
