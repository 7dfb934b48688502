"""Writes the differences that a comparison found: a partition's rows, tombstones and offset in one transaction.

A rebuild that was killed leaves each partition with its old state or its new one. Run again, it does the rest.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer

from taskstream.consumer.errors import KafkaFailed, RebuildEventsGone, RebuildRefused
from taskstream.consumer.kafka.committed_offsets import marked
from taskstream.consumer.kafka.consumer_groups import ConsumerGroup
from taskstream.consumer.kafka.retry import TRANSACTION_CALL_S, call_transaction
from taskstream.consumer.replay.comparison import Compared
from taskstream.consumer.replay.difference import DifferenceExcuse
from taskstream.consumer.state.state_records import state_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.cloud_events import REBUILD, Headers
from taskstream.schemas.codec.column_codec import ColumnWriter
from taskstream.schemas.codec.header_columns import NumberedEvents, header_lists
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.librdkafka.unproven_delivery import ONE_IN_FLIGHT
from taskstream.schemas.topics import Topics

_BLOCK = 20_000
_SLOWEST_ROWS_PER_S = 5_000
_SHORTEST_MS = 15_000
"""The least transaction timeout: so long, and up to ten seconds more, the transaction of a killed rebuild stays open
and stops readers."""
_LONGEST_MS = 900_000
"""The default of Kafka's transaction.max.timeout.ms."""


def refuse_members(group: ConsumerGroup) -> None:
    """Return when the group has no members.

    Raises:
        RebuildRefused: it has members, or one died and its session has not timed out.
        KafkaFailed: Kafka did not answer.
    """
    if members := group.members():
        raise RebuildRefused(
            f"group {group.name} has members: {', '.join(sorted(members))}. Stop all workers; one that was killed, "
            "or has a fixed instance name, leaves when its session times out (after 10 s by default)"
        )


def refuse_lost(compared: Compared, committed: int | None) -> None:
    """Return when the group's offset may change from `committed` to that of the comparison.

    Raises:
        RebuildRefused: rows whose events are gone would keep the old offset's values, and the events between the two
            offsets would never be folded into them.
    """
    excuses = (DifferenceExcuse.BEFORE_RANGE, DifferenceExcuse.BEGUN_ANEW, DifferenceExcuse.OVER_LIMIT)
    left = sum(compared.verdict.excused[each] for each in excuses)
    if left and compared.pinned != committed:
        raise RebuildEventsGone(
            f"partition {compared.partition}: {left:,} series began before the first event that the topic has, "
            f"or are of tasks beyond the limit, and cannot be rebuilt to offset {compared.pinned} (the group is at "
            f"{committed})"
        )


class Rebuild:
    """`Rebuild(config, topics, ids, group).write_partition(compared)`, partition by partition."""

    def __init__(self, config: Mapping[str, Any], topics: Topics, ids: SchemaIds, group: ConsumerGroup) -> None:
        self._config = dict(config)
        self._topics = topics
        self._writer = ColumnWriter(ids, newest("SeriesState"))
        self._events = NumberedEvents("SeriesState", REBUILD)
        self._group = group

    def abort_unfinished(self) -> None:
        """Abort the transaction of a rebuild that was killed: until then no reader can read past it.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        producer = self._producer(0)
        try:
            call_transaction("init_transactions", lambda: producer.init_transactions(TRANSACTION_CALL_S))
        finally:
            producer.close()

    def write_partition(self, compared: Compared) -> None:
        """Write the differences and the offset, all or nothing.

        Raises:
            RebuildRefused: a member joined the group meanwhile.
            KafkaFailed: the transaction failed, or its outcome is unknown. Running the rebuild again shows which.
        """
        producer = self._producer(compared.verdict.differences)
        done = False
        try:
            call_transaction("init_transactions", lambda: producer.init_transactions(TRANSACTION_CALL_S))
            producer.begin_transaction()
            self._send(producer, compared)
            offset = marked(self._topics.progress.name, compared.partition, compared.pinned)
            metadata = self._group.consumer.consumer_group_metadata()
            call_transaction(
                "send_offsets_to_transaction",
                lambda: producer.send_offsets_to_transaction([offset], metadata, TRANSACTION_CALL_S),
            )
            # A worker that joined before is seen now; one that joins later waits until these offsets are decided.
            refuse_members(self._group)
            call_transaction("commit_transaction", lambda: producer.commit_transaction(TRANSACTION_CALL_S))
            done = True
        except KafkaException as error:
            raise KafkaFailed(f"partition {compared.partition} was not rebuilt: {error.args[0].str()}") from error
        finally:
            if not done:
                with contextlib.suppress(KafkaException):
                    producer.abort_transaction(TRANSACTION_CALL_S)
            producer.purge()
            producer.close()

    def _producer(self, rows: int) -> Producer:
        timeout_ms = min(max(_SHORTEST_MS, 1000 * rows // _SLOWEST_ROWS_PER_S), _LONGEST_MS)
        return Producer(
            {"linger.ms": 20, "compression.type": "lz4", "transaction.timeout.ms": timeout_ms}
            | self._config
            | ONE_IN_FLIGHT
            | {
                "transactional.id": f"{self._group.name}.rebuild",
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 1 << 19,
            }
        )

    def _send(self, producer: Producer, compared: Compared) -> None:
        verdict, topic = compared.verdict, self._topics.state.name
        keys = itertools.chain(verdict.differing, verdict.missing)
        while block := list(itertools.islice(keys, _BLOCK)):
            values = self._writer.write(state_batch(compared.fold, compared.fold.find(block)))
            every = header_lists(self._events.columns(len(values)), len(values))
            for key, value, headers in zip(block, values, every, strict=True):
                _produce(producer, topic, key, value, compared.partition, headers)
        for key in verdict.surplus:
            _produce(producer, topic, key, None, compared.partition, [])


def _produce(producer: Producer, topic: str, key: str, value: bytes | None, partition: int, headers: Headers) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition, headers=headers)
        except BufferError:
            producer.poll(0.1)
        else:
            return
