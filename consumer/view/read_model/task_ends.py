"""When a whole task ends: the end of its current subtask, and what follows it, learnt from the other tasks.

It learns from the rows, so it knows after a restart what it knew before. Time comes in as an argument; no I/O.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.forecast.survival import Survival, survival
from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series_table import longer
from taskstream.consumer.view.read_model.newest_by_group import Group, NewestByGroup

Floats = npt.NDArray[np.float64]
LEAST_ENDED: Final = 10
"""From how many tasks that ended is learnt."""
TASKS_KEPT: Final = 1_000
"""How many tasks a group remembers: those that moved on last."""
LEARN_INTERVAL_US: Final = 10_000_000
"""How old an estimate may be: those that still run last longer with every second."""

KINDS_AT_ONCE: Final = 10
"""How many medians `refresh` learns: it takes a third of a millisecond each."""
LEAST_GAIN: Final = 0.8
"""By which factor parts of the time before must be more alike than seconds, to be used in their place."""


class Phase(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class StagesAhead:
    """The subtasks that most often followed in tasks that ended, with their median durations, and from how many."""

    stages: tuple[tuple[str, float], ...]
    """Name and seconds, in order."""
    basis: str


@dataclass(frozen=True, slots=True)
class _Learnt:
    """How long something lasts: in seconds, or in parts of the time that the subtask before it took."""

    survival: Survival
    is_own: bool
    """Whether it is learnt from the project's own tasks."""
    unit_s: float
    """The seconds of what `survival` counts: 1, or the time of the subtask before it."""
    is_in_parts: bool
    """Whether it is the latter."""

    def left_s(self, lasted_s: float = 0.0) -> tuple[float | None, float | None, float | None]:
        """The median, and the quantiles of 10 and 90 percent, of the seconds left after `lasted_s`."""
        found = (self.survival.left_s(part, lasted_s / self.unit_s) for part in (0.5, 0.1, 0.9))
        middle, low, high = (None if each is None else each * self.unit_s for each in found)
        return middle, low, high

    @property
    def tasks(self) -> str:
        """From which tasks it is learnt."""
        of = "of the project" if self.is_own else "of all projects"
        return f"{self.survival.ended:,} tasks {of}"


class _Span(NamedTuple):
    """Since when something lasts, when it ended (None: not yet), and how long the subtask before took (NaN: none)."""

    since_us: int
    ended_us: int | None
    before_s: float


class _Durations:
    """Durations of one kind, by group and task."""

    def __init__(self) -> None:
        self.spans: NewestByGroup[int, _Span] = NewestByGroup(TASKS_KEPT)
        self._known: dict[Group, tuple[int, Survival, Survival | None]] = {}

    def of(self, project_id: str, subtask_name: str, before_s: float, now_us: int) -> _Learnt | None:
        """What is learnt from the project's tasks, or else from all. None: too little.

        before_s: how long the subtask before took in the task that is asked about; NaN: unknown.
        """
        for group in ((project_id, subtask_name), (None, subtask_name)):
            plain, parts = self._survivals(group, now_us)
            if plain.ended >= LEAST_ENDED:
                if parts is not None and before_s > 0.0:
                    return _Learnt(parts, group[0] is not None, before_s, is_in_parts=True)
                return _Learnt(plain, group[0] is not None, 1.0, is_in_parts=False)
        return None

    def _survivals(self, group: Group, now_us: int) -> tuple[Survival, Survival | None]:
        """In seconds; and in parts of the time before, where these are more alike from task to task."""
        if group in self._known and now_us - self._known[group][0] < LEARN_INTERVAL_US:
            return self._known[group][1:]
        spans = self.spans.values(group)
        ends = [now_us if each.ended_us is None else each.ended_us for each in spans]
        lasted_s = np.array(
            [max(end_us - each.since_us, 0) / US_PER_S for end_us, each in zip(ends, spans, strict=True)], np.float64
        )
        ended = np.array([each.ended_us is not None for each in spans], np.bool_)
        before_s = np.array([each.before_s for each in spans], np.float64)
        plain = survival(lasted_s, ended)
        scaled = before_s > 0.0
        parts = None
        if np.count_nonzero(ended & scaled) >= LEAST_ENDED:
            found = survival(lasted_s[scaled] / before_s[scaled], ended[scaled])
            if _spread(found) < LEAST_GAIN * _spread(survival(lasted_s[scaled], ended[scaled])):
                parts = found
        self._known[group] = (now_us, plain, parts)
        return plain, parts


def _spread(lasting: Survival) -> float:
    """The logarithm of the third quartile over the first; of the median over the first where too few ended."""
    low, middle, high = (lasting.left_s(part) for part in (0.25, 0.5, 0.75))
    if not low or middle is None:
        return math.inf
    return math.log(high / low) if high is not None else 2.0 * math.log(middle / low)


class TaskEnds:
    """What is known of the tasks' phases. `put` and `drop` follow the tasks; the other calls ask."""

    def __init__(self) -> None:
        self._after = _Durations()
        """From the end of a subtask to that of its task."""
        self._from = _Durations()
        """From the begin of a subtask to the end of its task."""
        self._held: dict[int, tuple[str, tuple[str, ...]]] = {}
        """[task] its project and its subtasks, as they were put."""
        self._alike: dict[tuple[str, tuple[str, ...]], tuple[str, tuple[str, ...]]] = {}
        """The distinct values of `_held`, which equal tasks share."""
        self._kinds: dict[tuple[str, str], int] = {}
        """Numbers of projects and subtasks."""
        self._names: list[tuple[str, str]] = []
        """[kind] project and subtask."""
        self._refreshed = 0
        self.after_s: Floats = np.zeros(0)
        """[kind] the median from the end of the subtask to that of its task, as last refreshed; NaN: unknown."""
        self.after_low_s: Floats = np.zeros(0)
        self.after_high_s: Floats = np.zeros(0)
        """[kind] its quantiles of 10 and 90 percent; that of 90 is the median where too few ended to know it."""
        self.in_parts: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """[kind] whether these are in parts of the time that the subtask takes, and not in seconds."""

    def kind_of(self, project_id: str, subtask_name: str) -> int:
        """The number of this project and subtask, for `after_s`."""
        kind = self._kinds.setdefault((project_id, subtask_name), len(self._names))
        if kind == len(self._names):
            self._names.append((project_id, subtask_name))
            more = kind + 1 - self.after_s.shape[0]
            if more > 0:
                self.after_s = longer(self.after_s, more + kind, np.nan)
                self.after_low_s = longer(self.after_low_s, more + kind, np.nan)
                self.after_high_s = longer(self.after_high_s, more + kind, np.nan)
                self.in_parts = longer(self.in_parts, more + kind)
        return kind

    def refresh(self, now_us: int) -> None:
        """Learn `after_s` of a few kinds anew: those that were refreshed longest ago."""
        for _ in range(min(KINDS_AT_ONCE, len(self._names))):
            self._refreshed = (self._refreshed + 1) % len(self._names)
            learnt = self._after.of(*self._names[self._refreshed], 1.0, now_us)
            middle, low, high = (None, None, None) if learnt is None else learnt.left_s()
            self.after_s[self._refreshed] = np.nan if middle is None else middle
            self.after_low_s[self._refreshed] = np.nan if low is None else low
            self.after_high_s[self._refreshed] = self.after_s[self._refreshed] if high is None else high
            self.in_parts[self._refreshed] = learnt is not None and learnt.is_in_parts

    def name_of(self, kind: int) -> tuple[str, str]:
        """The project and the subtask of this number."""
        return self._names[kind]

    def survival_after(self, kind: int, now_us: int) -> tuple[Survival, bool] | None:
        """From the end of this subtask to that of its task; whether in parts of its time. None: too little is known."""
        learnt = self._after.of(*self._names[kind], 1.0, now_us)
        return None if learnt is None else (learnt.survival, learnt.is_in_parts)

    def survival_from(self, kind: int, now_us: int) -> Survival | None:
        """From the begin of this subtask to the end of its task, in seconds. None: too little is known."""
        learnt = self._from.of(*self._names[kind], math.nan, now_us)
        return None if learnt is None else learnt.survival

    def put(self, task: int, project_id: str, phases: Sequence[Phase], ended_us: int | None) -> None:
        """Learn from a task that moved on. phases: in the order of their begin; ended_us: None while it runs."""
        self.drop(task)
        held = project_id, tuple(each.subtask_name for each in phases)
        self._held[task] = self._alike.setdefault(held, held)
        before_s = math.nan
        for each in phases:
            self._from.spans.put(project_id, each.subtask_name, task, _Span(each.begin_us, ended_us, before_s))
            before_s = math.nan
            if each.end_us is not None:
                before_s = (each.end_us - each.begin_us) / US_PER_S
                self._after.spans.put(project_id, each.subtask_name, task, _Span(each.end_us, ended_us, before_s))

    def drop(self, task: int) -> None:
        """The task is gone."""
        project_id, names = self._held.pop(task, ("", ()))
        for name in names:
            self._from.spans.drop(project_id, name, task)
            self._after.spans.drop(project_id, name, task)

    def stages_ahead(self, project_id: str, subtask_name: str) -> StagesAhead | None:
        """What follows this subtask: learnt from ended tasks of the project, or else of all. None: too few ended."""
        for group in ((project_id, subtask_name), (None, subtask_name)):
            began = self._from.spans.items(group)
            ended = [task for task, span in began.items() if span.ended_us is not None and task in self._held]
            if len(ended) < LEAST_ENDED:
                continue
            paths = [(task, _after_name(self._held[task][1], subtask_name)) for task in ended]
            (path, count), *_ = Counter(each for _, each in paths).most_common(1)
            alike = [task for task, each in paths if each == path]
            stages = tuple((name, self._median_s(group[0], name, alike)) for name in path)
            return StagesAhead(stages, f"{count:,} tasks of {'the project' if group[0] else 'all projects'}")
        return None

    def _median_s(self, project_id: str | None, subtask_name: str, tasks: Sequence[int]) -> float:
        """The median duration of a subtask in these tasks; NaN: unknown."""
        begun = self._from.spans.items((project_id, subtask_name))
        ended = self._after.spans.items((project_id, subtask_name))
        lasted_us = [ended[each].since_us - begun[each].since_us for each in tasks if each in begun and each in ended]
        return float(np.median(lasted_us)) / US_PER_S if lasted_us else math.nan

    def with_eta(
        self, project_id: str, subtask_name: str, began_s: float, eta_s: tuple[float, float, float], now_us: int
    ) -> TaskEnd | None:
        """The end of a task whose current subtask began `began_s` ago and has this ETA, with its bounds. None: unknown.

        eta_s: seconds from now. The deviations of both parts are combined as those of independent ones: the root of
        their squares' sum.
        """
        learnt = self._after.of(project_id, subtask_name, began_s + eta_s[0], now_us)
        if learnt is None:
            return None
        middle, low, high = learnt.left_s()
        if middle is None or low is None:
            return None
        high = middle if high is None else high
        left_s = eta_s[0] + middle
        below, above = np.hypot(eta_s[0] - eta_s[1], middle - low), np.hypot(eta_s[2] - eta_s[0], high - middle)
        basis = f"its ETA, and what followed {subtask_name} in {learnt.tasks}"
        return TaskEnd(left_s, max(left_s - float(below), 0.0), left_s + float(above), basis)

    def after_end(
        self, project_id: str, subtask_name: str, took_s: float, ended_s: float, now_us: int
    ) -> TaskEnd | None:
        """The end of a task whose current subtask took `took_s` and ended `ended_s` ago."""
        learnt = self._after.of(project_id, subtask_name, took_s, now_us)
        return _lasting(learnt, f"what followed {subtask_name}", ended_s)

    def from_begin(
        self, project_id: str, subtask_name: str, before_s: float, began_s: float, now_us: int
    ) -> TaskEnd | None:
        """The end of a task whose current subtask, which has no ETA, began `began_s` ago.

        before_s: how long the subtask before it took; NaN: there is none, or it has no end.
        """
        learnt = self._from.of(project_id, subtask_name, before_s, now_us)
        return _lasting(learnt, f"the time since {subtask_name} began", began_s)


def _after_name(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names[names.index(name) + 1 :] if name in names else ()


def _lasting(learnt: _Learnt | None, what: str, lasted_s: float) -> TaskEnd | None:
    if learnt is None:
        return None
    middle, low, high = learnt.left_s(max(lasted_s, 0.0))
    if middle is None or low is None or high is None:
        return None
    return TaskEnd(middle, low, high, f"{what} in {learnt.tasks}")
