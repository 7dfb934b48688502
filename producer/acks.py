"""Produces events and awaits Kafka's acknowledgement: the only place in this room that talks to librdkafka's producer.

It knows no HTTP and no report. One poll of librdkafka, made from the event loop while anything is in flight, brings
the delivery reports of all; there is no thread of ours and no task a report.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from producer.errors import NotAcked, QueueFull, RecordTooLarge
from producer.event import Event

POLL_INTERVAL_S: Final = 0.001
"""How long an ack may lie in librdkafka's queue before it is seen, while any is awaited."""
LATENCY_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PROBE_TIMEOUT_S: Final = 3.0
_PROBE: Final = Event("probe", b"", [], 0)
IDLE_INTERVAL_S: Final = 0.25
"""How often statistics, errors and overdue waiters are looked at."""


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


def producer_config(properties: Mapping[str, Any], *, ack_timeout_s: float, queue_limit: int) -> dict[str, Any]:
    """The settings of librdkafka: beneath what the operator may tune, above it what a 200 of ours means."""
    tunable = {
        "linger.ms": 5,
        "queue.buffering.max.kbytes": 262_144,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.propagation.max.ms": 5000,
        "statistics.interval.ms": 5000,
    }
    must = {
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "delivery.timeout.ms": int(ack_timeout_s * 1000),
        "queue.buffering.max.messages": queue_limit,
    }
    return {**tunable, **properties, **must}


class AckedProducer:
    """`async with AckedProducer(...) as acks: ack = await acks.send(event)`.

    `config` is librdkafka's, see `producer_config`. Nothing is connected before it is entered, so it may be made before
    a fork. A producer that librdkafka declares dead is replaced in place.
    """

    def __init__(
        self,
        topic: str,
        probe_topic: str,
        config: Mapping[str, Any],
        *,
        ack_timeout_s: float,
        flush_timeout_s: float = 10.0,
        on_stats: Callable[[str], None] | None = None,
    ) -> None:
        self._topic = topic
        self._probe_topic = probe_topic
        self.counts = AckCounts()
        self._config: dict[str, Any] = {**config, "error_cb": self._on_error}
        if on_stats is not None:
            self._config["stats_cb"] = on_stats
        self._ack_timeout_s = ack_timeout_s
        self._flush_timeout_s = flush_timeout_s
        self._waiting: dict[asyncio.Future[Ack], float] = {}  # by age; the value is when it is overdue
        self._polling = False
        self._dead = False
        self._at_last_probe = (0, 0)  # acked, failed

    @property
    def in_flight(self) -> int:
        """Events produced and not yet answered."""
        return len(self._waiting)

    @property
    def queue_depth(self) -> int:
        """Messages and events in librdkafka's queues."""
        return len(self._producer)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._producer = self._make()
        self._idle = self._loop.create_task(self._look_after())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.flush(self._flush_timeout_s)
        self._idle.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._idle

    def send(self, event: Event, topic: str | None = None) -> asyncio.Future[Ack]:
        """Produce; the future gives the ack, or raises NotAcked: then Kafka may have the event all the same.

        Raises:
            QueueFull: at once, nothing was produced.
            RecordTooLarge: at once, nothing was produced and never will be.
            NotAcked: at once, nothing was produced.
        """
        waiter: asyncio.Future[Ack] = self._loop.create_future()
        try:
            self._producer.produce(
                topic or self._topic,
                event.value,
                event.key,
                on_delivery=functools.partial(self._delivered, waiter),
                timestamp=event.timestamp_ms,
                headers=event.headers,
            )
        except BufferError as error:
            self._count_failure("QUEUE_FULL")
            raise QueueFull("the queue towards Kafka is full") from error
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        self._waiting[waiter] = self._loop.time() + self._ack_timeout_s
        if not self._polling:
            self._polling = True
            self._loop.call_later(POLL_INTERVAL_S, self._poll)
        return waiter

    async def probe(self) -> str | None:
        """See `producer.readiness.Probe`. Reports that were acknowledged since the last time prove it as well."""
        acked, failed = self.counts.acked, self.counts.failed
        before, self._at_last_probe = self._at_last_probe, (acked, failed)
        if acked > before[0] and failed == before[1]:
            return None
        try:
            waiter = self.send(_PROBE, self._probe_topic)
        except NotAcked as error:
            return error.reason or str(error)
        waiter.add_done_callback(asyncio.Future.exception)  # if it comes too late, nobody else looks at it
        if acked == before[0] and failed > before[1]:  # reports have shown it already
            return self.counts.last_error
        await asyncio.wait([waiter], timeout=PROBE_TIMEOUT_S)
        if not waiter.done():
            return f"no acknowledgement within {PROBE_TIMEOUT_S:g} s ({self.counts.last_error or 'no error told'})"
        failure = waiter.exception()
        if isinstance(failure, NotAcked) and "UNKNOWN_TOPIC" in failure.reason:
            return f"there is no topic {self._probe_topic}: run `taskstream topics create`"
        return None if failure is None else str(failure)

    async def flush(self, timeout_s: float) -> int:
        """Wait until everything is answered, at most so long; what is then left fails. Gives how many that were."""
        deadline = self._loop.time() + timeout_s
        while self._waiting and self._loop.time() < deadline:  # noqa: ASYNC110 # an event would cost every report
            await asyncio.sleep(POLL_INTERVAL_S)
        left = len(self._waiting)
        if left:
            self._producer.purge(blocking=False)
            self._producer.poll(0)
            self._fail("SHUTDOWN")
        return left

    def _make(self) -> Producer:
        self._dead = False
        return Producer(self._config)

    def _poll(self) -> None:
        self._producer.poll(0)
        if self._waiting:
            self._loop.call_later(POLL_INTERVAL_S, self._poll)
        else:
            self._polling = False

    def _delivered(self, waiter: asyncio.Future[Ack], error: KafkaError | None, message: Message) -> None:
        due_s = self._waiting.pop(waiter, None)
        if error is None:
            counts = self.counts
            counts.acked += 1
            if due_s is not None:
                took_s = self._loop.time() - due_s + self._ack_timeout_s
                counts.latency[bisect.bisect_left(LATENCY_BOUNDS_S, took_s)] += 1
                counts.latency_sum_s += took_s
            if not waiter.done():
                waiter.set_result(Ack(message.partition(), message.offset()))  # type: ignore[arg-type] # set when acked
            return
        failure = self._failure(error)
        if not waiter.done():
            waiter.set_exception(failure)

    def _failure(self, error: KafkaError) -> NotAcked:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 # its public name for this code
            self._dead = True
        self._count_failure(error.name())
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return RecordTooLarge("the event is larger than Kafka takes")
        return NotAcked(f"Kafka did not acknowledge: {error.name()}", error.name())

    def _count_failure(self, reason: str) -> None:
        self.counts.failed += 1
        self.counts.last_error = reason
        self.counts.by_reason[reason] = self.counts.by_reason.get(reason, 0) + 1

    def _on_error(self, error: KafkaError) -> None:
        self.counts.last_error = error.name()
        if error.fatal():
            self._dead = True

    async def _look_after(self) -> None:
        """Whatever load there is: serve librdkafka's events, fail what is overdue, replace a dead producer."""
        while True:
            await asyncio.sleep(IDLE_INTERVAL_S)
            self._producer.poll(0)
            self._fail("OVERDUE", due_by=self._loop.time())
            if self._dead:
                await self._replace()

    def _fail(self, reason: str, due_by: float = float("inf")) -> None:
        """Fail what is due: librdkafka reports a timeout up to seconds late, and an answer has its bound."""
        while self._waiting:
            waiter, due = next(iter(self._waiting.items()))
            if due > due_by:
                return
            del self._waiting[waiter]
            self._count_failure(reason)
            if not waiter.done():
                waiter.set_exception(NotAcked(f"Kafka did not acknowledge: {reason}", reason))

    async def _replace(self) -> None:
        """Take a new producer. Who waits for the dead one is answered now; its late reports then find nobody."""
        dead = self._producer
        self._fail("FATAL")
        self._producer = self._make()
        self.counts.rebuilds += 1
        dead.purge(blocking=False)
        await self._loop.run_in_executor(None, dead.close)
