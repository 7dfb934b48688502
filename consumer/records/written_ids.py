"""Compares the schema ids of records that are on the topics with a source of ids. It decodes no record.

Ids of one source mean other schemas in another: what was written before the source changed is then read as garbage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.schemas.codec import wire_format
from taskstream.schemas.errors import Undecodable, UnknownSchema
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topic

_NEWEST = 3
"""Offsets at a partition's end that are read: the last one may be a transaction marker."""


@dataclass(frozen=True, slots=True)
class ContradictingId:
    """A schema id that records of a topic have, and that the source of ids gives to another record or to none."""

    topic: str
    partition: int
    offset: int
    """Of one record with this id."""
    schema_id: int
    expected: str
    """The record that the topic holds."""
    found: str | None
    """The record that the source gives for the id; None: it knows no such id."""

    def __str__(self) -> str:
        where = f"{self.topic}-{self.partition} at offset {self.offset}"
        found = "unknown" if self.found is None else f"{self.found} and not {self.expected}"
        return f"{where} has schema id {self.schema_id}, which is {found} to the source of schema ids"


def contradicting_ids(config: Mapping[str, Any], topics: Sequence[Topic], ids: SchemaIds) -> list[ContradictingId]:
    """The ids of the first and the newest records of each partition that are not ids of the topic's record in `ids`.

    Each id is named once per topic. Records without a schema id are passed over. `config` is librdkafka's.

    Raises:
        KafkaFailed: Kafka did not answer, or a topic does not exist.
        RegistryFailed: the registry did not answer.
    """
    return [each for topic in topics if topic.value for each in _contradictions(config, topic, topic.value, ids)]


def _contradictions(
    config: Mapping[str, Any], topic: Topic, expected: str, ids: SchemaIds
) -> Iterator[ContradictingId]:
    cluster = Cluster(config)
    extents = cluster.extents(topic.name, cluster.partitions(topic.name))
    filled = {partition: extent for partition, extent in extents.items() if extent.end > extent.begin}
    first = {each: OffsetRange(extent.begin, extent.begin + 1) for each, extent in filled.items()}
    newest = {each: OffsetRange(max(extent.begin, extent.end - _NEWEST), extent.end) for each, extent in filled.items()}
    seen: set[int] = set()
    for ranges in (first, newest):
        for partition, offset, value in _values(config, topic.name, ranges):
            try:
                schema_id = wire_format.split(value or b"")
            except Undecodable:
                continue
            if schema_id not in seen:
                seen.add(schema_id)
                found = _schema_name(ids, schema_id)
                if found != expected:
                    yield ContradictingId(topic.name, partition, offset, schema_id, expected, found)


def _values(
    config: Mapping[str, Any], topic: str, ranges: Mapping[int, OffsetRange]
) -> Iterator[tuple[int, int, bytes | None]]:
    if not ranges:
        return
    with BoundedReader(config, topic, ranges) as reader:
        for records in reader.batches(1_000):
            for message, partition, offset in zip(
                records.messages, records.partitions.tolist(), records.offsets.tolist(), strict=True
            ):
                yield partition, offset, message.value()


def _schema_name(ids: SchemaIds, schema_id: int) -> str | None:
    try:
        return ids.schema_of(schema_id).name
    except UnknownSchema:
        return None
