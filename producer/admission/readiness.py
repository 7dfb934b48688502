"""Whether the edge accepts reports now: not while it drains, Kafka does not acknowledge, or its clock is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from taskstream.producer.acks.delivery import ProbeOutcome
from taskstream.producer.admission.clock_difference import ClockDifference

_NOT_PROBED = "not probed yet"


class Probe(Protocol):
    """Checks that Kafka acknowledges."""

    async def probe(self, *, must_write: bool) -> ProbeOutcome:
        """Whether Kafka acknowledges. must_write: write a probe even if acknowledgements of reports prove it."""
        ...


class TopicState(Protocol):
    """Knows whether the topic of the reports can be used: `async with` it."""

    problem: str | None

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


@dataclass(slots=True)
class Readiness:
    """What /readyz reports. `update` sets everything but `draining`."""

    draining: bool = False
    kafka: str | None = _NOT_PROBED
    """The problem with Kafka, or None."""
    clock: str | None = None
    """How the edge's clock is too far from Kafka's, or None."""
    clock_unknown: str | None = None
    """Why Kafka's clock is not known; the edge is ready without it."""
    topic: str | None = None
    """Why the topic of the reports cannot be used, or None."""
    refusal: str | None = f"Kafka does not acknowledge: {_NOT_PROBED}"
    """Why every report is refused now, or None."""

    @property
    def ready(self) -> bool:
        """Whether the edge accepts reports."""
        return not self.draining and self.refusal is None

    def update(
        self,
        kafka: str | None = None,
        clock: str | None = None,
        clock_unknown: str | None = None,
        topic: str | None = None,
    ) -> None:
        """Set what is known: the problem with Kafka, with the clock, why that is unknown, with the topic."""
        self.kafka, self.clock, self.clock_unknown, self.topic = kafka, clock, clock_unknown, topic
        self.refusal = topic or (clock if kafka is None else f"Kafka does not acknowledge: {kafka}")

    def document(self) -> dict[str, Any]:
        """The body of /readyz, which names the check that fails."""
        clock = self.clock or (f"unknown: {self.clock_unknown}" if self.clock_unknown else "ok")
        checks = {"draining": "yes" if self.draining else "no", "kafka": self.kafka or "ok", "clock": clock}
        if self.topic is not None:
            checks["topic"] = self.topic
        return {"status": "ready" if self.ready else "unready", "checks": checks}


class ReadinessWatch:
    """Updates a Readiness until it is left: `async with ReadinessWatch(readiness, probe, clock_us)`.

    clock_us: the clock that the reports get their times of receipt from, in microseconds since 1970 UTC.
    """

    def __init__(
        self,
        readiness: Readiness,
        probe: Probe,
        clock_us: Callable[[], int],
        interval_s: float = 1.0,
        monotonic_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
        topic: TopicState | None = None,
    ) -> None:
        """`topic`: what is known of the topic of the reports; this opens and closes it. None: nothing."""
        self._topic = topic
        self._readiness = readiness
        self._probe = probe
        self._clock_us = clock_us
        self._interval_s = interval_s
        self._monotonic_us = monotonic_us
        self._difference = ClockDifference()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if self._topic is not None:
            await self._topic.__aenter__()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._topic is not None:
            await self._topic.__aexit__()

    async def check_once(self) -> None:
        """Probe Kafka, and compare the clocks if that is due."""
        difference, begin_us = self._difference, self._clock_us()
        outcome = await self._probe.probe(must_write=difference.is_due(begin_us, self._monotonic_us()))
        middle_us = (begin_us + self._clock_us()) // 2
        if outcome.appended_ms is not None:
            difference.compare(middle_us, outcome.appended_ms * 1000, self._monotonic_us())
        elif outcome.appended_to is not None:
            why = f"{outcome.appended_to} has a message.timestamp.type other than LogAppendTime"
            difference.cannot_compare(why, middle_us, self._monotonic_us())
        topic_problem = None if self._topic is None else self._topic.problem
        self._readiness.update(outcome.problem, difference.problem, difference.unknown, topic_problem)

    async def _watch(self) -> None:
        while True:
            await self.check_once()
            await asyncio.sleep(self._interval_s)
