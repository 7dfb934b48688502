"""Writes what a comparison found: rows, tombstones and the group's offset of one partition in one transaction.

Killed at any instant it leaves a partition's old state or its new one; run again, it does what is left.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition

from taskstream.consumer.errors import KafkaFailed, RebuildEventsGone, RebuildRefused
from taskstream.consumer.kafka.consumer_group import ConsumerGroup
from taskstream.consumer.kafka.transaction_calls import CALL_S, transactional
from taskstream.consumer.replay.comparison import Compared
from taskstream.consumer.replay.difference import DifferenceExcuse
from taskstream.consumer.state.state_records import state_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_BLOCK = 20_000
_SLOWEST_ROWS_A_S = 5_000
_SHORTEST_MS = 15_000
"""So long, and up to ten seconds more, does Kafka wait for somebody who was killed, and readers with it."""
_LONGEST_MS = 900_000
"""Kafka's default for the longest transaction that it allows."""


def refuse_members(group: ConsumerGroup) -> None:
    """Return when nobody is in the group.

    Raises:
        RebuildRefused: somebody is, or was and his session is not over.
        KafkaFailed: Kafka did not answer.
    """
    if members := group.members():
        raise RebuildRefused(
            f"group {group.name} has members: {', '.join(sorted(members))}. Stop all workers; one that was killed, "
            "or has a fixed instance name, leaves only when its session is over (after 10 s unless it was set)"
        )


def refuse_lost(compared: Compared, committed: int | None) -> None:
    """Return when the group may go from `committed` to where the comparison is pinned.

    Raises:
        RebuildRefused: rows whose events are gone would stay behind, and what lies between never be counted.
    """
    left = sum(compared.verdict.excused[each] for each in (DifferenceExcuse.BEFORE_RANGE, DifferenceExcuse.BEGUN_ANEW))
    if left and compared.pinned != committed:
        raise RebuildEventsGone(
            f"partition {compared.partition}: {left:,} series began before the first event that is still there and "
            f"cannot be brought to offset {compared.pinned} (the group is at {committed})"
        )


class Rebuild:
    """`Rebuild(config, topics, ids, group).write(compared)`, partition by partition."""

    def __init__(self, config: Mapping[str, Any], topics: Topics, ids: SchemaIds, group: ConsumerGroup) -> None:
        self._config = dict(config)
        self._topics = topics
        self._writer = ColumnWriter(ids, newest("SeriesState"))
        self._group = group

    def settle(self) -> None:
        """Abort what a rebuild that was killed has left open: until then nobody can read behind it.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        producer = self._producer(0)
        try:
            transactional("init_transactions", lambda: producer.init_transactions(CALL_S))
        finally:
            producer.close()

    def write(self, compared: Compared) -> None:
        """Write the differences and the offset, all or nothing.

        Raises:
            RebuildRefused: somebody joined the group meanwhile.
            KafkaFailed: it came to nothing, or Kafka cannot say whether it did; running it again tells.
        """
        producer = self._producer(compared.verdict.differences)
        done = False
        try:
            transactional("init_transactions", lambda: producer.init_transactions(CALL_S))
            producer.begin_transaction()
            self._send(producer, compared)
            place = TopicPartition(self._topics.progress.name, compared.partition, compared.pinned)
            metadata = self._group.consumer.consumer_group_metadata()
            transactional(
                "send_offsets_to_transaction",
                lambda: producer.send_offsets_to_transaction([place], metadata, CALL_S),
            )
            # A worker that joined before is seen now; one that joins later waits until these offsets are decided.
            refuse_members(self._group)
            transactional("commit_transaction", lambda: producer.commit_transaction(CALL_S))
            done = True
        except KafkaException as error:
            raise KafkaFailed(f"partition {compared.partition} was not rebuilt: {error.args[0].str()}") from error
        finally:
            if not done:
                with contextlib.suppress(KafkaException):
                    producer.abort_transaction(CALL_S)
            producer.purge()
            producer.close()

    def _producer(self, rows: int) -> Producer:
        timeout_ms = min(max(_SHORTEST_MS, 1000 * rows // _SLOWEST_ROWS_A_S), _LONGEST_MS)
        return Producer(
            {"linger.ms": 20, "compression.type": "lz4", "transaction.timeout.ms": timeout_ms}
            | self._config
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
            for key, value in zip(block, values, strict=True):
                _produce(producer, topic, key, value, compared.partition)
        for key in verdict.surplus:
            _produce(producer, topic, key, None, compared.partition)


def _produce(producer: Producer, topic: str, key: str, value: bytes | None, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition)
        except BufferError:
            producer.poll(0.1)
        else:
            return
