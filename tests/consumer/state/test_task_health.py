"""The health of a task: complete when its last subtask is, and silent between two subtasks like anywhere else."""

from __future__ import annotations

import numpy as np
import pytest

from taskstream.consumer.state.series import Health, Signal
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.silence import end_pauses, mark_silent
from taskstream.consumer.state.tasks.subtask_habits import pause_limit_s
from taskstream.consumer.state.tasks.task_health import TaskHealth
from taskstream.consumer.state.tasks.task_index import TaskIndex
from tests.consumer.oracle.comparison import RecordedTable
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import START, US


def reports(subtask: str, *progress: int, at_s: int = 0, task: str = "p/t") -> list[Event]:
    """One report each five seconds."""
    return [
        Event(f"{task}/{subtask}", START + (at_s + 5 * place) * US, percent, percent * 10, 1_000, {"process_trace": ""})
        for place, percent in enumerate(progress)
    ]


class Fleet:
    """A table that folded these reports, and the health of its tasks."""

    def __init__(self, *events: list[Event]) -> None:
        self.table = SeriesTable()
        self.health = TaskHealth(self.table)
        self.fold(*events)

    def fold(self, *events: list[Event]) -> None:
        for each in sorted((one for several in events for one in several), key=lambda event: event.received_at):
            RecordedTable(self.table).fold([each])

    def at(self, at_s: float, task: str = "p/t") -> Health:
        now_us = START + round(at_s * US)
        self.health.refresh()
        current = np.flatnonzero(self.health.index.current)
        (slot,) = [slot for slot in current.tolist() if self.table.keys[slot].startswith(f"{task}/")]
        return Health(int(self.health.judge(np.array([slot]), now_us).health[0]))

    def newly_silent(self, at_s: float) -> list[str]:
        self.health.refresh()
        return self.table.keys[self.health.newly_silent(START + round(at_s * US))].tolist()


def test_an_agent_that_dies_between_two_subtasks_is_silent_and_not_complete():
    fleet = Fleet(reports("ATTACH_AGENT_IMAGE", 100))
    assert (fleet.at(5), fleet.at(600), fleet.at(601)) == (Health.OK, Health.OK, Health.SILENT)
    assert fleet.newly_silent(600) == []
    assert fleet.newly_silent(601) == ["p/t/ATTACH_AGENT_IMAGE"]


@pytest.mark.parametrize("subtask", ["CONFIGURE_LINUX", "CONFIGURE_WINDOWS", "DETTACH_AGENT_IMAGE"])
def test_a_closing_subtask_at_100_percent_completes_the_task_for_ever(subtask):
    fleet = Fleet(reports("MIGRATE_LINUX_FILE", 50, 100), reports(subtask, 100, at_s=20))
    assert (fleet.at(21), fleet.at(86_400)) == (Health.COMPLETE, Health.COMPLETE)
    assert fleet.newly_silent(86_400) == []


def test_a_quiet_synchronisation_completes_a_task_where_nothing_follows_it():
    fleet = Fleet(reports("SYNC_LINUX_FILE", 50, 100))
    assert (fleet.at(10), fleet.at(186)) == (Health.OK, Health.COMPLETE)
    assert fleet.newly_silent(86_400) == []


def test_where_a_configuration_follows_a_synchronisation_does_not_complete_a_task():
    other = [*reports("SYNC_LINUX_FILE", 100, task="p/u"), *reports("CONFIGURE_LINUX", 100, at_s=30, task="p/u")]
    elsewhere = reports("SYNC_LINUX_FILE", 100, task="q/t")
    fleet = Fleet(reports("SYNC_LINUX_FILE", 50, 100), other, elsewhere)
    assert (fleet.at(70), fleet.at(606)) == (Health.OK, Health.SILENT)
    assert fleet.at(601, "q/t") == Health.COMPLETE, "each project has its own habits"
    assert fleet.at(70, "p/u") == Health.COMPLETE


def test_a_subtask_with_a_later_sibling_is_never_silent():
    fleet = Fleet(reports("MIGRATE_LINUX_FILE", 50, 60), reports("SYNC_LINUX_FILE", *[50] * 30, at_s=10))
    assert fleet.newly_silent(334) == []
    assert fleet.newly_silent(336) == ["p/t/SYNC_LINUX_FILE"]


def limit_of(*pauses_s: int) -> float:
    pauses_us = [each * US for each in pauses_s]
    return pause_limit_s(len(pauses_us), sum(pauses_us), sum(each * each for each in pauses_us), 60.0)


def test_the_limit_of_a_pause_is_learnt_from_the_fleet():
    assert limit_of() == 600.0
    assert limit_of(*[1000] * 4) == 600.0
    assert limit_of(*[1000] * 5) == 3000.0
    assert limit_of(*[10] * 5) == 600.0
    assert limit_of(*[0] * 5) == 600.0
    assert limit_of(*[10] * 100, 1000) == 3 * 1_010_000 / 2_000


def test_pauses_are_those_between_consecutive_subtasks():
    tasks = [f"p/{number}" for number in range(5)]
    began = [reports("MIGRATE_LINUX_FILE", 100, task=task) for task in tasks]
    fleet = Fleet(*began, *[reports("SYNC_LINUX_FILE", 50, at_s=1000, task=task) for task in tasks])
    fleet.at(1001, "p/0")
    assert fleet.health.pause_limit_s == 3000.0


def test_the_signal_of_a_pause_names_its_limit_and_the_next_subtask_ends_it():
    fleet = Fleet(reports("ATTACH_AGENT_IMAGE", 100))
    slots = fleet.table.find(fleet.newly_silent(700))
    (signal,) = mark_silent(fleet.table, slots, START + 700 * US, np.array([600.0]))
    assert (signal["before"], signal["after"], signal["limit_s"]) == (Health.OK, Health.SILENT, 600.0)
    assert fleet.newly_silent(800) == []
    assert fleet.health.superseded_marks().size == 0
    fleet.fold(reports("MIGRATE_LINUX_FILE", 1, at_s=900))
    assert fleet.at(900) == Health.OK
    marked = fleet.health.superseded_marks()
    (signal,) = end_pauses(fleet.table, marked, START + 900 * US)
    assert (signal["signal"], signal["before"], signal["after"]) == (Signal.RESUMED, Health.SILENT, Health.OK)
    assert (signal["slot"], signal["before_since"], signal["raised_at"]) == (slots[0], START, START + 900 * US)
    assert fleet.health.superseded_marks().size == 0


def test_the_index_follows_series_that_come_and_go():
    table = SeriesTable()
    index = TaskIndex(table)
    RecordedTable(table).fold([*reports("SYNC_LINUX_FILE", 1), *reports("CONFIGURE_LINUX", 1, at_s=9)])
    RecordedTable(table).fold(reports("SYNC_LINUX_FILE", 1, task="p/u"))
    assert index.refresh()
    assert not index.refresh()
    assert len(set(index.task[index.live()].tolist())) == 2
    assert table.keys[index.current].tolist() == ["p/t/CONFIGURE_LINUX", "p/u/SYNC_LINUX_FILE"]
    table.drop(table.find(["p/t/CONFIGURE_LINUX", "p/u/SYNC_LINUX_FILE"]))
    RecordedTable(table).fold(reports("SYNC_LINUX_FILE", 1, task="q/v"))
    index.refresh()
    assert sorted(table.keys[index.current].tolist()) == ["p/t/SYNC_LINUX_FILE", "q/v/SYNC_LINUX_FILE"]
    assert index.tasks == 2, "the number of a task that is gone is used again"
