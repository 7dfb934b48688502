"""The account of what was sent, by task and subtask: what was acknowledged, refused, or never answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from taskstream.producer.client.progress_client import Report
from taskstream.producer.fleet.fleet import FleetReport


@dataclass(slots=True)
class SubtaskDeliveryCounts:
    """What became of the reports of one subtask."""

    acknowledged: int = 0
    refused: int = 0
    """Certainly not taken."""
    unanswered: int = 0
    """Sent, and never acknowledged: each may have been taken, and not more than `retried` of the others twice."""
    retried: int = 0
    """Attempts beyond each report's first."""
    last: Report | None = None
    """The last report that was acknowledged."""
    last_number: int = 0


@dataclass(slots=True)
class TaskDeliveryCounts:
    """What became of the reports of one task."""

    task_id: str
    subtasks: dict[str, SubtaskDeliveryCounts] = field(default_factory=dict)

    @property
    def current(self) -> str:
        """The subtask of the last report that was acknowledged; "" before the first."""
        return max(self.subtasks, key=lambda name: self.subtasks[name].last_number, default="")


@dataclass(frozen=True, slots=True)
class DeliverySums:
    """All of it together, at one moment."""

    sent: int
    acknowledged: int
    refused: int
    unanswered: int
    retried: int
    skipped: int
    """Due, and not sent, because too much was on its way already or the time was over."""


class DeliveryCounts:
    """Any thread may tell it. Its size is that of the fleet, however much is sent."""

    def __init__(self) -> None:
        self.tasks: dict[int, TaskDeliveryCounts] = {}
        self._lock = threading.Lock()
        self._sent = self._skipped = 0
        self._acknowledged = self._refused = self._unanswered = self._retried = 0
        self.trouble = ""
        """What went wrong last, in words."""

    def taken(self) -> None:
        """A report is on its way."""
        with self._lock:
            self._sent += 1

    def skipped(self, count: int = 1, *, taken: bool = False) -> None:
        """Reports were due and are not sent; `taken`: they were on their way before."""
        with self._lock:
            self._skipped += count
            self._sent -= count * taken

    def acknowledged(self, order: FleetReport, attempts: int) -> None:
        """Whoever answers for it says that Kafka has the report."""
        with self._lock:
            subtask = self._subtask(order)
            subtask.acknowledged += 1
            subtask.retried += attempts - 1
            self._acknowledged += 1
            self._retried += attempts - 1
            if order.number > subtask.last_number:
                subtask.last, subtask.last_number = order.report, order.number

    def refused(self, order: FleetReport, attempts: int, why: str) -> None:
        """The report was not taken and never will be."""
        with self._lock:
            self._subtask(order).refused += 1
            self._refused += 1
            self._note(order, attempts, why)

    def unanswered(self, order: FleetReport, attempts: int, why: str) -> None:
        """Nobody said what became of the report."""
        with self._lock:
            self._subtask(order).unanswered += 1
            self._unanswered += 1
            self._note(order, attempts, why)

    def sums(self) -> DeliverySums:
        """So far."""
        with self._lock:
            return DeliverySums(
                self._sent, self._acknowledged, self._refused, self._unanswered, self._retried, self._skipped
            )

    def in_order(self, task_id: Callable[[int], str], count: int) -> list[TaskDeliveryCounts]:
        """Every task of the fleet, those of which nothing was sent with it."""
        with self._lock:
            return [self.tasks.get(number) or TaskDeliveryCounts(task_id(number)) for number in range(count)]

    def _subtask(self, order: FleetReport) -> SubtaskDeliveryCounts:
        task = self.tasks.setdefault(order.task, TaskDeliveryCounts(order.task_id))
        return task.subtasks.setdefault(order.report.subtask_name, SubtaskDeliveryCounts())

    def _note(self, order: FleetReport, attempts: int, why: str) -> None:
        self._subtask(order).retried += attempts - 1
        self._retried += attempts - 1
        self.trouble = why
