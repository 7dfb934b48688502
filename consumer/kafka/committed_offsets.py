"""Where a group continues on a topic: its committed offsets, checked against what the topic still holds.

Our programs commit an offset with a marker as its metadata. An offset that another program set has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from taskstream.consumer.errors import CommittedOffsetGone, StreamGap
from taskstream.consumer.kafka.admin.partition_ends import PartitionEnds
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.admin.topic_identity import TopicIdentity, require_mark
from taskstream.consumer.kafka.retry import Waiting, with_retry

_CALL_S = 5.0


def marked(topic: str, partition: int, offset: int, state_mark: str = "") -> TopicPartition:
    """The offset with the marker, to commit. The marker names the offset: a tool may keep metadata of another one.

    state_mark: what `admin.topic_identity.offset_mark` says of the state topic.
    """
    return TopicPartition(topic, partition, offset, metadata=f"{_marker(offset)} {state_mark}".rstrip())


def is_marked(committed: TopicPartition) -> bool:
    """Whether this committed offset was committed by a worker or a rebuild of version 0.2 or later."""
    metadata: str | None = committed.metadata
    return f"{metadata} ".startswith(f"{_marker(committed.offset)} ")


def _marker(offset: int) -> str:
    return f"taskstream {offset}"


@dataclass(frozen=True, slots=True)
class GroupStarts:
    """Where a group continues on partitions of a topic."""

    starts: list[TopicPartition]
    unread: set[int]
    """Partitions without a committed offset; they begin at the first record that the topic holds."""
    unmarked: set[int]
    """Partitions whose offset has no marker: version 0.1 committed it, or another program."""


class CommittedOffsets:
    """The offsets of one group on one topic, asked through the group's own `consumer`.

    `waiting` is called between two requests, which are then repeated until Kafka answers; None: for a minute.
    state: the topic whose rows belong to the offsets; None: not checked.
    config: that of `consumer`, which names the user; `new_consumer` creates another one with it.
    """

    def __init__(
        self,
        consumer: Consumer,
        group: str,
        topic: str,
        waiting: Waiting | None = None,
        state: TopicIdentity | None = None,
        config: Mapping[str, Any] = MappingProxyType({}),
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        self._denied = partial(denial, config=config, topic=topic, group=group)
        self._state = state
        self._ends = PartitionEnds(consumer, config, new_consumer)
        self._consumer = consumer
        self._group = group
        self._topic = topic
        self._waiting = waiting

    def starts(self, partitions: Sequence[int]) -> GroupStarts:
        """Where to read each partition from.

        Raises:
            StreamGap: a committed offset lies outside of what the topic holds.
            TopicsUnfit: the state topic is not the one that the offsets belong to; see `require_mark`.
            KafkaFailed: Kafka did not answer.
        """
        starts: list[TopicPartition] = []
        unread: set[int] = set()
        unmarked: set[int] = set()
        what = "the group's offsets cannot be asked"
        for place in with_retry(what, partial(self._committed, partitions), waiting=self._waiting, denied=self._denied):
            if self._state is not None:
                require_mark(place.metadata, self._state, self._group)
            what = f"the ends of {self._topic}-{place.partition} cannot be asked"
            low, high = with_retry(what, partial(self._ends.ask, place), waiting=self._waiting, denied=self._denied)
            offset = place.offset
            if offset < 0:
                offset = low
                unread.add(place.partition)
            elif not low <= offset <= high:
                raise self.gap(
                    place.partition, f"the group continues at offset {offset}, the topic holds {low} to {high}"
                )
            elif not is_marked(place):
                unmarked.add(place.partition)
            starts.append(TopicPartition(self._topic, place.partition, offset))
        return GroupStarts(starts, unread, unmarked)

    def gap(self, partition: int | None, why: str) -> StreamGap:
        """The error for an offset that the topic does not hold."""
        return stream_gap(self._group, self._topic, partition, why)

    def _committed(self, partitions: Sequence[int]) -> list[TopicPartition]:
        """Stable offsets: Kafka answers when the transactions that commit them are decided."""
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        found: list[TopicPartition] = self._consumer.committed(asked, timeout=_CALL_S) if asked else []
        for each in found:
            if each.error is not None:
                raise KafkaException(each.error)
        return found


def stream_gap(group: str, topic: str, partition: int | None, why: str) -> StreamGap:
    """The error for an offset of `group` that `topic` does not hold."""
    return CommittedOffsetGone(
        f"{topic}-{partition}: {why}. Retention deleted events that were not folded, or the topic was created again. "
        "Deleted events are lost",
        topic=topic,
        partition=partition,
        group=group,
    )
