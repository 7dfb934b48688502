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
from taskstream.consumer.state.table.change_log import each_once
from taskstream.consumer.state.task_rollup import CLOSING
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
_SPARE = 64


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
        self.current: Flags = np.zeros(0, np.bool_)
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
        self._series: Slots = np.zeros(0, np.int32)
        """[task] how many series it has."""
        self._first: Slots = np.zeros(0, np.int32)
        """[task] the slot of one of its series, NONE for a number without a task."""
        self._next: Slots = np.zeros(0, np.int32)
        self._previous: Slots = np.zeros(0, np.int32)
        """[slot] the next and the previous series of its task, in a ring."""
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
        self._grow()
        changed = self._table.changed_since(self.changes)
        self.changes = self._table.changes
        before = self.task[changed]
        self._remove(changed[before != NONE])
        self._add(changed[self._table.rows["live"][changed]])
        first_seen, last_seen = (self._table.rows[name][written] for name in ("first_seen", "last_seen"))
        earlier = (first_seen != self.first_seen[written]) | (last_seen < self.last_seen[written])
        self.first_seen[written], self.last_seen[written] = first_seen, last_seen
        self.written = written
        self.regrouped = _tasks_in(before, self.task[changed], self.task[written[earlier]])
        self.current[written] = False
        self._update_current(_tasks_in(self.regrouped, self.task[written]))
        return True

    def live(self) -> Ints:
        """The slots of all series."""
        return np.flatnonzero(self.task != NONE)

    def _update_current(self, tasks: Ints) -> None:
        """Set `affected` and `current` for the series of these tasks, of which some may have none."""
        slots = np.empty(self._series[tasks].sum(), np.int64)
        mark_current(tasks, self._series, self._first, self._next, self.last_seen, self.first_seen, self.current, slots)
        self.affected = np.sort(slots)

    def _grow(self) -> None:
        more = self._table.rows.shape[0] - self.task.shape[0]
        if more:
            self.task = longer(self.task, more, NONE)
            self.project = longer(self.project, more, NONE)
            self.kind = longer(self.kind, more)
            self.first_seen = longer(self.first_seen, more)
            self.last_seen = longer(self.last_seen, more)
            self.current = longer(self.current, more)
            self._next = longer(self._next, more)
            self._previous = longer(self._previous, more)

    def _add(self, slots: Ints) -> None:
        tasks, projects, kinds = [], [], []
        for key in self._table.keys[slots].tolist():
            name, _, subtask_name = key.rpartition("/")
            task = self._numbers.get(name)
            if task is None:
                task = self._free.pop() if self._free else self._new_number()
                self._numbers[name] = task
                self._names[task] = name
            tasks.append(task)
            projects.append(self._projects.setdefault(name.partition("/")[0], len(self._projects)))
            kinds.append(kind_of(subtask_name))
        self.task[slots], self.project[slots], self.kind[slots] = tasks, projects, kinds
        enter_rings(slots, self.task, self._first, self._next, self._previous, self._series)

    def _remove(self, slots: Ints) -> None:
        leave_rings(slots, self.task, self._first, self._next, self._previous, self._series)
        tasks = _tasks_in(self.task[slots])
        self.task[slots] = NONE
        for task in tasks[self._series[tasks] == 0].tolist():
            del self._numbers[self._names[task]]
            self._free.append(task)

    def _new_number(self) -> int:
        if self.tasks == self._series.shape[0]:
            more = max(self.tasks // 2, _SPARE)
            self._series, self._first = longer(self._series, more), longer(self._first, more, NONE)
        self._names.append("")
        self.tasks += 1
        return self.tasks - 1


def _tasks_in(*several: Ints) -> Ints:
    """The tasks in these arrays, each once, without NONE."""
    tasks = each_once(np.concatenate(several))
    return tasks[1:] if tasks.size and tasks[0] == NONE else tasks


@compiled
def enter_rings(slots: Ints, task: Ints, first: Slots, following: Slots, previous: Slots, series: Slots) -> None:
    """Put each of these slots at the end of its task's ring."""
    for slot in slots:
        ring = task[slot]
        if first[ring] == NONE:
            first[ring] = slot
            previous[slot] = slot
        begin = first[ring]
        end = previous[begin]
        following[end] = previous[begin] = slot
        following[slot], previous[slot] = begin, end
        series[ring] += 1


@compiled
def leave_rings(slots: Ints, task: Ints, first: Slots, following: Slots, previous: Slots, series: Slots) -> None:
    """Take each of these slots out of its task's ring."""
    for slot in slots:
        ring = task[slot]
        after, before = following[slot], previous[slot]
        following[before], previous[after] = after, before
        series[ring] -= 1
        first[ring] = after if series[ring] else NONE


@compiled
def mark_current(
    tasks: Ints,
    series: Slots,
    first: Slots,
    following: Slots,
    last_seen: Ints,
    first_seen: Ints,
    current: Flags,
    slots: Ints,
) -> None:
    """Set `current` for all series of these tasks, and write their slots, task by task."""
    count = 0
    for task in tasks:
        begin = count
        best = slot = first[task]
        for _ in range(series[task]):
            slots[count] = slot
            count += 1
            if (last_seen[slot], first_seen[slot]) > (last_seen[best], first_seen[best]):
                best = slot
            slot = following[slot]
        for member in slots[begin:count]:
            current[member] = last_seen[member] == last_seen[best] and first_seen[member] == first_seen[best]
