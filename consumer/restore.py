"""Reads rows back from the state topic into the table, in batches, until all that was written has been decided.

The end is the position reaching the end that uncommitted records have, as a read_committed reader sees it: a record of
a predecessor's transaction, whose markers are still on their way, is waited for, and control records do not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from consumer.errors import KafkaFailed, StateUnreadable
from consumer.records import rows_of, strings_of
from consumer.table import SeriesTable
from schemas.columns import ColumnReader
from schemas.ids import SchemaIds

_BATCH = 20_000
_STALLED_S = 60.0
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # confluent-kafka gives no types here
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call] # as above
_log = structlog.get_logger("restore")


class StateReader:
    """Brings partitions of the state topic into a table. One call may block for as long as there are rows to read."""

    def __init__(self, config: Mapping[str, Any], topic: str, ids: SchemaIds) -> None:
        self._config = dict(config)
        self._topic = topic
        self._reader = ColumnReader(ids, "SeriesState")

    def restore(self, partitions: Sequence[int], table: SeriesTable) -> int:
        """Read these partitions whole into `table`; gives how many records were read.

        Raises:
            StateUnreadable: a record is none of ours; nothing can be folded onto what is not known.
            KafkaFailed: Kafka did not answer, or an open transaction did not end.
        """
        ends = self._ends(partitions)
        left = {partition for partition, (begin, end) in ends.items() if begin < end}
        if not left:
            return 0
        began, read = time.monotonic(), 0
        consumer = Consumer(
            self._config
            | {
                "group.id": "taskstream-restore",  # required by the client, and never joined
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.min.bytes": 1,
                "queued.min.messages": 200_000,
            }
        )
        try:
            consumer.assign([TopicPartition(self._topic, each, ends[each][0]) for each in left])
            moved = time.monotonic()
            while left:
                messages = consumer.consume(_BATCH, timeout=0.2)
                for message in messages:
                    if (error := message.error()) is not None:
                        _take_end(message, error, ends, left)
                data = [message for message in messages if message.error() is None]
                self._put(data, table)
                read += len(data)
                if messages:
                    moved = time.monotonic()
                elif time.monotonic() - moved > _STALLED_S:
                    raise KafkaFailed(
                        f"reading {self._topic} back, partitions {sorted(left)} did not move for {_STALLED_S:.0f} s: "
                        "a transaction on them stays open; see `kafka-transactions.sh find-hanging`"
                    )
        finally:
            consumer.close()
        _log.info("restored", partitions=list(partitions), records=read, seconds=round(time.monotonic() - began, 3))
        return read

    def _ends(self, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
        admin = AdminClient(self._config)
        found: list[dict[int, int]] = []
        for spec in (_EARLIEST, _LATEST):
            asked = {TopicPartition(self._topic, each): spec for each in partitions}
            answers = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=30)
            try:
                found.append({each.partition: answer.result().offset for each, answer in answers.items()})
            except KafkaException as error:
                raise KafkaFailed(f"the offsets of {self._topic} cannot be asked: {error.args[0].str()}") from error
        return {each: (found[0][each], found[1][each]) for each in partitions}

    def _put(self, messages: Sequence[Message], table: SeriesTable) -> None:
        newest: dict[bytes, int] = {}
        for place, message in enumerate(messages):
            newest[message.key() or b""] = place
        gone = [key.decode() for key, place in newest.items() if messages[place].value() is None]
        table.drop(table.find(gone))
        kept = [messages[place] for place in newest.values() if messages[place].value() is not None]
        decoded = self._reader.read([message.value() or b"" for message in kept])
        if decoded.rejected:
            bad = decoded.rejected[0]
            message = kept[bad.index]
            raise StateUnreadable(
                f"{self._topic}-{message.partition()} offset {message.offset()} is no state of ours ({bad.reason}: "
                f"{bad.detail}): rebuild the state, or read with the program that wrote it"
            )
        if kept:
            partitions = np.array([message.partition() for message in kept], np.int32)
            keys = [(message.key() or b"").decode() for message in kept]
            table.put(keys, rows_of(decoded.batch, partitions), *strings_of(decoded.batch))


def _take_end(message: Message, error: KafkaError, ends: Mapping[int, tuple[int, int]], left: set[int]) -> None:
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 (librdkafka's public name for it)
        raise KafkaFailed(f"the state cannot be read back: {error.str()}")
    partition, offset = message.partition(), message.offset()
    if partition is not None and offset is not None and offset >= ends[partition][1]:
        left.discard(partition)
