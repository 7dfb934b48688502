"""Counts the reports of a fleet by task and subtask: sent, acknowledged, refused, unanswered. It sends nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from taskstream.producer.client.progress_client import Report
from taskstream.producer.fleet.fleet import FleetReport


@dataclass(slots=True)
class SubtaskDeliveryCounts:
    """The reports of one subtask."""

    acknowledged: int = 0
    refused: int = 0
    """Reports that were certainly not recorded."""
    unanswered: int = 0
    """Reports without a final response; each may have been recorded."""
    retried: int = 0
    """Requests beyond the first of each report; at most this many reports can have been recorded twice."""
    last: Report | None = None
    """The acknowledged report with the highest number."""
    last_number: int = 0


@dataclass(slots=True)
class TaskDeliveryCounts:
    """The reports of one task."""

    task_id: str
    subtasks: dict[str, SubtaskDeliveryCounts] = field(default_factory=dict)

    @property
    def current(self) -> str:
        """The subtask of the last acknowledged report; "" before the first."""
        return max(self.subtasks, key=lambda name: self.subtasks[name].last_number, default="")


@dataclass(frozen=True, slots=True)
class DeliverySums:
    """The counts of the whole fleet at one moment."""

    sent: int
    acknowledged: int
    refused: int
    unanswered: int
    retried: int
    skipped: int
    """Reports that were due and not sent, because too many were in flight or the time was over."""


class DeliveryCounts:
    """The counts of a fleet's reports. It is thread-safe; its memory depends only on the size of the fleet."""

    def __init__(self) -> None:
        self.tasks: dict[int, TaskDeliveryCounts] = {}
        self._lock = threading.Lock()
        self._sent = self._skipped = 0
        self._acknowledged = self._refused = self._unanswered = self._retried = 0
        self.last_error = ""
        """The message of the last failure."""

    def add_sent(self) -> None:
        """Count a report that a sender accepted."""
        with self._lock:
            self._sent += 1

    def add_skipped(self, count: int = 1, *, accepted: bool = False) -> None:
        """Count reports that were due and are not sent; `accepted`: they were counted as sent before."""
        with self._lock:
            self._skipped += count
            self._sent -= count * accepted

    def add_acknowledged(self, sent: FleetReport, attempts: int) -> None:
        """Count a report that is recorded on the topic."""
        with self._lock:
            subtask = self._subtask(sent)
            subtask.acknowledged += 1
            subtask.retried += attempts - 1
            self._acknowledged += 1
            self._retried += attempts - 1
            if sent.number > subtask.last_number:
                subtask.last, subtask.last_number = sent.report, sent.number

    def add_refused(self, sent: FleetReport, attempts: int, error: str) -> None:
        """Count a report that was refused for good; `error` is the message."""
        with self._lock:
            self._subtask(sent).refused += 1
            self._refused += 1
            self._add_failure(sent, attempts, error)

    def add_unanswered(self, sent: FleetReport, attempts: int, error: str) -> None:
        """Count a report without a final response; `error` is the message."""
        with self._lock:
            self._subtask(sent).unanswered += 1
            self._unanswered += 1
            self._add_failure(sent, attempts, error)

    def sums(self) -> DeliverySums:
        """The counts of the whole fleet so far."""
        with self._lock:
            return DeliverySums(
                self._sent, self._acknowledged, self._refused, self._unanswered, self._retried, self._skipped
            )

    def by_task(self, task_id: Callable[[int], str], count: int) -> list[TaskDeliveryCounts]:
        """The counts of the tasks 0 to `count` - 1, in this order, including tasks without reports."""
        with self._lock:
            return [self.tasks.get(number) or TaskDeliveryCounts(task_id(number)) for number in range(count)]

    def _subtask(self, sent: FleetReport) -> SubtaskDeliveryCounts:
        task = self.tasks.setdefault(sent.task, TaskDeliveryCounts(sent.task_id))
        return task.subtasks.setdefault(sent.report.subtask_name, SubtaskDeliveryCounts())

    def _add_failure(self, sent: FleetReport, attempts: int, error: str) -> None:
        self._subtask(sent).retried += attempts - 1
        self._retried += attempts - 1
        self.last_error = error
