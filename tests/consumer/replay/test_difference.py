"""What differs between the fold and the published rows, and what is excused; on tables made by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from taskstream.consumer.kafka.direct.message_fetch import batch_of
from taskstream.consumer.replay.difference import DifferenceExcuse, FoldRules, difference_rows, judge
from taskstream.consumer.replay.refold import EventFold, PublishedRows
from taskstream.consumer.state.series import NONE
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.silence import mark_silent
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import RecordWriter
from tests.consumer.kafka.fakes import message
from tests.pipeline.streams import IDS

US = 1_000_000
DAY = 86_400 * US
START = 1_790_000_000 * US
ALL = FoldRules(now_us=START + DAY, keep_us=7 * DAY, complete=True, first_us=START)


class Event:
    """A record as a consumer gives it."""

    def __init__(self, task: str, received_at: int, replicated: int = 0) -> None:
        record = {"event_id": f"{received_at} {replicated}", "project_id": "p", "task_id": task, "progress": 1}
        record |= {"subtask_name": "S", "received_at": received_at, "replicatesize": replicated, "totalsize": 100}
        self._value = RecordWriter(IDS, newest("ProgressReported")).write(
            record | {"process_trace": "", "agent_time": None}
        )

    def message(self, offset: int) -> Message:
        no_time = TIMESTAMP_NOT_AVAILABLE, -1
        return Message(topic="t", partition=0, offset=offset, value=self._value, timestamp=no_time)


def table(*events: Event, limit: int = 0) -> SeriesTable:
    refold = EventFold(IDS, Settings(tasks_per_project=limit))
    refold.fold(batch_of([event.message(offset) for offset, event in enumerate(events)]))
    refold.table.commit()
    return refold.table


def twice(*events: Event) -> tuple[SeriesTable, SeriesTable]:
    return table(*events), table(*events)


def test_equal_tables_differ_in_nothing():
    fold, found = twice(Event("a", START), Event("b", START), Event("a", START + US, 5))

    verdict = judge(fold, found, ALL)

    assert (verdict.differences, verdict.same) == (0, 2)


def test_a_changed_number_is_listed_with_its_column_and_both_values():
    fold, found = twice(Event("a", START), Event("b", START))
    found.rows["reports"][found.find(["p/b/S"])] = 9

    verdict = judge(fold, found, ALL)

    assert verdict.differing == ["p/b/S"]
    (line,) = difference_rows(fold, found, verdict)
    assert line["task_id"] == "b"
    assert line["columns"] == {"reports": {"state": 9, "fold": 1}}


def test_a_changed_word_is_a_difference():
    fold, found = twice(Event("a", START))
    found.traces.put(found.find(["p/a/S"]), pa.array(["something else"]))

    assert judge(fold, found, ALL).differing == ["p/a/S"]


def test_a_row_in_the_wrong_partition_is_a_difference():
    fold, found = twice(Event("a", START))
    found.rows["partition"][found.find(["p/a/S"])] = 3

    assert judge(fold, found, ALL).differing == ["p/a/S"]


def test_what_only_one_side_has_is_missing_or_surplus():
    verdict = judge(table(Event("a", START)), table(Event("b", START)), ALL)

    assert (verdict.missing, verdict.surplus) == (["p/a/S"], ["p/b/S"])


def test_a_mark_of_silence_is_taken_over_and_no_difference():
    fold, found = twice(*(Event("a", START + each * 10 * US, each) for each in range(20)))
    slots = found.find(["p/a/S"])
    mark_silent(found, slots, START + 3600 * US)

    assert judge(fold, found, ALL).differences == 0
    assert fold.rows["silent_since"][fold.find(["p/a/S"])] == found.rows["silent_since"][slots]


def test_a_mark_of_silence_since_another_time_than_the_last_report_is_a_difference():
    fold, found = twice(Event("a", START))
    found.rows["silent_since"][found.find(["p/a/S"])] = START - US

    assert judge(fold, found, ALL).differing == ["p/a/S"]
    assert fold.rows["silent_since"][fold.find(["p/a/S"])] == NONE


def test_a_row_dropped_for_its_age_is_excused_and_one_dropped_too_soon_is_not():
    fold = table(Event("old", START - 10 * DAY), Event("young", START - 5 * DAY))

    verdict = judge(fold, SeriesTable(), ALL)

    assert verdict.missing == ["p/young/S"]
    assert verdict.excused == {DifferenceExcuse.EXPIRED: 1}


def test_a_row_that_began_anew_after_a_long_silence_is_excused():
    late = Event("a", START + 8 * DAY, 7)

    verdict = judge(table(Event("a", START), late), table(late), ALL)

    assert (verdict.differences, verdict.excused) == (0, {DifferenceExcuse.BEGUN_ANEW: 1})


def test_a_row_that_begins_later_without_such_a_silence_is_a_difference():
    late = Event("a", START + DAY, 7)

    assert judge(table(Event("a", START), late), table(late), ALL).differing == ["p/a/S"]


def test_series_begun_before_what_is_there_are_excused_only_when_something_is_gone():
    old, new = Event("a", START - DAY), Event("a", START, 7)
    fold, found = table(new), table(old, new, Event("gone", START - DAY))
    cut = FoldRules(ALL.now_us, ALL.keep_us, complete=False, first_us=START)

    assert judge(fold, found, cut).excused == {DifferenceExcuse.BEFORE_RANGE: 2}
    assert judge(fold, found, ALL).differences == 2


def test_a_row_without_events_that_should_be_there_is_surplus_whatever_is_gone():
    cut = FoldRules(ALL.now_us, ALL.keep_us, complete=False, first_us=START)

    verdict = judge(table(Event("a", START)), table(Event("a", START), Event("made up", START + 2 * DAY)), cut)

    assert verdict.surplus == ["p/made up/S"]


def test_a_task_that_was_admitted_after_another_had_expired_is_excused():
    """The fold expires nothing, so it refuses the task."""
    events = [Event("old", START), Event("a", START + 8 * DAY), Event("b", START + 8 * DAY)]
    fold, found = table(*events[:2], limit=1), table(*events[:1], limit=1)
    found.drop(found.find(["p/old/S"]))
    found.put(["p/a/S"], *columns(table(events[1])))
    rules = FoldRules(now_us=START + 8 * DAY, keep_us=7 * DAY, complete=True, first_us=START)

    verdict = judge(fold, found, rules)

    assert (verdict.differences, verdict.same) == (0, 0)
    assert verdict.excused == {DifferenceExcuse.OVER_LIMIT: 1, DifferenceExcuse.EXPIRED: 1}


def test_a_row_that_is_surplus_within_the_limit_is_a_difference():
    fold, found = table(Event("a", START), limit=2), table(Event("a", START), Event("b", START), limit=2)

    assert judge(fold, found, ALL).surplus == ["p/b/S"]


def test_a_task_that_was_refused_for_tasks_whose_events_are_gone_is_excused():
    fold, found = table(Event("b", START), limit=1), table(Event("a", START - DAY), limit=1)
    incomplete = FoldRules(now_us=START + DAY, keep_us=7 * DAY, complete=False, first_us=START)

    assert judge(fold, found, incomplete).excused[DifferenceExcuse.OVER_LIMIT] == 1
    assert judge(fold, table(limit=1), incomplete).missing == ["p/b/S"]


def columns(made: SeriesTable):
    slots = np.flatnonzero(made.rows["live"])
    return made.rows[slots], made.traces.take(slots), made.agent_times.take(slots)


def test_what_moves_is_looked_at_again_and_only_that():
    fold, found = twice(Event("a", START), Event("b", START))
    found.rows["reports"][:] = 9

    verdict = judge(fold, found, ALL, frozenset(["p/a/S"]))
    assert (verdict.moving, verdict.differing) == (["p/a/S"], ["p/b/S"])

    verdict.add(judge(fold, found, ALL, only=verdict.moving))
    assert (verdict.moving, sorted(verdict.differing)) == ([], ["p/a/S", "p/b/S"])


def test_a_tombstone_ends_a_row():
    published = PublishedRows(IDS, Settings())
    source = table(Event("a", START))
    published.table.put(["p/a/S"], *columns(source))

    published.add(batch_of([message(key=b"p/a/S")]))

    assert len(published.table) == 0
