"""Sends rejected records to their origin again, together with a note of it, in one transaction.

The records and their note are both committed or neither is. So a redrive that was killed can be run again, and
redrives nothing twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException, Producer

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.retry import TRANSACTION_CALL_S, call_transaction
from taskstream.consumer.rejects.rejected_record import REDRIVES, RejectedRecord, note_of
from taskstream.schemas.librdkafka.unproven_delivery import ONE_IN_FLIGHT
from taskstream.schemas.topics import Topics

MAX_RECORDS = 1_000
"""How many records one transaction redrives at most."""


class RedriveTransaction:
    """`with RedriveTransaction(config, topics) as transaction: transaction.redrive(rejects)`.

    All share one transactional id, so entering a second one fences the first. Each transaction has a producer of its
    own: no late request of one ends the next (see `kafka.transaction`).
    """

    def __init__(self, config: Mapping[str, Any], topics: Topics) -> None:
        self._topics = topics
        self._config = (
            {"linger.ms": 20, "compression.type": "lz4"}
            | dict(config)
            | ONE_IN_FLIGHT
            | {"transactional.id": f"{topics.prefix}.redrive", "transaction.timeout.ms": 15_000}
        )
        self._open = False
        self._used = False

    def __enter__(self) -> Self:
        self._create()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            with contextlib.suppress(KafkaException):
                self._producer.abort_transaction(TRANSACTION_CALL_S)
        self._close()

    def redrive(self, rejects: Sequence[RejectedRecord]) -> None:
        """Redrive these, all or none. They are of one partition of the rejected topic, in this order.

        Raises:
            KafkaFailed: the transaction failed, or its outcome is unknown. The notes show what was redriven.
        """
        (partition,) = {each.record.partition for each in rejects}
        if self._used:
            self._close()
            self._create()
        self._used = True
        try:
            self._producer.begin_transaction()
            self._open = True
            for each in rejects:
                self._send_to_origin(each)
            value, headers = note_of(each.record.offset for each in rejects)
            self._produce(self._topics.rejected.name, value, None, partition, headers=headers)
        except KafkaException as error:
            raise KafkaFailed(f"none of these {len(rejects)} records was redriven: {error.args[0].str()}") from error
        call_transaction("commit_transaction", lambda: self._producer.commit_transaction(TRANSACTION_CALL_S))
        self._open = False

    def _create(self) -> None:
        self._producer = Producer(self._config)
        call_transaction("init_transactions", lambda: self._producer.init_transactions(TRANSACTION_CALL_S))

    def _close(self) -> None:
        self._producer.purge()
        self._producer.close()

    def _send_to_origin(self, reject: RejectedRecord) -> None:
        assert reject.topic is not None, "its origin is known"
        assert reject.partition is not None, "its origin is known"
        headers = [*reject.headers_as_received(), (REDRIVES, str(reject.redrives + 1).encode())]
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
