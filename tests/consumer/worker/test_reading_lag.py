"""Silence is judged by the time up to which a partition was read; nothing is silent while the past is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskstream.consumer.kafka.in_memory.broker import InMemoryBroker
from taskstream.consumer.worker.reading_lag import QUIET_S, PartitionReading, after_read, judged_at_us
from taskstream.schemas.codec.record_codec import RecordReader
from tests.consumer.worker.workers import IDS, START_US, TOPICS, WorkerInMemory, nothing, publish
from tests.pipeline.streams import report

US = 1_000_000
NOW = START_US


def test_what_was_read_as_it_arrived_is_judged_by_now():
    assert judged_at_us(after_read(None, NOW, NOW, 5.0), NOW + 90 * US, 5.0 + 20.0) == NOW + 90 * US


def test_what_was_read_late_is_judged_as_late():
    reading = after_read(None, NOW - 1800 * US, NOW, 5.0)
    assert judged_at_us(reading, NOW + 10 * US, 15.0) == NOW - 1790 * US


def test_a_partition_that_is_quiet_for_a_while_is_judged_by_now():
    reading = after_read(None, NOW - 1800 * US, NOW, 5.0)
    assert judged_at_us(reading, NOW, 5.0 + QUIET_S - 0.1) == NOW - 1800 * US
    assert judged_at_us(reading, NOW, 5.0 + QUIET_S) == NOW
    assert judged_at_us(None, NOW, 5.0) == NOW


def test_it_is_never_judged_later_than_now():
    assert judged_at_us(after_read(None, NOW + 60 * US, NOW, 5.0), NOW, 5.0) == NOW


def test_among_old_and_new_records_the_old_ones_decide_for_a_while():
    reading = after_read(after_read(None, NOW - 1800 * US, NOW, 5.0), NOW + 20 * US, NOW + 20 * US, 25.0)
    assert reading == PartitionReading(1800 * US, 5.0, 25.0)
    reading = after_read(reading, NOW + 31 * US, NOW + 31 * US, 36.0)
    assert judged_at_us(reading, NOW + 31 * US, 36.0) == NOW + 31 * US


class Case:
    """A worker, and reports of two tasks, one after another second."""

    def __init__(self) -> None:
        self.broker = InMemoryBroker(TOPICS.partitions)
        self.worker = WorkerInMemory(self.broker)

    def reports(self, *ages_s: int) -> Callable[[], None]:
        """The action of publishing reports of both tasks, received so many seconds ago."""

        def send() -> None:
            times = [self.worker.wall_us - age_s * US for age_s in ages_s]
            publish(self.broker, [report(task, time, time - NOW + 100_000 * US) for time in times for task in (1, 2)])

        return send

    def second(self, seconds: float = 1.0) -> Callable[[], None]:
        def passes() -> None:
            self.worker.wall_us += round(seconds * US)
            self.worker.now_s += seconds

        return passes

    def seconds(self, count: int) -> list[Callable[[], None]]:
        return [self.second()] * count

    def restart(self) -> None:
        before = self.worker
        self.worker = WorkerInMemory(self.broker)
        self.worker.wall_us, self.worker.now_s = before.wall_us, before.now_s

    def signals(self) -> list[str]:
        reader = RecordReader(IDS, "SignalRaised")
        logs = self.broker.log(TOPICS.signals.name)
        return sorted(reader.read(message.value())["signal"] for log in logs for message in log.messages)


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_backfill_of_half_an_hour_calls_nothing_silent(case: Case):
    past = [each for age in range(1800, 0, -60) for each in (case.reports(age), case.second(1.0))]
    case.worker.run(nothing, *past, case.reports(0), case.second())
    assert case.signals() == []


def test_an_archive_read_at_once_calls_nothing_silent_while_it_is_read(case: Case):
    case.worker.run(nothing, case.reports(*range(86_400, 84_600, -10)), *case.seconds(int(QUIET_S) - 1))
    assert case.signals() == []


def test_a_live_series_that_stops_is_silent_after_its_limit(case: Case):
    live = [each for _ in range(40) for each in (case.reports(0), case.second())]
    note = case.worker.note(case.signals)
    case.worker.run(nothing, *live, *case.seconds(178), note, *case.seconds(4), note)
    assert case.worker.notes == [[], ["SILENT", "SILENT"]]


def test_a_series_that_stopped_before_a_restart_is_silent_after_it(case: Case):
    case.worker.run(nothing, case.reports(0), case.second())
    case.restart()
    case.worker.run(nothing, *case.seconds(605))
    assert case.signals() == ["SILENT", "SILENT"]
    case.restart()
    case.worker.run(nothing, *case.seconds(65))
    assert case.signals() == ["SILENT", "SILENT"]


def test_a_backlog_after_a_stop_calls_nothing_silent(case: Case):
    case.worker.run(nothing, case.reports(0), case.second())
    case.second(600)()
    case.restart()
    backlog = [each for age in range(600, 0, -100) for each in (case.reports(age), case.second())]
    case.worker.run(nothing, *case.seconds(2), *backlog, case.reports(0), case.second())
    assert case.signals() == []


def test_only_what_was_signalled_resumes(case: Case):
    case.worker.run(nothing, case.reports(0), *case.seconds(602), case.reports(0), case.second())
    assert case.signals() == ["RESUMED", "RESUMED", "SILENT", "SILENT"]


def test_a_task_that_dies_between_two_subtasks_is_silent_until_the_next_one(case: Case):
    def attached() -> None:
        sent = report(1, case.worker.wall_us, 0, subtask_name="ATTACH_AGENT_IMAGE", progress=100)
        publish(case.broker, [sent])

    note = case.worker.note(case.signals)
    quiet = [case.second(60.0)] * 11
    case.worker.run(nothing, attached, case.second(), note, *quiet, note, case.reports(0), *case.seconds(3), note)
    assert case.worker.notes[:2] == [["COMPLETE"], ["COMPLETE", "SILENT"]]
    assert case.worker.notes[2] == ["COMPLETE", "RESUMED", "SILENT"]
