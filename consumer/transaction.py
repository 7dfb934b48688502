"""One producer and its open transaction: what the worker gives off and how far it has read, all or nothing.

It maps librdkafka's transactional errors to three answers: done, `TransactionAborted` (go back and read again), and
`ProducerLost` (build everything anew). It knows no table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from consumer.errors import ConsumerError, KafkaFailed, ProducerLost, TransactionAborted
from consumer.watchdog import Watchdog

_CALL_S = 15.0
_LIMIT_S = 60.0
"""When a transactional call has not ended, however often retried, the watchdog ends the process."""


class Transaction:
    """`with Transaction(...) as open: open.send(...); open.commit(...)`. It begins by itself with the first record."""

    def __init__(self, config: Mapping[str, Any], transactional_id: str, watchdog: Watchdog) -> None:
        self._config = (
            {"linger.ms": 20, "compression.type": "lz4", "transaction.timeout.ms": 15_000}
            | dict(config)
            | {
                "transactional.id": transactional_id,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 2_000_000,
                "queue.buffering.max.kbytes": 1 << 20,
            }
        )
        self._watchdog = watchdog
        self._begun = False

    def __enter__(self) -> Self:
        self._producer = Producer(self._config)
        self._call("init_transactions", lambda: self._producer.init_transactions(_CALL_S))
        return self

    def __exit__(self, *_: object) -> None:
        with self._watchdog.watch("closing the producer", _LIMIT_S):
            self._producer.purge()
            self._producer.close()

    @property
    def begun(self) -> bool:
        """Whether there is something to commit or abort."""
        return self._begun

    def begin(self) -> None:
        """Begin, if it has not begun."""
        if not self._begun:
            self._call("begin_transaction", self._producer.begin_transaction)
            self._begun = True

    def send_many(self, topic: str, keys: Sequence[str], values: Sequence[bytes], partition: int = -1) -> None:
        """Send records without headers; into one partition, or by their keys."""
        self.begin()
        messages: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in zip(keys, values, strict=True)]
        while messages:
            self._producer.produce_batch(topic, messages, partition)
            messages = [message for message in messages if "_error" in message]
            if messages:
                self._make_room(messages[0]["_error"])
                messages = [{"key": message["key"], "value": message["value"]} for message in messages]

    def send(
        self,
        topic: str,
        key: str | bytes | None,
        value: bytes | None,
        partition: int = -1,
        headers: Sequence[tuple[str, str | bytes | None]] = (),
    ) -> None:
        """Send one record; value None is a tombstone."""
        self.begin()
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=list(headers))
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise self._meaning("produce", error.args[0]) from error
            else:
                return

    def commit(self, positions: Mapping[int, int], topic: str, consumer: Consumer) -> None:
        """Commit the records with these positions (by partition of `topic`) of the consumer's group.

        Raises:
            TransactionAborted: nothing of it happened.
            ProducerLost: it is not known whether it happened; Kafka's offsets tell.
        """
        self.begin()
        places = [TopicPartition(topic, partition, offset) for partition, offset in positions.items()]
        group = consumer.consumer_group_metadata()
        self._call(
            "send_offsets_to_transaction",
            lambda: self._producer.send_offsets_to_transaction(places, group, _CALL_S),
        )
        self._call("commit_transaction", lambda: self._producer.commit_transaction(_CALL_S))
        self._begun = False

    def abort(self) -> None:
        """Abort what is open, if anything is.

        Raises:
            ProducerLost: the producer cannot go on.
        """
        if self._begun:
            self._call("abort_transaction", lambda: self._producer.abort_transaction(_CALL_S))
            self._begun = False

    def _make_room(self, error: KafkaError) -> None:
        if error.code() != KafkaError._QUEUE_FULL:  # noqa: SLF001 (librdkafka's public name for it)
            raise self._meaning("produce", error)
        self._producer.poll(0.1)

    def _call(self, name: str, call: Callable[[], Any]) -> None:
        """Make a transactional call, again while it may be tried again; what is not done is told by its meaning."""
        with self._watchdog.watch(name, _LIMIT_S):
            while True:
                try:
                    call()
                except KafkaException as error:
                    reason: KafkaError = error.args[0]
                    if reason.retriable() and not reason.txn_requires_abort():
                        continue
                    raise self._meaning(name, reason) from error
                return

    def _meaning(self, name: str, reason: KafkaError) -> ConsumerError:
        if reason.fatal():
            return ProducerLost(f"{name}: {reason.str()}")
        if reason.txn_requires_abort():
            return TransactionAborted(f"{name}: {reason.str()}")
        if name == "produce":  # the transaction has failed meanwhile, and only an abort is allowed
            return TransactionAborted(f"{name}: {reason.str()}")
        if name in ("abort_transaction", "commit_transaction", "send_offsets_to_transaction"):
            return ProducerLost(f"{name}: {reason.str()}")
        return KafkaFailed(f"{name}: {reason.str()}")
