"""A part of a topic as Arrow RecordBatches, one after the other, in bounded memory. It knows no file.

for batch in batches("localhost:9092", "progress", start="PT1H"):
    ...
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from taskstream.consumer.errors import BadRange
from taskstream.consumer.kafka.bounded_reader import BoundedReader, Records
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.ranges import bound_of
from taskstream.schemas.codec.column_codec import ColumnReader, Rejected
from taskstream.schemas.ids import SchemaIds, TableIds
from taskstream.schemas.topics import Topic, Topics

MOST = 50_000
"""Records in one batch, at the most."""
PLACE = (
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("timestamp", pa.timestamp("ms", "UTC"), nullable=False),
)
"""What stands before the record's own columns: where it lies, and the record's timestamp, which is its receipt."""
TOLD = 20
"""How many unreadable records are told one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One record that could not be read, and why."""

    partition: int
    offset: int
    reason: str
    detail: str


def batches(
    kafka: str | Mapping[str, Any],
    topic: str = "progress",
    *,
    start: str = "earliest",
    end: str = "latest",
    prefix: str = "taskstream",
    columns: Sequence[str] | None = None,
    ids: SchemaIds | None = None,
    most: int = MOST,
    now_ms: int | None = None,
) -> TopicBatches:
    """The records of `progress`, `state`, `rates` or `signals` from `start` to `end`.

    `kafka` is HOST:PORT, or settings of librdkafka. Both ends of the range are words: a time, a duration back from
    now such as PT15M, earliest, latest, or @FILE of offsets. The end is pinned now: what comes later is not waited
    for. `columns` are the record's fields that are wanted; partition, offset and timestamp are always there.

    Raises:
        BadRange: a word is none of these, or no topic of records goes by this name.
        SchemasError: a wanted column is no field of the record.
        KafkaFailed: Kafka did not answer, or has no such topic.
    """
    config = {"bootstrap.servers": kafka} if isinstance(kafka, str) else dict(kafka)
    found = topic_of(Topics(prefix), topic)
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    spans = Cluster(config).pinned(found.name, bound_of(start, now_ms), bound_of(end, now_ms))
    return TopicBatches(config, found, ids or TableIds(), spans, columns, most)


def topic_of(topics: Topics, noun: str) -> Topic:
    """The topic of records that is called so: `progress` or its whole name."""
    known = {topic.name.removeprefix(f"{topics.prefix}."): topic for topic in topics.all if topic.value is not None}
    found = known.get(noun.removeprefix(f"{topics.prefix}."))
    if found is None:
        raise BadRange(f"{noun!r} is no topic of records: give {', '.join(known)}")
    return found


class TopicBatches:
    """Iterable once. What could not be read is left out and counted in `rejected`, tombstones in `tombstones`.

    `schema` is that of every batch; `reader()` is what DuckDB and others take.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: Topic,
        ids: SchemaIds,
        spans: Mapping[int, OffsetRange],
        columns: Sequence[str] | None = None,
        most: int = MOST,
    ) -> None:
        assert topic.value is not None, "the topic holds records"
        wanted = None if columns is None else frozenset(columns) - {field.name for field in PLACE}
        self._reader = ColumnReader(ids, topic.value, wanted)
        self.schema = pa.schema([*PLACE, *self._reader.schema])
        self._most = most
        self._passage = BoundedReader(config, topic.name, spans)
        self.spans = spans
        self.rows = 0
        self.tombstones = 0
        self.rejected: Counter[str] = Counter()
        """[reason] How many records could not be read."""
        self.unreadable: list[Unreadable] = []
        """The first of them."""

    @property
    def positions(self) -> dict[int, int]:
        """[partition] The offset after the last record that was given."""
        return dict(self._passage.positions)

    @property
    def gone(self) -> int:
        """Offsets that were asked for by number and are no more."""
        return sum(span.gone for span in self.spans.values())

    @property
    def expected(self) -> int:
        """Offsets in the range; records are as many or fewer."""
        return sum(span.end - span.begin for span in self.spans.values())

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with self._passage as passage:
            for records in passage.batches(self._most):
                if records.messages and (batch := self._batch(records)).num_rows:
                    self.rows += batch.num_rows
                    yield batch

    def reader(self) -> pa.RecordBatchReader:
        """The same as Arrow's own stream of batches."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def _batch(self, records: Records) -> pa.RecordBatch:
        values = [message.value() for message in records.messages]
        decoded = self._reader.read(values)
        for each in decoded.rejected:
            self._note(records, values[each.index], each)
        times: Any = (message.timestamp()[1] for message in records.messages)
        timestamps = np.fromiter(times, np.int64, len(values))[decoded.kept]
        place = [
            pa.array(records.partitions[decoded.kept]),
            pa.array(records.offsets[decoded.kept]),
            pa.array(timestamps).cast(PLACE[2].type),
        ]
        return pa.RecordBatch.from_arrays([*place, *decoded.batch.columns], schema=self.schema)

    def _note(self, records: Records, value: bytes | None, why: Rejected) -> None:
        if value is None:
            self.tombstones += 1
            return
        self.rejected[str(why.reason)] += 1
        if len(self.unreadable) < TOLD:
            partition, offset = int(records.partitions[why.index]), int(records.offsets[why.index])
            self.unreadable.append(Unreadable(partition, offset, str(why.reason), why.detail))
