"""Where to read on in a partition: at the group's committed offset, which must lie in what the topic still holds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaException, TopicPartition

from taskstream.consumer.errors import StreamGap
from taskstream.consumer.kafka.retry import with_retry

_CALL_S = 5.0


class CommittedOffsets:
    """Asks for the places of one group on one topic, by the group's own `consumer`."""

    def __init__(self, consumer: Consumer, group: str, topic: str) -> None:
        self._consumer = consumer
        self._group = group
        self._topic = topic

    def of(self, partitions: Sequence[int]) -> tuple[list[TopicPartition], set[int]]:
        """Where to begin; and those of which nothing was ever committed, which begin at their first record.

        Raises:
            StreamGap: what was committed is no longer on the topic, or not yet.
            KafkaFailed: Kafka did not answer.
        """
        starts: list[TopicPartition] = []
        unread: set[int] = set()
        for place in with_retry("the group's offsets cannot be asked", partial(self._committed, partitions)):
            ask = partial(self._consumer.get_watermark_offsets, place, timeout=_CALL_S)
            low, high = with_retry(f"the ends of {self._topic}-{place.partition} cannot be asked", ask)
            offset = place.offset
            if offset < 0:
                offset = low
                unread.add(place.partition)
            elif not low <= offset <= high:
                gap = f"we would read on at offset {offset}, and the topic holds {low} to {high}"
                raise self.gap(place.partition, gap)
            starts.append(TopicPartition(self._topic, place.partition, offset))
        return starts, unread

    def gap(self, partition: int | None, why: str) -> StreamGap:
        """What to say, and to do, when the place to read on at is gone."""
        return StreamGap(
            f"{self._topic}-{partition}: {why}. Retention ran past us, or the topic was made anew. What is lost cannot "
            f"be folded; to go on without it, stop all workers and run `kafka-consumer-groups --group {self._group} "
            f"--reset-offsets --to-earliest --topic {self._topic}:{partition} --execute`; then keep progress longer"
        )

    def _committed(self, partitions: Sequence[int]) -> list[TopicPartition]:
        """Stable offsets: Kafka answers when the transactions on them are decided."""
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        places: list[TopicPartition] = self._consumer.committed(asked, timeout=_CALL_S) if asked else []
        for place in places:
            if place.error is not None:
                raise KafkaException(place.error)
        return places
