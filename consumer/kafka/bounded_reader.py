"""Reads a pinned part of a topic in batches, and ends where it ends. It knows offsets, and nothing of what is in them.

The end is the position reaching it, not a record having its offset: control records and compaction leave holes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from taskstream.consumer.errors import KafkaFailed, StreamGap
from taskstream.consumer.kafka.cluster import OffsetRange

_WAIT_S = 0.2
_STALLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Records:
    """Records in the order of each partition; partitions and offsets: [records]."""

    messages: list[Message]
    partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]


class BoundedReader:
    """`with Passage(config, topic, spans) as passage: for records in passage.batches(most): ...`. No group.

    Each batch holds records of any partitions, each partition's in order.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, spans: Mapping[int, OffsetRange]) -> None:
        self._config = {
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 10,
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
        self._ends = {partition: span.end for partition, span in spans.items()}
        self.positions = {partition: span.begin for partition, span in spans.items()}
        """[partition] The offset after the last record that was given, or the end."""

    def __enter__(self) -> Self:
        self._consumer = Consumer(self._config)
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def batches(self, most: int) -> Iterator[Records]:
        """All records of the spans, up to `most` at once; none of them after a moment without any.

        Raises:
            StreamGap: retention took records of a span before they were read.
            KafkaFailed: Kafka does not give them.
        """
        left = {each for each, end in self._ends.items() if self.positions[each] < end}
        self._consumer.assign([TopicPartition(self._topic, each, self.positions[each]) for each in sorted(left)])
        moved = time.monotonic()
        while left:
            fetched = self._consumer.consume(most, timeout=_WAIT_S)
            records = self._within(_records([message for message in fetched if message.error() is None]))
            self._advance(fetched, records, left)
            if fetched:
                moved = time.monotonic()
            elif time.monotonic() - moved > _STALLED_S:
                raise KafkaFailed(
                    f"{self._topic}, partitions {sorted(left)}, gave nothing for {_STALLED_S:.0f} s: "
                    "are the brokers up, and is no transaction left open?"
                )
            yield records

    def _within(self, records: Records) -> Records:
        """Without those at or behind the end of their partition's span, which now is reached."""
        ends = np.zeros(max(self._ends, default=0) + 1, np.int64)
        ends[list(self._ends)] = list(self._ends.values())
        within = records.offsets < ends[records.partitions]
        if within.all():
            return records
        for partition in np.unique(records.partitions[~within]).tolist():
            self.positions[partition] = self._ends[partition]
        kept = np.flatnonzero(within)
        messages = [records.messages[place] for place in kept.tolist()]
        return Records(messages, records.partitions[kept], records.offsets[kept])

    def _advance(self, fetched: Sequence[Message], records: Records, left: set[int]) -> None:
        """Note how far the batch, and the ends of partitions that were told in it, bring us."""
        for partition in np.unique(records.partitions).tolist():
            last = int(records.offsets[records.partitions == partition].max())
            self.positions[partition] = max(self.positions[partition], last + 1)
        for message in fetched:
            if (error := message.error()) is not None:
                place: Any = message.partition()
                if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 (librdkafka's public name)
                    self._answer(place, error)
                elif place in left:
                    offset: Any = message.offset()
                    self.positions[place] = min(max(self.positions[place], offset), self._ends[place])
        done = [each for each in left if self.positions[each] >= self._ends[each]]
        if done:
            left.difference_update(done)
            self._consumer.incremental_unassign([TopicPartition(self._topic, each) for each in done])

    def _answer(self, partition: int | None, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 (as above)
            raise StreamGap(f"{self._topic}-{partition}: retention took records before they were read: {error.str()}")
        if error.fatal() or error.code() in _FINAL:
            raise KafkaFailed(f"{self._topic} cannot be read: {error.str()}")


def _records(messages: list[Message]) -> Records:
    count = len(messages)
    partitions: Any = (message.partition() for message in messages)
    offsets: Any = (message.offset() for message in messages)
    return Records(messages, np.fromiter(partitions, np.int32, count), np.fromiter(offsets, np.int64, count))


_FINAL = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 (librdkafka's public names)
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
