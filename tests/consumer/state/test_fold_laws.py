"""Laws that hold for every stream: bytes are counted once, windows adjoin, and no rate is negative."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict, deque

import numpy as np
from hypothesis import given

from taskstream.consumer.state.series import Health
from taskstream.consumer.state.series_table import SeriesTable
from tests.consumer.oracle.comparison import RecordedTable
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import LARGEST, streams
from tests.examples import examples

WIDTH = 60_000_000


@examples(60)
@given(streams())
def test_every_byte_gained_is_in_one_window_or_in_the_open_minute(events: list[Event]) -> None:
    recorded = RecordedTable(SeriesTable()).fold(events)
    for key, gained in bytes_gained(events).items():
        row = recorded.table.rows[recorded.table.find([key])[0]]
        closed = sum(window["bytes"] for window in recorded.windows[key])
        not_yet_timed = int(row["replicatesize"]) - int(row["rated_bytes"])
        if gained <= LARGEST:
            assert closed + int(row["open_minute_bytes"]) + not_yet_timed == gained


@examples(60)
@given(streams())
def test_each_window_starts_where_the_last_one_ended(events: list[Event]) -> None:
    recorded = RecordedTable(SeriesTable()).fold(events)
    for key in {event.series for event in events}:
        row = recorded.table.rows[recorded.table.find([key])[0]]
        starts = [window["window_start"] for window in recorded.windows[key]] + [int(row["open_minute"])]
        lengths = [window["minutes"] * WIDTH for window in recorded.windows[key]]
        assert starts[0] == int(row["first_seen"]) // WIDTH * WIDTH
        assert [later - start for start, later in itertools.pairwise(starts)] == lengths


@examples(60)
@given(streams())
def test_no_rate_is_negative_and_every_interval_holds_its_middle(events: list[Event]) -> None:
    table = SeriesTable()
    recorded = RecordedTable(table)
    for event in events:
        recorded.fold([event])
        row = table.rows[table.find([event.series])[0]]
        for name in ("rate_fast_bps", "rate_slow_bps", "rate_peak_bps", "typical_gap_s", "eta_s", "log_rate_sd"):
            assert not row[name] < 0.0
        assert not row["rate_fast_bps"] > row["rate_peak_bps"]
        assert (row["minute_bytes"] >= 0).all()
        assert not row["eta_low_s"] > row["eta_s"]
        assert not row["eta_high_s"] < row["eta_s"]
        assert math.isnan(row["eta_low_s"]) == math.isnan(row["eta_high_s"])
        assert not math.isfinite(row["eta_low_s"]) or math.isfinite(row["eta_s"])
    assert all(window["bytes"] >= 0 for windows in recorded.windows.values() for window in windows)


@examples(60)
@given(streams())
def test_each_signal_begins_where_the_last_one_left_off(events: list[Event]) -> None:
    recorded = RecordedTable(SeriesTable()).fold(events)
    for signals in recorded.signals.values():
        healths = [Health.OK.name, *(signal["after"] for signal in signals)]
        assert [signal["before"] for signal in signals] == healths[:-1]


@examples(60)
@given(streams())
def test_counts_and_times_only_grow(events: list[Event]) -> None:
    table = SeriesTable()
    names = ["reports", "skewed", "stale", "resets", "regressions", "last_seen", "open_minute", "first_seen"]
    for event in events:
        found = table.find([event.series])
        before = table.rows[found][names].copy()
        RecordedTable(table).fold([event])
        after = table.rows[table.find([event.series])][names]
        assert all(np.all(after[name] >= before[name]) for name in names if len(before))


def bytes_gained(events: list[Event]) -> dict[str, int]:
    """The sum of all growth, by series: falls are believed when they come twice running, and gain nothing.

    An event whose id is among the newest 16 of its series gains nothing.
    """
    gained: dict[str, int] = {}
    heights: dict[str, int] = {}
    fallen: set[str] = set()
    ids: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=16))
    for event in events:
        if event.event_id in ids[event.series]:
            continue
        ids[event.series].extend([event.event_id] if event.event_id else [])
        height = heights.setdefault(event.series, event.replicatesize)
        gained.setdefault(event.series, 0)
        if event.replicatesize < height and event.series not in fallen:
            fallen.add(event.series)
            continue
        fallen.discard(event.series)
        gained[event.series] += max(event.replicatesize - height, 0)
        heights[event.series] = event.replicatesize
    return gained
