"""A range of a topic as Arrow RecordBatches, one after the other, in bounded memory. It knows no file.

for batch in batches("localhost:9092", "progress", start="PT1H"):
    ...
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import partial
from typing import Any

import pyarrow as pa

from taskstream.consumer.errors import BadRange
from taskstream.consumer.export.field_metadata import described
from taskstream.consumer.export.latest_records import latest_offsets
from taskstream.consumer.kafka.bounded_reader import BoundedReader, records_at
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.ranges import LATE, bound_of
from taskstream.schemas.codec.column_codec import ColumnReader, Rejected
from taskstream.schemas.ids import SchemaIds, TableIds
from taskstream.schemas.topics import Topic, Topics

MOST = 50_000
"""The most records in one batch."""
POSITION_FIELDS = (
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("timestamp", pa.timestamp("ms", "UTC"), nullable=False),
)
"""The columns before those of the record. `timestamp` is when the edge received the report."""
MOST_UNREADABLE = 20
"""How many unreadable records are kept in `TopicBatches.unreadable`; all are counted."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One record that could not be decoded, and why."""

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
    late: timedelta = LATE,
    latest: bool = False,
) -> TopicBatches:
    """The records of `progress`, `state`, `rates` or `signals` from `start` to `end`.

    `kafka` is HOST:PORT, or settings of librdkafka. `start` and `end` are a time, a duration before now such as PT15M,
    earliest, latest, or @FILE of offsets. The end is pinned by this call: later records are not read. `columns` selects
    fields of the record; None: all. Partition, offset and timestamp are always there. `most` limits the rows of one
    batch.

    A range between times holds the records with these timestamps, in whatever order they are on their partition. A
    record is found if no record before it has a timestamp `late` after `end`. `latest`: only the last record of each
    key, if that is no tombstone; the range is read twice, and the keys are kept in memory.

    Raises:
        BadRange: `start` or `end` is none of these, or there is no topic of this name.
        SchemasError: a column is not a field of the record.
        KafkaFailed: Kafka did not answer, or has no such topic.
    """
    config = {"bootstrap.servers": kafka} if isinstance(kafka, str) else dict(kafka)
    found = topic_of(Topics(prefix), topic)
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    spans = Cluster(config).pinned(found.name, bound_of(start, now_ms), bound_of(end, now_ms), late)
    return TopicBatches(config, found, ids or TableIds(), spans, columns, most, latest)


def topic_of(topics: Topics, noun: str) -> Topic:
    """The topic with this name: `progress` or its full name.

    Raises:
        BadRange: there is none.
    """
    known = {topic.name.removeprefix(f"{topics.prefix}."): topic for topic in topics.all if topic.value is not None}
    found = known.get(noun.removeprefix(f"{topics.prefix}."))
    if found is None:
        alike = get_close_matches(noun.removeprefix(f"{topics.prefix}."), known, 1)
        meant = f"did you mean {alike[0]}? " if alike else ""
        raise BadRange(f"{noun!r} is not a topic of Avro records: {meant}give {', '.join(known)}")
    return found


def batch_schema(fields: pa.Schema, record: str) -> pa.Schema:
    """The position of a record, and fields of the Avro record of this name, with descriptions and units."""
    return described(pa.schema([*POSITION_FIELDS, *fields]), record)


class TopicBatches:
    """Iterable once. Records that cannot be decoded are left out and counted in `rejected`, tombstones in `tombstones`.

    `schema` is that of every batch. `reader()` is for DuckDB and others.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: Topic,
        ids: SchemaIds,
        spans: Mapping[int, OffsetRange],
        columns: Sequence[str] | None = None,
        most: int = MOST,
        latest: bool = False,
    ) -> None:
        """latest: only the last record of each key in these ranges; the keys are read first, by iterating."""
        assert topic.value is not None, "the topic holds records"
        wanted = None if columns is None else frozenset(columns) - {field.name for field in POSITION_FIELDS}
        self._reader = ColumnReader(ids, topic.value, wanted)
        self.schema = batch_schema(self._reader.schema, topic.value)
        self._most = most
        self._records = BoundedReader(config, topic.name, spans)
        self._latest_of = partial(latest_offsets, config, topic.name, spans, most) if latest else None
        self.spans = spans
        self.rows = 0
        self.tombstones = 0
        self.rejected: Counter[str] = Counter()
        """[reason] How many records could not be decoded."""
        self.unreadable: list[Unreadable] = []
        """The first `MOST_UNREADABLE` of them."""

    @property
    def positions(self) -> dict[int, int]:
        """[partition] The offset after the last record that was read."""
        return dict(self._records.positions)

    @property
    def gone(self) -> int:
        """How many offsets were selected by number and are no longer on the topic."""
        return sum(span.gone for span in self.spans.values())

    @property
    def expected(self) -> int:
        """How many offsets the range has; it has as many records or fewer."""
        return sum(span.end - span.begin for span in self.spans.values())

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        only = self._latest_of() if self._latest_of is not None else None
        with self._records as reader:
            for found in reader.columns(self._most):
                records = found if only is None else records_at(found, only)
                if len(records) and (batch := self._batch(records)).num_rows:
                    self.rows += batch.num_rows
                    yield batch

    def reader(self) -> pa.RecordBatchReader:
        """The same as a pyarrow RecordBatchReader."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def _batch(self, records: SourceBatch) -> pa.RecordBatch:
        decoded = self._reader.read(records.values)
        if decoded.rejected:
            tombstones = frozenset(records.tombstones().tolist())
            self.tombstones += len(tombstones)
            for each in decoded.rejected:
                if each.index not in tombstones:
                    self._note(records, each)
        position = [
            pa.array(records.partitions[decoded.kept]),
            pa.array(records.offsets[decoded.kept]),
            pa.array(records.timestamps_ms[decoded.kept]).cast(POSITION_FIELDS[2].type),
        ]
        return pa.RecordBatch.from_arrays([*position, *decoded.batch.columns], schema=self.schema)

    def _note(self, records: SourceBatch, why: Rejected) -> None:
        self.rejected[str(why.reason)] += 1
        if len(self.unreadable) < MOST_UNREADABLE:
            partition, offset = int(records.partitions[why.index]), int(records.offsets[why.index])
            self.unreadable.append(Unreadable(partition, offset, str(why.reason), why.detail))
