"""Copies raw records from a source to a target at a limited rate. It knows neither end's kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.raw_record import RawRecord, raw_record
from taskstream.consumer.replay.archive import ArchiveReader

BATCH = 2_000
_PAUSE_S = 0.25


class Target(Protocol):
    """Where records are copied to."""

    def write_records(self, records: Sequence[RawRecord]) -> None:
        """Write these, in their order; some may be held until `flush`."""
        ...

    def flush(self) -> None:
        """Return when all records are written."""
        ...


class NoTarget:
    """The target of a dry run."""

    def write_records(self, records: Sequence[RawRecord]) -> None:
        """Write nothing."""

    def flush(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class PartitionCounts:
    """How much was copied of one partition."""

    records: int = 0
    bytes: int = 0
    first_ms: int | None = None
    """The earliest timestamp."""
    last_ms: int | None = None

    def add(self, record: RawRecord) -> None:
        """Count one more."""
        self.records += 1
        self.bytes += record.size
        if record.timestamp_ms is not None:
            self.first_ms = min(record.timestamp_ms, self.first_ms or record.timestamp_ms)
            self.last_ms = max(record.timestamp_ms, self.last_ms or record.timestamp_ms)


class TopicPart:
    """The selected records of some offsets of a topic. Iterable once, in batches; a batch may be empty.

    Raises (while it is iterated):
        StreamGap: retention deleted records before they were read.
        KafkaFailed: Kafka did not answer, or an error is final.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        spans: Mapping[int, OffsetRange],
        selection: KeySelection,
        most: int = BATCH,
    ) -> None:
        self._reader = BoundedReader(dict(config) | {"queued.min.messages": 20_000}, topic, spans)
        self._spans = dict(spans)
        self._selection = selection
        self._most = most

    @property
    def positions(self) -> dict[int, int]:
        """[partition] The offset after the last record that was read, selected or not."""
        return dict(self._reader.positions)

    @property
    def moved(self) -> int:
        """How many offsets that is from the beginning, in all partitions."""
        return sum(self.positions[number] - span.begin for number, span in self._spans.items())

    def __iter__(self) -> Iterator[list[RawRecord]]:
        includes = self._selection.includes
        with self._reader as reader:
            for records in reader.batches(self._most):
                yield [raw_record(message) for message in records.messages if includes(message.key())]


class ArchivePart:
    """The records of a file, without the first `skip` ones. Iterable once, in batches.

    Raises (while it is iterated):
        ArchiveUnusable: the file is damaged.
    """

    def __init__(self, archive: ArchiveReader, skip: int = 0, most: int = BATCH) -> None:
        self._archive = archive
        self._skip = skip
        self._most = most
        self.moved = 0
        """Records returned, and skipped."""

    def __iter__(self) -> Iterator[list[RawRecord]]:
        for records in self._archive.batches(self._most):
            wanted = records[max(0, self._skip - self.moved) :]
            self.moved += len(records)
            yield wanted


class RecordCopy:
    """`RecordCopy(target, rate).copy_all(batches, ...)`. `rate` is in records per second; None: no limit."""

    def __init__(self, target: Target, rate: float | None = None) -> None:
        self._target = target
        self._rate = rate
        self.counts: dict[int, PartitionCounts] = {}
        """[partition]"""

    @property
    def records(self) -> int:
        """How many were copied."""
        return sum(each.records for each in self.counts.values())

    def copy_all(
        self,
        batches: Iterable[list[RawRecord]],
        stopping: Callable[[], bool] = lambda: False,
        on_batch: Callable[[], None] = lambda: None,
    ) -> bool:
        """Copy all batches, or until `stopping`; returns whether it was all. What was copied is then written.

        Raises:
            ConsumerError: a record could not be read or written.
        """
        began = time.monotonic()
        for batch in batches:
            self._target.write_records(batch)
            for record in batch:
                self.counts.setdefault(record.partition, PartitionCounts()).add(record)
            on_batch()
            self._pause(began, stopping)
            if stopping():
                self._target.flush()
                return False
        self._target.flush()
        return True

    def _pause(self, began: float, stopping: Callable[[], bool]) -> None:
        while not stopping():
            early_s = self.records / self._rate - (time.monotonic() - began) if self._rate else 0.0
            if early_s <= 0:
                return
            time.sleep(min(early_s, _PAUSE_S))


def batch_for(rate: float | None) -> int:
    """How many records to copy at once, so that a low rate is an even one."""
    return BATCH if rate is None else max(1, min(BATCH, round(rate * _PAUSE_S)))
