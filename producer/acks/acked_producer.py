"""Produces events and awaits Kafka's acknowledgement: the only place in this room that talks to librdkafka's producer.

It knows no HTTP and no report. One poll of librdkafka, made from the event loop while anything is in flight, brings
the delivery reports of all; there is no thread of ours and no task a report. `benchmarks/ack_ways.py` has the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from taskstream.producer.acks.delivery import Ack, AckCounts, Delivery, FutureWaiter, Waiter
from taskstream.producer.errors import NotAcked, QueueFull, RecordTooLarge
from taskstream.producer.events.event import Event

POLL_INTERVAL_S: Final = 0.001
"""How long an ack may lie in librdkafka's queue before it is seen, while any is awaited."""
LINGER_MS: Final = 5
PROBE_TIMEOUT_S: Final = 3.0
_PROBE: Final = Event("probe", b"", [], 0)
IDLE_INTERVAL_S: Final = 0.25
"""How often statistics, errors and overdue waiters are looked at."""


def producer_config(properties: Mapping[str, Any], *, ack_timeout_s: float, queue_limit: int) -> dict[str, Any]:
    """The settings of librdkafka: beneath what the operator may tune, above it what a 200 of ours means."""
    tunable = {
        "linger.ms": LINGER_MS,
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
        self._waiting: dict[Delivery, None] = {}  # by age
        self._first_poll_s = min(0.01, max(POLL_INTERVAL_S, float(config.get("linger.ms", LINGER_MS)) / 1000))
        """The first of several events is not even sent before: until then there is nothing to be seen."""
        self._polling = False
        self._dead = False
        self._closing: set[asyncio.Future[None]] = set()
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
        future: asyncio.Future[Ack] = self._loop.create_future()
        self.produce(event, FutureWaiter(future), topic)
        return future

    def produce(self, event: Event, waiter: Waiter, topic: str | None = None) -> None:
        """As `send`, at the least cost: the waiter is told, and there is no future.

        Raises:
            As `send`; then the waiter is told nothing.
        """
        delivery = Delivery(self._delivered, waiter, self._loop.time() + self._ack_timeout_s)
        try:
            self._producer.produce(
                topic or self._topic,
                event.value,
                event.key,
                on_delivery=delivery,
                timestamp=event.timestamp_ms,
                headers=event.headers,
            )
        except BufferError as error:
            self._count_failure("QUEUE_FULL")
            raise QueueFull("the queue towards Kafka is full") from error
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        self._waiting[delivery] = None
        if not self._polling:
            self._polling = True
            self._loop.call_later(self._first_poll_s, self._poll)

    async def probe(self) -> str | None:
        """See `readiness.Probe`. Reports that were acknowledged since the last time prove it as well."""
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

    def _serve(self) -> None:
        """Let librdkafka call back. Of a fatal error no callback is told: it comes as an exception, once."""
        try:
            self._producer.poll(0)
        except KafkaException as error:
            self._dead = True
            self.counts.last_error = error.args[0].name()

    def _poll(self) -> None:
        try:
            self._serve()
        finally:  # whatever a waiter does with its report, the others still get theirs
            self._polling = bool(self._waiting)
            if self._polling:
                self._loop.call_later(POLL_INTERVAL_S, self._poll)

    def _delivered(self, delivery: Delivery, error: KafkaError | None, message: Message) -> None:
        awaited = delivery in self._waiting
        if awaited:
            del self._waiting[delivery]
        if error is None:
            self.counts.acked += 1
            if awaited:
                self.counts.took(self._loop.time() - delivery.due_s + self._ack_timeout_s)
                delivery.waiter.acked(message.partition(), message.offset())  # type: ignore[arg-type] # set when acked
            return
        if awaited:  # else it is late, or of a producer that was replaced: counted already
            delivery.waiter.failed(self._failure(error))

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

    async def _look_after(self) -> None:
        """Whatever load there is: serve librdkafka's events, fail what is overdue, replace a dead producer."""
        while True:
            await asyncio.sleep(IDLE_INTERVAL_S)
            self._serve()
            self._fail("OVERDUE", due_by=self._loop.time())
            if self._dead:
                self._replace()

    def _fail(self, reason: str, due_by: float = float("inf")) -> None:
        """Fail what is due: librdkafka reports a timeout up to seconds late, and an answer has its bound."""
        while self._waiting:
            delivery = next(iter(self._waiting))
            if delivery.due_s > due_by:
                return
            del self._waiting[delivery]
            self._count_failure(reason)
            delivery.waiter.failed(NotAcked(f"Kafka did not acknowledge: {reason}", reason))

    def _replace(self) -> None:
        """Take a new producer. Who waits for the dead one is answered now; its late reports then find nobody."""
        dead = self._producer
        self._fail("FATAL")
        self._producer = self._make()
        self.counts.rebuilds += 1
        closing = self._loop.run_in_executor(None, _close, dead)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _close(dead: Producer) -> None:
    """Let go of a producer that died, blocking."""
    dead.purge(blocking=False)
    with contextlib.suppress(KafkaException):  # it says once more that it is dead
        dead.close()
