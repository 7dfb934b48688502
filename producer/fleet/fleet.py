"""All simulated migrations, and whose turn it is. The same seed gives the same reports at the same moments."""

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
    """One report that is to be sent."""

    number: int
    """Counts the orders; those of one task are to be sent in this order."""
    task: int
    task_id: str
    report: Report
    at_s: float
    """The moment that it tells of, in seconds since 1970."""


class Fleet:
    """`tasks` migrations over `horizon_s` seconds. `rate` is how many reports a second all of them make together."""

    def __init__(self, tasks: int, seed: int, rate: float, horizon_s: float, began_s: float) -> None:
        """`began_s`: what the moment 0 is on the agents' clocks, in seconds since 1970."""
        self._dice = random.Random(seed)  # noqa: S311 (a simulation, and no secret)
        self._migrations = [SimulatedMigration(behaviour_of(number), horizon_s, self._dice) for number in range(tasks)]
        self._name = f"sim-{seed}"
        self._rate = rate
        self._began_s = began_s
        self._due = [(self._dice.uniform(0.0, tasks / rate), number) for number in range(tasks)]
        heapq.heapify(self._due)
        self._quiet: list[tuple[float, int]] = []
        self._orders = 0

    def task_id(self, number: int) -> str:
        """The name of a task."""
        return f"{self._name}-{number:05d}"

    def behaviour(self, number: int) -> Behaviour:
        """What is special about a task."""
        return self._migrations[number].behaviour

    def next_order(self, now_s: float) -> FleetReport | None:
        """What is said at this moment, `now_s` after the begin; None when all are silent.

        Whoever has waited longest speaks. Where some are silent the others speak more often.
        """
        while self._quiet and self._quiet[0][0] <= now_s:
            _, number = heapq.heappop(self._quiet)
            heapq.heappush(self._due, (now_s, number))
        while self._due:
            _, number = heapq.heappop(self._due)
            migration = self._migrations[number]
            again_s = migration.heard_again_s(now_s)
            if again_s > now_s:
                if again_s < math.inf:
                    heapq.heappush(self._quiet, (again_s, number))
                continue
            gap_s = (len(self._due) + 1) / self._rate
            heapq.heappush(self._due, (now_s + gap_s * self._dice.uniform(1 - _JITTER, 1 + _JITTER), number))
            self._orders += 1
            at_s = self._began_s + now_s
            return FleetReport(self._orders, number, self.task_id(number), migration.report_at(now_s, at_s), at_s)
        return None
