"""Rolls series up into tasks: which series make a task, which of them is the current one, and what state that means.

It holds numbers beside the table's rows. No clock, no I/O.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import NONE, Health, Rows
from taskstream.consumer.state.series_table import SeriesTable, identity
from taskstream.consumer.state.silence import quiet_limits_s
from taskstream.schemas.topics import task_key

Ints = npt.NDArray[np.int64]
Health8 = npt.NDArray[np.int8]

CLOSING = frozenset(
    {"CONFIGURE_LINUX", "CONFIGURE_LINUX_BLOCK", "CONFIGURE_LINUX_FILE", "CONFIGURE_WINDOWS", "DETTACH_AGENT_IMAGE"}
)
"""Subtasks after which a migration has nothing left to do."""
_SPARE = 64


class Tasks:
    """The tasks of a table. Numbers of tasks are reused when a task is gone."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self.current: Ints = np.full(0, NONE, np.int64)
        """[task] the slot of its series heard last, NONE where there is no task."""
        self.project: Ints = np.full(0, NONE, np.int64)
        """[task] the number of its project, see `projects`."""
        self.subtask: Ints = np.full(0, NONE, np.int64)
        """[task] the number of its current subtask, see `subtasks`."""
        self.tie: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        """[task] a number made of its key alone, that orders tasks which are equal otherwise."""
        self.names: list[tuple[str, str] | None] = []
        """[task] its project and id."""
        self.projects: dict[str, int] = {}
        self.subtasks: dict[str, int] = {}
        self.changes_of_names = 0
        """Counts tasks that came and went."""
        self._numbers: dict[str, int] = {}
        self._members: dict[int, list[int]] = {}
        self._task_of: dict[int, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def live(self) -> Ints:
        """The numbers of all tasks."""
        return np.flatnonzero(self.current != NONE)

    def find(self, project_id: str, task_id: str) -> int | None:
        """The number of this task."""
        return self._numbers.get(task_key(project_id, task_id))

    def named(self, task_id: str) -> list[int]:
        """The numbers of the tasks with this id, in whichever projects."""
        found = (self._numbers.get(task_key(project, task_id)) for project in self.projects)
        return [number for number in found if number is not None]

    def of_slot(self, slot: int) -> int:
        """The number of the task that the series in this slot is part of."""
        return self._task_of[slot]

    def name_of(self, task: int) -> tuple[str, str]:
        """Project and id of a task that is there."""
        name = self.names[task]
        assert name is not None
        return name

    def series_of(self, task: int) -> Ints:
        """The slots of a task's series, in the order in which they were first heard."""
        slots = np.array(self._members[task], np.int64)
        rows = self._table.rows[slots]
        return slots[np.lexsort((rows["last_seen"], rows["first_seen"]))]

    def put(self, slots: Iterable[int]) -> list[int]:
        """Take note of rows that were put into these slots; the numbers of their tasks, each once."""
        touched = dict.fromkeys(self._join(slot) for slot in slots)
        for task in touched:
            self._judge_current(task)
        return list(touched)

    def drop(self, slots: Iterable[int]) -> list[int]:
        """Take note, before they are dropped, of series that are to go; the numbers of tasks that remain."""
        remaining: dict[int, None] = {}
        for slot in slots:
            task = self._task_of.pop(slot)
            self._members[task].remove(slot)
            if self._members[task]:
                remaining[task] = None
            else:
                remaining.pop(task, None)
                self._forget(task)
        for task in remaining:
            self._judge_current(task)
        return list(remaining)

    def _join(self, slot: int) -> int:
        task = self._task_of.get(slot)
        if task is None:
            project_id, task_id, _ = identity(self._table.keys[slot])
            key = task_key(project_id, task_id)
            task = self._numbers.get(key)
            if task is None:
                task = self._begin(key, project_id, task_id)
            self._task_of[slot] = task
            self._members[task].append(slot)
        return task

    def _begin(self, key: str, project_id: str, task_id: str) -> int:
        if not self._free:
            self._grow()
        task = self._free.pop()
        self._numbers[key] = task
        self._members[task] = []
        self.names[task] = (project_id, task_id)
        self.project[task] = self.projects.setdefault(project_id, len(self.projects))
        self.tie[task] = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
        self.changes_of_names += 1
        return task

    def _forget(self, task: int) -> None:
        del self._numbers[task_key(*self.name_of(task))], self._members[task]
        self.names[task] = None
        self.current[task] = NONE
        self._free.append(task)
        self.changes_of_names += 1

    def _judge_current(self, task: int) -> None:
        members = self._members[task]
        seen = self._table.rows["last_seen"]
        # Two that were heard in the same microsecond: the one that began later has just taken over.
        first = self._table.rows["first_seen"]
        slot = members[0] if len(members) == 1 else max(members, key=lambda each: (seen[each], first[each]))
        if self.current[task] != slot:
            self.current[task] = slot
            subtask_name = identity(self._table.keys[slot])[2]
            self.subtask[task] = self.subtasks.setdefault(subtask_name, len(self.subtasks))

    def _grow(self) -> None:
        held = len(self.names)
        more = max(held // 2, _SPARE)
        self.current = np.concatenate([self.current, np.full(more, NONE, np.int64)])
        self.project = np.concatenate([self.project, np.full(more, NONE, np.int64)])
        self.subtask = np.concatenate([self.subtask, np.full(more, NONE, np.int64)])
        self.tie = np.concatenate([self.tie, np.zeros(more, np.uint64)])
        self.names.extend([None] * more)
        self._free.extend(range(held + more - 1, held - 1, -1))


def health_of(rows: Rows, slots: Ints, now_us: int, bucket_us: int) -> tuple[Health8, Ints]:
    """The health of the series in these slots, and since when (us), by the clock that is passed in.

    SILENT goes before all but COMPLETE, whether the worker has said so already or only this clock does.
    """
    health = rows["health"][slots].astype(np.int8)
    last_seen = rows["last_seen"][slots]
    quiet = (rows["silent_since"][slots] != NONE) | unheard(rows, slots, now_us, bucket_us)
    quiet &= health != Health.COMPLETE
    health[quiet] = Health.SILENT
    return health, np.where(quiet, last_seen, rows["health_since"][slots])


def unheard(rows: Rows, slots: Ints, now_us: int, bucket_us: int) -> npt.NDArray[np.bool_]:
    """Whether each of these series was not heard for too long, complete or not."""
    quiet_us = now_us - rows["last_seen"][slots]
    return quiet_us / US_PER_S > quiet_limits_s(rows["typical_gap_s"][slots], bucket_us)


def state_of(subtask_name: str, progress: int) -> str:
    """The API's word for a task whose current subtask has come so far.

    A report tells how far a subtask is, not what the service decided: so a failure or an abortion is never known here,
    and a success only when a subtask that closes a migration has ended. A copy at 100 percent is still RUNNING: what
    follows it has not been heard yet, and who waits for MIGRATE_SUCCESS must not be told too early.
    """
    if subtask_name.startswith("SYNC_"):
        return "SYNC_SUCCESS" if progress == 100 else "SYNCING"
    return "MIGRATE_SUCCESS" if progress == 100 and subtask_name in CLOSING else "RUNNING"
