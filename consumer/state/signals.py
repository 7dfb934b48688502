"""Appends signals, each with the numbers that decided it. It decides none. Pure, compiled."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, Health, Rows
from taskstream.schemas.compiled import compiled

MAX_SIGNALS = 3
"""How many signals one report can raise."""
SILENT = int(Health.SILENT)


@compiled
def append_signal(
    rows: Rows,
    slot: int,
    kind: int,
    before: int,
    after: int,
    since: int,
    limit_s: float,
    signals: npt.NDArray[np.void],
    signal_count: int,
) -> int:
    """Write a signal of one row at `signals[signal_count]`; returns the new number of signals.

    kind: a `Signal`. before, after: a `Health`. since: microseconds since 1970. limit_s: NaN where no limit applies.
    """
    row = rows[slot]
    signal = signals[signal_count]
    signal["slot"] = slot
    signal["signal"] = kind
    signal["before"] = before
    signal["after"] = after
    signal["progress"] = row["progress"]
    signal["raised_at"] = row["last_seen"]
    signal["since"] = since
    signal["before_since"] = signalled_since(row)
    signal["last_seen"] = row["last_seen"]
    signal["last_advance"] = row["last_advance"]
    signal["replicatesize"] = row["replicatesize"]
    signal["totalsize"] = row["totalsize"]
    eta_s = row["eta_s"]
    signal["eta"] = NONE if math.isnan(eta_s) else row["last_seen"] + np.int64(eta_s * US_PER_S)
    signal["eta_before"] = row["eta_told"]
    signal["limit_s"] = limit_s
    signal["rate_fast_bps"] = row["rate_fast_bps"]
    signal["rate_slow_bps"] = row["rate_slow_bps"]
    signal["trend_change_pct"] = row["trend_change_pct"]
    return signal_count + 1


@compiled
def signalled_health(row: np.void) -> int:
    """The health of the last signal: SILENT if a clock has found the series silent, else that of its reports."""
    return SILENT if row["silent_since"] != NONE else int(row["health"])


@compiled
def signalled_since(row: np.void) -> int:
    """Since when `signalled_health` holds, in microseconds since 1970."""
    since: int = row["silent_since"] if row["silent_since"] != NONE else row["health_since"]
    return since
