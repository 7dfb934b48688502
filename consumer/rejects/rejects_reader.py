"""Reads the rejected topic: first the notes, then the records in order. It writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from taskstream.consumer.errors import NoSuchRecord
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.carried_record import CarriedRecord, carried
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest
from taskstream.consumer.rejects.rejected_record import RejectedRecord, driven_by, is_note, reject_of
from taskstream.consumer.state.series_table import EVENT_COLUMNS
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_MOST = 2_000


@dataclass(frozen=True, slots=True)
class JudgedReject:
    """A rejected record, and what is known of it now."""

    reject: RejectedRecord
    driven: bool
    """Whether it was driven back already."""
    readable: bool
    """Whether the codec, as it is here, reads it as a report."""


class RejectsReader:
    """`RejectsReader(config, topics, ids)`: the rejected topic of a pipeline."""

    def __init__(self, config: Mapping[str, Any], topics: Topics, ids: SchemaIds) -> None:
        self._config = dict(config)
        self._topic = topics.rejected.name
        self._reader = ColumnReader(ids, "ProgressReported", EVENT_COLUMNS)

    def spans(self, start: Bound, end: Bound) -> dict[int, OffsetRange]:
        """A part of the topic, pinned.

        Raises:
            BadRange, KafkaFailed: it cannot be told.
        """
        return Cluster(self._config).pinned(self._topic, start, end)

    def driven(self) -> dict[int, set[int]]:
        """[partition] The offsets that notes say were driven back. All of the topic is read for it.

        Raises:
            ConsumerError: it cannot be read.
        """
        found: dict[int, set[int]] = {}
        for records in self._read(self.spans(Earliest(), Latest())):
            for each in records:
                if is_note(each):
                    found.setdefault(each.partition, set()).update(driven_by(each))
        return found

    def judged(self, spans: Mapping[int, OffsetRange], driven: Mapping[int, set[int]]) -> Iterator[list[JudgedReject]]:
        """The rejected records of a part, each partition's in order.

        Raises:
            ConsumerError: it cannot be read.
        """
        for records in self._read(spans):
            rejects = [reject_of(each) for each in records if not is_note(each)]
            bad = {each.index for each in self._reader.read([each.record.value for each in rejects]).rejected}
            yield [
                JudgedReject(each, each.record.offset in driven.get(each.record.partition, ()), place not in bad)
                for place, each in enumerate(rejects)
            ]

    def one(self, partition: int, offset: int) -> CarriedRecord:
        """The record at this place, be it a note or not.

        Raises:
            NoSuchRecord: there is none.
            ConsumerError: it cannot be read.
        """
        there = self.spans(Earliest(), Latest()).get(partition)
        if there is None:
            raise NoSuchRecord(f"{self._topic} has no partition {partition}")
        for records in self._read(
            {partition: OffsetRange(offset, offset + 1)} if there.begin <= offset < there.end else {}
        ):
            for each in records:
                return each
        there_are = f"there are {there.begin} to {there.end - 1}" if there.end > there.begin else "it is empty"
        raise NoSuchRecord(
            f"{self._topic}-{partition} has no record at offset {offset} ({there_are}; the end of a "
            "transaction also uses an offset)"
        )

    def _read(self, spans: Mapping[int, OffsetRange]) -> Iterator[list[CarriedRecord]]:
        with BoundedReader(self._config, self._topic, spans) as passage:
            for records in passage.batches(_MOST):
                yield [carried(message) for message in records.messages]
