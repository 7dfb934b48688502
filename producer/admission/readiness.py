"""Whether the edge accepts reports now: not while it drains, Kafka does not acknowledge, or its clock is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from taskstream.producer.acks.delivery import ProbeOutcome
from taskstream.producer.admission.clock_difference import ClockDifference
from taskstream.schemas.recurring import Recurring

_NOT_PROBED = "not probed yet"
LATE_PROBES: Final = 2
"""So many probes in a row must be late before the edge is unready, and in time before it is ready again."""
ASK_EVERY_US: Final = 10_000_000
"""How often Kafka is asked about the topic of the reports."""
REFUSED_US: Final = 15_000_000
"""How long the edge is unready after all reports failed. Then it tries again: only a report proves the topic."""


class Probe(Protocol):
    """Checks that Kafka acknowledges."""

    async def probe(self, *, must_write: bool) -> ProbeOutcome:
        """Whether Kafka acknowledges. must_write: write a probe even if acknowledgements of reports prove it."""
        ...


class ReportsTopic(Protocol):
    """The topic of the reports."""

    async def problem(self) -> str | None:
        """Why no report can be written to it; None if nothing is wrong, or it is not known."""
        ...


class TopicState(Protocol):
    """Knows whether the topic of the reports still has its partitions: `async with` it."""

    problem: str | None

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


@dataclass(slots=True)
class Readiness:
    """What /readyz reports. `update` sets everything but `draining`."""

    draining: bool = False
    kafka: str | None = _NOT_PROBED
    """The problem with Kafka, or None."""
    kafka_note: str | None = None
    """What was not right with Kafka lately, while it is not yet, or no longer, a problem."""
    topic: str | None = None
    """The problem with the topic of the reports, or None."""
    clock: str | None = None
    """How the edge's clock is too far from Kafka's, or None."""
    clock_unknown: str | None = None
    """Why Kafka's clock is not known; the edge is ready without it."""
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
        kafka_note: str | None = None,
    ) -> None:
        """Set the outcome of a probe: the problems with Kafka, the clock and the topic, why the clock is unknown."""
        self.kafka, self.clock, self.clock_unknown = kafka, clock, clock_unknown
        self.topic, self.kafka_note = topic, kafka_note
        self.refusal = topic or (clock if kafka is None else f"Kafka does not acknowledge: {kafka}")

    def document(self) -> dict[str, Any]:
        """The body of /readyz, which names the check that fails."""
        clock = self.clock or (f"unknown: {self.clock_unknown}" if self.clock_unknown else "ok")
        checks = {
            "draining": "yes" if self.draining else "no",
            "kafka": self.kafka or (f"ok; {self.kafka_note}" if self.kafka_note else "ok"),
            "topic": self.topic or "ok",
            "clock": clock,
        }
        return {"status": "ready" if self.ready else "unready", "checks": checks}


class ProbePatience:
    """Which outcomes of probes make the edge unready: errors at once, late acknowledgements when they repeat."""

    def __init__(self) -> None:
        self.problem: str | None = _NOT_PROBED
        self.note: str | None = None
        """What was not right lately, while it is not yet a problem."""
        self._late = 0
        self._in_time = 0
        self._was_late = False  # the edge became unready because acknowledgements were late

    def judge(self, outcome: ProbeOutcome) -> None:
        """Set `problem` and `note` after this outcome."""
        self.note = None
        if outcome.problem is None:
            self._late = 0
            self._in_time += 1
            if self._was_late and self._in_time < LATE_PROBES:
                self.problem = f"acknowledgements were late; {self._in_time} of {LATE_PROBES} in time since"
            else:
                self.problem, self._was_late = None, False
            return
        self._in_time = 0
        self._late = self._late + 1 if outcome.late else 0
        if self.problem is None and 0 < self._late < LATE_PROBES:
            self.note = f"one probe was late: {outcome.problem}"
            return
        if self.problem is None:
            self._was_late = outcome.late
        self.problem = outcome.problem


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
        topic: ReportsTopic | None = None,
        partitions: TopicState | None = None,
    ) -> None:
        """`topic` is asked; `partitions` is opened and closed by this. None: nothing is known of either."""
        self._topic = topic
        self._partitions = partitions
        self._asked_us: int | None = None
        self._unwritable: str | None = None
        self._refused: tuple[str, int] | None = None  # why all reports failed, and until when that counts
        self._patience = ProbePatience()
        self._readiness = readiness
        self._probe = probe
        self._clock_us = clock_us
        self._interval_s = interval_s
        self._monotonic_us = monotonic_us
        self._difference = ClockDifference()
        self._checks = Recurring("the check of Kafka", self.check_once, interval_s, at_once=True)

    async def __aenter__(self) -> None:
        if self._partitions is not None:
            await self._partitions.__aenter__()
        self._checks.start()

    async def __aexit__(self, *_: object) -> None:
        await self._checks.stop()
        if self._partitions is not None:
            await self._partitions.__aexit__()

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
        self._patience.judge(outcome)
        topic = await self._topic_problem(outcome)
        if self._partitions is not None and self._partitions.problem is not None:
            topic = self._partitions.problem
        self._readiness.update(
            self._patience.problem, difference.problem, difference.unknown, topic, self._patience.note
        )

    async def _topic_problem(self, outcome: ProbeOutcome) -> str | None:
        """Why reports cannot be written: as Kafka describes the topic, and as the latest reports fared."""
        now_us = self._monotonic_us()
        due = self._asked_us is None or self._unwritable is not None or now_us - self._asked_us >= ASK_EVERY_US
        answers = outcome.problem is None  # else the question would only delay the next probe
        if self._topic is not None and answers and (due or outcome.reports_fail is not None):
            self._unwritable, self._asked_us = await self._topic.problem(), now_us
        if outcome.reports_fail is not None:
            self._refused = (outcome.reports_fail, now_us + REFUSED_US)
        elif self._refused is not None and now_us >= self._refused[1]:
            self._refused = None
        return self._unwritable or (self._refused[0] if self._refused is not None else None)
