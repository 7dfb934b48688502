"""Decides the health of a task: that of the subtask that reported last, and between two subtasks that of the pause.

A task is COMPLETE when a subtask that closes a migration is at 100 percent, or a synchronisation that is quiet where no
task of the project went on from a synchronisation to a configuration. At 100 percent of any other subtask the next one
must follow: the task is OK up to a limit that the pauses between subtasks of the fleet give, then SILENT. A subtask
with a later sibling is never silent. Time comes in as an argument; no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, Health
from taskstream.consumer.state.series_table import SeriesTable, longer
from taskstream.consumer.state.stall import quiet_limits_s
from taskstream.consumer.state.tasks.subtask_habits import SubtaskHabits, pause_limit_s
from taskstream.consumer.state.tasks.task_index import SubtaskKind, TaskIndex

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Health8 = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class JudgedTasks:
    """The health of tasks, [tasks]."""

    health: Health8
    since_us: Ints
    """Since when, in microseconds since 1970."""
    limit_s: Floats
    """The longest normal time without a report."""


class TaskHealth:
    """Judges the tasks of a table. What judging needs is copied into columns, when a row was written.

    Every question first takes over what was written. `refresh` does so earlier, that no request waits for it.
    """

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self.index = TaskIndex(table)
        self._habits = SubtaskHabits(self.index)
        self._health: Health8 = np.zeros(0, np.int8)
        self._health_since: Ints = np.zeros(0, np.int64)
        self._limit_s: Floats = np.zeros(0)
        """[slot] the longest normal time without a report of the series."""
        self._marked: Flags = np.zeros(0, np.bool_)
        """[slot] whether it is marked as silent."""
        self._watched: Flags = np.zeros(0, np.bool_)
        """[slot] whether its task can become silent: it is current, not marked, and no end of a task."""

    @property
    def pause_limit_s(self) -> float:
        """The longest normal pause between two subtasks of a task."""
        habits = self._habits
        return pause_limit_s(habits.pauses, habits.pauses_us, habits.squares_us2, self._table.settings.bucket_s)

    def refresh(self) -> None:
        """Take over the series that were added, written or dropped, and learn from them what is normal."""
        if not self.index.refresh():
            return
        self._habits.refresh()
        more = self.index.task.shape[0] - self._health.shape[0]
        if more:
            self._health = longer(self._health, more)
            self._health_since = longer(self._health_since, more)
            self._limit_s = longer(self._limit_s, more)
            self._marked = longer(self._marked, more)
            self._watched = longer(self._watched, more)
        rows, written = self._table.rows, self.index.written
        self._health[written] = rows["health"][written]
        self._health_since[written] = rows["health_since"][written]
        self._limit_s[written] = quiet_limits_s(rows["quiet_limit_s"][written], self._table.settings.bucket_us)
        self._marked[written] = (rows["silent_since"][written] != NONE) & (self.index.task[written] != NONE)
        self._watched[written] = False  # those that were dropped stay so
        slots = self.index.affected
        ends = (self._health[slots] == Health.COMPLETE) & (self.index.kind[slots] >= SubtaskKind.DETACH)
        self._watched[slots] = self.index.current[slots] & ~self._marked[slots] & ~ends

    def judge(self, current: Ints, now_us: int | Ints) -> JudgedTasks:
        """The health of the tasks whose current series are in these slots.

        now_us: one time for all, or the time of each.
        """
        self.refresh()
        kind, pause_s = self.index.kind[current], self.pause_limit_s
        last_seen, limit_s = self.index.last_seen[current], self._limit_s[current]
        quiet_s = (now_us - last_seen) / US_PER_S
        full = self._health[current] == Health.COMPLETE
        closes = kind >= SubtaskKind.DETACH
        ends_synced = (kind == SubtaskKind.SYNC) & ~self._habits.continues(self.index.project[current])
        overdue = quiet_s > limit_s
        complete = full & (closes | (ends_synced & overdue))
        pausing = full & ~closes & ~ends_synced
        limit_s[pausing] = pause_s
        overdue[pausing] = quiet_s[pausing] > pause_s
        silent = (overdue | self._marked[current]) & (~full | pausing)
        health = np.where(full & ~complete, Health.OK, self._health[current]).astype(np.int8)
        health[silent] = Health.SILENT
        return JudgedTasks(health, np.where(silent, last_seen, self._health_since[current]), limit_s)

    def newly_silent(self, now_us: int) -> Ints:
        """The current series of the tasks that are silent by this time and not marked yet."""
        self.refresh()
        least_s = np.minimum(self._limit_s, self.pause_limit_s)
        late = np.flatnonzero(self._watched & ((now_us - self.index.last_seen) / US_PER_S > least_s))
        silent: Ints = late[self.judge(late, now_us).health == Health.SILENT]
        return silent

    def superseded_marks(self) -> Ints:
        """The complete series that are marked as silent although a sibling reported later: the pause is over."""
        self.refresh()
        marked = np.flatnonzero(self._marked)
        superseded: Ints = marked[(self._health[marked] == Health.COMPLETE) & ~self.index.current[marked]]
        return superseded
