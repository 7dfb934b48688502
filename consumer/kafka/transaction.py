"""One producer and its open transaction: what the worker gives off and how far it has read, all or nothing.

It maps librdkafka's transactional errors to three answers: done, `TransactionAborted` (go back and read again), and
`ProducerLost` (build everything anew). It knows no table.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from taskstream.consumer.errors import ConsumerError, KafkaFailed, ProducerLost, TransactionAborted
from taskstream.consumer.worker.watchdog import Watchdog

_CALL_S = 15.0
_PATIENCE_S = 60.0
"""How long a call is tried again while Kafka does not answer."""
_LIMIT_S = 2 * _CALL_S
"""When a call has not come back by then, it never will: the watchdog ends the process."""
_PAUSE_S = 0.1
_ABORT_S = 5.0


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
        try:
            self._producer = Producer(self._config)
        except KafkaException as error:
            raise KafkaFailed(f"librdkafka does not take the producer's settings: {error.args[0].str()}") from error
        self._call("init_transactions", lambda: self._producer.init_transactions(_CALL_S))
        return self

    def __exit__(self, *_: object) -> None:
        with self._watchdog.watch("closing the producer", _LIMIT_S):
            if self._begun:  # else Kafka would hold up readers until the transaction's time is over
                with contextlib.suppress(KafkaException):
                    self._producer.abort_transaction(_ABORT_S)
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
        self._producer.poll(0)
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
        # Kafka takes the offsets of somebody who is in no group from anybody: what it would refuse from a member of
        # a past generation it would then take from us. Asked after the metadata: we cannot have come back in between.
        if not consumer.memberid():
            raise TransactionAborted("this worker is no member of its group any more")
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
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            self._producer.poll(0)  # what librdkafka has to say comes out in here
            try:
                with self._watchdog.watch(name, _LIMIT_S):
                    call()
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if not reason.retriable() or reason.txn_requires_abort():
                    raise self._meaning(name, reason) from error
                if time.monotonic() > deadline:
                    tried = f"{name}: {reason.str()}; tried for {_PATIENCE_S:.0f} s"
                    raise KafkaFailed(f"{tried}: is Kafka up, and its address right?") from error
                time.sleep(_PAUSE_S)
            else:
                return

    def _meaning(self, name: str, reason: KafkaError) -> ConsumerError:
        if name == "init_transactions":
            return KafkaFailed(f"{name}: {reason.str()}. Is another worker running as the same --instance?")
        if reason.fatal():
            return ProducerLost(f"{name}: {reason.str()}")
        if reason.txn_requires_abort():
            return TransactionAborted(f"{name}: {reason.str()}")
        if name == "produce":  # the transaction has failed meanwhile, and only an abort is allowed
            return TransactionAborted(f"{name}: {reason.str()}")
        if name in ("abort_transaction", "commit_transaction", "send_offsets_to_transaction"):
            return ProducerLost(f"{name}: {reason.str()}")
        return KafkaFailed(f"{name}: {reason.str()}")
