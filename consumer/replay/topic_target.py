"""Writes raw records to a topic: key, value, headers and timestamp unchanged, each partition in its order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import ConfigResource

from taskstream.consumer.errors import CopyOntoItself, KafkaFailed, PartitionCountsDiffer, RecordsExpired
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.kafka.retry import with_retry
from taskstream.schemas.librdkafka.unproven_delivery import ONE_IN_FLIGHT
from taskstream.schemas.topics import DAY_MS

_CALL_S = 15.0
_STALLED_S = 60.0
_BY_KEY = -1


def refuse_itself(source: Mapping[str, Any], source_topic: str, target: Mapping[str, Any], topic: str) -> None:
    """Return when these are two topics.

    Raises:
        CopyOntoItself: they are one topic: the copy would read its own records, without end.
        KafkaFailed: a cluster did not answer.
    """
    if topic == source_topic and _cluster_id(source) == _cluster_id(target):
        raise CopyOntoItself(f"{topic} would be copied onto itself")


def refuse_other_partition_count(count: int, topic: str, there: int) -> None:
    """Return when the target has as many partitions as the records' origin.

    Raises:
        PartitionCountsDiffer: it has not, so the records of a key would not be in the partition that the key hashes to.
    """
    if there != count:
        raise PartitionCountsDiffer(
            f"{topic} has {there} partitions, and the records come from {count}: create it with {count} partitions"
        )


@dataclass(frozen=True, slots=True)
class TimestampRules:
    """What a topic does with the timestamps of records."""

    replaces: bool
    """Whether Kafka puts its own time in their place (message.timestamp.type=LogAppendTime)."""
    retention_ms: int | None
    """How old a record may be; None: records are not deleted for their age."""


def timestamp_rules(config: Mapping[str, Any], topic: str) -> TimestampRules:
    """The rules of a topic that exists.

    Raises:
        KafkaFailed: Kafka did not answer, or this user may not read them.
    """
    admin = QuietAdmin(config)
    asked = ConfigResource(ConfigResource.Type.TOPIC, topic)

    def ask() -> Mapping[str, Any]:
        return answered(admin.describe_configs([asked], request_timeout=_CALL_S)[asked], _CALL_S)

    found = with_retry(f"{topic}: its settings cannot be read", ask, why=admin.why)
    replaces = found["message.timestamp.type"].value == "LogAppendTime"
    retention_ms = int(found["retention.ms"].value)
    deletes = not replaces and retention_ms >= 0 and "delete" in found["cleanup.policy"].value.split(",")
    return TimestampRules(replaces, retention_ms if deletes else None)


def refuse_expired(expired: int, count: int, topic: str, retention_ms: int) -> None:
    """Return when none of `count` records is older than the topic keeps records.

    Raises:
        RecordsExpired: `expired` of them are: Kafka acknowledges them, and then deletes them.
    """
    if expired:
        raise RecordsExpired(
            f"{expired:,} of {count:,} records are older than {topic} keeps records (retention.ms={retention_ms}, "
            f"{retention_ms / DAY_MS:.4g} days): Kafka would acknowledge and then delete them"
        )


class TopicTarget:
    """`with TopicTarget(config, topic) as target: target.write_records(records); target.flush()`."""

    def __init__(self, config: Mapping[str, Any], topic: str, *, by_key: bool = False) -> None:
        self._config = (
            {"linger.ms": 20, "compression.type": "lz4"}
            | dict(config)
            | {
                **ONE_IN_FLIGHT,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                "delivery.report.only.error": True,
                "queue.buffering.max.messages": 100_000,
                "queue.buffering.max.kbytes": 1 << 16,
            }
        )
        self._topic = topic
        self._by_key = by_key
        self._failed: KafkaError | None = None

    def __enter__(self) -> Self:
        self._producer = Producer(self._config)
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.purge()
        self._producer.close()

    def write_records(self, records: Sequence[RawRecord]) -> None:
        """Send these; they are on the topic when `flush` returns.

        Raises:
            KafkaFailed: Kafka refused one of them.
        """
        for record in records:
            while not self._sent(record):
                self._producer.poll(0.1)
                self._check()
        self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Return when Kafka has acknowledged all records.

        Raises:
            KafkaFailed: Kafka refused one, or acknowledged none for a minute.
        """
        left, moved = len(self._producer), time.monotonic()
        while left:
            now_left = self._producer.flush(1.0)
            self._check()
            if now_left < left:
                left, moved = now_left, time.monotonic()
            elif time.monotonic() - moved > _STALLED_S:
                raise KafkaFailed(f"{self._topic}: {left:,} records were not acknowledged for {_STALLED_S:.0f} s")
        self._check()

    def _sent(self, record: RawRecord) -> bool:
        more: dict[str, Any] = {} if record.timestamp_ms is None else {"timestamp": record.timestamp_ms}
        partition = _BY_KEY if self._by_key else record.partition
        try:
            self._producer.produce(
                self._topic,
                record.value,
                record.key,
                partition,
                on_delivery=self._delivered,
                headers=record.headers,
                **more,
            )
        except BufferError:
            return False
        except KafkaException as error:
            where = f"{record.topic}-{record.partition} offset {record.offset}"
            raise KafkaFailed(f"{self._topic} refused the record of {where}: {error.args[0].str()}") from error
        return True

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._failed = self._failed or error

    def _check(self) -> None:
        if self._failed is not None:
            raise KafkaFailed(f"{self._topic} refused a record: {self._failed.str()}")


def _cluster_id(config: Mapping[str, Any]) -> str | None:
    admin = QuietAdmin(config)
    try:
        found: str | None = admin.list_topics(timeout=_CALL_S).cluster_id
    except KafkaException as error:
        raise KafkaFailed(f"Kafka at {config.get('bootstrap.servers')} did not answer: {admin.why(error)}") from error
    return found
