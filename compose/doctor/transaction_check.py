"""Commits transactions of one empty record on the probe topic: do transactions work, and is the broker's clock right?

The marker that ends a transaction has the broker's own time, which clients can read nowhere else.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from taskstream.compose.doctor.clock_check import clock_finding
from taskstream.compose.doctor.finding import Finding, bad, good, unknown
from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.topics import Topics

_CALL_TIMEOUT_S = 10.0
_MAX_TIMESTAMP: OffsetSpec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call] # untyped in confluent-kafka
_RECORD_TIMESTAMP_MS = 1
"""Far in the past, so that the marker has the highest timestamp on the topic."""
_ATTEMPTS = 10
_AGREE_S = 1.0


def check_transactions(kafka: KafkaClient, topics: Topics) -> Iterator[Finding]:
    """Whether transactions commit, and whether the timestamps of two markers agree with this machine's clock."""
    required = {"transactional.id": f"{topics.prefix}.doctor-{uuid.uuid4()}", "log_level": 0, "linger.ms": 0}
    producer = Producer(kafka.config(**required))
    markers: list[_Marker] = []
    try:
        producer.init_transactions(_CALL_TIMEOUT_S)
        first = _commit_one(producer, topics.probe.name)
        yield good("transactions", f"one was committed within {first.took_s * 1000:.1f} ms")
        committed = first
        for _ in range(_ATTEMPTS):
            if (at_ms := _marker_ms(kafka, topics.probe.name, committed.offset)) is not None:
                markers.append(_Marker(committed, at_ms / 1000))
            if len(markers) >= 2 and abs(markers[-1].ahead_s - markers[-2].ahead_s) < _AGREE_S:
                break
            committed = _commit_one(producer, topics.probe.name)
    except KafkaException as error:
        remedy = "allow this user and the workers to write to the topics and to use transactional ids"
        yield bad("transactions", f"a transaction failed: {error.args[0].str()}", remedy)
        return
    if len(markers) < 2 or abs(markers[-1].ahead_s - markers[-2].ahead_s) >= _AGREE_S:
        remedy = "try again; records of an edge whose clock is ahead hide the broker's time"
        yield unknown("broker clock", "the broker's time could not be read", remedy)
    else:
        last = markers[-1]
        yield clock_finding(
            "broker clock", "the broker", last.theirs_s, last.committed.before_s, last.committed.after_s
        )


@dataclass(frozen=True, slots=True)
class _Committed:
    """A transaction of one record at `offset`, committed between two moments of this machine's clock."""

    offset: int
    before_s: float
    after_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class _Marker:
    """The broker's time in a transaction's marker, in seconds since 1970 UTC."""

    committed: _Committed
    theirs_s: float

    @property
    def ahead_s(self) -> float:
        """How far the broker's clock is ahead of this machine's, in seconds."""
        return self.theirs_s - (self.committed.before_s + self.committed.after_s) / 2


def _commit_one(producer: Producer, topic: str) -> _Committed:
    offsets: list[int] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        offset = message.offset()
        offsets.append(-1 if error is not None or offset is None else offset)

    producer.begin_transaction()
    producer.produce(topic, b"", b"doctor", 0, on_delivery=on_delivery, timestamp=_RECORD_TIMESTAMP_MS)
    producer.flush(_CALL_TIMEOUT_S)
    before_s, began_s = time.time(), time.monotonic()
    producer.commit_transaction(_CALL_TIMEOUT_S)
    after_s, took_s = time.time(), time.monotonic() - began_s
    return _Committed(offsets[0] if offsets else -1, before_s, after_s, took_s)


def _marker_ms(kafka: KafkaClient, topic: str, offset: int) -> int | None:
    """The timestamp of the marker directly after the record at `offset`; None if an edge's record hides it.

    Kafka returns the offset and timestamp of the record with the highest timestamp on the topic. The doctor's record
    is dated 1970, so that is its marker, unless an edge has written to the probe topic meanwhile. An edge's record can
    also take the marker's place; the caller therefore requires two markers that agree.
    """
    partition = TopicPartition(topic, 0)
    admin = AdminClient(kafka.config(log_level=0))
    offsets = admin.list_offsets({partition: _MAX_TIMESTAMP}, request_timeout=_CALL_TIMEOUT_S)
    found = offsets[partition].result()
    return found.timestamp if found.offset == offset + 1 else None
