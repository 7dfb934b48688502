"""Commits a transaction of one empty record on the probe topic: do transactions work, and is the broker's clock right?

The topic has message.timestamp.type=LogAppendTime, so a delivery report has the broker's time of the append.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message, Producer

from taskstream.compose.doctor.clock_check import clock_finding
from taskstream.compose.doctor.finding import Finding, bad, good, unknown
from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.topics import Topics

_CALL_TIMEOUT_S = 10.0


def check_transactions(kafka: KafkaClient, topics: Topics) -> Iterator[Finding]:
    """Whether a transaction commits, and whether the broker's clock agrees with this machine's."""
    required = {"transactional.id": f"{topics.prefix}.doctor-{uuid.uuid4()}", "log_level": 0, "linger.ms": 0}
    producer = Producer(kafka.config(**required))
    try:
        producer.init_transactions(_CALL_TIMEOUT_S)
        producer.begin_transaction()
        append = _append_one(producer, topics.probe.name)
        began_s = time.monotonic()
        producer.commit_transaction(_CALL_TIMEOUT_S)
        yield good("transactions", f"one was committed within {(time.monotonic() - began_s) * 1000:.1f} ms")
    except KafkaException as error:
        remedy = "allow this user and the workers to write to the topics and to use transactional ids"
        yield bad("transactions", f"a transaction failed: {error.args[0].str()}", remedy)
        return
    if append.theirs_s is None:
        what = f"{topics.probe.name} has a message.timestamp.type other than LogAppendTime"
        yield unknown("broker clock", what, "`taskstream topics check` prints the command that changes it")
    else:
        yield clock_finding("broker clock", "the broker", append.theirs_s, append.before_s, append.after_s)


@dataclass(frozen=True, slots=True)
class _Append:
    """One record that was appended between two moments of this machine's clock, in seconds since 1970 UTC."""

    before_s: float
    after_s: float
    theirs_s: float | None
    """When, by the broker's clock; None if it is not known."""


def _append_one(producer: Producer, topic: str) -> _Append:
    appended: list[tuple[float, float]] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        kind, at_ms = message.timestamp()
        if error is None and kind == TIMESTAMP_LOG_APPEND_TIME:
            appended.append((time.time(), at_ms / 1000))

    before_s = time.time()
    producer.produce(topic, b"", b"doctor", 0, on_delivery=on_delivery)
    producer.flush(_CALL_TIMEOUT_S)
    after_s, theirs_s = appended[0] if appended else (time.time(), None)
    return _Append(before_s, after_s, theirs_s)
