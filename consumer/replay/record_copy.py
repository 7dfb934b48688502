"""Carries records from where they are to where they shall be, no faster than asked. It knows neither end's kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.carried_record import CarriedRecord, carried
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.replay.archive import ArchiveReader

BATCH = 2_000
_PAUSE_S = 0.25


class Target(Protocol):
    """Where records go."""

    def take(self, records: Sequence[CarriedRecord]) -> None:
        """Take these, in their order."""
        ...

    def settle(self) -> None:
        """Return when all that was taken is safe."""
        ...


class NoTarget:
    """The target of a dry run."""

    def take(self, records: Sequence[CarriedRecord]) -> None:
        """Forget them."""

    def settle(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class PartitionCounts:
    """What was carried of one partition."""

    records: int = 0
    bytes: int = 0
    first_ms: int | None = None
    """The earliest timestamp."""
    last_ms: int | None = None

    def add(self, record: CarriedRecord) -> None:
        """Count one more."""
        self.records += 1
        self.bytes += record.size
        if record.timestamp_ms is not None:
            self.first_ms = min(record.timestamp_ms, self.first_ms or record.timestamp_ms)
            self.last_ms = max(record.timestamp_ms, self.last_ms or record.timestamp_ms)


class TopicPart:
    """The records of a part of a topic, those of a selection. Iterable once, in batches; none in one is fine.

    Raises (while it is iterated):
        StreamGap, KafkaFailed: they cannot be read any more, or now.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        spans: Mapping[int, OffsetRange],
        selection: KeySelection,
        most: int = BATCH,
    ) -> None:
        self._passage = BoundedReader(dict(config) | {"queued.min.messages": 20_000}, topic, spans)
        self._spans = dict(spans)
        self._selection = selection
        self._most = most

    @property
    def positions(self) -> dict[int, int]:
        """[partition] Behind the last record that was given, or that was not asked for."""
        return dict(self._passage.positions)

    @property
    def moved(self) -> int:
        """How far that is, in offsets."""
        return sum(self.positions[number] - span.begin for number, span in self._spans.items())

    def __iter__(self) -> Iterator[list[CarriedRecord]]:
        takes = self._selection.takes
        with self._passage as passage:
            for records in passage.batches(self._most):
                yield [carried(message) for message in records.messages if takes(message.key())]


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
        """Records given, and skipped."""

    def __iter__(self) -> Iterator[list[CarriedRecord]]:
        for records in self._archive.batches(self._most):
            wanted = records[max(0, self._skip - self.moved) :]
            self.moved += len(records)
            yield wanted


class RecordCopy:
    """`RecordCopy(target, rate).carry(batches, ...)`; `tallies` is the account by partition."""

    def __init__(self, target: Target, rate: float | None = None) -> None:
        self._target = target
        self._rate = rate
        self.tallies: dict[int, PartitionCounts] = {}

    @property
    def records(self) -> int:
        """How many were carried."""
        return sum(each.records for each in self.tallies.values())

    def carry(
        self,
        batches: Iterable[list[CarriedRecord]],
        stopping: Callable[[], bool] = lambda: False,
        told: Callable[[], None] = lambda: None,
    ) -> bool:
        """Carry all of them, or until `stopping`; whether it was all. What was carried then is safe.

        Raises:
            ConsumerError: a record could not be read or written.
        """
        began = time.monotonic()
        for batch in batches:
            self._target.take(batch)
            for record in batch:
                self.tallies.setdefault(record.partition, PartitionCounts()).add(record)
            told()
            self._pause(began, stopping)
            if stopping():
                self._target.settle()
                return False
        self._target.settle()
        return True

    def _pause(self, began: float, stopping: Callable[[], bool]) -> None:
        while not stopping():
            early_s = self.records / self._rate - (time.monotonic() - began) if self._rate else 0.0
            if early_s <= 0:
                return
            time.sleep(min(early_s, _PAUSE_S))


def batch_for(rate: float | None) -> int:
    """How many records to carry at once, so that a slow rate is an even one."""
    return BATCH if rate is None else max(1, min(BATCH, round(rate * _PAUSE_S)))
