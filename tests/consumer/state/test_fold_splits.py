"""The rows and output do not depend on how a stream is split into batches, bit for bit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series_table import SeriesTable
from tests.consumer.oracle.comparison import RecordedTable, exactly
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import Chapter, jumbles, lives, stream_of
from tests.examples import examples


@examples(60)
@given(lives(), st.integers(0, 9), st.lists(st.integers(0, 600), max_size=12))
def test_any_split_of_lives_gives_the_same(lives_: list[list[Chapter]], seed: int, splits: list[int]) -> None:
    events = stream_of(lives_, seed)
    assert_same(RecordedTable(SeriesTable()).fold(events), RecordedTable(SeriesTable()).fold(events, splits))


@examples(40)
@given(jumbles())
def test_one_report_at_a_time_gives_the_same(events: list[Event]) -> None:
    assert_same(
        RecordedTable(SeriesTable()).fold(events), RecordedTable(SeriesTable()).fold(events, range(len(events)))
    )


def assert_same(one: RecordedTable, other: RecordedTable) -> None:
    assert exactly(one.table) == exactly(other.table)
    assert one.windows == other.windows
    assert one.signals == other.signals
