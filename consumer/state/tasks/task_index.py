"""Which series are subtasks of one task, and which of them reported last. It judges no health. No clock, no I/O.

The index follows the table: a series costs some Python when it is new or dropped, and a copy of two numbers when it was
written.
"""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import NONE
from taskstream.consumer.state.series_table import SeriesTable, longer
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
        self.first_seen: Ints = np.zeros(0, np.int64)
        self.last_seen: Ints = np.zeros(0, np.int64)
        """[slot] copies of the rows' columns. In the rows, each element is a cache miss."""
        self.current: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """[slot] whether no other series of its task reported later; of those that reported at once, began later."""
        self.written: Ints = np.zeros(0, np.int64)
        """The slots that were written between the last two refreshes, dropped ones included."""
        self.affected: Ints = np.zeros(0, np.int64)
        """The slots of all series whose task has a written series."""
        self.regrouped: Ints = np.zeros(0, np.int64)
        """The tasks that got or lost a series, or have one that did more than report later; dropped ones included."""
        self.tasks = 0
        """One more than the greatest number of a task."""
        self.changes = 0
        """Counts the series that were added or dropped, up to the last `refresh`."""
        self._writes = 0
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._series: list[int] = []
        """[task] how many series it has."""
        self._free: list[int] = []
        self._projects: dict[str, int] = {}

    @property
    def projects(self) -> int:
        """How many projects have a number."""
        return len(self._projects)

    def refresh(self) -> bool:
        """Take over the series that were added, written or dropped since the last refresh; whether there were any."""
        if self._writes == self._table.writes:
            return False
        written = self._table.written_since(self._writes)
        self._writes = self._table.writes
        more = self._table.rows.shape[0] - self.task.shape[0]
        if more:
            self.task = longer(self.task, more, NONE)
            self.project = longer(self.project, more, NONE)
            self.kind = longer(self.kind, more)
            self.first_seen = longer(self.first_seen, more)
            self.last_seen = longer(self.last_seen, more)
            self.current = longer(self.current, more)
        changed = self._table.changed_since(self.changes)
        regrouped = np.zeros(self.tasks + changed.shape[0] + 1, np.bool_)  # the last one stands for NONE
        regrouped[self.task[changed]] = True
        for slot in changed.tolist():
            if self.task[slot] != NONE:
                self._remove(slot)
            if self._table.keys[slot] is not None:
                self._add(slot, self._table.keys[slot])
        self.changes = self._table.changes
        first_seen, last_seen = (self._table.rows[name][written] for name in ("first_seen", "last_seen"))
        earlier = (first_seen != self.first_seen[written]) | (last_seen < self.last_seen[written])
        self.first_seen[written], self.last_seen[written] = first_seen, last_seen
        regrouped[self.task[changed]] = True
        regrouped[self.task[written[earlier]]] = True
        affected = regrouped.copy()
        affected[self.task[written]] = True
        regrouped[NONE] = affected[NONE] = False
        self.written, self.regrouped = written, np.flatnonzero(regrouped)
        self.affected = np.flatnonzero(affected[self.task])
        self.current[written] = False
        self._update_current(self.affected)
        return True

    def live(self) -> Ints:
        """The slots of all series."""
        return np.flatnonzero(self.task != NONE)

    def _update_current(self, slots: Ints) -> None:
        self.current[slots] = False
        tasks = self.task[slots]
        for column in (self.last_seen, self.first_seen):
            times = column[slots]
            latest = np.zeros(self.tasks, np.int64)
            np.maximum.at(latest, tasks, times)
            kept = times == latest[tasks]
            slots, tasks = slots[kept], tasks[kept]
        self.current[slots] = True

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
