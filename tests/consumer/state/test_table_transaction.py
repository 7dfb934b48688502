"""Rollback restores rows, strings, keys and series as they were committed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series_table import SeriesTable, Settings
from tests.consumer.oracle.comparison import RecordedTable, batch_of, exactly, partitions_of
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import START, US, series_name, stream_of, streams
from tests.examples import examples

splits = st.lists(st.integers(0, 400), max_size=4)


@examples(60)
@given(streams(), st.integers(0, 300), splits, st.integers(0, 7200))
def test_a_rollback_puts_everything_back(events: list[Event], committed: int, cuts: list[int], later_s: int) -> None:
    table = SeriesTable()
    RecordedTable(table).fold(events[:committed])
    table.commit()
    before = everything(table)
    doomed = RecordedTable(table)
    doomed.fold(events[committed:], cuts)
    doomed.mark_silent(START + later_s * US)
    table.rollback()
    assert everything(table) == before
    assert table.changed.tolist() == []


@examples(60)
@given(streams(), st.integers(0, 300), st.integers(0, 300), splits)
def test_after_a_rollback_the_fold_goes_on_as_if_nothing_had_been(
    events: list[Event], committed: int, doomed: int, cuts: list[int]
) -> None:
    table, untroubled = SeriesTable(), SeriesTable()
    RecordedTable(table).fold(events[:committed])
    RecordedTable(untroubled).fold(events[:committed])
    table.commit()
    RecordedTable(table).fold(events[committed : committed + doomed], cuts)
    table.rollback()
    again, expected = RecordedTable(table).fold(events[committed:]), RecordedTable(untroubled).fold(events[committed:])
    assert exactly(table) == exactly(untroubled)
    assert again.windows == expected.windows
    assert again.signals == expected.signals


def test_a_fold_that_raises_in_the_middle_is_rolled_back_to_the_state_before_it() -> None:
    """A report after a month closes as many windows as one report can: they fill the fold's memory after few events."""
    table = SeriesTable(Failing())
    series = [series_name(number) for number in range(100)]
    RecordedTable(table).fold([Event(each, START, 10, 100, 1_000) for each in series])
    table.commit()
    before, words = everything(table), {"process_trace": "later"}
    later = [Event(each, START + 30 * 86_400 * US, 20, 200, 1_000, words) for each in series]
    with pytest.raises(KeyboardInterrupt):
        RecordedTable(table).fold([Event("project/new/SYNC", START, 1, 1, 2), *later])
    reports = table.rows["reports"][table.find(series)]
    assert 0 < np.count_nonzero(reports == 2) < len(series)
    assert table.changed_count == len(series) + 1
    table.rollback()
    assert everything(table) == before
    untroubled = SeriesTable()
    RecordedTable(untroubled).fold([Event(each, START, 10, 100, 1_000) for each in series])
    assert exactly(RecordedTable(table).fold(later).table) == exactly(RecordedTable(untroubled).fold(later).table)


def test_a_fold_whose_texts_cannot_be_read_is_rolled_back_too() -> None:
    table = SeriesTable()
    events = stream_of([[("copy", 20, number)] for number in range(5)])
    RecordedTable(table).fold(events[:50])
    table.commit()
    before = everything(table)
    with pytest.raises(KeyError):
        table.fold(batch_of(events[50:]).drop_columns("process_trace"), partitions_of(events[50:]))
    assert any(table.rows["reports"] > 0)
    table.rollback()
    assert everything(table) == before


@pytest.mark.slow
def test_a_rollback_forgets_new_series_even_when_the_table_grew_for_them() -> None:
    few = stream_of([[("copy", 20, number)] for number in range(5)])
    many = stream_of([[("copy", 30, number)] for number in range(1_000)])
    table = SeriesTable()
    RecordedTable(table).fold(few)
    table.commit()
    before = everything(table)
    RecordedTable(table).fold(many, range(0, len(many), 500))
    assert len(table) == 1_000
    table.rollback()
    assert everything(table) == before
    assert len(table) == 5


def test_only_what_was_folded_after_the_last_commit_is_put_back() -> None:
    events = stream_of([[("copy", 60, number), ("reset", 30, number)] for number in range(4)])
    table = SeriesTable()
    RecordedTable(table).fold(events[:100])
    table.commit()
    RecordedTable(table).fold(events[100:200])
    table.commit()
    before = everything(table)
    RecordedTable(table).fold(events[200:])
    table.rollback()
    table.rollback()
    assert everything(table) == before


def test_changed_names_each_touched_slot_once_until_the_commit() -> None:
    events = stream_of([[("copy", 30, number)] for number in range(3)])
    table = SeriesTable()
    RecordedTable(table).fold(events, range(0, len(events), 7))
    assert sorted(table.keys[table.changed]) == sorted({event.series for event in events})
    assert table.changed_count == 3
    table.commit()
    assert table.changed.tolist() == []
    RecordedTable(table).fold(events[-1:])
    assert table.keys[table.changed].tolist() == [events[-1].series]


def test_a_dropped_series_begins_anew() -> None:
    events = stream_of([[("copy", 40, 1)]])
    table, fresh = SeriesTable(), SeriesTable()
    RecordedTable(table).fold(events)
    table.commit()
    table.drop(table.find([events[0].series]))
    assert len(table) == 0
    assert table.find([events[0].series]).tolist() == []
    RecordedTable(table).fold(events[20:])
    RecordedTable(fresh).fold(events[20:])
    assert exactly(table) == exactly(fresh)


class Failing(Settings):
    """Raises when the third part of a batch is to be folded; the first batch is one part."""

    __slots__ = ()
    asked = 0

    @property
    def bucket_us(self) -> int:
        Failing.asked += 1
        if Failing.asked == 4:
            raise KeyboardInterrupt
        return 60_000_000


def everything(table: SeriesTable) -> Any:
    """All that can be asked of a table."""
    live = np.flatnonzero(table.rows["live"])
    keys = table.keys[live].tolist()
    assert sorted(table.find(keys).tolist()) == live.tolist()
    assert len(table) == len(keys)
    empty = np.flatnonzero(~table.rows["live"])
    assert all(table.keys[slot] is None for slot in empty)
    assert all(table.traces[slot] is None and table.agent_times[slot] is None for slot in empty)
    assert not any(table.rows[name][empty].any() for name in table.rows.dtype.names or ())
    return exactly(table)
