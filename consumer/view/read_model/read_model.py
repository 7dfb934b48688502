"""What the view holds: the series, their tasks, each task's health by the clock, and when each was changed last.

Only the event loop touches it; time comes in as an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.kafka.state_decoder import StateChanges
from taskstream.consumer.state.series import Rows
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.task_rollup import Tasks, health_of

Ints = npt.NDArray[np.int64]
GONE_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class GoneTask:
    """A task that is no more."""

    version: int
    project_id: str
    task_id: str


class ReadModel:
    """The rows as they were published last, rolled up.

    Every change of a task gets a version of its own, so "what changed after version V" is one comparison, and the
    answer holds each task once however often it changed.
    """

    def __init__(self, settings: Settings) -> None:
        self.table = SeriesTable(settings)
        self.tasks = Tasks(self.table)
        self.version = 0
        """That of the latest change."""
        self.changed: Ints = np.zeros(0, np.int64)
        """[task] the version of its latest change."""
        self.health: npt.NDArray[np.int8] = np.zeros(0, np.int8)
        """[task] its `Health` when it was judged last."""
        self.health_since: Ints = np.zeros(0, np.int64)
        """[task] us."""
        self.gone: deque[GoneTask] = deque(maxlen=GONE_KEPT)
        self.gone_forgotten = 0
        """The version of the latest departure that `gone` no longer holds."""

    @property
    def bucket_us(self) -> int:
        """The width of a 'minute', microseconds."""
        return self.table.settings.bucket_us

    def apply(self, changes: StateChanges, now_us: int) -> None:
        """Take a batch of changes in."""
        touched: dict[int, None] = {}
        lessened: dict[tuple[str, str], None] = {}
        if changes.dropped:
            slots = self.table.find(changes.dropped)
            for slot in slots.tolist():
                lessened[self.tasks.name_of(self.tasks.of_slot(slot))] = None
            touched.update(dict.fromkeys(self.tasks.drop(slots.tolist())))
            self.table.drop(slots)
        if changes.keys:
            self.table.put(changes.keys, changes.rows, changes.traces, changes.agent_times)
            touched.update(dict.fromkeys(self.tasks.put(self.table.find(changes.keys).tolist())))
        self._make_room()
        if touched:
            tasks = np.fromiter(touched, np.int64, len(touched))
            self.health[tasks], self.health_since[tasks] = self._judged(tasks, now_us)
            self._mark(tasks)
        for project_id, task_id in lessened:
            if self.tasks.find(project_id, task_id) is None:
                self._say_gone(project_id, task_id)

    def judge(self, now_us: int) -> None:
        """Judge every task's health by the clock; one that differs from what was known is a change."""
        tasks = self.tasks.live
        health, since = self._judged(tasks, now_us)
        differ = np.flatnonzero((health != self.health[tasks]) | (since != self.health_since[tasks]))
        self.health[tasks[differ]] = health[differ]
        self.health_since[tasks[differ]] = since[differ]
        self._mark(tasks[differ])

    def touch(self, names: Iterable[tuple[str, str]]) -> None:
        """Say that something of these tasks changed that no row holds; those that are not there are passed over."""
        found = (self.tasks.find(project_id, task_id) for project_id, task_id in names)
        tasks = [task for task in found if task is not None]
        self._mark(np.array(tasks, np.int64))

    def changed_after(self, version: int) -> Ints:
        """The tasks that changed after this version, in the order of their latest change."""
        tasks = np.flatnonzero(self.changed > version)
        tasks = tasks[self.tasks.current[tasks] >= 0]
        return tasks[np.argsort(self.changed[tasks])]

    def gone_after(self, version: int) -> list[GoneTask] | None:
        """The tasks that went after this version; None when that is too long ago to be known."""
        if version < self.gone_forgotten:
            return None
        return [each for each in self.gone if each.version > version]

    def current_rows(self, tasks: Ints) -> Rows:
        """The rows of these tasks' current subtasks, a copy."""
        return self.table.rows[self.tasks.current[tasks]]

    def current_column(self, tasks: Ints, name: str) -> npt.NDArray[Any]:
        """One column of these tasks' current subtasks."""
        column: npt.NDArray[Any] = self.table.rows[name][self.tasks.current[tasks]]
        return column

    def _judged(self, tasks: Ints, now_us: int) -> tuple[npt.NDArray[np.int8], Ints]:
        return health_of(self.table.rows, self.tasks.current[tasks], now_us, self.bucket_us)

    def _mark(self, tasks: Ints) -> None:
        self.changed[tasks] = self.version + 1 + np.arange(tasks.shape[0])
        self.version += int(tasks.shape[0])

    def _say_gone(self, project_id: str, task_id: str) -> None:
        self.version += 1
        if len(self.gone) == GONE_KEPT:
            self.gone_forgotten = self.gone[0].version
        self.gone.append(GoneTask(self.version, project_id, task_id))

    def _make_room(self) -> None:
        more = self.tasks.current.shape[0] - self.changed.shape[0]
        if more:
            self.changed = np.concatenate([self.changed, np.zeros(more, np.int64)])
            self.health = np.concatenate([self.health, np.zeros(more, np.int8)])
            self.health_since = np.concatenate([self.health_since, np.zeros(more, np.int64)])
