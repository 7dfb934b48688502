"""The simulated migrations of a fleet, and which of them reports next. The same seed gives the same reports.

It reads no clock and sends nothing.
"""

from __future__ import annotations

import heapq
import math
import random
from typing import NamedTuple

from taskstream.producer.client.progress_client import Report
from taskstream.producer.fleet.behaviour import Behaviour, behaviour_of
from taskstream.producer.fleet.migration import SimulatedMigration

_JITTER = 0.15


class FleetReport(NamedTuple):
    """One report to be sent."""

    number: int
    """The report's number in the fleet. The reports of one task must be sent in the order of their numbers."""
    task: int
    """The task's number in the fleet."""
    task_id: str
    report: Report
    at_s: float
    """The simulated time of the report, in seconds since 1970 UTC."""


class Fleet:
    """`tasks` migrations over `horizon_s` seconds, which send `rate` reports per second in total."""

    def __init__(self, tasks: int, seed: int, rate: float, horizon_s: float, began_s: float) -> None:
        """`began_s`: the start of the simulation on the agents' clocks, in seconds since 1970 UTC."""
        self._rng = random.Random(seed)  # noqa: S311 (a simulation; nothing here is secret)
        self._migrations = [SimulatedMigration(behaviour_of(number), horizon_s, self._rng) for number in range(tasks)]
        self._name = f"sim-{seed}"
        self._rate = rate
        self._began_s = began_s
        self._due = [(self._rng.uniform(0.0, tasks / rate), number) for number in range(tasks)]
        """A heap of (when the task is due, task number)."""
        heapq.heapify(self._due)
        self._silent: list[tuple[float, int]] = []
        """A heap of (when the silence ends, task number)."""
        self._reports = 0

    def task_id(self, number: int) -> str:
        """The id of the task with this number."""
        return f"{self._name}-{number:05d}"

    def behaviour(self, number: int) -> Behaviour:
        """The kind of the task with this number."""
        return self._migrations[number].behaviour

    def next_report(self, now_s: float) -> FleetReport | None:
        """The report of the task that is due first, `now_s` seconds after the start; None if all tasks are silent.

        The total rate is constant: while some tasks are silent, the others report more often.
        """
        while self._silent and self._silent[0][0] <= now_s:
            _, number = heapq.heappop(self._silent)
            heapq.heappush(self._due, (now_s, number))
        while self._due:
            _, number = heapq.heappop(self._due)
            migration = self._migrations[number]
            reports_again_s = migration.reports_again_s(now_s)
            if reports_again_s > now_s:
                if reports_again_s < math.inf:
                    heapq.heappush(self._silent, (reports_again_s, number))
                continue
            gap_s = (len(self._due) + 1) / self._rate
            heapq.heappush(self._due, (now_s + gap_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER), number))
            self._reports += 1
            at_s = self._began_s + now_s
            return FleetReport(self._reports, number, self.task_id(number), migration.report_at(now_s, at_s), at_s)
        return None
