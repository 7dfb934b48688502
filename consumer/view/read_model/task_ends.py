"""When a whole task ends: the end of its current subtask, and what follows it, learnt from the other tasks.

It learns from the rows, so it knows after a restart what it knew before. Time comes in as an argument; no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from taskstream.consumer.state.forecast.survival import Survival, survival
from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.view.read_model.newest_by_group import Group, NewestByGroup

LEAST_ENDED: Final = 10
"""From how many tasks that ended is learnt."""
TASKS_KEPT: Final = 1_000
"""How many tasks a group remembers: those that moved on last."""
LEARN_INTERVAL_US: Final = 10_000_000
"""How old an estimate may be: those that still run last longer with every second."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A subtask of a task: its times in microseconds since 1970; end: None while it is not at 100 percent."""

    subtask_name: str
    begin_us: int
    end_us: int | None


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """Seconds until a task ends, the bounds of their 80 percent interval, and what they are based on."""

    left_s: float
    low_s: float
    high_s: float
    basis: str


class _Learnt:
    """Durations of one kind: since when they run, and when they ended, by group and task."""

    def __init__(self) -> None:
        self.spans: NewestByGroup[int, tuple[int, int | None]] = NewestByGroup(TASKS_KEPT)
        self._known: dict[Group, tuple[int, Survival]] = {}

    def of(self, project_id: str, subtask_name: str, now_us: int) -> tuple[Survival, bool] | None:
        """What is learnt from the project's tasks, or else from all; whether it is the project's. None: too little."""
        for group in ((project_id, subtask_name), (None, subtask_name)):
            found = self._survival(group, now_us)
            if found.ended >= LEAST_ENDED:
                return found, group[0] is not None
        return None

    def _survival(self, group: Group, now_us: int) -> Survival:
        learnt_us, found = self._known.get(group, (-LEARN_INTERVAL_US, None))
        if found is None or now_us - learnt_us >= LEARN_INTERVAL_US:
            spans = self.spans.values(group)
            ends = [now_us if ended_us is None else ended_us for _, ended_us in spans]
            lasted = [max(end_us - since_us, 0) / US_PER_S for end_us, (since_us, _) in zip(ends, spans, strict=True)]
            found = survival(np.array(lasted, np.float64), np.array([end is not None for _, end in spans], np.bool_))
            self._known[group] = (now_us, found)
        return found


class TaskEnds:
    """What is known of the tasks' phases. `put` and `drop` follow the tasks; the other calls ask."""

    def __init__(self) -> None:
        self._after = _Learnt()
        """From the end of a subtask to that of its task."""
        self._from = _Learnt()
        """From the begin of a subtask to the end of its task."""
        self._held: dict[int, tuple[str, tuple[str, ...]]] = {}
        """[task] its project and its subtasks, as they were put."""

    def put(self, task: int, project_id: str, phases: Sequence[Phase], ended_us: int | None) -> None:
        """Learn from a task that moved on. phases: in the order of their begin; ended_us: None while it runs."""
        self.drop(task)
        self._held[task] = (project_id, tuple(each.subtask_name for each in phases))
        for each in phases:
            self._from.spans.put(project_id, each.subtask_name, task, (each.begin_us, ended_us))
            if each.end_us is not None:
                self._after.spans.put(project_id, each.subtask_name, task, (each.end_us, ended_us))

    def drop(self, task: int) -> None:
        """The task is gone."""
        project_id, names = self._held.pop(task, ("", ()))
        for name in names:
            self._from.spans.drop(project_id, name, task)
            self._after.spans.drop(project_id, name, task)

    def with_eta(
        self, project_id: str, subtask_name: str, eta_s: tuple[float, float, float], now_us: int
    ) -> TaskEnd | None:
        """The end of a task whose current subtask has this ETA, with its bounds, in seconds from now. None: unknown.

        The deviations of both parts are combined as those of independent ones: the root of their squares' sum.
        """
        learnt = self._after.of(project_id, subtask_name, now_us)
        if learnt is None:
            return None
        middle, low, high = (learnt[0].left_s(part) for part in (0.5, 0.1, 0.9))
        if middle is None or low is None:
            return None
        high = middle if high is None else high
        left_s = eta_s[0] + middle
        below, above = np.hypot(eta_s[0] - eta_s[1], middle - low), np.hypot(eta_s[2] - eta_s[0], high - middle)
        basis = f"its ETA, and what followed {subtask_name} in {_tasks(*learnt)}"
        return TaskEnd(left_s, max(left_s - float(below), 0.0), left_s + float(above), basis)

    def after_end(self, project_id: str, subtask_name: str, ended_s: float, now_us: int) -> TaskEnd | None:
        """The end of a task whose current subtask ended `ended_s` ago."""
        return _lasting(self._after.of(project_id, subtask_name, now_us), f"what followed {subtask_name}", ended_s)

    def from_begin(self, project_id: str, subtask_name: str, began_s: float, now_us: int) -> TaskEnd | None:
        """The end of a task whose current subtask, which has no ETA, began `began_s` ago."""
        return _lasting(
            self._from.of(project_id, subtask_name, now_us), f"the time since {subtask_name} began", began_s
        )


def _lasting(learnt: tuple[Survival, bool] | None, what: str, lasted_s: float) -> TaskEnd | None:
    if learnt is None:
        return None
    middle, low, high = (learnt[0].left_s(part, max(lasted_s, 0.0)) for part in (0.5, 0.1, 0.9))
    if middle is None or low is None or high is None:
        return None
    return TaskEnd(middle, low, high, f"{what} in {_tasks(*learnt)}")


def _tasks(learnt: Survival, is_own: bool) -> str:
    return f"{learnt.ended:,} tasks of the project" if is_own else f"{learnt.ended:,} tasks of all projects"
