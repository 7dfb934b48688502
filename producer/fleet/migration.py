"""One simulated migration: what its agent would say at a given moment. It knows no clock and sends nothing."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

from taskstream.producer.client.progress_client import Report
from taskstream.producer.fleet.behaviour import Behaviour, quiet_s, rate_deviation, rate_part
from taskstream.producer.fleet.journey import journey_of

_MEMORY_PART = 1 / 30
"""For how much of the simulation a rate that wandered off is remembered."""
_KEPT = 4
_REPEATED = 0.01
_GROWTHS = 20
_MOST_MBIT_S = 10_000.0
_MOST_REMAIN_S = 2**31 - 1


class SimulatedMigration:
    """Asked again and again at later and later moments; seconds are counted from the simulation's begin."""

    __slots__ = (
        "_deviation",
        "_dice",
        "_done",
        "_horizon_s",
        "_journey",
        "_last_s",
        "_phase",
        "_said",
        "_size",
        "_wandered",
        "behaviour",
        "ended",
    )

    def __init__(self, behaviour: Behaviour, horizon_s: float, dice: random.Random) -> None:
        self.behaviour = behaviour
        self.ended = False
        """Whether all subtasks are done; its agent then goes on saying so."""
        self._journey = journey_of(behaviour, horizon_s, dice)
        self._horizon_s = horizon_s
        self._dice = dice
        self._deviation = rate_deviation(behaviour)
        self._phase = self._journey.first
        self._done = float(self._journey.done)
        self._size = float(self._journey.phases[self._phase].size)
        self._wandered = 0.0
        self._last_s: float | None = None
        self._said: list[Report] = []

    def heard_again_s(self, now_s: float) -> float:
        """When its agent may speak: now, or at the end of its silence, which may be never."""
        until_s = self._journey.turn_s + quiet_s(self.behaviour, self._horizon_s)
        return max(now_s, until_s) if now_s >= self._journey.turn_s else now_s

    def report_at(self, now_s: float, wall_s: float) -> Report:
        """What its agent says; `wall_s` is its clock, in seconds since 1970."""
        if self._said and (again := self._said_again()) is not None:
            return again
        if not self.ended:
            self._move(now_s)
        self._last_s = now_s
        report = self._report(wall_s)
        self._said = [*self._said[1 - _KEPT :], report]
        return report

    def _said_again(self) -> Report | None:
        """The last report once more, or an older one, where this is one of those moments."""
        if self.ended:
            return self._said[-1]
        drawn = self._dice.random()
        if self.behaviour is Behaviour.STUTTERING and drawn < 0.2:
            return self._said[-1] if drawn < 0.1 else self._dice.choice(self._said)
        return self._said[-1] if drawn < _REPEATED else None

    def _move(self, now_s: float) -> None:
        if self._done >= self._size and self._last_s is not None:
            self._next_phase()
            return
        phase, turn_s = self._journey.phases[self._phase], self._journey.turn_s
        before_s = now_s if self._last_s is None else self._last_s
        span_s = now_s - before_s
        if phase.is_copy and self.behaviour is Behaviour.RESTARTING and before_s < turn_s <= now_s:
            self._done = 0.0
            return
        kept = math.exp(-span_s / (_MEMORY_PART * self._horizon_s))
        self._wandered = kept * self._wandered + self._deviation * math.sqrt(1 - kept * kept) * self._dice.gauss(0, 1)
        part = rate_part(self.behaviour, now_s - turn_s, self._horizon_s)
        if phase.is_copy and self.behaviour is Behaviour.GROWING:
            self._grow(span_s)
        moved = phase.rate_bps * part * math.exp(self._wandered) * span_s
        self._done = min(self._size, self._done + moved)

    def _grow(self, span_s: float) -> None:
        if self._dice.random() < span_s * _GROWTHS / self._horizon_s:
            self._size += self._journey.phases[self._phase].size * self._dice.uniform(0.01, 0.05)

    def _next_phase(self) -> None:
        if self._phase + 1 == len(self._journey.phases):
            self.ended = True
            return
        self._phase += 1
        self._done, self._size = 0.0, float(self._journey.phases[self._phase].size)

    def _report(self, wall_s: float) -> Report:
        phase, dice = self._journey.phases[self._phase], self._dice
        done, size = int(self._done), int(self._size)
        whole = self._done >= self._size
        speed_bps = phase.rate_bps * math.exp(self._wandered) * dice.uniform(0.95, 1.1)
        return Report(
            subtask_name=phase.subtask_name,
            progress=100 if whole else min(99, 100 * done // size),
            replicatesize=size if whole else done,
            totalsize=size,
            process_trace="done" if whole else f"{phase.subtask_name.lower()}: block {done >> 22:,} of {size >> 22:,}",
            migrate_speed=round(min(_MOST_MBIT_S, speed_bps * 8 / 1e6), 3),
            compress_rate=round(dice.uniform(1.0, 2.5), 3),
            remain_time=min(_MOST_REMAIN_S, math.ceil((size - done) / speed_bps)),
            total_cpu_usage=round(dice.uniform(5, 80), 1),
            agent_cpu_usage=round(dice.uniform(1, 15), 1),
            total_mem_usage=round(dice.uniform(1_000, 16_000), 1),
            agent_mem_usage=round(dice.uniform(40, 120), 1),
            total_disk_io=round(speed_bps * 10 / 1e6, 1),
            agent_disk_io=round(speed_bps * 8 / 1e6, 1),
            need_migration_test=False,
            agent_time=datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds"),
        )
