"""The columns that judge a fleet: after any changes of the table they are those of a judge that begins now."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series import ROW, Health
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.silence import mark_silent
from taskstream.consumer.state.tasks.subtask_habits import SubtaskHabits
from taskstream.consumer.state.tasks.task_health import TaskHealth
from taskstream.consumer.state.tasks.task_index import TaskIndex
from tests.examples import examples

S = 1_000_000
NOW = 1_795_435_200 * S
SUBTASKS = ("SSL_CONFIG", "MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE", "CONFIGURE_LINUX", "DETTACH_AGENT_IMAGE")
TASKS = ("p/a", "p/b/c", "q/a")

series = st.tuples(st.sampled_from(TASKS), st.sampled_from(SUBTASKS))
times = st.tuples(st.integers(-900, 0), st.integers(0, 300))
puts = st.tuples(st.just("put"), st.lists(st.tuples(series, times, st.sampled_from([0, 2, 3])), min_size=1, max_size=6))
others = st.tuples(
    st.sampled_from(["drop", "save", "mark", "rollback", "commit"]), st.lists(series, min_size=1, max_size=4)
)
steps = st.lists(st.tuples(puts | others, st.booleans()), max_size=12)


def row(first_s: int, heard_s: int, health: int) -> np.ndarray:
    made = np.zeros(1, ROW)
    made["live"] = True
    made["first_seen"] = made["health_since"] = NOW + first_s * S
    made["last_seen"] = min(NOW + (first_s + heard_s) * S, NOW)
    made["health"] = health
    made["silent_since"] = -1
    made["quiet_limit_s"] = 60.0
    return made


def change(table: SeriesTable, kind: str, what) -> None:
    """One change of the table; `save` is what a fold does, without its rules."""
    if kind == "put":
        rows = {"/".join(each): row(*when, health) for each, when, health in what}
        texts = pa.nulls(len(rows), pa.string())
        table.put(list(rows), np.concatenate(list(rows.values())), texts, texts)
        return
    slots = table.find(sorted({"/".join(each) for each in what}))
    if kind == "drop":
        table.commit()
        table.drop(slots)
    elif kind == "save":
        table.save(slots)
        table.rows["last_seen"][slots] += 7 * S
        table.rows["health"][slots] = Health.COMPLETE
    elif kind == "mark":
        mark_silent(table, slots, NOW)
    elif kind == "rollback":
        table.rollback()
    elif kind == "commit":
        table.commit()


def facts(table: SeriesTable, health: TaskHealth, now_us: int) -> dict[str, object]:
    """All that it says, by the keys of series."""
    silent = health.newly_silent(now_us)
    superseded = health.superseded_marks()
    current = np.flatnonzero(health.index.current)
    judged = health.judge(current, now_us)
    keys = table.keys[current].tolist()
    columns = (judged.health.tolist(), judged.since_us.tolist(), judged.limit_s.tolist())
    return {
        "silent": sorted(table.keys[silent].tolist()),
        "superseded": sorted(table.keys[superseded].tolist()),
        "judged": dict(zip(keys, zip(*columns, strict=True), strict=True)),
        "pause": health.pause_limit_s,
    }


def plain_pauses_us(table: SeriesTable) -> list[int]:
    found = []
    keys = [key for key in table.keys.tolist() if key is not None]
    for _, of_task in itertools.groupby(sorted(keys), key=lambda key: key.rpartition("/")[0]):
        rows = sorted((int(one["first_seen"]), int(one["last_seen"])) for one in table.rows[table.find(list(of_task))])
        found += [after[0] - before[1] for before, after in itertools.pairwise(rows) if after[0] >= before[1]]
    return found


def plain_continuing(table: SeriesTable) -> set[str]:
    """The projects of the tasks that have a configuration which began after a synchronisation."""
    began = {
        key: int(table.rows["first_seen"][slot]) for slot, key in enumerate(table.keys.tolist()) if key is not None
    }
    tasks = {key.rpartition("/")[0] for key in began}
    pairs = ((task, began.get(f"{task}/SYNC_LINUX_FILE"), began.get(f"{task}/CONFIGURE_LINUX")) for task in tasks)
    return {task.partition("/")[0] for task, first, last in pairs if None not in (first, last) and last > first}


@examples(300)
@given(steps)
def test_after_any_changes_the_habits_are_those_of_all_series(several):
    table = SeriesTable()
    index = TaskIndex(table)
    habits = SubtaskHabits(index)
    for (kind, what), refreshes in several:
        change(table, kind, what)
        if not refreshes:
            continue
        if index.refresh():
            habits.refresh()
        pauses_us = plain_pauses_us(table)
        squares = sum(each * each for each in pauses_us)
        assert (habits.pauses, habits.pauses_us, habits.squares_us2) == (len(pauses_us), sum(pauses_us), squares)
        live = index.live()
        projects = [key.partition("/")[0] for key in table.keys[live].tolist()]
        found = set(np.array(projects, object)[habits.continues(index.project[live])].tolist())
        assert found == plain_continuing(table)


@examples(300)
@given(steps, st.integers(0, 900))
def test_after_any_changes_a_judge_says_what_one_that_begins_now_says(several, later_s):
    table = SeriesTable()
    health = TaskHealth(table)
    for (kind, what), refreshes in several:
        change(table, kind, what)
        if refreshes:
            health.refresh()
    now_us = NOW + later_s * S
    assert facts(table, health, now_us) == facts(table, TaskHealth(table), now_us)
