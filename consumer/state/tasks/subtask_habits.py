"""What is normal between the subtasks of a fleet's tasks: how long they pause, and which projects configure at the end.

The sums are exact integers, so that any order of changes gives what a count over all series gives. No clock, no I/O.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE
from taskstream.consumer.state.series_table import longer
from taskstream.consumer.state.tasks.task_index import SubtaskKind, TaskIndex

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MIN_PAUSES: Final = 5
"""With fewer known pauses, the limit is the least one."""
LEAST_LIMIT_BUCKETS: Final = 10.0
_PAUSE_FACTOR: Final = 3
_NEVER: Final = np.iinfo(np.int64).max


def pause_limit_s(count: int, total_us: int, squares_us2: int, bucket_s: float) -> float:
    """The longest normal pause between two subtasks, by the number, the sum and the sum of squares of those known.

    Three times the mean length of the pause that a moment of pausing lies in, which is the second moment over the
    first: with many short pauses and few long ones, the long ones decide. At least ten buckets.
    """
    least_s = LEAST_LIMIT_BUCKETS * bucket_s
    if count < MIN_PAUSES or total_us == 0:
        return least_s
    return max(least_s, _PAUSE_FACTOR * squares_us2 / (total_us * US_PER_S))


class SubtaskHabits:
    """The pauses and the continuing projects of the series of an index, updated for tasks whose series were written."""

    def __init__(self, index: TaskIndex) -> None:
        self._index = index
        self.pauses = 0
        """How many pauses between two subtasks of a task are known."""
        self.pauses_us = 0
        """Their sum."""
        self.squares_us2 = 0
        """The sum of their squares."""
        self._pause_us: Ints = np.zeros(0, np.int64)
        """[slot] the pause before this series, NONE if there was none."""
        self._has_next: Flags = np.zeros(0, np.bool_)
        """[slot] whether another series of its task began later: a pause can follow this one."""
        self._went_on: Flags = np.zeros(0, np.bool_)
        """[task] whether it went on from a synchronisation to a configuration."""
        self._project: Ints = np.zeros(0, np.int64)
        """[task] its project when `_went_on` was set."""
        self._continuing: Ints = np.zeros(0, np.int64)
        """[project] how many of its tasks went on so."""

    def continues(self, projects: Ints) -> Flags:
        """[projects] whether a task of the project went on from a synchronisation to a configuration."""
        return self._continuing[projects] > 0

    def refresh(self) -> None:
        """Take over what the last refresh of the index changed."""
        index = self._index
        self._pause_us = _at_least(self._pause_us, index.task.shape[0], NONE)
        self._has_next = _at_least(self._has_next, index.task.shape[0], 0)
        self._went_on = _at_least(self._went_on, index.tasks, 0)
        self._project = _at_least(self._project, index.tasks, NONE)
        self._continuing = _at_least(self._continuing, index.projects, 0)
        dropped = index.written[index.task[index.written] == NONE]
        self._set_pauses(dropped, np.full(dropped.shape[0], NONE))
        tasks = index.task[index.affected]
        regrouped = _among(tasks, index.regrouped)
        self._set_continuing(index.affected[regrouped])
        paused = index.task[index.written[self._has_next[index.written]]]
        self._set_pauses_of_tasks(index.affected[regrouped | _among(tasks, np.sort(paused))])

    def _set_pauses(self, slots: Ints, pauses_us: Ints) -> None:
        before = self._pause_us[slots]
        differ = before != pauses_us
        if differ.any():
            self._count(before[differ], -1)
            self._count(pauses_us[differ], 1)
            self._pause_us[slots] = pauses_us

    def _set_pauses_of_tasks(self, slots: Ints) -> None:
        """Set the pause before each series of whole tasks: from the last report of the one before it to its first.

        Subtasks that overlap have no pause between them.
        """
        first_seen, last_seen, tasks = (
            self._index.first_seen[slots],
            self._index.last_seen[slots],
            self._index.task[slots],
        )
        order = np.lexsort((last_seen, first_seen, tasks))
        before, after = order[:-1], order[1:]
        follows = tasks[after] == tasks[before]
        gaps_us = first_seen[after] - last_seen[before]
        pauses_us = np.full(slots.shape[0], NONE)
        pauses_us[after[follows]] = np.where(gaps_us >= 0, gaps_us, NONE)[follows]
        self._set_pauses(slots, pauses_us)
        self._has_next[slots] = False
        self._has_next[slots[before[follows]]] = True

    def _count(self, pauses_us: Ints, sign: int) -> None:
        values = pauses_us[pauses_us != NONE].tolist()
        self.pauses += sign * len(values)
        self.pauses_us += sign * sum(values)
        self.squares_us2 += sign * sum(value * value for value in values)  # beyond 64 bits

    def _set_continuing(self, slots: Ints) -> None:
        """Set whether the regrouped tasks, with these series, went on."""
        index = self._index
        before = index.regrouped[self._went_on[index.regrouped]]
        kind = index.kind[slots]
        is_synced, is_configured = kind == SubtaskKind.SYNC, kind == SubtaskKind.CONFIGURE
        if not before.size and not is_configured.any():
            return
        tasks, numbers = np.unique(index.task[slots], return_inverse=True)
        began = np.full(tasks.shape[0], _NEVER)
        np.minimum.at(began, numbers[is_synced], index.first_seen[slots[is_synced]])
        configured = slots[is_configured]
        after = configured[index.first_seen[configured] > began[numbers[is_configured]]]
        np.subtract.at(self._continuing, self._project[before], 1)
        self._went_on[before] = False
        tasks, first = np.unique(index.task[after], return_index=True)
        self._went_on[tasks] = True
        self._project[tasks] = index.project[after[first]]
        np.add.at(self._continuing, self._project[tasks], 1)


def _among(numbers: Ints, ordered: Ints) -> Flags:
    """[numbers] whether each is one of `ordered`, which ascends."""
    if not ordered.size:
        return np.zeros(numbers.shape[0], np.bool_)
    found = np.minimum(np.searchsorted(ordered, numbers), ordered.shape[0] - 1)
    same: Flags = ordered[found] == numbers
    return same


def _at_least(column: npt.NDArray[Any], size: int, value: object) -> npt.NDArray[Any]:
    """The column with at least `size` elements; new ones have this value."""
    more = size - column.shape[0]
    return column if more <= 0 else longer(column, more + size // 2, value)
