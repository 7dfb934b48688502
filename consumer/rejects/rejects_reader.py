"""Reads the rejected topic: its redrive notes, and its rejected records in order. It writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from taskstream.consumer.errors import NoSuchRecord
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest
from taskstream.consumer.kafka.raw_record import RawRecord, raw_record
from taskstream.consumer.records.event_decoder import EventDecoder
from taskstream.consumer.rejects.rejected_record import RejectedRecord, is_note, offsets_in_note, reject_of
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class JudgedReject:
    """A rejected record and its state now."""

    reject: RejectedRecord
    redriven: bool
    """Whether a note says that it was redriven."""
    readable: bool
    """Whether this program's codec decodes it as a report."""


class RejectsReader:
    """The rejected topic of a pipeline. `config` is librdkafka's."""

    def __init__(self, config: Mapping[str, Any], topics: Topics, ids: SchemaIds) -> None:
        self._config = dict(config)
        self._topic = topics.rejected.name
        self._decoder = EventDecoder(ids)

    def ranges(self, start: Bound, end: Bound) -> dict[int, OffsetRange]:
        """[partition] The offsets from `start` to `end` at this moment.

        Raises:
            BadRange: a file of offsets does not name the topic.
            KafkaFailed: Kafka did not answer, or has no such topic.
        """
        return Cluster(self._config).pinned(self._topic, start, end)

    def redriven_offsets(self) -> dict[int, set[int]]:
        """[partition] The offsets that notes say were redriven. It reads the whole topic.

        Raises:
            ConsumerError: the topic cannot be read.
        """
        found: dict[int, set[int]] = {}
        for records in self._read(self.ranges(Earliest(), Latest())):
            for each in records:
                if is_note(each):
                    found.setdefault(each.partition, set()).update(offsets_in_note(each))
        return found

    def judged(
        self, ranges: Mapping[int, OffsetRange], redriven: Mapping[int, set[int]]
    ) -> Iterator[list[JudgedReject]]:
        """The rejected records of these ranges, each partition's in order; `redriven` is from `redriven_offsets`.

        Raises:
            ConsumerError: the topic cannot be read.
        """
        for records in self._read(ranges):
            rejects = [reject_of(each) for each in records if not is_note(each)]
            values = [each.record.value for each in rejects]
            timestamps_ms = np.array(
                [-1 if each.timestamp_ms is None else each.timestamp_ms for each in rejects], np.int64
            )
            bad = {each.index for each in self._decoder.decode(values, timestamps_ms).rejected}
            yield [
                JudgedReject(each, each.record.offset in redriven.get(each.record.partition, ()), index not in bad)
                for index, each in enumerate(rejects)
            ]

    def record_at(self, partition: int, offset: int) -> RawRecord:
        """The record at this offset, a note or a rejected record.

        Raises:
            NoSuchRecord: there is none.
            ConsumerError: the topic cannot be read.
        """
        extent = self.ranges(Earliest(), Latest()).get(partition)
        if extent is None:
            raise NoSuchRecord(f"{self._topic} has no partition {partition}")
        if extent.begin <= offset < extent.end:
            for records in self._read({partition: OffsetRange(offset, offset + 1)}):
                for each in records:
                    return each
        held = f"it has {extent.begin} to {extent.end - 1}" if extent.end > extent.begin else "it is empty"
        raise NoSuchRecord(
            f"{self._topic}-{partition} has no record at offset {offset} ({held}; the end of a "
            "transaction also uses an offset)"
        )

    def _read(self, ranges: Mapping[int, OffsetRange]) -> Iterator[list[RawRecord]]:
        with BoundedReader(self._config, self._topic, ranges) as reader:
            for records in reader.batches(_BATCH):
                yield [raw_record(message) for message in records.messages]
