"""Which new tasks are refused: in each partition, decided report by report, whatever the batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.tasks.task_limit import tasks_per_partition
from tests.consumer.oracle.comparison import batch_of, exactly
from tests.consumer.oracle.oracle_series import Event
from tests.examples import examples

LIMIT = 3
START_US = 1_700_000_000_000_000
PARTITIONS = 2
names = st.tuples(st.sampled_from("pq"), st.integers(0, 9), st.sampled_from(["MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE"]))


def limited() -> SeriesTable:
    return SeriesTable(Settings(tasks_per_project=LIMIT))


def events_of(series: Sequence[tuple[str, int, str]]) -> list[Event]:
    return [
        Event(f"{project}/{task}/{subtask}", START_US + number, 1, number, 1_000)
        for number, (project, task, subtask) in enumerate(series)
    ]


def partition_of(event: Event) -> int:
    return int(event.series.split("/")[1]) % PARTITIONS


def fold(table: SeriesTable, events: Sequence[Event], splits: Iterable[int] = ()) -> list[int]:
    """The indices of the refused events."""
    bounds = sorted({0, *(each for each in splits if each < len(events)), len(events)})
    refused = []
    for begin, end in itertools.pairwise(bounds):
        part = events[begin:end]
        folded = table.fold(batch_of(part), np.array([partition_of(each) for each in part], np.int32))
        refused += (folded.refused + begin).tolist()
    return refused


def refused_by_rule(events: Sequence[Event], live: set[str] | None = None) -> list[int]:
    """The rule, one event at a time."""
    tasks: set[str] = set() if live is None else live
    refused = []
    for number, event in enumerate(events):
        project, task = event.series.split("/")[:2]
        same = [
            each
            for each in tasks
            if each.split("/")[0] == project and int(each.split("/")[1]) % PARTITIONS == partition_of(event)
        ]
        if f"{project}/{task}" not in tasks and len(same) >= LIMIT:
            refused.append(number)
        else:
            tasks.add(f"{project}/{task}")
    return refused


@examples(60)
@given(st.lists(names, min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_any_split_refuses_and_folds_the_same(series: list[tuple[str, int, str]], splits: list[int]) -> None:
    events = events_of(series)
    whole, split, without = limited(), limited(), SeriesTable()
    refused = fold(whole, events)
    assert refused == refused_by_rule(events)
    assert fold(split, events, splits) == refused
    assert exactly(whole) == exactly(split)
    kept = [event for number, event in enumerate(events) if number not in refused]
    assert fold(without, kept) == []
    assert exactly(whole) == exactly(without)


@examples(40)
@given(st.lists(names, min_size=1, max_size=40), st.lists(names, max_size=40), st.lists(names, min_size=1, max_size=40))
def test_a_rollback_puts_the_counts_back(first: list, doomed: list, then: list) -> None:
    table, untroubled = limited(), limited()
    fold(table, events_of(first))
    fold(untroubled, events_of(first))
    table.commit()
    if doomed:
        fold(table, events_of(doomed))
    table.rollback()
    assert fold(table, events_of(then)) == fold(untroubled, events_of(then))


@examples(40)
@given(st.lists(names, min_size=1, max_size=40), st.sets(st.integers(0, 9)), st.lists(names, min_size=1, max_size=40))
def test_restored_series_count_and_dropped_ones_do_not(first: list, dropped: set[int], then: list) -> None:
    folded, restored = limited(), limited()
    fold(folded, events_of(first))
    folded.commit()
    gone = [
        slot for slot in folded.find(folded.keys.tolist()).tolist() if int(folded.keys[slot].split("/")[1]) in dropped
    ]
    folded.drop(np.array(gone, np.int64))
    slots = np.flatnonzero(folded.rows["live"])
    restored.put(
        folded.keys[slots].tolist(), folded.rows[slots], folded.traces.take(slots), folded.agent_times.take(slots)
    )
    live = {str(key).rpartition("/")[0] for key in folded.keys[slots]}
    events = events_of(then)
    assert [restored.refuses(each.series, partition_of(each)) for each in events[:1]] == [
        refused_by_rule(events[:1], set(live)) == [0]
    ]
    assert fold(folded, events) == fold(restored, events) == refused_by_rule(events, live)


def test_a_table_above_its_limit_keeps_its_tasks_and_refuses_new_ones() -> None:
    many, table = SeriesTable(), limited()
    fold(many, events_of([("p", 2 * number, "SYNC_LINUX_FILE") for number in range(5)]))
    slots = np.flatnonzero(many.rows["live"])
    table.put(many.keys[slots].tolist(), many.rows[slots], many.traces.take(slots), many.agent_times.take(slots))
    assert fold(table, events_of([("p", 8, "MIGRATE_LINUX_FILE"), ("p", 10, "SYNC_LINUX_FILE")])) == [1]


def test_a_batch_of_refused_events_only_changes_nothing() -> None:
    table = limited()
    fold(table, events_of([("p", 2 * number, "SYNC_LINUX_FILE") for number in range(LIMIT)]))
    before = exactly(table)
    assert fold(table, events_of([("p", 20, "SYNC_LINUX_FILE"), ("p", 22, "SYNC_LINUX_FILE")])) == [0, 1]
    assert exactly(table) == before


@pytest.mark.parametrize(
    "per_project, partitions, limit",
    [(0, 12, 0), (1, 12, 1), (10, 12, 10), (1_000, 12, 149), (50_000, 12, 4_564), (50_000, 1, 50_000)],
)
def test_a_partition_has_its_share_with_a_margin(per_project: int, partitions: int, limit: int) -> None:
    assert tasks_per_partition(per_project, partitions) == limit
