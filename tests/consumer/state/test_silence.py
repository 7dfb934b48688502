"""A clock marks a series silent once, and the next report ends the silence."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series import Health
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.silence import mark_silent
from taskstream.consumer.state.stall import limit_or_first
from taskstream.consumer.state.state_records import signal_batch
from tests.consumer.oracle.comparison import RecordedTable, exactly
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.silent_series import silent
from tests.consumer.oracle.streams import START, US, series_name, stream_of, streams
from tests.examples import examples

BUCKET_US = 60 * US
KEY = series_name(0)
moments = st.integers(-3600, 40 * 86_400).map(lambda seconds: START + seconds * US)


def copying(gaps_s: list[int]) -> list[Event]:
    """One report after each of these gaps, ten bytes a second."""
    times = np.cumsum([0, *gaps_s]).tolist()
    return [Event(KEY, START + time * US, 1, 10 * time, 10**9, {"process_trace": ""}) for time in times]


@examples(60)
@given(streams(), moments)
def test_silent_are_those_unheard_for_longer_than_their_limit(events: list[Event], now: int) -> None:
    table = SeriesTable()
    RecordedTable(table).fold(events)
    found = set(silent(table.rows, now, BUCKET_US).tolist())
    for slot in range(table.rows.shape[0]):
        row = table.rows[slot]
        unheard_s = (now - row["last_seen"]) / US
        expected = bool(row["live"]) and row["health"] != Health.COMPLETE
        assert (slot in found) == (expected and unheard_s > limit_or_first(row["quiet_limit_s"], 60.0))


@examples(60)
@given(streams(), moments, st.integers(0, 86_400))
def test_judged_twice_it_is_told_once(events: list[Event], now: int, later_s: int) -> None:
    recorded = RecordedTable(SeriesTable()).fold(events)
    first = recorded.mark_silent(now)
    later = recorded.mark_silent(now + later_s * US)
    assert not set(first) & set(later)
    assert all([each["signal"] for each in recorded.signals[key]].count("SILENT") == 1 for key in first)


def test_what_is_complete_is_not_silent_and_what_is_not_quite_is() -> None:
    done = [Event(series_name(number), START, 99 + number, 0, 0, {"process_trace": ""}) for number in (0, 1)]
    assert RecordedTable(SeriesTable()).fold(done).mark_silent(START + 86_400 * US) == [series_name(0)]


def test_a_series_marked_twice_is_told_once() -> None:
    recorded = RecordedTable(SeriesTable()).fold(copying([5] * 10))
    slots = recorded.table.find([KEY])
    assert len(mark_silent(recorded.table, slots, START + 3600 * US)) == 1
    assert len(mark_silent(recorded.table, slots, START + 3601 * US)) == 0


def test_the_signal_says_since_when_and_against_which_limit() -> None:
    recorded = RecordedTable(SeriesTable()).fold(copying([20] * 30))
    heard = START + 600 * US
    now = heard + 81 * US
    assert recorded.mark_silent(heard + 80 * US) == []
    assert recorded.mark_silent(now) == [KEY]
    signal = recorded.signals[KEY][-1]
    assert (signal["signal"], signal["before"], signal["after"]) == ("SILENT", "OK", "SILENT")
    assert (signal["since"], signal["last_seen"], signal["raised_at"]) == (heard, heard, now)
    assert (signal["before_since"], signal["limit_s"], signal["eta"]) == (START, (80.0).hex(), None)


def test_silence_withholds_the_eta_until_the_next_report() -> None:
    recorded = RecordedTable(SeriesTable()).fold(copying([20] * 30))
    slot = recorded.table.find([KEY])[0]
    assert recorded.table.rows["eta_s"][slot] > 0.0
    recorded.mark_silent(START + 3600 * US)
    assert np.isnan([recorded.table.rows[name][slot] for name in ("eta_s", "eta_low_s", "eta_high_s")]).all()
    recorded.fold([Event(KEY, START + 3700 * US, 1, 37_000, 10**9, {"process_trace": ""})])
    assert recorded.table.rows["eta_s"][slot] > 0.0


def test_the_next_report_ends_it_with_one_resumed() -> None:
    events = copying([5] * 20 + [900] + [5] * 20)
    recorded = RecordedTable(SeriesTable()).fold(events[:21])
    recorded.mark_silent(START + 500 * US)
    recorded.fold(events[21:])
    signals = [(each["signal"], each["before"], each["after"]) for each in recorded.signals[KEY]]
    assert signals == [("SILENT", "OK", "SILENT"), ("RESUMED", "SILENT", "OK")]


def test_a_report_without_progress_ends_it_with_that() -> None:
    heard = copying([5] * 20)
    recorded = RecordedTable(SeriesTable()).fold(heard)
    recorded.mark_silent(START + 500 * US)
    same = Event(KEY, START + 900 * US, 1, heard[-1].replicatesize, 10**9, {"process_trace": ""})
    recorded.fold([same])
    signals = [(each["signal"], each["before"], each["after"]) for each in recorded.signals[KEY]]
    assert signals == [("SILENT", "OK", "SILENT"), ("NO_PROGRESS", "SILENT", "NO_PROGRESS")]


def test_a_held_report_does_not_end_it() -> None:
    recorded = RecordedTable(SeriesTable()).fold(copying([5] * 20))
    recorded.mark_silent(START + 500 * US)
    recorded.fold([Event(KEY, START + 900 * US, 1, 0, 10**9, {"process_trace": ""})])
    assert recorded.table.rows["silent_since"][recorded.table.find([KEY])[0]] == START + 100 * US
    assert [each["signal"] for each in recorded.signals[KEY]] == ["SILENT"]


def test_a_rollback_takes_the_mark_back() -> None:
    table = SeriesTable()
    recorded = RecordedTable(table).fold(stream_of([[("copy", 40, 1)]] * 3))
    table.commit()
    before = exactly(table)
    assert len(recorded.mark_silent(START + 86_400 * US)) == 3
    assert exactly(table) != before
    table.rollback()
    assert exactly(table) == before


def test_the_signals_are_records_of_the_contract() -> None:
    table = SeriesTable()
    RecordedTable(table).fold(stream_of([[("copy", 40, 1)], [("stall", 3, 1)]]))
    now = START + 86_400 * US
    batch = signal_batch(table, mark_silent(table, silent(table.rows, now, BUCKET_US), now))
    assert batch.column("signal").to_pylist() == ["SILENT"] * 2
    assert batch.column("eta").to_pylist() == [None] * 2
