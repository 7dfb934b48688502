"""One simulated migration: the report that its agent sends at a given moment. It reads no clock and sends nothing."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

from taskstream.producer.client.progress_client import Report
from taskstream.producer.fleet.behaviour import Behaviour, rate_deviation, rate_factor, silence_s
from taskstream.producer.fleet.migration_plan import plan_migration

_CORRELATION_FRACTION = 1 / 30
"""The correlation time of the random rate, as a fraction of the simulation."""
_PAST_REPORTS = 4
_REPEAT_PROBABILITY = 0.01
_GROWTHS = 20
"""The expected number of times that the total size grows during the simulation."""
_MAX_SPEED_MBIT_S = 10_000.0
_MAX_REMAIN_S = 2**31 - 1


class SimulatedMigration:
    """The state of one migration. Times are in seconds after the start of the simulation, and never decrease.

    The logarithm of the rate is an Ornstein-Uhlenbeck process with the standard deviation of the behaviour.
    """

    __slots__ = (
        "_deviation",
        "_done",
        "_horizon_s",
        "_last_s",
        "_log_rate",
        "_past_reports",
        "_plan",
        "_rng",
        "_size",
        "_subtask",
        "behaviour",
        "ended",
    )

    def __init__(self, behaviour: Behaviour, horizon_s: float, rng: random.Random) -> None:
        self.behaviour = behaviour
        self.ended = False
        """Whether all subtasks are done; the agent then repeats its last report."""
        self._plan = plan_migration(behaviour, horizon_s, rng)
        self._horizon_s = horizon_s
        self._rng = rng
        self._deviation = rate_deviation(behaviour)
        self._subtask = self._plan.first
        self._done = float(self._plan.done)
        self._size = float(self._plan.subtasks[self._subtask].size)
        self._log_rate = 0.0
        self._last_s: float | None = None
        self._past_reports: list[Report] = []

    def reports_again_s(self, now_s: float) -> float:
        """The next time at which the agent reports: `now_s`, or the end of its silence, or infinity."""
        until_s = self._plan.onset_s + silence_s(self.behaviour, self._horizon_s)
        return max(now_s, until_s) if now_s >= self._plan.onset_s else now_s

    def report_at(self, now_s: float, wall_s: float) -> Report:
        """The agent's report; `wall_s` is the agent's clock, in seconds since 1970 UTC."""
        if self._past_reports and (repeated := self._repeated_report()) is not None:
            return repeated
        if not self.ended:
            self._advance(now_s)
        self._last_s = now_s
        report = self._report(wall_s)
        self._past_reports = [*self._past_reports[1 - _PAST_REPORTS :], report]
        return report

    def _repeated_report(self) -> Report | None:
        """The last report or an older one, if the agent repeats one now; else None."""
        if self.ended:
            return self._past_reports[-1]
        drawn = self._rng.random()
        if self.behaviour is Behaviour.STUTTERING and drawn < 0.2:
            return self._past_reports[-1] if drawn < 0.1 else self._rng.choice(self._past_reports)
        return self._past_reports[-1] if drawn < _REPEAT_PROBABILITY else None

    def _advance(self, now_s: float) -> None:
        if self._done >= self._size and self._last_s is not None:
            self._begin_next_subtask()
            return
        subtask, onset_s = self._plan.subtasks[self._subtask], self._plan.onset_s
        before_s = now_s if self._last_s is None else self._last_s
        span_s = now_s - before_s
        if subtask.is_copy and self.behaviour is Behaviour.RESTARTING and before_s < onset_s <= now_s:
            self._done = 0.0
            return
        kept = math.exp(-span_s / (_CORRELATION_FRACTION * self._horizon_s))
        self._log_rate = kept * self._log_rate + self._deviation * math.sqrt(1 - kept * kept) * self._rng.gauss(0, 1)
        factor = rate_factor(self.behaviour, now_s - onset_s, self._horizon_s)
        if subtask.is_copy and self.behaviour is Behaviour.GROWING:
            self._grow(span_s)
        moved = subtask.rate_bps * factor * math.exp(self._log_rate) * span_s
        self._done = min(self._size, self._done + moved)

    def _grow(self, span_s: float) -> None:
        if self._rng.random() < span_s * _GROWTHS / self._horizon_s:
            self._size += self._plan.subtasks[self._subtask].size * self._rng.uniform(0.01, 0.05)

    def _begin_next_subtask(self) -> None:
        if self._subtask + 1 == len(self._plan.subtasks):
            self.ended = True
            return
        self._subtask += 1
        self._done, self._size = 0.0, float(self._plan.subtasks[self._subtask].size)

    def _report(self, wall_s: float) -> Report:
        subtask, rng = self._plan.subtasks[self._subtask], self._rng
        done, size = int(self._done), int(self._size)
        complete = self._done >= self._size
        speed_bps = subtask.rate_bps * math.exp(self._log_rate) * rng.uniform(0.95, 1.1)
        return Report(
            subtask_name=subtask.name,
            progress=100 if complete else min(99, 100 * done // size),
            replicatesize=size if complete else done,
            totalsize=size,
            process_trace="done" if complete else f"{subtask.name.lower()}: block {done >> 22:,} of {size >> 22:,}",
            migrate_speed=round(min(_MAX_SPEED_MBIT_S, speed_bps * 8 / 1e6), 3),
            compress_rate=round(rng.uniform(1.0, 2.5), 3),
            remain_time=min(_MAX_REMAIN_S, math.ceil((size - done) / speed_bps)),
            total_cpu_usage=round(rng.uniform(5, 80), 1),
            agent_cpu_usage=round(rng.uniform(1, 15), 1),
            total_mem_usage=round(rng.uniform(1_000, 16_000), 1),
            agent_mem_usage=round(rng.uniform(40, 120), 1),
            total_disk_io=round(speed_bps * 10 / 1e6, 1),
            agent_disk_io=round(speed_bps * 8 / 1e6, 1),
            need_migration_test=False,
            agent_time=datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds"),
        )
