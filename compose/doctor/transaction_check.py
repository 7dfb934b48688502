"""One empty transaction on the probe topic: whether Kafka does them, and what time it is at the broker.

A transaction's marker carries the broker's own time, the only one that a client is ever shown.
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

_CALL_S = 10.0
_NEWEST: OffsetSpec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call] # confluent-kafka gives no types here
_LONG_AGO_MS = 1
_ATTEMPTS = 10
_AGREE_S = 1.0


def transaction_on(kafka: KafkaClient, topics: Topics) -> Iterator[Finding]:
    """Commit a few, and find a marker."""
    must = {"transactional.id": f"{topics.prefix}.doctor-{uuid.uuid4()}", "log_level": 0, "linger.ms": 0}
    sender = Producer(kafka.config(**must))
    seen: list[_Seen] = []
    try:
        sender.init_transactions(_CALL_S)
        first = _commit_one(sender, topics.probe.name)
        yield good("transactions", f"one was committed within {first.took_s * 1000:.1f} ms")
        committed = first
        for _ in range(_ATTEMPTS):
            if (at_ms := _marker_ms(kafka, topics.probe.name, committed.offset)) is not None:
                seen.append(_Seen(committed, at_ms / 1000))
            if len(seen) >= 2 and abs(seen[-1].ahead_s - seen[-2].ahead_s) < _AGREE_S:
                break
            committed = _commit_one(sender, topics.probe.name)
    except KafkaException as error:
        remedy = "allow this user and the workers to write to the topics and to use transactional ids"
        yield bad("transactions", f"it failed: {error.args[0].str()}", remedy)
        return
    if len(seen) < 2 or abs(seen[-1].ahead_s - seen[-2].ahead_s) >= _AGREE_S:
        remedy = "try again; an edge whose clock is ahead hides the broker's"
        yield unknown("broker clock", "the broker's time could not be seen", remedy)
    else:
        last = seen[-1]
        yield clock_finding(
            "broker clock", "the broker", last.theirs_s, last.committed.before_s, last.committed.after_s
        )


@dataclass(frozen=True, slots=True)
class _Committed:
    """A transaction of one record at this offset, committed between these two moments of our clock."""

    offset: int
    before_s: float
    after_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """The time of its marker."""

    committed: _Committed
    theirs_s: float

    @property
    def ahead_s(self) -> float:
        """Of our clock, in seconds."""
        return self.theirs_s - (self.committed.before_s + self.committed.after_s) / 2


def _commit_one(sender: Producer, topic: str) -> _Committed:
    offsets: list[int] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        offset = message.offset()
        offsets.append(-1 if error is not None or offset is None else offset)

    sender.begin_transaction()
    sender.produce(topic, b"", b"doctor", 0, on_delivery=delivered, timestamp=_LONG_AGO_MS)
    sender.flush(_CALL_S)
    before_s, began_s = time.time(), time.monotonic()
    sender.commit_transaction(_CALL_S)
    after_s, took_s = time.time(), time.monotonic() - began_s
    return _Committed(offsets[0] if offsets else -1, before_s, after_s, took_s)


def _marker_ms(kafka: KafkaClient, topic: str, offset: int) -> int | None:
    """The time of the marker right behind the record; None if what an edge has written hides it.

    Kafka is asked for the newest time on the topic; our record is told to be of 1970, its marker is of now. Between
    them or after them an edge may have written; two markers that agree rule out that its time is taken for Kafka's.
    """
    place = TopicPartition(topic, 0)
    admin = AdminClient(kafka.config(log_level=0))
    found = admin.list_offsets({place: _NEWEST}, request_timeout=_CALL_S)[place].result()
    return found.timestamp if found.offset == offset + 1 else None
