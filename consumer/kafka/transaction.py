"""One transactional producer: records and the offsets they were made from are committed together or not at all.

It maps librdkafka's errors to two outcomes: `TransactionAborted` (roll back and read again) and `ProducerLost` (call
`renew` and read everything back). It knows nothing of what the records hold.

A request that was sent twice can arrive twice, the second time within the next transaction: a late end then ends that
one in its middle. Kafka tells the two apart by the producer's epoch, which librdkafka does not raise with each
transaction, as KIP-890 does. So after a call that may have sent a request twice, the next transaction has a new
producer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol, Self

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from taskstream.consumer.bounded_calls import BoundedCalls, CallAbandoned
from taskstream.consumer.errors import (
    CallUnanswered,
    ConsumerError,
    InstanceFenced,
    KafkaFailed,
    ProducerLost,
    RightMissing,
    TransactionAborted,
)
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.committed_offsets import marked
from taskstream.consumer.kafka.kafka_errors import is_fatal, is_producer_forgotten, is_repeatable
from taskstream.consumer.kafka.retry import RetryLimit, Waiting, retry
from taskstream.schemas.cloud_events import Headers
from taskstream.schemas.codec.header_columns import HeaderColumns, header_lists, headers_part
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.librdkafka.unproven_delivery import ONE_IN_FLIGHT

_CALL_S = 10.0
_REPEATED = RetryLimit(seconds=60.0, pause_s=0.1)
"""How long a call is repeated while Kafka does not answer: when entering, and later unless there is `waiting`."""
_RENEWED_AFTER_S = 30.0
"""With `waiting`, a call that is not done by then is given up and its producer is lost: it may know no broker any more
(see `admin.broker_watch`), and a new one begins with the bootstrap servers."""
_REQUEST_MS = 5_000
"""The timeout of one request. A coordinator that is suspended answers none, and librdkafka looks for its successor only
after that. With librdkafka's default, the transaction's timeout, one request takes as long as a call may."""
_LIMIT_S = 1.5 * _CALL_S
"""A call that has not returned by then is abandoned, and its producer is lost: librdkafka may wait for ever for a
coordinator that has moved."""
_WATCH_S = 2 * _LIMIT_S
_RESEND_MS = 500
"""librdkafka's pause before it sends a request again, which it shortens by up to a fifth."""
_SENT_ONCE_S = 0.3
"""A call that has returned by then sent each of its requests once."""
_ABORT_S = 5.0
_REQUESTS = ("send_offsets_to_transaction", "commit_transaction", "abort_transaction")
"""The calls whose requests change a transaction. Those of `init_transactions` raise the epoch themselves."""
_log = structlog.get_logger("worker")


class CallWatch(Protocol):
    """Limits how long a call may block; see `worker.watchdog`."""

    def watch(self, call: str, limit_s: float) -> AbstractContextManager[None]:
        """While this is open, `call` must end within `limit_s` seconds."""
        ...


ProducePacked = Callable[[Producer, str, PackedValues, PackedValues, HeaderColumns, int], int]
"""Queues records of a topic, with their keys, values and headers, for a partition: see `direct.batch_produce`."""


class Transaction:
    """A producer and its open transaction.

    Entering builds the producer and waits until Kafka has decided every earlier transaction of the same
    `transactional_id`; a producer that was still running under that id is fenced. A transaction begins with the first
    record, or with `commit`; after `commit` or `abort` the next one may begin. After `ProducerLost` only `renew` and
    leaving are allowed. Leaving aborts what is open.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        transactional_id: str,
        watchdog: CallWatch,
        new_producer: Callable[[dict[str, Any]], Producer] = Producer,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        waiting: Waiting | None = None,
        limit_s: float = _LIMIT_S,
        mark: str = "",
        produce_packed: ProducePacked | None = None,
    ) -> None:
        """`config` is librdkafka's; `clock` gives monotonic seconds.

        waiting: called between two attempts of a call, which is then repeated until Kafka answers.
        limit_s: after which a call is abandoned.
        mark: the metadata of the committed offsets; see `admin.topic_identity`.
        produce_packed: how records in arrays are produced; None: as those that are objects.
        """
        self._produce_packed = produce_packed
        self._mark = mark
        self._limit_s = limit_s
        self._config = (
            {
                "linger.ms": 20,
                "reconnect.backoff.max.ms": 1_000,
                "compression.type": "lz4",
                "transaction.timeout.ms": 15_000,
                "socket.timeout.ms": _REQUEST_MS,
            }
            | dict(config)
            | ONE_IN_FLIGHT
            | {
                "retry.backoff.ms": _RESEND_MS,
                "retry.backoff.max.ms": 2 * _RESEND_MS,
                "transactional.id": transactional_id,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 2_000_000,
                "queue.buffering.max.kbytes": 1 << 20,
            }
        )
        self._watchdog = watchdog
        self._new_producer = new_producer
        self._clock = clock
        self._sleep = sleep
        self._calls = BoundedCalls()
        self._producer_or_none: Producer | None = None
        self._begun = False
        self._sent_twice = False
        """Whether the producer may have sent a request twice since it was made."""
        self._waiting = waiting
        self._entered = False

    def __enter__(self) -> Self:
        self._open()
        self._entered = True
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._calls.close()

    def begin(self) -> None:
        """Begin a transaction, unless one is open.

        Raises:
            ProducerLost: the producer cannot continue.
            KafkaFailed: Kafka did not answer.
        """
        if not self._begun:
            if self._sent_twice:
                _log.info("producer replaced", why="a request of the last transaction can arrive again, and late")
                self.renew()
            self._call("begin_transaction", self._producer.begin_transaction)
            self._begun = True

    def send_many(
        self,
        topic: str,
        keys: Sequence[str | bytes | None],
        values: Sequence[bytes | None],
        headers: Iterable[Headers],
        partition: int = -1,
    ) -> None:
        """Send records, to one partition or (-1) to the partitions of their keys; value None is a tombstone.

        headers: those of each record, as many as there are; each list is read before the next one is asked for.

        Raises:
            TransactionAborted: the transaction has failed.
            ProducerLost: the producer cannot continue.
        """
        self.begin()
        self._poll(0)
        produce = self._producer.produce
        try:
            for key, value, each in zip(keys, values, headers, strict=True):
                while True:
                    try:
                        produce(topic, value, key, partition, headers=each)
                    except BufferError:
                        self._poll(0.1)
                    else:
                        break
        except KafkaException as error:
            raise _meaning("produce", error.args[0]) from error

    def send_packed(
        self, topic: str, keys: PackedValues, values: PackedValues, headers: HeaderColumns, partition: int = -1
    ) -> None:
        """Send records, to one partition or (-1) to the partitions of their keys.

        Raises:
            TransactionAborted: the transaction has failed.
            ProducerLost: the producer cannot continue.
        """
        if self._produce_packed is None:
            self.send_many(topic, list(keys), list(values), header_lists(headers, len(values)), partition)
            return
        self.begin()
        self._poll(0)
        count, begin = len(values), 0
        try:
            while begin < count:
                rest = keys.part(begin, count), values.part(begin, count), headers_part(headers, begin, count)
                begin += self._produce_packed(self._producer, topic, *rest, partition)
                if begin < count:  # the queue is full
                    self._poll(0.1)
        except KafkaException as error:
            raise _meaning("produce", error.args[0]) from error

    def send(
        self,
        topic: str,
        key: str | bytes | None,
        value: bytes | None,
        partition: int = -1,
        headers: Sequence[tuple[str, str | bytes | None]] = (),
    ) -> None:
        """Send one record; value None is a tombstone.

        Raises:
            TransactionAborted: the transaction has failed.
            ProducerLost: the producer cannot continue.
        """
        self.send_many(topic, [key], [value], [list(headers)], partition)

    def commit(self, topic: str, offsets: Mapping[int, int], membership: Any, unmarked: Collection[int] = ()) -> None:
        """Commit the records, and with them the consumer group's `offsets` (by partition of `topic`).

        membership: the group metadata of the consumer that read up to these offsets.
        unmarked: the partitions whose offset is committed without a marker.

        Raises:
            TransactionAborted: nothing is committed; call `abort`.
            ProducerLost: only Kafka knows whether it is committed; call `renew` and read the group's offsets.
            KafkaFailed: Kafka did not answer.
        """
        self.begin()
        positions = [
            TopicPartition(topic, partition, offset, self._mark)
            if partition in unmarked
            else marked(topic, partition, offset, self._mark)
            for partition, offset in offsets.items()
        ]
        self._call(
            "send_offsets_to_transaction",
            lambda: self._producer.send_offsets_to_transaction(positions, membership, _CALL_S),
        )
        # Before, so that the time of the commit is that of its request.
        self._call("flush", lambda: self._producer.flush(_CALL_S))
        self._call("commit_transaction", lambda: self._producer.commit_transaction(_CALL_S))
        self._begun = False

    def abort(self) -> None:
        """Abort the open transaction; does nothing when none is open.

        Raises:
            ProducerLost: the producer cannot continue.
            KafkaFailed: Kafka did not answer.
        """
        if self._begun:
            self._call("abort_transaction", lambda: self._producer.abort_transaction(_CALL_S))
            self._begun = False

    def renew(self) -> None:
        """Replace the producer by a new one with the same transactional id.

        When this returns, Kafka has decided the last transaction.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        self._close()
        self._open()

    @property
    def _producer(self) -> Producer:
        if self._producer_or_none is None:
            raise RuntimeError("the transaction is not open")
        return self._producer_or_none

    def _open(self) -> None:
        self._sent_twice = False
        while True:
            try:
                self._producer_or_none = self._new_producer(self._config)
            except KafkaException as error:
                reason = error.args[0].str()
                raise KafkaFailed(f"librdkafka does not accept the producer's settings: {reason}") from error
            try:
                self._call("init_transactions", lambda: self._producer.init_transactions(_CALL_S))
            except ProducerLost as error:
                if self._waiting is None or not self._entered:
                    raise KafkaFailed(f"{error}: is Kafka up, and its address right?") from error
                self._waiting("init_transactions", KafkaError(KafkaError._TIMED_OUT, str(error)))  # noqa: SLF001
                self._close()
            else:
                return

    def _close(self) -> None:
        """Close the producer; a dead one raises its fatal error once more here, where it changes nothing."""
        producer, self._producer_or_none = self._producer_or_none, None
        begun, self._begun = self._begun, False
        if producer is None:
            return

        def close() -> None:
            if begun:  # otherwise Kafka keeps readers waiting until the transaction times out
                with contextlib.suppress(KafkaException):
                    producer.abort_transaction(_ABORT_S)
            with contextlib.suppress(KafkaException):
                producer.purge()
            with contextlib.suppress(KafkaException):
                producer.close()

        with self._watchdog.watch("closing the producer", _WATCH_S), contextlib.suppress(CallAbandoned):
            self._calls.make(close, self._limit_s)

    def _abandon(self) -> None:
        """Leave the producer to its call, which does not return: it must not be closed meanwhile."""
        self._producer_or_none, self._begun = None, False

    def _poll(self, timeout_s: float) -> None:
        """Serve librdkafka's events: a fatal error is raised here, once."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:
            raise _meaning("poll", error.args[0]) from error
        except SystemError as error:  # confluent-kafka loses a fatal error when it calls back in the same call
            raise ProducerLost("poll: a fatal error of the client, which did not say which") from error

    def _wait(self, waiting: Waiting, name: str, began_s: float, reason: KafkaError) -> None:
        if self._clock() - began_s > _RENEWED_AFTER_S:
            raise CallUnanswered(f"{name}: {reason.str()}; tried for {_RENEWED_AFTER_S:.0f} s")
        waiting(name, reason)

    def _call(self, name: str, call: Callable[[], Any]) -> None:
        """Make a transactional call, and repeat it while librdkafka says that it can be repeated."""

        def attempt() -> None:
            self._poll(0)
            with self._watchdog.watch(name, _WATCH_S):
                self._calls.make(call, self._limit_s)

        began_s = self._clock()
        try:
            waiting = partial(self._wait, self._waiting, name, began_s) if self._waiting and self._entered else None
            retry(attempt, is_repeatable, _REPEATED, self._clock, self._sleep, waiting)
        except CallAbandoned as error:
            self._abandon()
            raise CallUnanswered(f"{name}: it {error}") from error
        except SystemError as error:  # see `_poll`
            raise ProducerLost(f"{name}: a fatal error of the client, which did not say which") from error
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if not is_repeatable(reason):
                if sentence := denial(reason, self._config, transactional_id=str(self._config["transactional.id"])):
                    raise RightMissing(sentence) from error
                raise _meaning(name, reason) from error
            tried = f"{name}: {reason.str()}; tried for {_REPEATED.seconds:.0f} s"
            raise KafkaFailed(f"{tried}: is Kafka up, and its address right?") from error
        finally:
            if name in _REQUESTS and self._clock() - began_s > _SENT_ONCE_S:
                self._sent_twice = True


def _meaning(name: str, reason: KafkaError) -> ConsumerError:
    """What an error of the call `name` means for the transaction."""
    what = f"{name}: {reason.str()}"
    if name == "init_transactions":
        return InstanceFenced(f"{what}. Is another worker running under the same instance name?")
    if is_fatal(reason) or is_producer_forgotten(reason):
        return ProducerLost(what)
    if name == "abort_transaction":
        return ProducerLost(what)
    if reason.txn_requires_abort() or name == "produce":  # produce fails when the transaction has failed meanwhile
        return TransactionAborted(what)
    if name in ("commit_transaction", "send_offsets_to_transaction"):
        return ProducerLost(what)
    return KafkaFailed(what)
