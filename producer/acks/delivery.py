"""One event on its way to Kafka: who awaits its ack, and what is counted of all of them. It knows no producer."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from confluent_kafka import KafkaError, Message

from taskstream.producer.errors import NotAcked

LATENCY_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Ack(NamedTuple):
    """Where Kafka keeps the event."""

    partition: int
    offset: int


@dataclass(slots=True)
class AckCounts:
    """What has happened so far; the edge's metrics are made from it."""

    acked: int = 0
    failed: int = 0
    rebuilds: int = 0
    last_error: str = ""
    by_reason: dict[str, int] = field(default_factory=dict)
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))
    """Acks by the time that they took, see LATENCY_BOUNDS_S."""
    latency_sum_s: float = 0.0

    def took(self, seconds: float) -> None:
        """Count one ack that took so long."""
        self.latency[bisect.bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self.latency_sum_s += seconds


class Waiter(Protocol):
    """Who awaits one event's fate; told once, from the event loop."""

    def acked(self, partition: int, offset: int) -> None:
        """Kafka has it there."""
        ...

    def failed(self, failure: NotAcked) -> None:
        """Kafka did not say that it has it, and may have it all the same."""
        ...


class Delivery:
    """What librdkafka calls with the delivery report of one event."""

    __slots__ = ("_delivered", "due_s", "waiter")

    def __init__(
        self, delivered: Callable[[Delivery, KafkaError | None, Message], None], waiter: Waiter, due_s: float
    ) -> None:
        self._delivered = delivered
        self.waiter = waiter
        self.due_s = due_s
        """When the waiter is told that it took too long, by the event loop's clock."""

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """What `confluent_kafka` calls."""
        self._delivered(self, error, message)


class FutureWaiter:
    """Tells a future."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[Ack]) -> None:
        self._future = future

    def acked(self, partition: int, offset: int) -> None:
        """The ack is the future's result."""
        if not self._future.done():
            self._future.set_result(Ack(partition, offset))

    def failed(self, failure: NotAcked) -> None:
        """The failure is the future's exception."""
        if not self._future.done():
            self._future.set_exception(failure)
