"""What the view holds in memory: series, their tasks, the health of each task by the clock, and its latest change.

Only the event loop uses it. Time comes in as an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.kafka.state_decoder import StateChanges
from taskstream.consumer.notes.task_note import NoteKind
from taskstream.consumer.notes.task_notes import TaskNotes
from taskstream.consumer.state.series import NONE, SHOWN_ROW, EtaReason, Health
from taskstream.consumer.state.series_table import SeriesTable, Settings, longer, subtask_of
from taskstream.consumer.state.slowdowns.rate_falls import LEAST_MINUTES, find_falls
from taskstream.consumer.state.task_rollup import Tasks
from taskstream.consumer.state.tasks.task_health import JudgedTasks, TaskHealth
from taskstream.consumer.view.read_model.eta_calibration import EtaCalibration
from taskstream.consumer.view.read_model.pipeline_lag import PipelineLag
from taskstream.consumer.view.read_model.slowdown_watch import Moving, SlowdownWatch
from taskstream.consumer.view.read_model.task_ends import Phase, TaskEnds

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_COLUMNS: Final = (
    *("first_seen", "last_seen", "last_advance", "reports", "progress", "replicatesize", "totalsize", "remain_time"),
    *("rate_fast_bps", "rate_slow_bps", "migrate_speed", "trend", "trend_change_pct", "eta_s", "eta_reason"),
    *("complete_minutes", "eta_low_s"),
)
"""The columns of a current series that whole lists are selected, sorted and summed by."""
GONE_KEPT: Final = 10_000
"""How many dropped tasks are remembered for `gone_after`."""


@dataclass(frozen=True, slots=True)
class GoneTask:
    """A task that was dropped, and the version of that change."""

    version: int
    project_id: str
    task_id: str


class ReadModel:
    """The rows as they were last published, rolled up into tasks.

    Every change of a task gets a version of its own. So "what changed after version V" is one comparison, and its
    result holds each task once, however often it changed.
    """

    def __init__(self, settings: Settings) -> None:
        self.table = SeriesTable(settings, SHOWN_ROW)
        self.tasks = Tasks(self.table)
        self._task_health = TaskHealth(self.table)
        self.calibration = EtaCalibration()
        """How well past intervals of an end held."""
        self.ends = TaskEnds()
        """What follows the current subtasks of tasks."""
        self.slowdowns = SlowdownWatch(settings.bucket_us)
        """Which tasks slowed down together."""
        self._looked_until: Ints = np.zeros(0, np.int64)
        """[slot] the begin of the open minute, when its minutes were last searched for a fall of the rate."""
        self._moved_on: Ints = np.zeros(0, np.int64)
        """[task] its current slot and how far that is, when `ends` was told of it; see `_learn_phases`."""
        self.end_kind: Ints = np.zeros(0, np.int64)
        """[task] the number of its project and current subtask in `ends`."""
        self.notes = TaskNotes()
        """What operators note about tasks, as far as it holds now."""
        self.pipeline = PipelineLag()
        """How far the rows are behind the reports, as last known."""
        self.version = 0
        """The version of the latest change."""
        self.changed: Ints = np.zeros(0, np.int64)
        """[task] the version of its latest change."""
        self.health: npt.NDArray[np.int8] = np.zeros(0, np.int8)
        """[task] its `Health` at the latest `apply` or `update_health`."""
        self.health_since: Ints = np.zeros(0, np.int64)
        """[task] since when, in microseconds since 1970."""
        self.began: Ints = np.zeros(0, np.int64)
        """[task] when its first series began, in microseconds since 1970."""
        self.done_bytes: Ints = np.zeros(0, np.int64)
        """[task] replicatesize, summed over its series."""
        self.total_bytes: Ints = np.zeros(0, np.int64)
        """[task] totalsize, summed over its series."""
        self._done: Floats = np.zeros(0)
        self._total: Floats = np.zeros(0)
        """[task] the same sums, which do not overflow."""
        self._columns = {name: np.zeros(0, self.table.rows[name].dtype) for name in _COLUMNS}
        """[task] `_COLUMNS` of its current series. In the rows, a column of all tasks is as many cache misses."""
        self.gone: deque[GoneTask] = deque(maxlen=GONE_KEPT)
        self._changed_after: tuple[int, dict[int, Ints]] = (0, {})
        """A version of the model, and the results of `changed_after` at it: many streams ask the same."""
        self._gone_complete_after = 0
        """`gone` holds every dropped task of a version after this one."""

    @property
    def bucket_us(self) -> int:
        """The width of a minute (one bucket) in microseconds."""
        return self.table.settings.bucket_us

    def judged_at(self, now_us: int) -> int:
        """The time by which health is judged: earlier than now while the workers are behind."""
        return self.pipeline.judged_at(now_us)

    def judged_health(self, tasks: Ints, now_us: int) -> JudgedTasks:
        """The health of these tasks by this clock."""
        return self._task_health.judge(self.tasks.current[tasks], self.judged_at(now_us))

    @property
    def pause_limit_s(self) -> float:
        """The longest normal pause between two subtasks of a task."""
        return self._task_health.pause_limit_s

    def whole_bytes(self, tasks: Ints) -> tuple[Floats, Floats]:
        """Bytes done and in total over all subtasks of each of these tasks."""
        return self._done[tasks], self._total[tasks]

    def apply(self, changes: StateChanges, now_us: int) -> None:
        """Apply a batch of changes to the rows, the tasks and their health."""
        changed: dict[int, None] = {}
        reduced: dict[tuple[str, str], None] = {}
        if changes.dropped:
            slots = self.table.find(changes.dropped)
            for slot in slots.tolist():
                task = self.tasks.of_slot(slot)
                reduced[self.tasks.name_of(task)] = None
                self.ends.drop(task)
                self._moved_on[task] = NONE
            changed.update(dict.fromkeys(self.tasks.drop(slots.tolist())))
            self.table.drop(slots)
            self.calibration.forget(changes.dropped)
        if changes.keys:
            self.calibration.note(changes.keys, changes.rows)
            slots = self.table.put(changes.keys, changes.rows, changes.traces, changes.agent_times)
            changed.update(dict.fromkeys(self.tasks.put(slots)))
            self._note_falls(slots, now_us)
        self._grow()
        self._task_health.refresh()
        if changed:
            tasks = np.fromiter(changed, np.int64, len(changed))
            self._copy_columns(tasks)
            self.health[tasks], self.health_since[tasks] = self._health_at(tasks, now_us)
            self._record_change(tasks)
            self._learn_phases(tasks)
        for project_id, task_id in reduced:
            if self.tasks.find(project_id, task_id) is None:
                self._record_gone(project_id, task_id)

    def update_health(self, now_us: int) -> None:
        """Compute the health of every task by this clock. A task whose health differs from before has changed."""
        self._task_health.refresh()
        tasks = self.tasks.live
        health, since = self._health_at(tasks, now_us)
        differ = np.flatnonzero((health != self.health[tasks]) | (since != self.health_since[tasks]))
        self.health[tasks[differ]] = health[differ]
        self.health_since[tasks[differ]] = since[differ]
        self._record_change(tasks[differ])
        judged_at_us = self.judged_at(now_us)
        self.ends.refresh(judged_at_us)
        if self.slowdowns.is_due(judged_at_us):
            self.slowdowns.update(self._moving(tasks), judged_at_us)

    def mark_changed(self, names: Iterable[tuple[str, str]]) -> None:
        """Record a change of these tasks (project and id) that no row holds. Tasks that do not exist are ignored."""
        found = (self.tasks.find(project_id, task_id) for project_id, task_id in names)
        tasks = [task for task in found if task is not None]
        self._record_change(np.array(tasks, np.int64))

    def changed_after(self, version: int) -> Ints:
        """The tasks that changed after this version, in the order of their latest change."""
        if self._changed_after[0] != self.version:
            self._changed_after = (self.version, {})
        known = self._changed_after[1]
        if version not in known:
            tasks = np.flatnonzero(self.changed > version)
            tasks = tasks[self.tasks.current[tasks] >= 0]
            known[version] = tasks[np.argsort(self.changed[tasks])]
        return known[version]

    def gone_after(self, version: int) -> list[GoneTask] | None:
        """The tasks dropped after this version; None if some of them are no longer remembered."""
        if version < self._gone_complete_after:
            return None
        return [each for each in self.gone if each.version > version]

    def current_column(self, tasks: Ints, name: str) -> npt.NDArray[Any]:
        """One of `_COLUMNS`, of these tasks' current subtasks."""
        column: npt.NDArray[Any] = self._columns[name][tasks]
        return column

    def _learn_phases(self, tasks: Ints) -> None:
        """Tell `ends` of those of these tasks whose current subtask is another one, or complete, or ends the task."""
        complete = self.health[tasks] == Health.COMPLETE
        full = self.current_column(tasks, "progress") == 100
        states = 3 * self.tasks.current[tasks] + np.where(complete, 2, np.where(full, 1, 0)) + 1
        differ = np.flatnonzero(states != self._moved_on[tasks])
        moved = tasks[differ]
        self._moved_on[moved] = states[differ]
        if not moved.size:
            return
        slots, begins = self.tasks.members_of(moved)
        rows = np.take(self.table.rows, slots)
        names = [subtask_of(key) for key in self.table.keys[slots].tolist()]
        ends_us = np.where(rows["progress"] == 100, rows["last_advance"], NONE).tolist()
        first_us, last_us = rows["first_seen"].tolist(), rows["last_seen"].tolist()
        current = self.table.keys[self.tasks.current[moved]].tolist()
        bounds = [*begins.tolist(), slots.shape[0]]
        ended_us = np.where(complete[differ], self.health_since[moved], NONE).tolist()
        for place, task in enumerate(moved.tolist()):
            members = range(bounds[place], bounds[place + 1])
            order = (
                members if len(members) == 1 else sorted(members, key=lambda at: (first_us[at], last_us[at], names[at]))
            )
            phases = [Phase(names[at], first_us[at], None if ends_us[at] == NONE else ends_us[at]) for at in order]
            project_id = self.tasks.name_of(task)[0]
            self.ends.put(task, project_id, phases, None if ended_us[place] == NONE else ended_us[place])
            self.end_kind[task] = self.ends.kind_of(project_id, subtask_of(current[place]))

    def _note_falls(self, slots: Ints, now_us: int) -> None:
        """Tell `slowdowns` of the falls in minutes of these rows that closed since they were last looked at."""
        more = self.table.rows.shape[0] - self._looked_until.shape[0]
        if more:
            self._looked_until = longer(self._looked_until, more)
        falls_us = np.empty(slots.shape[0], np.int64)
        find_falls(self.table.rows, slots, self._looked_until[slots], self.bucket_us, falls_us)
        self._looked_until[slots] = self.table.rows["open_minute"][slots]
        for place in np.flatnonzero(falls_us != NONE).tolist():
            task = self.tasks.of_slot(int(slots[place]))
            project, subtask = int(self.tasks.project[task]), int(self.tasks.subtask[task])
            self.slowdowns.note(
                int(falls_us[place]), self.tasks.name_of(task), project, subtask, self.judged_at(now_us)
            )

    def _moving(self, tasks: Ints) -> Moving:
        """Those of these tasks whose rates `find_falls` looks at."""
        health = self.health[tasks]
        watched = (health != Health.COMPLETE) & (health != Health.SILENT)
        watched &= self.current_column(tasks, "complete_minutes") >= LEAST_MINUTES
        watched &= self.current_column(tasks, "progress") < 100
        moving = tasks[watched]
        names = list(self.tasks.projects), list(self.tasks.subtasks)
        minutes = self.current_column(moving, "complete_minutes").astype(np.int64) - LEAST_MINUTES
        return Moving(self.tasks.project[moving], self.tasks.subtask[moving], minutes, *names)

    def _copy_columns(self, tasks: Ints) -> None:
        """Copy what lists need of these tasks' rows into the columns by task."""
        rows = np.take(self.table.rows, self.tasks.current[tasks])
        for name, column in self._columns.items():
            column[tasks] = rows[name]
        slots, begins = self.tasks.members_of(tasks)
        done, total = self.table.rows["replicatesize"][slots], self.table.rows["totalsize"][slots]
        self.began[tasks] = np.minimum.reduceat(self.table.rows["first_seen"][slots], begins)
        self.done_bytes[tasks], self.total_bytes[tasks] = np.add.reduceat(done, begins), np.add.reduceat(total, begins)
        self._done[tasks] = np.add.reduceat(done.astype(np.float64), begins)
        self._total[tasks] = np.add.reduceat(total.astype(np.float64), begins)

    def eta_reasons(self, tasks: Ints) -> npt.NDArray[np.int8]:
        """The `EtaReason` of each of these tasks, by its health as last judged."""
        health = self.health[tasks]
        reasons = self.current_column(tasks, "eta_reason").astype(np.int8)
        reasons[self.current_column(tasks, "progress") == 100] = EtaReason.NEXT_SUBTASK
        reasons[health == Health.COMPLETE] = EtaReason.COMPLETE
        reasons[health == Health.SILENT] = EtaReason.SILENT
        return reasons

    def noted(self, kind: NoteKind | None = None) -> Ints:
        """The tasks with a note that holds, of one kind or of any."""
        found = (self.tasks.find(*name) for name in self.notes.names(kind))
        return np.array([task for task in found if task is not None], np.int64)

    def needing_attention(self, tasks: Ints) -> Ints:
        """Those of these tasks that need somebody: in trouble, and neither acknowledged nor muted."""
        health = self.health[tasks]
        needed = (health == Health.SILENT) | (health == Health.NO_PROGRESS) | (health == Health.SLOW)
        needed |= self.eta_reasons(tasks) == EtaReason.NOT_CONVERGING
        chosen: Ints = tasks[needed]
        return chosen[~np.isin(chosen, self.noted())] if len(self.notes) else chosen

    def _health_at(self, tasks: Ints, now_us: int) -> tuple[npt.NDArray[np.int8], Ints]:
        judged = self.judged_health(tasks, now_us)
        return judged.health, judged.since_us

    def _record_change(self, tasks: Ints) -> None:
        self.changed[tasks] = self.version + 1 + np.arange(tasks.shape[0])
        self.version += int(tasks.shape[0])

    def _record_gone(self, project_id: str, task_id: str) -> None:
        self.version += 1
        if len(self.gone) == GONE_KEPT:
            self._gone_complete_after = self.gone[0].version
        self.gone.append(GoneTask(self.version, project_id, task_id))

    def _grow(self) -> None:
        more = self.tasks.current.shape[0] - self.changed.shape[0]
        if more:
            for name in (
                *("changed", "health", "health_since", "began", "done_bytes", "total_bytes", "_done", "_total"),
                *("_moved_on", "end_kind"),
            ):
                setattr(self, name, longer(getattr(self, name), more))
            self._columns = {name: longer(column, more) for name, column in self._columns.items()}
