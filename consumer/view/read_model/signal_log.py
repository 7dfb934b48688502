"""The last signals of each task, in time order and of bounded number. It reads no topic and knows no HTTP."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

MAX_SIGNALS_PER_TASK: Final = 50
MAX_SIGNALS_IN_ALL: Final = 100_000


@dataclass(frozen=True, slots=True)
class RaisedSignal:
    """One SignalRaised record. Times are microseconds since 1970; None means unknown."""

    project_id: str
    task_id: str
    subtask_name: str
    signal: str
    before: str
    after: str
    raised_at: int
    since: int
    before_since: int
    last_seen: int
    last_advance: int
    limit_s: float | None
    progress: int
    replicatesize: int
    totalsize: int
    rate_fast_bps: float | None
    rate_slow_bps: float | None
    trend_change_pct: float | None
    eta: int | None
    eta_before: int | None


_NAMES: Final = tuple(each.name for each in fields(RaisedSignal))
_RAISED_AT: Final = _NAMES.index("raised_at")
_values_of: Final = attrgetter(*_NAMES)


class SignalLog:
    """Signals by task.

    A task with more than `max_per_task` signals loses its oldest. When all tasks together have more than `max_in_all`,
    the task that has had no new signal for longest loses its oldest.
    """

    def __init__(self, max_per_task: int = MAX_SIGNALS_PER_TASK, max_in_all: int = MAX_SIGNALS_IN_ALL) -> None:
        self._max_per_task = max_per_task
        self._max_in_all = max_in_all
        self._by_task: OrderedDict[tuple[str, str], tuple[tuple[Any, ...], ...]] = OrderedDict()
        """Signals as tuples of their values: the garbage collector does not look into them as into objects."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def clear(self) -> None:
        """Forget all signals."""
        self._by_task.clear()
        self._count = 0

    def add(self, signals: Iterable[RaisedSignal]) -> list[tuple[str, str]]:
        """Add signals; returns the projects and ids of their tasks, each once."""
        changed: dict[tuple[str, str], None] = {}
        for signal in signals:
            name = (signal.project_id, signal.task_id)
            held = self._by_task.get(name, ())
            place = bisect.bisect_right(held, signal.raised_at, key=_raised_at)
            self._by_task[name] = (*held[:place], _values_of(signal), *held[place:])
            self._by_task.move_to_end(name)
            self._count += 1
            changed[name] = None
            if len(held) >= self._max_per_task:
                self._drop_oldest(name)
            if self._count > self._max_in_all:
                self._drop_oldest(next(iter(self._by_task)))
        return list(changed)

    def of_task(self, project_id: str, task_id: str) -> Sequence[RaisedSignal]:
        """The signals of a task, the oldest first; empty if it has none."""
        return tuple(RaisedSignal(*values) for values in self._by_task.get((project_id, task_id), ()))

    def _drop_oldest(self, name: tuple[str, str]) -> None:
        self._by_task[name] = self._by_task[name][1:]
        self._count -= 1
        if not self._by_task[name]:
            del self._by_task[name]


def _raised_at(values: tuple[Any, ...]) -> int:
    raised_at: int = values[_RAISED_AT]
    return raised_at
