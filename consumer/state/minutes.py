"""The bytes of each minute (one bucket): spread over the time between two reports, closed once. Pure, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import MINUTES, Rows
from taskstream.schemas.compiled import compiled

INT64_MAX = 9_223_372_036_854_775_807
MAX_WINDOWS = MINUTES + 2
"""How many windows one report can close: the open minute, 30 of a gap one by one, the rest of the gap as one."""


@compiled
def advance_minutes(
    rows: Rows,
    slot: int,
    until_us: int,
    gained_bytes: int,
    measured_until_us: int,
    bucket_us: int,
    windows: npt.NDArray[np.void],
    window_count: int,
) -> int:
    """Move the open minute of one row from its last_seen to `until_us`; `gained_bytes` came evenly in between.

    Every minute that ends is written to `windows` from index `window_count` on; returns the new number of windows.
    measured_until_us: the series was measured up to here; a minute that ends later is not complete.
    Of the whole minutes between two reports, the newest 30 are closed one by one. The older ones are one window of
    several minutes, so that no gap, however long, closes more than 32 windows.
    """
    row = rows[slot]
    begin_us = row["last_seen"]
    last = until_us // bucket_us * bucket_us
    assigned = 0
    if last > row["open_minute"]:
        edge = row["open_minute"] + bucket_us
        assigned = _gained_by(gained_bytes, begin_us, until_us, edge)
        window_count = _close(
            row,
            slot,
            row["open_minute"],
            1,
            add_saturating(row["open_minute_bytes"], assigned),
            until_us,
            measured_until_us,
            bucket_us,
            windows,
            window_count,
        )
        whole = (last - edge) // bucket_us
        if whole > MINUTES:
            older = whole - MINUTES
            end = edge + older * bucket_us
            gained = _gained_by(gained_bytes, begin_us, until_us, end)
            window_count = _close(
                row,
                slot,
                edge,
                older,
                gained - assigned,
                until_us,
                measured_until_us,
                bucket_us,
                windows,
                window_count,
            )
            assigned = gained
            edge = end
        while edge < last:
            gained = _gained_by(gained_bytes, begin_us, until_us, edge + bucket_us)
            window_count = _close(
                row, slot, edge, 1, gained - assigned, until_us, measured_until_us, bucket_us, windows, window_count
            )
            assigned = gained
            edge += bucket_us
        row["open_minute"] = last
        row["open_minute_bytes"] = 0
    row["open_minute_bytes"] = add_saturating(row["open_minute_bytes"], gained_bytes - assigned)
    return window_count


@compiled
def complete_minutes(open_minute: int, rated_from: int, bucket_us: int) -> int:
    """How many closed minutes before `open_minute` lie wholly after `rated_from`, 30 at most."""
    first_whole = -(-rated_from // bucket_us) * bucket_us
    whole: int = min(max((open_minute - first_whole) // bucket_us, 0), MINUTES)
    return whole


@compiled
def add_saturating(a: int, b: int) -> int:
    """The sum of two numbers >= 0, at most INT64_MAX: several resets within one minute can exceed it."""
    return a + b if a <= INT64_MAX - b else INT64_MAX


@compiled
def _gained_by(gained_bytes: int, begin_us: int, until_us: int, moment_us: int) -> int:
    """How many of the bytes gained between `begin_us` and `until_us` had come by `moment_us`: whole, never falling."""
    if moment_us >= until_us:
        return gained_bytes
    share: int = np.int64(  # type: ignore[assignment]  # numba gives ints
        float(gained_bytes) * (float(moment_us - begin_us) / float(until_us - begin_us))
    )
    return min(share, gained_bytes)


@compiled
def _close(
    row: np.void,
    slot: int,
    start_us: int,
    minutes: int,
    bytes_in_it: int,
    until_us: int,
    measured_until_us: int,
    bucket_us: int,
    windows: npt.NDArray[np.void],
    window_count: int,
) -> int:
    """Write the window of `minutes` minutes from `start_us` on; a window of one minute also enters the row's ring."""
    ring = row["minute_bytes"]
    if minutes == 1:
        for index in range(MINUTES - 1):
            ring[index] = ring[index + 1]
        ring[MINUTES - 1] = bytes_in_it
    window = windows[window_count]
    window["slot"] = slot
    window["window_start"] = start_us
    window["minutes"] = minutes
    window["bytes"] = bytes_in_it
    window["complete"] = start_us >= row["rated_from"] and start_us + minutes * bucket_us <= measured_until_us
    window["progress"] = row["progress"]
    window["replicatesize"] = row["replicatesize"]
    window["totalsize"] = row["totalsize"]
    window["closed_at"] = until_us
    return window_count + 1
