"""Rolls series up into tasks: which series belong to a task, which one is current, and which state that means.

It owns numbers beside the table's rows. No clock, no I/O.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import NONE, Health, Rows
from taskstream.consumer.state.series_table import SeriesTable, identity, longer, subtask_of
from taskstream.consumer.state.silence import is_overdue
from taskstream.consumer.state.table.change_log import ChangeLog
from taskstream.schemas.topics import task_key

Ints = npt.NDArray[np.int64]
Health8 = npt.NDArray[np.int8]

CLOSING = frozenset(
    {"CONFIGURE_LINUX", "CONFIGURE_LINUX_BLOCK", "CONFIGURE_LINUX_FILE", "CONFIGURE_WINDOWS", "DETTACH_AGENT_IMAGE"}
)
"""Subtasks that end a migration."""
_SPARE = 64


class Tasks:
    """The tasks of a table, each by a number. A number is reused after its task is dropped."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self.current: Ints = np.full(0, NONE, np.int64)
        """[task] the slot of the series that reported last, NONE where there is no task."""
        self.project: Ints = np.full(0, NONE, np.int64)
        """[task] the number of its project, see `projects`."""
        self.subtask: Ints = np.full(0, NONE, np.int64)
        """[task] the number of its current subtask, see `subtasks`."""
        self.tie: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        """[task] a hash of its key, which orders tasks that are otherwise equal."""
        self.names: list[tuple[str, str] | None] = []
        """[task] its project and id."""
        self.projects: dict[str, int] = {}
        self.subtasks: dict[str, int] = {}
        self._name_changes = ChangeLog()
        """Of tasks that were added or dropped."""
        self._renamed: list[int] = []
        """Those of them that `_name_changes` does not have yet."""
        self._numbers: dict[str, int] = {}
        self._members: dict[int, tuple[int, ...]] = {}
        """[task] the slots of its series, if it has several; the slot of a single one is in `current`.

        Tuples of numbers: the garbage collector does not look into them, as it would into lists.
        """
        self._has_several: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """[task] whether it is in `_members`."""
        self._task_of: Ints = np.full(0, NONE, np.int64)
        """[slot] the number of its task, NONE in a slot without a series."""
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def name_changes(self) -> int:
        """Counts the tasks that were added or dropped."""
        return self._name_changes.count

    @property
    def live(self) -> Ints:
        """The numbers of all tasks."""
        return np.flatnonzero(self.current != NONE)

    def find(self, project_id: str, task_id: str) -> int | None:
        """The number of this task, if it exists."""
        return self._numbers.get(task_key(project_id, task_id))

    def names_changed_since(self, name_changes: int) -> Ints:
        """The numbers whose task was added or dropped after the count `name_changes`, each once."""
        return self._name_changes.since(name_changes)

    def of_slot(self, slot: int) -> int:
        """The number of the task of the series in this slot."""
        return int(self._task_of[slot])

    def name_of(self, task: int) -> tuple[str, str]:
        """Project and id of a task that exists."""
        name = self.names[task]
        assert name is not None
        return name

    def series_of(self, task: int) -> Ints:
        """The slots of a task's series, in the order of their first reports."""
        slots = np.array(sorted(self._slots_of(task), key=self._table.keys.__getitem__), np.int64)
        rows = self._table.rows
        return slots[np.lexsort((rows["last_seen"][slots], rows["first_seen"][slots]))] if slots.size > 1 else slots

    def members_of(self, tasks: Ints) -> tuple[Ints, Ints]:
        """The slots of all series of these tasks, task by task, and the index at which each task's slots begin."""
        if not self._has_several[tasks].any():
            return self.current[tasks], np.arange(tasks.shape[0])
        members = [self._slots_of(task) for task in tasks.tolist()]
        begins = np.cumsum([0, *map(len, members)])[:-1]
        return np.fromiter(itertools.chain.from_iterable(members), np.int64), begins

    def put(self, slots: Ints) -> list[int]:
        """Add or update the series in these slots; returns the numbers of their tasks, each once."""
        more = self._table.rows.shape[0] - self._task_of.shape[0]
        if more:
            self._task_of = longer(self._task_of, more, NONE)
        for slot in slots[self._task_of[slots] == NONE].tolist():
            self._add_series(slot)
        self._note_names()
        tasks = self._task_of[slots]
        changed = list(dict.fromkeys(tasks.tolist()))
        for task in dict.fromkeys(tasks[self._has_several[tasks] | (self.subtask[tasks] == NONE)].tolist()):
            if task in self._members:
                self._update_current(task)
            else:
                self._set_current(task, int(self.current[task]))
        return changed

    def drop(self, slots: Iterable[int]) -> list[int]:
        """Remove these series, before the table drops them; returns the numbers of those tasks that remain."""
        remaining: dict[int, None] = {}
        for slot in slots:
            task = self.of_slot(slot)
            self._task_of[slot] = NONE
            left = tuple(each for each in self._slots_of(task) if each != slot)
            if len(left) > 1:
                self._members[task] = left
            elif left:
                del self._members[task]
                self._has_several[task] = False
                self._set_current(task, left[0])
            else:
                remaining.pop(task, None)
                self._remove_task(task)
                continue
            remaining[task] = None
        self._note_names()
        for task in remaining:
            if task in self._members:
                self._update_current(task)
        return list(remaining)

    def _slots_of(self, task: int) -> tuple[int, ...]:
        """The slots of a task's series, in the order in which they came."""
        return self._members.get(task) or (int(self.current[task]),)

    def _add_series(self, slot: int) -> None:
        project_id, task_id, _ = identity(self._table.keys[slot])
        key = task_key(project_id, task_id)
        task = self._numbers.get(key)
        if task is None:
            task = self._add_task(key, project_id, task_id)
            self.current[task] = slot
        elif self._task_of[slot] == NONE:
            self._members[task] = (*self._slots_of(task), slot)
            self._has_several[task] = True
        self._task_of[slot] = task

    def _add_task(self, key: str, project_id: str, task_id: str) -> int:
        if not self._free:
            self._grow()
        task = self._free.pop()
        self._numbers[key] = task
        self.names[task] = (project_id, task_id)
        self.subtask[task] = NONE
        self.project[task] = self.projects.setdefault(project_id, len(self.projects))
        self.tie[task] = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
        self._renamed.append(task)
        return task

    def _remove_task(self, task: int) -> None:
        del self._numbers[task_key(*self.name_of(task))]
        self.names[task] = None
        self.current[task] = NONE
        self._free.append(task)
        self._renamed.append(task)

    def _note_names(self) -> None:
        if self._renamed:
            self._name_changes.note(self._renamed)
            self._renamed.clear()

    def _update_current(self, task: int) -> None:
        seen = self._table.rows["last_seen"]
        # Of two that reported in the same microsecond, the one that began later is the current one, and then any, but
        # always the same one.
        first, keys = self._table.rows["first_seen"], self._table.keys
        self._set_current(task, max(self._members[task], key=lambda each: (seen[each], first[each], keys[each])))

    def _set_current(self, task: int, slot: int) -> None:
        if self.current[task] != slot or self.subtask[task] == NONE:
            self.current[task] = slot
            subtask_name = subtask_of(self._table.keys[slot])
            self.subtask[task] = self.subtasks.setdefault(subtask_name, len(self.subtasks))

    def _grow(self) -> None:
        size = len(self.names)
        more = max(size // 2, _SPARE)
        self.current = longer(self.current, more, NONE)
        self.project = longer(self.project, more, NONE)
        self.subtask = longer(self.subtask, more, NONE)
        self.tie = longer(self.tie, more)
        self._has_several = longer(self._has_several, more)
        self._name_changes.grow(more)
        self.names.extend([None] * more)
        self._free.extend(range(size + more - 1, size - 1, -1))


def health_of(rows: Rows, slots: Ints, now_us: int, bucket_us: int) -> tuple[Health8, Ints]:
    """The health of the series in these slots, and since when (us since 1970), by the clock that is passed in.

    SILENT takes precedence over all but COMPLETE, whether the worker has signalled it or only this clock shows it.
    """
    health = rows["health"][slots].astype(np.int8)
    last_seen = rows["last_seen"][slots]
    is_silent = (rows["silent_since"][slots] != NONE) | is_overdue(rows, slots, now_us, bucket_us)
    is_silent &= health != Health.COMPLETE
    health[is_silent] = Health.SILENT
    return health, np.where(is_silent, last_seen, rows["health_since"][slots])


def state_of(subtask_name: str, progress: int) -> str:
    """The state of the v3 API of a task whose current subtask has this progress.

    A report contains the progress of a subtask, not the service's decision. So no failure or abortion is known here,
    and a success only when a subtask that closes a migration is complete. A copy at 100 percent is still RUNNING: its
    next subtask has not reported yet, and a client that waits for MIGRATE_SUCCESS must not see it too early.
    """
    if subtask_name.startswith("SYNC_"):
        return "SYNC_SUCCESS" if progress == 100 else "SYNCING"
    return "MIGRATE_SUCCESS" if progress == 100 and subtask_name in CLOSING else "RUNNING"
