"""Which series are subtasks of one task, and which of them reported last. It judges no health. No clock, no I/O.

The index follows the table: a series costs something when it is new or dropped, and nothing per report.
"""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import NONE
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.task_rollup import CLOSING

Ints = npt.NDArray[np.int64]


class SubtaskKind(enum.IntEnum):
    """What the end of a subtask means for its task."""

    OTHER = 0
    """Another subtask follows."""
    SYNC = 1
    """A synchronisation: whether another subtask follows depends on how the fleet works."""
    DETACH = 2
    """It closes the task."""
    CONFIGURE = 3
    """It closes the task."""


def kind_of(subtask_name: str) -> SubtaskKind:
    """The kind of a subtask of this name."""
    if subtask_name.startswith("SYNC_"):
        return SubtaskKind.SYNC
    if subtask_name not in CLOSING:
        return SubtaskKind.OTHER
    return SubtaskKind.CONFIGURE if subtask_name.startswith("CONFIGURE_") else SubtaskKind.DETACH


class TaskIndex:
    """Numbers for the tasks and projects of a table's series. A number is reused after its task is dropped."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self.task: Ints = np.zeros(0, np.int64)
        """[slot] the number of its task, NONE in an empty slot."""
        self.project: Ints = np.zeros(0, np.int64)
        """[slot] the number of its project."""
        self.kind: npt.NDArray[np.int8] = np.zeros(0, np.int8)
        """[slot] a `SubtaskKind`."""
        self.tasks = 0
        """One more than the greatest number of a task."""
        self.changes = 0
        """Counts the series that were added or dropped, up to the last `refresh`."""
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._series: list[int] = []
        """[task] how many series it has."""
        self._free: list[int] = []
        self._projects: dict[str, int] = {}

    def refresh(self) -> bool:
        """Take over the series that were added to or dropped from the table; whether there were any."""
        if self.changes == self._table.changes:
            return False
        more = self._table.rows.shape[0] - self.task.shape[0]
        if more:
            self.task = np.concatenate([self.task, np.full(more, NONE)])
            self.project = np.concatenate([self.project, np.full(more, NONE)])
            self.kind = np.concatenate([self.kind, np.zeros(more, np.int8)])
        for slot in self._table.changed_since(self.changes).tolist():
            if self.task[slot] != NONE:
                self._remove(slot)
            if self._table.keys[slot] is not None:
                self._add(slot, self._table.keys[slot])
        self.changes = self._table.changes
        return True

    def live(self) -> Ints:
        """The slots of all series."""
        return np.flatnonzero(self.task != NONE)

    def is_current(self) -> npt.NDArray[np.bool_]:
        """[slot] whether no other series of its task reported later; of those that reported at once, began later."""
        slots = self.live()
        current = np.zeros(self.task.shape[0], np.bool_)
        tasks = self.task[slots]
        for name in ("last_seen", "first_seen"):
            times = self._table.rows[name][slots]
            latest = np.zeros(self.tasks, np.int64)
            np.maximum.at(latest, tasks, times)
            kept = times == latest[tasks]
            slots, tasks = slots[kept], tasks[kept]
        current[slots] = True
        return current

    def _add(self, slot: int, key: str) -> None:
        name, _, subtask_name = key.rpartition("/")
        task = self._numbers.get(name)
        if task is None:
            task = self._free.pop() if self._free else self._new_number()
            self._numbers[name] = task
            self._names[task] = name
        self._series[task] += 1
        self.task[slot] = task
        self.project[slot] = self._projects.setdefault(name.partition("/")[0], len(self._projects))
        self.kind[slot] = kind_of(subtask_name)

    def _remove(self, slot: int) -> None:
        task = int(self.task[slot])
        self.task[slot] = NONE
        self._series[task] -= 1
        if self._series[task] == 0:
            del self._numbers[self._names[task]]
            self._free.append(task)

    def _new_number(self) -> int:
        self._names.append("")
        self._series.append(0)
        self.tasks += 1
        return self.tasks - 1
