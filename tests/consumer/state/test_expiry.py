"""Series whose last report is too long ago expire, and no others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.silence import expired
from tests.consumer.oracle.comparison import RecordedTable
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import START, US, series_name, streams
from tests.examples import examples


@examples(60)
@given(streams(), st.integers(0, 60 * 86_400), st.sampled_from((0.5, 3600.0, 7 * 86_400.0)))
def test_expired_are_those_whose_last_report_is_too_long_ago(events: list[Event], later_s: int, keep_s: float) -> None:
    table = SeriesTable()
    RecordedTable(table).fold(events)
    now = START + later_s * US
    found = table.keys[expired(table.rows, now, keep_s)].tolist()
    live = np.flatnonzero(table.rows["live"])
    expected = [table.keys[slot] for slot in live if now - table.rows["last_seen"][slot] > keep_s * US]
    assert found == expected


def test_a_series_is_kept_until_the_time_has_passed() -> None:
    table = SeriesTable()
    RecordedTable(table).fold([Event(series_name(0), START, 1, 0, 0, {"process_trace": ""})])
    assert expired(table.rows, START + 3600 * US, 3600.0).tolist() == []
    assert expired(table.rows, START + 3600 * US + 1, 3600.0).tolist() == [0]


@examples(30)
@given(streams())
def test_what_was_dropped_is_not_named_again(events: list[Event]) -> None:
    table = SeriesTable()
    RecordedTable(table).fold(events)
    table.commit()
    now = START + 365 * 86_400 * US
    table.drop(expired(table.rows, now, 1.0))
    assert expired(table.rows, now, 1.0).tolist() == []
    assert len(table) == 0
