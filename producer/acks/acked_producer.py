"""Produces events and awaits Kafka's acknowledgements: the only file of this room that uses librdkafka's producer.

It knows no HTTP and no report. librdkafka signals when it has delivery reports, and one poll delivers all of them:
there is no extra thread and no task per report. Where there is no signal (see `report_signal.py`), the event loop polls
while events are in flight. `benchmarks/ack_variants.py` measures the alternatives.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message, Producer

from taskstream.producer.acks.delivery import Ack, AckCounts, Delivered, Delivery, FutureWaiter, ProbeOutcome, Waiter
from taskstream.producer.acks.report_signal import ReportSignal, report_signal
from taskstream.producer.errors import NotAcked, QueueFull, RecordTooLarge
from taskstream.producer.events.event_builder import Event
from taskstream.schemas.kafka_rights import denied
from taskstream.schemas.librdkafka.unproven_delivery import UNPROVEN
from taskstream.schemas.recurring import Recurring

POLL_INTERVAL_S: Final = 0.001
"""From a signal to the poll, so that the reports of several partitions come in one poll; without a signal, the interval
of the polls while events are in flight. So it is the longest delay of an ack."""
LINGER_MS: Final = 5
PROBE_TIMEOUT_S: Final = 3.0
_PROBE: Final = Event("probe", b"", [], 0)
_EXPLAINED: Final = {
    KafkaError.INVALID_TIMESTAMP: "INVALID_TIMESTAMP: the time of receipt, by the edge's clock, is outside of what the "
    "topic accepts (message.timestamp.before.max.ms and .after.max.ms); compare the edge's clock with Kafka's"
}
"""[error code] The name of the error and what it means here."""
_OF_THE_TOPIC: Final = frozenset(
    {
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.POLICY_VIOLATION,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 # its public name
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 # as above
    }
)
"""Errors of one topic: Kafka acknowledges events of others, such as probes."""
IDLE_INTERVAL_S: Final = 0.25
"""The interval at which statistics, errors and overdue events are processed when nothing is in flight."""


def producer_config(properties: Mapping[str, Any], *, ack_timeout_s: float, queue_limit: int) -> dict[str, Any]:
    """The settings of librdkafka: `properties` override our defaults, but not what the meaning of a 200 depends on."""
    defaults = {
        "linger.ms": LINGER_MS,
        "queue.buffering.max.kbytes": 262_144,
        "reconnect.backoff.max.ms": 1000,
        # A suspended broker answers nothing: only after this time librdkafka asks for the partition's new leader.
        "socket.timeout.ms": 3000,
        "topic.metadata.propagation.max.ms": 5000,
        "statistics.interval.ms": 5000,
    }
    required = {
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "delivery.timeout.ms": int(ack_timeout_s * 1000),
        "queue.buffering.max.messages": queue_limit,
    }
    return {**defaults, **properties, **required}


class AckedProducer:
    """`async with AckedProducer(...) as acks: ack = await acks.send(event)`.

    `config` is librdkafka's, see `producer_config`. It connects when it is entered, so it may be constructed before a
    fork. After a fatal error of librdkafka it replaces its producer.
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
        self._waiting: dict[Delivery, None] = {}  # the oldest first
        self._alone: dict[Delivery, None] = {}
        """Events that were refused in a batch that is too large, and that are sent again in a batch of their own."""
        self._single: Producer | None = None
        self._first_poll_s = min(0.01, max(POLL_INTERVAL_S, float(config.get("linger.ms", LINGER_MS)) / 1000))
        """librdkafka sends nothing before its linger time has passed: an earlier poll would find no ack."""
        self._polling = False
        self._signal: ReportSignal | None = None
        self._dead = False
        self._maintenance = Recurring("the upkeep of the producer", self._maintain, IDLE_INTERVAL_S)
        self._closing: set[asyncio.Future[None]] = set()
        self._at_last_probe = (0, 0, 0)  # counts of acked and failed reports, and of acked events
        self._refusal: str | None = None
        """Why the topic of the reports refused one since the last probe, in words."""
        self._too_large = 0
        """Reports that failed for their own size, which says nothing about the topic."""
        self._probe_appended_ms: int | None = None
        """When Kafka appended the last acknowledged probe, by the broker's clock."""

    @property
    def in_flight(self) -> int:
        """Events produced and neither acknowledged nor failed."""
        return len(self._waiting)

    @property
    def queue_depth(self) -> int:
        """Messages and events in librdkafka's queues."""
        return len(self._producer)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._producer = self._new_producer()
        self._begin_signal()
        self._maintenance.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.flush(self._flush_timeout_s)
        await self._maintenance.stop()
        self._end_signal()

    def send(self, event: Event) -> asyncio.Future[Ack]:
        """Produce an event; the future yields its ack, or raises NotAcked: Kafka may have stored the event even then.

        Raises:
            QueueFull: nothing was produced.
            RecordTooLarge: nothing was produced, and a retry cannot succeed.
            NotAcked: nothing was produced.
        """
        future: asyncio.Future[Ack] = self._loop.create_future()
        self.produce(event, FutureWaiter(future))
        return future

    def produce(
        self, event: Event, waiter: Waiter, topic: str | None = None, delivered: Delivered | None = None
    ) -> None:
        """Like `send`, without a future: one method of the waiter is called once.

        topic, delivered: for probes, the topic and what is called with the delivery report.

        Raises:
            Like `send`; then no method of the waiter is called.
        """
        delivery = Delivery(delivered or self._delivered, waiter, self._loop.time() + self._ack_timeout_s, event)
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
            raise QueueFull("the queue of events to send to Kafka is full") from error
        except KafkaException as error:
            raise self._failure(error.args[0], topic) from error
        self._waiting[delivery] = None
        if self._signal is None and not self._polling:
            self._begin_polls(self._first_poll_s)

    async def probe(self, *, must_write: bool) -> ProbeOutcome:
        """See `taskstream.producer.admission.readiness.Probe`. Acks since the last call prove the same."""
        counts = self.counts
        acked, failed = counts.acked - counts.probes_acked, counts.failed - counts.probes_failed - self._too_large
        before, self._at_last_probe = self._at_last_probe, (acked, failed, counts.acked)
        acknowledges = counts.acked > before[2] and failed == before[1]
        if acknowledges and not must_write:
            return ProbeOutcome()
        refusal, self._refusal = self._refusal, None
        ack = self._send_probe()
        ack.add_done_callback(asyncio.Future.exception)  # retrieved even when it fails after the timeout
        if acked == before[0] and failed > before[1]:  # reports have failed already
            if refusal is not None:
                return ProbeOutcome(reports_fail=f"the topic {self._topic} refuses reports: {refusal}")
            return ProbeOutcome(self.counts.last_error)
        await asyncio.wait([ack], timeout=PROBE_TIMEOUT_S)
        if not ack.done():
            if acknowledges:  # under load, the probe waits behind the reports
                return ProbeOutcome()
            last_error = self.counts.last_error or "no error reported"
            return ProbeOutcome(f"no acknowledgement within {PROBE_TIMEOUT_S:g} s ({last_error})", late=True)
        failure = ack.exception()
        if isinstance(failure, NotAcked) and "UNKNOWN_TOPIC" in failure.reason:
            return ProbeOutcome(f"the topic {self._probe_topic} does not exist; `taskstream topics create` creates it")
        if failure is not None:
            return ProbeOutcome(str(failure))
        return ProbeOutcome(appended_to=self._probe_topic, appended_ms=self._probe_appended_ms)

    def _send_probe(self) -> asyncio.Future[Ack]:
        future: asyncio.Future[Ack] = self._loop.create_future()
        before, refusal = self.counts.failed, self._refusal
        try:
            self.produce(_PROBE, FutureWaiter(future), self._probe_topic, self._probe_delivered)
        except NotAcked as error:  # librdkafka's queue is full, or it knows already that the topic cannot be written
            self.counts.probes_failed += self.counts.failed - before
            self._refusal = refusal
            future.set_exception(error)
        return future

    def _probe_delivered(self, delivery: Delivery, error: KafkaError | None, message: Message) -> None:
        counts = self.counts
        acked, failed, refusal = counts.acked, counts.failed, self._refusal
        self._delivered(delivery, error, message)
        if counts.acked > acked:
            kind, at_ms = message.timestamp()
            self._probe_appended_ms = at_ms if kind == TIMESTAMP_LOG_APPEND_TIME else None
            counts.probes_acked += 1
        counts.probes_failed += counts.failed - failed
        self._refusal = refusal

    async def flush(self, timeout_s: float) -> int:
        """Wait until nothing is in flight, at most this long; then fail the rest. Returns the number failed."""
        deadline = self._loop.time() + timeout_s
        while (self._waiting or self._alone) and self._loop.time() < deadline:  # noqa: ASYNC110 # an asyncio.Event would cost time in every report
            await asyncio.sleep(POLL_INTERVAL_S)
        left = len(self._waiting) + len(self._alone)
        if left:
            self._producer.purge(blocking=False)
            self._producer.poll(0)
            self._fail_waiting("SHUTDOWN")
        return left

    def _send_alone(self, delivery: Delivery, topic: str | None) -> None:
        """Send an event again, in a batch of its own: Kafka refuses a whole batch for the size of one record."""
        event = delivery.event
        if self._single is None:
            self._single = Producer({**self._config, "batch.num.messages": 1, "linger.ms": 0})
        try:
            self._single.produce(
                topic or self._topic,
                event.value,
                event.key,
                on_delivery=delivery,
                timestamp=event.timestamp_ms,
                headers=event.headers,
            )
        except BufferError:
            self._count_failure("QUEUE_FULL")
            delivery.waiter.failed(NotAcked("Kafka did not acknowledge: QUEUE_FULL", "QUEUE_FULL"))
        except KafkaException as error:
            delivery.waiter.failed(self._failure(error.args[0], topic))
        else:
            self._alone[delivery] = None
            if not self._polling:
                self._begin_polls(POLL_INTERVAL_S)

    def _new_producer(self) -> Producer:
        self._dead = False
        return Producer(self._config)

    def _serve(self) -> None:
        """Let librdkafka call back. It raises a fatal error as an exception, once, and calls no callback for it."""
        try:
            self._producer.poll(0)
            if self._single is not None:
                self._single.poll(0)
        except KafkaException as error:
            self._dead = True
            self.counts.last_error = error.args[0].name()
        except SystemError:  # confluent-kafka loses the fatal error when it calls another callback in the same poll
            self._dead = True
            self.counts.last_error = "FATAL"

    def _begin_polls(self, after_s: float) -> None:
        self._polling = True
        self._loop.call_later(after_s, self._poll)

    def _poll(self) -> None:
        try:
            self._serve()
        finally:  # an exception of a callback must not stop the polls for the others
            self._polling = bool(self._alone) or (self._signal is None and bool(self._waiting))
            if self._polling:
                self._loop.call_later(POLL_INTERVAL_S, self._poll)

    def _begin_signal(self) -> None:
        self._signal = report_signal(self._producer)
        if self._signal is not None:
            self._loop.add_reader(self._signal.fd, self._serve_signal)

    def _end_signal(self) -> None:
        if self._signal is not None:
            self._loop.remove_reader(self._signal.fd)
            self._signal.close()
            self._signal = None

    def _serve_signal(self) -> None:
        if self._signal is not None:
            self._signal.clear()
            self._loop.call_later(POLL_INTERVAL_S, self._serve_reports)

    def _serve_reports(self) -> None:
        try:
            self._serve()
        except BaseException:  # of a callback: the reports behind it have no signal of their own
            self._loop.call_later(POLL_INTERVAL_S, self._serve_reports)
            raise

    def _delivered(self, delivery: Delivery, error: KafkaError | None, message: Message) -> None:
        try:
            awaited = delivery in self._waiting
            if awaited:
                del self._waiting[delivery]
                if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    self._send_alone(delivery, message.topic())
                    return
            elif delivery in self._alone:
                awaited = True
                del self._alone[delivery]
            if error is None and (offset := message.offset()) is not None:
                self.counts.acked += 1
                if awaited:
                    self.counts.add_latency(self._loop.time() - delivery.due_s + self._ack_timeout_s)
                    delivery.waiter.acked(message.partition(), offset)  # type: ignore[arg-type] # the partition is set
            elif awaited:  # else it was overdue, or of a replaced producer: counted already
                failure = self._unproven() if error is None else self._failure(error, message.topic())
                delivery.waiter.failed(failure)
        except Exception as failed:  # noqa: BLE001 # of a waiter: confluent-kafka can make a fatal error of it
            self._loop.call_exception_handler({"message": "an acknowledgement was not told", "exception": failed})

    def _failure(self, error: KafkaError, topic: str | None = None) -> NotAcked:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 # its public name for this code
            self._dead = True
        self._count_failure(error.name())
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._too_large += 1
            return RecordTooLarge("the event is larger than Kafka accepts")
        why = self._explanation(error, topic or self._topic)
        if error.code() in _OF_THE_TOPIC:
            self._refusal = why
        return NotAcked(f"Kafka did not acknowledge: {why}", error.name())

    def _unproven(self) -> NotAcked:
        """The failure of an event that librdkafka calls delivered without an offset.

        No response of Kafka acknowledged it: a later event of its partition was acknowledged, or it was sent twice and
        Kafka has forgotten the first. See `taskstream.schemas.librdkafka.unproven_delivery`.
        """
        self._count_failure(UNPROVEN)
        return NotAcked(f"Kafka did not acknowledge: {UNPROVEN}: it acknowledged a later event only", UNPROVEN)

    def _explanation(self, error: KafkaError, topic: str) -> str:
        match error.code():
            case KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return denied(self._config, "Write", "topic", topic)
            case KafkaError.CLUSTER_AUTHORIZATION_FAILED:
                return denied(self._config, "IdempotentWrite", "cluster")
        return _EXPLAINED.get(error.code(), error.name())

    def _count_failure(self, reason: str) -> None:
        self.counts.failed += 1
        self.counts.last_error = reason
        self.counts.by_reason[reason] = self.counts.by_reason.get(reason, 0) + 1

    def _on_error(self, error: KafkaError) -> None:
        self.counts.last_error = error.name()

    def _maintain(self) -> None:
        """At any load: serve librdkafka's callbacks, fail overdue events, replace a dead producer."""
        try:
            self._serve()
        finally:  # an exception of one waiter must not leave the others waiting
            try:
                self._fail_waiting("OVERDUE", due_by=self._loop.time())
            finally:
                if self._dead:
                    self._replace()

    def _fail_waiting(self, reason: str, due_by: float = float("inf")) -> None:
        """Fail the events due by then: librdkafka reports a timeout seconds late, too late for the response."""
        for waiting in (self._waiting, self._alone):
            while waiting:
                delivery = next(iter(waiting))
                if delivery.due_s > due_by:
                    break
                del waiting[delivery]
                self._count_failure(reason)
                self.counts.probes_failed += delivery.event is _PROBE
                delivery.waiter.failed(NotAcked(f"Kafka did not acknowledge: {reason}", reason))

    def _replace(self) -> None:
        """Replace the dead producer. Its events fail now; its late delivery reports are ignored."""
        dead, single, self._single = self._producer, self._single, None
        self._fail_waiting("FATAL")
        self._end_signal()
        self._producer = self._new_producer()
        self._begin_signal()
        self.counts.rebuilds += 1
        for each in filter(None, (dead, single)):
            closing = self._loop.run_in_executor(None, _close, each)
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _close(dead: Producer) -> None:
    """Close a dead producer, blocking."""
    dead.purge(blocking=False)
    with contextlib.suppress(KafkaException):  # it raises its fatal error again
        dead.close()
