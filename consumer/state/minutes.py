"""The bytes of each minute: spread over the time between two reports, closed once each. Pure, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import MINUTES, Rows
from taskstream.schemas.compiled import compiled

LARGEST = 9_223_372_036_854_775_807
MOST_WINDOWS = MINUTES + 2
"""How many windows one report can close: the open minute, 30 of a gap one by one, the rest of the gap as one."""


@compiled
def advance(
    rows: Rows,
    slot: int,
    until: int,
    gained: int,
    measured_to: int,
    width: int,
    windows: npt.NDArray[np.void],
    made: int,
) -> int:
    """Move a row's minutes from its last_seen on to `until`, with `gained` bytes spread evenly in between.

    Every minute that ends is appended to `windows` from place `made` on; the new number of windows is returned.
    `measured_to`: the series was measured up to here; a minute that ends later is not complete. All times and `width`
    in microseconds. Whole minutes between two reports are told one by one for the newest 30; what is older is one
    window of several minutes, so that no gap, however long, makes more than 32 windows.
    """
    row = rows[slot]
    begin = row["last_seen"]
    last = until // width * width
    told = 0
    if last > row["open_minute"]:
        edge = row["open_minute"] + width
        told = _by(gained, begin, until, edge)
        made = _close(
            row,
            slot,
            row["open_minute"],
            1,
            plus(row["open_minute_bytes"], told),
            until,
            measured_to,
            width,
            windows,
            made,
        )
        whole = (last - edge) // width
        if whole > MINUTES:
            older = whole - MINUTES
            after = edge + older * width
            share = _by(gained, begin, until, after)
            made = _close(row, slot, edge, older, share - told, until, measured_to, width, windows, made)
            told = share
            edge = after
        while edge < last:
            share = _by(gained, begin, until, edge + width)
            made = _close(row, slot, edge, 1, share - told, until, measured_to, width, windows, made)
            told = share
            edge += width
        row["open_minute"] = last
        row["open_minute_bytes"] = 0
    row["open_minute_bytes"] = plus(row["open_minute_bytes"], gained - told)
    return made


@compiled
def complete_minutes(open_minute: int, rated_from: int, width: int) -> int:
    """How many closed minutes before `open_minute` lie wholly after `rated_from`, 30 at most."""
    first_whole = -(-rated_from // width) * width
    whole: int = min(max((open_minute - first_whole) // width, 0), MINUTES)
    return whole


@compiled
def plus(a: int, b: int) -> int:
    """The sum of two numbers that are not negative, or the largest long: resets can pass it within one minute."""
    return a + b if a <= LARGEST - b else LARGEST


@compiled
def _by(gained: int, begin: int, until: int, moment: int) -> int:
    """How many of the bytes gained between `begin` and `until` had come by `moment`: whole ones, never decreasing."""
    if moment >= until:
        return gained
    share: int = np.int64(float(gained) * (float(moment - begin) / float(until - begin)))  # type: ignore[assignment]  # numba gives ints
    return min(share, gained)


@compiled
def _close(
    row: np.void,
    slot: int,
    start: int,
    minutes: int,
    in_it: int,
    until: int,
    measured_to: int,
    width: int,
    windows: npt.NDArray[np.void],
    made: int,
) -> int:
    ring = row["minute_bytes"]
    if minutes == 1:
        for place in range(MINUTES - 1):
            ring[place] = ring[place + 1]
        ring[MINUTES - 1] = in_it
    window = windows[made]
    window["slot"] = slot
    window["window_start"] = start
    window["minutes"] = minutes
    window["bytes"] = in_it
    window["complete"] = start >= row["rated_from"] and start + minutes * width <= measured_to
    window["progress"] = row["progress"]
    window["replicatesize"] = row["replicatesize"]
    window["totalsize"] = row["totalsize"]
    window["closed_at"] = until
    return made + 1
