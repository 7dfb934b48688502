"""Decides the health of a task: that of the subtask that reported last, and between two subtasks that of the pause.

A task is COMPLETE when a subtask that closes a migration is at 100 percent, or a synchronisation that is quiet where no
task of the project went on from a synchronisation to a configuration. At 100 percent of any other subtask the next one
must follow: the task is OK up to a limit that the pauses between subtasks of the fleet give, then SILENT. A subtask
with a later sibling is never silent. Time comes in as an argument; no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, Health, Rows
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.silence import is_overdue
from taskstream.consumer.state.stall import quiet_limits_s
from taskstream.consumer.state.tasks.task_index import SubtaskKind, TaskIndex

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Health8 = npt.NDArray[np.int8]

MIN_PAUSES: Final = 5
"""With fewer known pauses, the limit is the least one."""
LEAST_LIMIT_BUCKETS: Final = 10.0
_PAUSE_FACTOR: Final = 3.0
_LEARN_AGAIN_US: Final = 10_000_000
_FEW_SERIES: Final = 10_000
"""Up to so many series, each `refresh` learns; with more, one in ten seconds, when series were added or dropped."""


def pause_limit_s(pauses_s: Floats, bucket_s: float) -> float:
    """The longest normal pause between two subtasks, by those that are known.

    Three times the mean length of the pause that a moment of pausing lies in, which is the second moment over the
    first: with many short pauses and few long ones, the long ones decide. At least ten buckets.
    """
    least_s = LEAST_LIMIT_BUCKETS * bucket_s
    total_s = float(pauses_s.sum())
    if pauses_s.size < MIN_PAUSES or total_s <= 0.0:
        return least_s
    return max(least_s, _PAUSE_FACTOR * float((pauses_s * pauses_s).sum()) / total_s)


def pauses_between_subtasks_s(rows: Rows, slots: Ints, tasks: Ints) -> Floats:
    """The time from the last report of a subtask to the first of the next one, over these series and their tasks.

    Subtasks that overlap have no pause between them.
    """
    order = np.lexsort((rows["first_seen"][slots], tasks))
    slots, tasks = slots[order], tasks[order]
    same = tasks[1:] == tasks[:-1]
    pauses_us: Ints = rows["first_seen"][slots[1:]][same] - rows["last_seen"][slots[:-1]][same]
    pauses_s: Floats = pauses_us[pauses_us >= 0] / US_PER_S
    return pauses_s


def continuing_projects(rows: Rows, slots: Ints, index: TaskIndex) -> Ints:
    """The numbers of the projects in which a task went on from a synchronisation to a configuration."""
    synced = slots[index.kind[slots] == SubtaskKind.SYNC]
    configured = slots[index.kind[slots] == SubtaskKind.CONFIGURE]
    began = np.full(index.tasks, np.iinfo(np.int64).max)
    np.minimum.at(began, index.task[synced], rows["first_seen"][synced])
    went_on = rows["first_seen"][configured] > began[index.task[configured]]
    return np.unique(index.project[configured[went_on]])


@dataclass(frozen=True, slots=True)
class JudgedTasks:
    """The health of tasks, [tasks]."""

    health: Health8
    since_us: Ints
    """Since when, in microseconds since 1970."""
    limit_s: Floats
    """The longest normal time without a report."""


class TaskHealth:
    """Judges the tasks of a table. `refresh` learns from the fleet what is normal; call it when the table changed."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self.index = TaskIndex(table)
        self.pause_limit_s = pause_limit_s(np.zeros(0), table.settings.bucket_s)
        self._continuing: Ints = np.zeros(0, np.int64)
        self._learnt_at: tuple[int, int] | None = None
        """The changes of the index, and the time, when the fleet's habits were learnt last."""

    def refresh(self, now_us: int) -> None:
        """Take over new and dropped series, and learn from them again if it is time."""
        self.index.refresh()
        if self._learnt_at is not None and len(self._table) > _FEW_SERIES:
            changes, learnt_us = self._learnt_at
            if changes == self.index.changes or abs(now_us - learnt_us) < _LEARN_AGAIN_US:
                return
        self._learnt_at = (self.index.changes, now_us)
        rows, slots = self._table.rows, self.index.live()
        pauses_s = pauses_between_subtasks_s(rows, slots, self.index.task[slots])
        self.pause_limit_s = pause_limit_s(pauses_s, self._table.settings.bucket_s)
        self._continuing = continuing_projects(rows, slots, self.index)

    def judge(self, current: Ints, now_us: int | Ints) -> JudgedTasks:
        """The health of the tasks whose current series are in these slots.

        now_us: one time for all, or the time of each.
        """
        rows, bucket_us = self._table.rows, self._table.settings.bucket_us
        kind = self.index.kind[current]
        full = rows["health"][current] == Health.COMPLETE
        closes = kind >= SubtaskKind.DETACH
        ends_synced = (kind == SubtaskKind.SYNC) & ~np.isin(self.index.project[current], self._continuing)
        overdue = is_overdue(rows, current, now_us, bucket_us)
        complete = full & (closes | (ends_synced & overdue))
        limit_s = quiet_limits_s(rows["quiet_limit_s"][current], bucket_us)
        pausing = full & ~closes & ~ends_synced
        limit_s[pausing] = self.pause_limit_s
        overdue[pausing] = ((now_us - rows["last_seen"][current]) / US_PER_S > self.pause_limit_s)[pausing]
        silent = (overdue | (rows["silent_since"][current] != NONE)) & (~full | pausing)
        health = np.where(full & ~complete, Health.OK, rows["health"][current]).astype(np.int8)
        health[silent] = Health.SILENT
        since_us = np.where(silent, rows["last_seen"][current], rows["health_since"][current])
        return JudgedTasks(health, since_us, limit_s)

    def newly_silent(self, now_us: int) -> Ints:
        """The current series of the tasks that are silent by this time and not marked yet."""
        rows = self._table.rows
        current = np.flatnonzero(self.index.is_current())
        current = current[rows["silent_since"][current] == NONE]
        silent: Ints = current[self.judge(current, now_us).health == Health.SILENT]
        return silent

    def superseded_marks(self) -> Ints:
        """The complete series that are marked as silent although a sibling reported later: the pause is over."""
        rows = self._table.rows
        marked = rows["live"] & (rows["silent_since"] != NONE) & (rows["health"] == Health.COMPLETE)
        return np.flatnonzero(marked & ~self.index.is_current()) if marked.any() else np.zeros(0, np.int64)
