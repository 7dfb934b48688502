"""An event is folded once: a repetition within reach of its series' memory changes no bit of the row or the output."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.event_ids import NO_ID, hash_event_ids
from taskstream.consumer.state.series import EVENT_IDS
from taskstream.consumer.state.series_table import SeriesTable
from tests.consumer.oracle.comparison import RecordedTable, comparable, differences, exactly, expected_rows, rows_of
from tests.consumer.oracle.murmur import murmur_hash
from tests.consumer.oracle.oracle import Oracle
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import START, US, Chapter, lives, series_name, stream_of
from tests.consumer.state.test_records_restore import restored
from tests.examples import examples

KEY = series_name(0)


@examples(150)
@given(lives(), st.integers(0, 9), st.lists(st.integers(0, 900), max_size=12), st.integers(0, 999))
def test_any_split_with_repetitions_ends_as_the_oracle_says_of_the_stream_without_them(
    lives_: list[list[Chapter]], seed: int, splits: list[int], repeats: int
) -> None:
    once = [replace(event, event_id=f"event {number}") for number, event in enumerate(stream_of(lives_, seed))]
    repeated = with_repetitions(once, random.Random(repeats))
    table, oracle = RecordedTable(SeriesTable()).fold(repeated, splits), Oracle()
    for event in once:
        oracle.fold(event)
    assert differences(rows_of(table.table), expected_rows(oracle)) == {}
    assert table.windows == comparable(oracle.windows)
    assert table.signals == comparable(oracle.signals)
    assert table.duplicates == len(repeated) - len(once)


@examples(200)
@given(st.lists(st.text(max_size=60), max_size=8))
def test_ids_are_hashed_as_published(ids: list[str]) -> None:
    array = pa.array(["before", *ids], pa.string())[1:]
    _, offsets, data = array.buffers()
    hashes = np.zeros(len(ids), np.int64)
    bounds = np.frombuffer(offsets, np.int32)[1 : len(ids) + 2]
    hash_event_ids(np.frombuffer(data, np.uint8), bounds, hashes)
    assert hashes.tolist() == [murmur_hash(each.encode()) if each else NO_ID for each in ids]


def test_the_hash_is_the_one_that_others_compute() -> None:
    """Published values of MurmurHash64A with a seed of 0. With another hash, every row would forget its events."""
    table = SeriesTable()
    RecordedTable(table).fold([replace(report(10), event_id=each) for each in ("ab", "abcdefg")])
    assert table.rows["event_ids"][0, -2:].tolist() == [7115271465109541368, 2601573339036254301]


def test_a_report_that_comes_again_after_others_does_not_move_the_state_back() -> None:
    reports = [report(percent) for percent in range(10, 60, 10)]
    recorded = RecordedTable(SeriesTable()).fold(reports)
    before = exactly(recorded.table)
    signals, windows = len(recorded.signals[KEY]), len(recorded.windows[KEY])
    recorded.fold([replace(reports[0], received_at=START + 900 * US)] * 3)
    assert exactly(recorded.table) == before
    assert (len(recorded.signals[KEY]), len(recorded.windows[KEY])) == (signals, windows)
    assert recorded.duplicates == 3
    assert recorded.table.rows["resets"][0] == 0


def test_a_repetition_is_no_sign_of_life() -> None:
    reports = [report(percent) for percent in range(10, 60, 10)]
    recorded = RecordedTable(SeriesTable()).fold(reports)
    assert recorded.mark_silent(START + 86_400 * US) == [KEY]
    recorded.fold([replace(reports[-1], received_at=START + 86_400 * US)])
    row = recorded.table.rows[0]
    assert row["last_seen"] == row["silent_since"] == reports[-1].received_at


def test_a_repetition_of_a_held_fall_confirms_no_reset() -> None:
    fall = report(10, at_s=200)
    recorded = RecordedTable(SeriesTable()).fold([report(50, at_s=100), fall, fall, fall])
    row = recorded.table.rows[0]
    assert (bool(row["held"]), int(row["resets"]), int(row["progress"])) == (True, 0, 50)


def test_events_without_an_id_are_never_duplicates() -> None:
    recorded = RecordedTable(SeriesTable()).fold([replace(report(10), event_id="")] * 3)
    assert (int(recorded.table.rows["reports"][0]), recorded.duplicates) == (3, 0)
    assert not recorded.table.rows["event_ids"].any()


def test_another_series_may_have_the_same_id() -> None:
    one = report(10)
    recorded = RecordedTable(SeriesTable()).fold([one, replace(one, series=series_name(1))])
    assert (len(recorded.table), recorded.duplicates) == (2, 0)


@pytest.mark.parametrize(("later", "reports"), [(EVENT_IDS - 1, EVENT_IDS), (EVENT_IDS, EVENT_IDS + 2)])
def test_the_memory_reaches_back_sixteen_reports(later: int, reports: int) -> None:
    events = [report(number) for number in range(later + 1)]
    recorded = RecordedTable(SeriesTable()).fold([*events, events[0]])
    assert recorded.table.rows["reports"][0] == reports


def test_what_was_rolled_back_is_no_repetition() -> None:
    table = SeriesTable()
    reports = [report(percent) for percent in range(10, 60, 10)]
    RecordedTable(table).fold(reports[:2])
    table.commit()
    RecordedTable(table).fold(reports[2:])
    table.rollback()
    again = RecordedTable(table).fold(reports)
    assert (int(table.rows["reports"][0]), again.duplicates) == (5, 2)


def test_a_restored_row_knows_its_events() -> None:
    reports = [report(percent) for percent in range(10, 60, 10)]
    table = SeriesTable()
    RecordedTable(table).fold(reports)
    came_back = restored(table)
    again = RecordedTable(came_back).fold(reports)
    assert again.duplicates == len(reports)
    assert exactly(came_back) == exactly(table)


def report(percent: int, at_s: int | None = None) -> Event:
    """A report of one series, of its own event id."""
    now = START + (percent if at_s is None else at_s) * US
    return Event(KEY, now, percent, percent * 10**6, 10**8, {"process_trace": ""}, f"event {percent} {at_s}")


def with_repetitions(events: list[Event], dice: random.Random) -> list[Event]:
    """The events, with repetitions among them of the newest 16 of a series, received at their time or later."""
    newest: dict[str, list[Event]] = {}
    mixed = []
    for event in events:
        mixed.append(event)
        newest[event.series] = [*newest.get(event.series, []), event][-EVENT_IDS:]
        for _ in range(dice.choice((0, 0, 1, 3))):
            old = dice.choice(newest[dice.choice(list(newest))])
            mixed.append(replace(old, received_at=old.received_at + dice.choice((0, 1, 3600 * US))))
    return mixed
