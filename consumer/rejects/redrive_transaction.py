"""Drives rejected records back to where they came from, and notes it, in one transaction a portion.

Killed at any instant, a portion and its note are there or they are not: run again, nothing is driven twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException, Producer

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.transaction_calls import CALL_S, transactional
from taskstream.consumer.rejects.rejected_record import DRIVES, RejectedRecord, note_of
from taskstream.schemas.topics import Topics

PORTION = 1_000


class RedriveTransaction:
    """`with Drive(config, topics) as drive: drive.back(rejects)`. Only one at a time: a new one ends an old one's."""

    def __init__(self, config: Mapping[str, Any], topics: Topics) -> None:
        self._topics = topics
        self._config = (
            {"linger.ms": 20, "compression.type": "lz4"}
            | dict(config)
            | {"transactional.id": f"{topics.prefix}.redrive", "transaction.timeout.ms": 15_000}
        )
        self._open = False

    def __enter__(self) -> Self:
        self._producer = Producer(self._config)
        transactional("init_transactions", lambda: self._producer.init_transactions(CALL_S))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            with contextlib.suppress(KafkaException):
                self._producer.abort_transaction(CALL_S)
        self._producer.purge()
        self._producer.close()

    def back(self, rejects: Sequence[RejectedRecord]) -> None:
        """Drive these back, all or none; all lie in one partition of the rejected topic, in this order.

        Raises:
            KafkaFailed: it came to nothing, or Kafka cannot say whether it did; the notes tell.
        """
        (home,) = {each.record.partition for each in rejects}
        try:
            self._producer.begin_transaction()
            self._open = True
            for each in rejects:
                self._send_back(each)
            value, headers = note_of(each.record.offset for each in rejects)
            self._produce(self._topics.rejected.name, value, None, home, headers=headers)
        except KafkaException as error:
            raise KafkaFailed(f"nothing of this portion was driven: {error.args[0].str()}") from error
        transactional("commit_transaction", lambda: self._producer.commit_transaction(CALL_S))
        self._open = False

    def _send_back(self, reject: RejectedRecord) -> None:
        assert reject.topic is not None, "its origin is known"
        assert reject.partition is not None, "its origin is known"
        headers = [*reject.headers_as_received(), (DRIVES, str(reject.drives + 1).encode())]
        more: dict[str, Any] = {} if reject.timestamp_ms is None else {"timestamp": reject.timestamp_ms}
        record = reject.record
        self._produce(reject.topic, record.value, record.key, reject.partition, headers=headers, **more)

    def _produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int, **more: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, **more)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return
