"""Reads given offsets of a topic in batches, and ends at their end. It knows offsets, and no record's content.

The end is reached by position, not by a record with that offset: control records and compaction leave gaps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from taskstream.consumer.errors import KafkaFailed, RightMissing, StreamGap
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.kafka.direct.best_fetch import best_fetch
from taskstream.consumer.kafka.direct.message_fetch import timestamps_of
from taskstream.consumer.kafka.direct.source_batch import Fetch, FetchEvent, NewFetch, SourceBatch, offsets_after
from taskstream.consumer.kafka.kafka_errors import is_end_of_partition, is_final, is_group_refused, is_offset_gone

Ints = npt.NDArray[np.int64]
_WAIT_S = 0.2
_STALLED_S = 60.0


class _Block(Protocol):
    """Records in the order of each partition; arrays: [records]."""

    @property
    def partitions(self) -> npt.NDArray[np.int32]: ...

    @property
    def offsets(self) -> Ints: ...

    @property
    def timestamps_ms(self) -> Ints: ...

    def __len__(self) -> int: ...

    def take(self, indices: Ints) -> Self: ...


B = TypeVar("B", bound=_Block)


@dataclass(frozen=True, slots=True)
class Records:
    """Records in the order of each partition, as messages; partitions and offsets: [records]."""

    messages: list[Message]
    partitions: npt.NDArray[np.int32]
    offsets: Ints

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def timestamps_ms(self) -> Ints:
        """[records] Kafka's timestamps; negative where a record has none."""
        return timestamps_of(self.messages)

    def take(self, indices: Ints) -> Records:
        """The records with these indices."""
        chosen = [self.messages[index] for index in indices.tolist()]
        return Records(chosen, self.partitions[indices], self.offsets[indices])


def records_at(records: SourceBatch, offsets: Mapping[int, Ints]) -> SourceBatch:
    """Those at these offsets. offsets: [partition], rising."""
    kept = np.zeros(len(records), np.bool_)
    for partition in np.unique(records.partitions).tolist():
        here = np.flatnonzero(records.partitions == partition)
        kept[here] = np.isin(records.offsets[here], offsets[partition], assume_unique=True)
    return records.take(np.flatnonzero(kept))


class BoundedReader:
    """`with BoundedReader(config, topic, ranges) as reader: for records in reader.columns(most): ...`. In no group.

    Each batch holds records of any partitions, each partition's in order. `config` is librdkafka's. `batches` gives
    the same as messages. Either is called once.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        ranges: Mapping[int, OffsetRange],
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
        clock: Callable[[], float] = time.monotonic,
        new_fetch: NewFetch = best_fetch,
    ) -> None:
        """new_fetch: how `columns` reads records."""
        self._config = {
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 10,
            # A connection whose other end has gone without a word is noticed only when a fetch times out.
            "socket.timeout.ms": 10_000,
            "fetch.max.bytes": 16 << 20,  # so that a response comes within the timeout also at 2 MB/s
            "log_level": 0,
            **config,
            "group.id": f"{topic}-reader",  # required by the client, and never joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
        }
        self._topic = topic
        self._timed = {partition: offsets for partition, offsets in ranges.items() if offsets.has_times}
        self._ends = {partition: offsets.end for partition, offsets in ranges.items()}
        self.positions = {partition: offsets.begin for partition, offsets in ranges.items()}
        """[partition] The offset after the last record that was returned, or the end."""
        self._problem = ""
        """The last error that may pass, since the last record."""
        self._new_consumer = new_consumer
        self._new_fetch = new_fetch
        self._fetch: Fetch | None = None
        self._clock = clock

    def __enter__(self) -> Self:
        self._consumer = self._new_consumer(self._config)
        return self

    def __exit__(self, *_: object) -> None:
        if self._fetch is not None:
            self._fetch.close()
        self._consumer.close()

    def batches(self, most: int) -> Iterator[Records]:
        """All records of the ranges and their times, up to `most` at once. A batch may be empty.

        Raises:
            StreamGap: retention deleted records of a range before they were read.
            KafkaFailed: an error is final, or nothing was read for a minute.
        """

        def read() -> tuple[Records, list[FetchEvent]]:
            fetched = self._consumer.consume(most, timeout=_WAIT_S)
            messages, events = [], []
            for message in fetched:
                if (error := message.error()) is None:
                    messages.append(message)
                else:
                    events.append(FetchEvent(message.partition(), message.offset(), error))
            return _records(messages), events

        return self._blocks(read)

    def columns(self, most: int) -> Iterator[SourceBatch]:
        """The same as columns. The keys of a batch, and single records, may be asked for until the next batch."""
        self._fetch = fetch = self._new_fetch(self._consumer, self._topic)
        return self._blocks(lambda: fetch.read(most, _WAIT_S), fetch)

    def _blocks(self, read: Callable[[], tuple[B, list[FetchEvent]]], fetch: Fetch | None = None) -> Iterator[B]:
        left = {each for each, end in self._ends.items() if self.positions[each] < end}
        if fetch is not None:
            fetch.hold(sorted(left))
        self._consumer.assign([TopicPartition(self._topic, each, self.positions[each]) for each in sorted(left)])
        moved_s = self._clock()
        while left:
            found, events = read()
            records = self._within(found)
            self._advance(events, records, left)
            if len(found) or any(is_end_of_partition(event.error) for event in events):
                moved_s, self._problem = self._clock(), ""
            elif self._clock() - moved_s > _STALLED_S:
                raise KafkaFailed(
                    f"no record of {self._topic}, partitions {sorted(left)}, came for {_STALLED_S:.0f} s: "
                    f"{self._problem or 'are the brokers up, and is no transaction left open?'}"
                )
            yield self._of_these_times(records) if self._timed else records

    def _of_these_times(self, records: B) -> B:
        """Without those whose timestamp is outside of their range."""
        places = enumerate(zip(records.partitions.tolist(), records.timestamps_ms.tolist(), strict=True))
        kept = [
            index
            for index, (partition, timestamp_ms) in places
            if (span := self._timed.get(partition)) is None or span.has_time(timestamp_ms)
        ]
        return records if len(kept) == len(records) else records.take(np.array(kept, np.int64))

    def _within(self, records: B) -> B:
        """Without those at or after the end of their partition's range, which is then reached."""
        ends = np.zeros(max(self._ends, default=0) + 1, np.int64)
        ends[list(self._ends)] = list(self._ends.values())
        within = records.offsets < ends[records.partitions]
        if within.all():
            return records
        for partition in np.unique(records.partitions[~within]).tolist():
            self.positions[partition] = self._ends[partition]
        return records.take(np.flatnonzero(within))

    def _advance(self, events: Sequence[FetchEvent], records: _Block, left: set[int]) -> None:
        """Advance the positions by the records and the ends of partitions that were fetched."""
        for partition, after in offsets_after(records.partitions, records.offsets).items():
            self.positions[partition] = max(self.positions[partition], after)
        for event in events:
            number: Any = event.partition
            if not is_end_of_partition(event.error):
                self._check(number, event.error)
            elif number in left:
                offset: Any = event.offset
                self.positions[number] = min(max(self.positions[number], offset), self._ends[number])
        done = [each for each in left if self.positions[each] >= self._ends[each]]
        if done:
            left.difference_update(done)
            self._consumer.incremental_unassign([TopicPartition(self._topic, each) for each in done])

    def _check(self, partition: int | None, error: KafkaError) -> None:
        if is_offset_gone(error):
            raise StreamGap(
                f"{self._topic}-{partition}: retention deleted records before they were read: {error.str()}"
            )
        if is_group_refused(error):
            return
        if sentence := denial(error, self._config, topic=self._topic):
            raise RightMissing(sentence)
        if is_final(error):
            raise KafkaFailed(f"{self._topic} cannot be read: {error.str()}")
        self._problem = error.str()


def _records(messages: list[Message]) -> Records:
    count = len(messages)
    partitions: Any = (message.partition() for message in messages)
    offsets: Any = (message.offset() for message in messages)
    return Records(messages, np.fromiter(partitions, np.int32, count), np.fromiter(offsets, np.int64, count))
