"""The delivery of one event: who waits for its ack, and the counts over all events. It knows no producer."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from confluent_kafka import KafkaError, Message

from taskstream.producer.errors import NotAcked
from taskstream.producer.events.event_builder import Event

LATENCY_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Ack(NamedTuple):
    """Where Kafka stored the event."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """Whether Kafka acknowledges, and what it said of its clock."""

    problem: str | None = None
    """None when Kafka acknowledges, else the problem in a few words."""
    appended_to: str | None = None
    """The topic that a probe was appended to; None if none was acknowledged in time."""
    appended_ms: int | None = None
    """When, by the broker's clock, in milliseconds since 1970 UTC; None if the topic has the times of its writers."""
    late: bool = False
    """Whether the problem is only that the acknowledgement has not arrived yet."""
    reports_fail: str | None = None
    """Why all reports since the last probe failed; None if one was acknowledged, or there were none."""


@dataclass(slots=True)
class AckCounts:
    """Counts since the producer was entered, for the edge's metrics."""

    acked: int = 0
    failed: int = 0
    rebuilds: int = 0
    last_error: str = ""
    probes_acked: int = 0
    """Of `acked`, those of probes."""
    probes_failed: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))
    """Numbers of acks in the buckets of LATENCY_BOUNDS_S and above."""
    latency_sum_s: float = 0.0

    def add_latency(self, seconds: float) -> None:
        """Count one ack that arrived this long after its event was produced."""
        self.latency[bisect.bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self.latency_sum_s += seconds


class Waiter(Protocol):
    """Waits for the outcome of one event: exactly one method is called, once, in the event loop."""

    def acked(self, partition: int, offset: int) -> None:
        """Kafka stored the event there."""
        ...

    def failed(self, failure: NotAcked) -> None:
        """Kafka did not acknowledge the event; it may have stored it even so."""
        ...


class Delivery:
    """The delivery report callback of one event."""

    __slots__ = ("_delivered", "due_s", "event", "waiter")

    def __init__(self, delivered: Delivered, waiter: Waiter, due_s: float, event: Event) -> None:
        self._delivered = delivered
        self.waiter = waiter
        self.due_s = due_s
        """When the event fails as overdue, on the event loop's clock."""
        self.event = event
        """To send it again: the message of a delivery report has no headers."""

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Called by `confluent_kafka`, which may do so while an exception of its own waits to be raised.

        Python finds that exception at the next call of a class: here, where nothing has changed, and not between two
        steps. The event then still waits, and fails with its producer.
        """
        object()
        self._delivered(self, error, message)


Delivered = Callable[[Delivery, KafkaError | None, Message], None]
"""What is called with the delivery report of an event."""


class FutureWaiter:
    """Completes a future."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[Ack]) -> None:
        self._future = future

    def acked(self, partition: int, offset: int) -> None:
        """Set the ack as the future's result."""
        if not self._future.done():
            self._future.set_result(Ack(partition, offset))

    def failed(self, failure: NotAcked) -> None:
        """Set the failure as the future's exception."""
        if not self._future.done():
            self._future.set_exception(failure)
