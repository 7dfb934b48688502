"""Reads rows back from the state topic into the table, in batches, until all that was written has been decided.

It reads to the end that uncommitted records have, as a read_committed reader: while a predecessor's transaction is not
decided, its records are waited for. The end is reached by position, because control records have offsets too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, TopicPartition

from taskstream.consumer.errors import KafkaFailed, RightMissing
from taskstream.consumer.kafka.admin.partition_ends import PartitionEnds
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.kafka.direct.source_batch import Fetch, FetchEvent, NewFetch, offsets_after
from taskstream.consumer.kafka.kafka_errors import is_end_of_partition, is_final, is_group_refused
from taskstream.consumer.kafka.retry import Waiting, with_retry
from taskstream.consumer.kafka.state_decoder import StateDecoder, require_readable
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.schemas.ids import SchemaIds

_BATCH = 20_000
_STALLED_S = 180.0
_CALL_S = 5.0
_LIMIT_S = 60.0
"""How long the question for the ends is repeated while Kafka does not answer."""
_REMEDY = "start the program that wrote it, or rebuild the state under a new topic prefix"
_log = structlog.get_logger("restore")


class StateRestore:
    """Reads partitions of the state topic into a table. One call blocks until all their rows are read."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        ids: SchemaIds,
        cluster: Cluster | None = None,
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
        clock: Callable[[], float] = time.monotonic,
        waiting: Waiting | None = None,
        new_fetch: NewFetch = MessageFetch,
    ) -> None:
        """`config` is librdkafka's; `clock` gives monotonic seconds. Tests give their own `cluster` and consumer.

        new_fetch: how records are read.
        waiting: called between two questions for the ends, which are then repeated until Kafka answers.
        """
        self._config = dict(config)
        self._topic = topic
        self._decoder = StateDecoder(ids)
        self._cluster = cluster
        self._waiting = waiting
        self._new_consumer = new_consumer
        self._new_fetch = new_fetch
        self._clock = clock

    def restore(self, partitions: Sequence[int], table: SeriesTable) -> int:
        """Read these partitions whole into `table`; returns how many records were read.

        Raises:
            StateUnreadable: a record could not be decoded, or lies under the key of another series.
            KafkaFailed: Kafka did not answer, or a transaction stayed open.
        """
        # A new client each time: one that is kept asks with what it knew of the leaders when it last asked.
        cluster = self._cluster or Cluster(self._config, call_s=_CALL_S, limit_s=_LIMIT_S, waiting=self._waiting)
        extents = cluster.extents(self._topic, partitions, IsolationLevel.READ_UNCOMMITTED)
        began_s = self._clock()
        config = self._config | {
            "group.id": "taskstream-restore",  # required by the client, and never joined
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.min.bytes": 1,
            "queued.min.messages": 200_000,
            "queued.max.messages.kbytes": 128 << 10,
            "fetch.queue.backoff.ms": 10,  # a full queue is empty long before a second, the default, has passed
        }
        extents = self._confirmed(extents, config | {"isolation.level": "read_uncommitted"})
        left = {partition for partition, extent in extents.items() if extent.begin < extent.end}
        if not left:
            return 0
        with (
            closing(self._new_consumer(config)) as consumer,
            closing(self._new_fetch(consumer, self._topic)) as fetch,
        ):
            fetch.hold(sorted(left))
            consumer.assign([TopicPartition(self._topic, each, extents[each].begin) for each in left])
            read = self._read(fetch, extents, left, table)
        table.expect(0)
        _log.info("restored", partitions=list(partitions), records=read, seconds=round(self._clock() - began_s, 3))
        return read

    def _confirmed(self, extents: Mapping[int, OffsetRange], config: dict[str, Any]) -> dict[int, OffsetRange]:
        """The extents, of which a second client has asked the ends: the first answer can be out of date.

        A leader that was suspended, and does not know of its successor yet, still answers.
        """
        asking = self._new_consumer(config)
        try:
            ends = PartitionEnds(asking, config, self._new_consumer)
            return {each: self._later(ends, each, extent) for each, extent in extents.items()}
        finally:
            asking.close()

    def _later(self, ends: PartitionEnds, partition: int, extent: OffsetRange) -> OffsetRange:
        ask = partial(ends.ask, TopicPartition(self._topic, partition))
        low, high = with_retry(f"the ends of {self._topic}-{partition} cannot be asked", ask, waiting=self._waiting)
        if high > extent.end:
            _log.warning("out of date", topic=self._topic, partition=partition, end=extent.end, later=high)
        return OffsetRange(low, max(extent.end, high))

    def _read(self, fetch: Fetch, extents: Mapping[int, OffsetRange], left: set[int], table: SeriesTable) -> int:
        """Read until no partition is `left`; gives how many records that were."""
        read, moved_s, problem, before = 0, self._clock(), "", len(table)
        positions = {partition: extents[partition].begin for partition in left}
        while left:
            batch, events = fetch.read(_BATCH, 0.2)
            records = len(batch)
            if records:
                changes = self._decoder.decode(batch)
                require_readable(changes, _REMEDY)
                changes.apply_to(table)
                positions.update(offsets_after(batch.partitions, batch.offsets))
                table.expect(before + _scaled(len(table) - before, positions, extents))
            for event in events:
                if is_end_of_partition(event.error):
                    _note_end(event, extents, left)
                else:
                    problem = self._passing(event.error)
            read += records
            if records:
                moved_s = self._clock()
            elif left and self._clock() - moved_s > _STALLED_S:
                raise KafkaFailed(
                    f"reading {self._topic} back, partitions {sorted(left)} did not move for {_STALLED_S:.0f} s: "
                    f"{problem or 'a transaction on them stays open; see `kafka-transactions.sh find-hanging`'}"
                )
        return read

    def _passing(self, error: KafkaError) -> str:
        """The words of an error that may pass.

        Raises:
            KafkaFailed: it is final.
        """
        if is_group_refused(error):
            return ""
        if sentence := denial(error, self._config, topic=self._topic):
            raise RightMissing(sentence)
        if is_final(error):
            raise KafkaFailed(f"the state cannot be read back: {error.str()}")
        return error.str()


def _note_end(event: FetchEvent, extents: Mapping[int, OffsetRange], left: set[int]) -> None:
    """Take a partition out of `left` when the consumer has reached the end that it had."""
    partition, offset = event.partition, event.offset
    if partition is not None and offset is not None and offset >= extents[partition].end:
        left.discard(partition)


def _scaled(found: int, positions: Mapping[int, int], extents: Mapping[int, OffsetRange]) -> int:
    """How many series the whole extents have, if the rest has as many per offset as those that were `found`."""
    passed = sum(position - extents[partition].begin for partition, position in positions.items())
    whole = sum(extents[partition].end - extents[partition].begin for partition in positions)
    return found * whole // max(passed, 1)
