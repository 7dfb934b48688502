"""Reads rows back from the state topic into the table, in batches, until all that was written has been decided.

The end is the position reaching the end that uncommitted records have, as a read_committed reader sees it: a record of
a predecessor's transaction, whose markers are still on their way, is waited for, and control records do not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.cluster import EARLIEST, LATEST
from taskstream.consumer.kafka.retry import FINAL, with_retry
from taskstream.consumer.kafka.state_decoder import newest_of, states_of, unreadable
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.state_records import rows_of, strings_of
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds

_BATCH = 20_000
_STALLED_S = 60.0
_CALL_S = 15.0
_REMEDY = "start the program that wrote it, or rebuild the state under a new topic prefix"
_log = structlog.get_logger("restore")


class StateRestore:
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
                errors = list(map(Message.error, messages))
                data = [message for message, error in zip(messages, errors, strict=True) if error is None]
                self._put(data, table)
                for message, error in zip(messages, errors, strict=True):
                    if error is not None:
                        _take_end(message, error, ends, left)
                read += len(data)
                if data:
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
        if not partitions:
            return {}
        admin = AdminClient(self._config)

        def ask(spec: OffsetSpec) -> dict[int, int]:
            asked = {TopicPartition(self._topic, each): spec for each in partitions}
            answers = admin.list_offsets(
                asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_CALL_S
            )
            return {each.partition: answer.result().offset for each, answer in answers.items()}

        what = f"the ends of {self._topic} cannot be asked"
        begins, ends = (with_retry(what, partial(ask, spec)) for spec in (EARLIEST, LATEST))
        return {each: (begins[each], ends[each]) for each in partitions}

    def _put(self, messages: Sequence[Message], table: SeriesTable) -> None:
        records, gone = newest_of(messages)
        table.drop(table.find(gone))
        if not records:
            return
        kept = list(records.values())
        batch = states_of(kept, self._reader, _REMEDY)
        for (key, message), said in zip(records.items(), _keys_of(batch), strict=True):
            if key != said:
                raise unreadable(message, f"its key is {key!r}, and it says that it is of {said!r}", _REMEDY)
        partitions = np.fromiter(map(Message.partition, kept), np.int32, len(kept))
        table.put(list(records), rows_of(batch, partitions), *strings_of(batch))


def _keys_of(batch: pa.RecordBatch) -> list[str]:
    """The keys that these SeriesState records belong under."""
    parts = [batch.column(name) for name in ("project_id", "task_id", "subtask_name")]
    keys: list[str] = pc.binary_join_element_wise(*parts, "/").to_numpy(zero_copy_only=False).tolist()
    return keys


def _take_end(message: Message, error: KafkaError, ends: Mapping[int, tuple[int, int]], left: set[int]) -> None:
    if error.code() in FINAL or error.fatal():
        raise KafkaFailed(f"the state cannot be read back: {error.str()}")
    partition, offset = message.partition(), message.offset()
    at_end = error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 (librdkafka's public name for it)
    if at_end and partition is not None and offset is not None and offset >= ends[partition][1]:
        left.discard(partition)
