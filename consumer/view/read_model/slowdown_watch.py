"""Which tasks slowed down together, of late: the falls of their rates, and the findings among them.

It keeps the falls of half an hour, their background by group, and the findings of a day. Time comes in as an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series_table import longer
from taskstream.consumer.state.slowdowns.shared_slowdown import (
    LEAST_TASKS,
    WINDOW_MINUTES,
    Grouping,
    SharedSlowdown,
    shared_slowdowns,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Task = tuple[str, str]
"""Project and id."""
KINDS: Final = ("fleet", "project", "subtask")
"""What tasks can share."""
SPAN_MINUTES: Final = 30
"""For how many minutes falls are tested; a minute is one bucket."""
APART_MINUTES: Final = 10
"""A fall that follows another of the same task sooner is the same."""
SAME_MINUTES: Final = 5
"""Findings of one group that are so close are one: its falls become known one after the other."""
HALF_LIFE_MINUTES: Final = 360
"""Of the background."""
MOST_NAMED: Final = 1_000
KEPT_MINUTES: Final = 1_440
MOST_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class Share:
    """Of one project or subtask: how many of its tasks that move are among those of a finding."""

    name: str
    fell: int
    moving: int


@dataclass(frozen=True, slots=True)
class Slowdown:
    """Tasks that slowed down together."""

    kind: str
    """What they share, one of `KINDS`."""
    name: str | None
    """The project or the subtask; None for the fleet."""
    begin_us: int
    end_us: int
    """The window in which their rates fell."""
    tasks: tuple[Task, ...]
    """The first `MOST_NAMED` of them, in the order in which their falls became known."""
    fell: int
    """How many there are."""
    moving: int
    """How many tasks of the group were watched."""
    expected: float
    """How many of them fall in such a window by chance."""
    projects: tuple[Share, ...]
    subtasks: tuple[Share, ...]
    """Of the group, the most falls first. A subtask without falls is among them."""

    def of_project(self, project_id: str) -> Slowdown | None:
        """What a reader of one project may see of it; None if too few of its tasks are among them."""
        tasks = tuple(each for each in self.tasks if each[0] == project_id)
        shares = tuple(each for each in self.projects if each.name == project_id)
        if not shares or shares[0].fell < LEAST_TASKS:
            return None
        if self.kind == "project":
            return self
        fell, moving = shares[0].fell, shares[0].moving
        return replace(
            self,
            tasks=tasks,
            fell=fell,
            moving=moving,
            expected=self.expected * moving / self.moving,
            projects=shares,
            subtasks=(),
        )


@dataclass(frozen=True, slots=True)
class Moving:
    """The tasks whose rates are watched. Arrays: [tasks]."""

    project: Ints
    """The number of its project."""
    subtask: Ints
    """The number of its subtask."""
    watched_minutes: Ints
    """How many of the minutes in its row could have a fall. After a restart, the view has watched no longer."""
    project_names: Sequence[str]
    subtask_names: Sequence[str]


class _Background:
    """Falls of former minutes, and all task-minutes that were watched, by group; both are forgotten with time."""

    def __init__(self) -> None:
        self.falls: Floats = np.zeros(0)
        self.task_minutes: Floats = np.zeros(0)

    def watch(self, moving: Floats, minutes: int, kept: float) -> None:
        """`minutes` more with so many tasks; `kept`: the part of what was before that is not forgotten."""
        more = moving.shape[0] - self.falls.shape[0]
        if more > 0:
            self.falls, self.task_minutes = longer(self.falls, more), longer(self.task_minutes, more)
        self.falls *= kept
        self.task_minutes *= kept
        self.task_minutes[: moving.shape[0]] += moving * minutes


class SlowdownWatch:
    """`note` takes the falls, `update` the time. `found` has the findings, the newest last."""

    def __init__(self, bucket_us: int) -> None:
        self._bucket_us = bucket_us
        self._falls: deque[tuple[int, Task, int, int]] = deque()
        """Minute, task, number of its project, number of its subtask; in the order in which they became known."""
        self._last: dict[Task, int] = {}
        """[task] the minute of its last fall."""
        self._shared: set[tuple[int, Task]] = set()
        """The falls that are in a finding, and so no background."""
        self._backgrounds = (_Background(), _Background(), _Background())
        """Of the fleet, of projects, of subtasks."""
        self._minute: int | None = None
        self._is_new = False
        self.found: list[Slowdown] = []
        self.count = 0
        """How many were found since the begin."""

    def note(self, fell_us: int, task: Task, project: int, subtask: int, now_us: int) -> None:
        """The rate of this task fell in the minute that begins at `fell_us`."""
        minute = fell_us // self._bucket_us
        last = self._last.get(task)
        if minute < now_us // self._bucket_us - SPAN_MINUTES or (last is not None and minute - last <= APART_MINUTES):
            return
        self._last[task] = minute
        self._falls.append((minute, task, project, subtask))
        self._is_new = True

    def is_due(self, now_us: int) -> bool:
        """Whether `update` has something to do: a new minute, or a new fall."""
        return self._is_new or now_us // self._bucket_us != self._minute

    def update(self, moving: Moving, now_us: int) -> None:
        """Test the falls of the last half hour."""
        minute = now_us // self._bucket_us
        counts = _by_group(moving, np.ones(moving.project.shape[0]))
        passed = 0 if self._minute is None else min(max(minute - self._minute, 0), SPAN_MINUTES)
        for background, count in zip(self._backgrounds, counts, strict=True):
            background.watch(count, passed, 0.5 ** (passed / HALF_LIFE_MINUTES))
        self._minute = minute if self._minute is None else max(minute, self._minute)
        self._forget_before(self._minute - SPAN_MINUTES)
        if self._is_new:
            self._test(moving, counts)
        self._is_new = False
        begin_us = (self._minute - KEPT_MINUTES) * self._bucket_us
        self.found = [each for each in self.found if each.begin_us >= begin_us][-MOST_KEPT:]

    def _forget_before(self, minute: int) -> None:
        kept: deque[tuple[int, Task, int, int]] = deque()
        for fall in self._falls:
            if fall[0] >= minute:
                kept.append(fall)
            elif fall[:2] in self._shared:
                self._shared.discard(fall[:2])
            else:
                for background, group in zip(self._backgrounds, (0, fall[2], fall[3]), strict=True):
                    background.falls[group] += 1.0
        if len(kept) < len(self._falls):
            self._falls = kept
            self._last = {task: at for task, at in self._last.items() if at >= minute}

    def _test(self, moving: Moving, counts: tuple[Floats, Floats, Floats]) -> None:
        falls = np.array([(each[0], 0, each[2], each[3]) for each in self._falls], np.int64).reshape(-1, 4)
        in_rows = _by_group(moving, moving.watched_minutes)
        groupings = [
            Grouping(falls[:, 1 + at], counts[at], each.falls, np.maximum(each.task_minutes, in_rows[at]))
            for at, each in enumerate(self._backgrounds)
        ]
        for each in shared_slowdowns(falls[:, 0], groupings):
            self._record(self._described(each, falls, moving))
            self._shared.update(self._falls[place][:2] for place in each.members.tolist())

    def _described(self, found: SharedSlowdown, falls: Ints, moving: Moving) -> Slowdown:
        chosen = (
            slice(None) if found.grouping == 0 else (moving.project, moving.subtask)[found.grouping - 1] == found.group
        )
        kind = KINDS[found.grouping]
        names = (None, moving.project_names, moving.subtask_names)[found.grouping]
        members = falls[found.members]
        return Slowdown(
            kind,
            None if names is None else names[found.group],
            found.minute * self._bucket_us,
            (found.minute + WINDOW_MINUTES) * self._bucket_us,
            tuple(self._falls[place][1] for place in found.members[:MOST_NAMED].tolist()),
            found.members.shape[0],
            max(int(moving.project[chosen].shape[0]), found.members.shape[0]),
            found.expected,
            tuple(each for each in _shares(members[:, 2], moving.project[chosen], moving.project_names) if each.fell),
            tuple(_shares(members[:, 3], moving.subtask[chosen], moving.subtask_names)),
        )

    def _record(self, found: Slowdown) -> None:
        near_us = SAME_MINUTES * self._bucket_us
        for at, each in enumerate(self.found):
            if (each.kind, each.name) == (found.kind, found.name) and abs(each.begin_us - found.begin_us) <= near_us:
                if found.fell >= each.fell:
                    self.found[at] = found
                return
        self.found.append(found)
        self.count += 1


def _by_group(moving: Moving, weights: npt.NDArray[np.generic]) -> tuple[Floats, Floats, Floats]:
    """The sums of these weights, [tasks], of the fleet, by project and by subtask."""
    return (
        np.array([float(weights.sum())]),
        np.bincount(moving.project, weights, len(moving.project_names)).astype(np.float64),
        np.bincount(moving.subtask, weights, len(moving.subtask_names)).astype(np.float64),
    )


def _shares(fell: Ints, moving: Ints, names: Sequence[str]) -> list[Share]:
    """Of each group with moving tasks or falls, the most falls first, then the most moving tasks."""
    counts = np.bincount(fell, minlength=len(names)), np.bincount(moving, minlength=len(names))
    groups = np.flatnonzero(counts[0] + counts[1])
    order = groups[np.lexsort((-counts[1][groups], -counts[0][groups]))]
    return [Share(names[each], int(counts[0][each]), max(int(counts[1][each]), int(counts[0][each]))) for each in order]
