"""The last signals of each task, as many as fit, in time order. It reads no topic and knows no HTTP."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

OF_ONE_TASK: Final = 50
OF_ALL: Final = 100_000


@dataclass(frozen=True, slots=True)
class RaisedSignal:
    """One signal as it was recorded. Times are microseconds since 1970, None is "not known"."""

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


class SignalLog:
    """Signals by task. Past `of_one_task` a task's oldest one goes; past `of_all`, one of the task silent longest."""

    def __init__(self, of_one_task: int = OF_ONE_TASK, of_all: int = OF_ALL) -> None:
        self._of_one_task = of_one_task
        self._of_all = of_all
        self._held: OrderedDict[tuple[str, str], list[RaisedSignal]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, signals: Iterable[RaisedSignal]) -> list[tuple[str, str]]:
        """Take signals in; the projects and ids of their tasks, each once."""
        touched: dict[tuple[str, str], None] = {}
        for signal in signals:
            name = (signal.project_id, signal.task_id)
            held = self._held.setdefault(name, [])
            bisect.insort(held, signal, key=_when)
            self._held.move_to_end(name)
            self._count += 1
            touched[name] = None
            if len(held) > self._of_one_task:
                self._drop_first(name)
            if self._count > self._of_all:
                self._drop_first(next(iter(self._held)))
        return list(touched)

    def of_task(self, project_id: str, task_id: str) -> Sequence[RaisedSignal]:
        """What is held of a task, the oldest first."""
        return tuple(self._held.get((project_id, task_id), ()))

    def _drop_first(self, name: tuple[str, str]) -> None:
        held = self._held[name]
        del held[0]
        self._count -= 1
        if not held:
            del self._held[name]


def _when(signal: RaisedSignal) -> int:
    return signal.raised_at
