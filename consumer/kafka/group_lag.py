"""How far consumer groups are behind: what they committed, where topics end, what lies between. It has no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException

from taskstream.consumer.errors import KafkaFailed, StreamGap
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import EARLIEST, LATEST, Cluster, OffsetRange
from taskstream.consumer.kafka.quiet_admin import QuietAdmin

_CALL_S = 10.0
_GLANCE = {"queued.min.messages": 1, "queued.max.messages.kbytes": 4_096, "max.partition.fetch.bytes": 65_536}
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far one group is behind on one partition."""

    group: str
    topic: str
    partition: int
    committed: int | None
    """The offset that the group reads next; None: it never committed one."""
    end: int
    """Where a read_committed reader comes to the end."""
    records: int
    """Offsets from there to the end; control records and what compaction took count with them."""
    gone: int
    """Offsets that the group has not read and that the topic has no more."""
    oldest_ms: int | None
    """Timestamp of the first record that the group has not read; None: there is none."""
    member: str | None
    """Who reads it now."""

    def seconds(self, now_ms: int) -> float:
        """How long ago the first record came that the group has not read."""
        return 0.0 if self.oldest_ms is None else max(0.0, (now_ms - self.oldest_ms) / 1000)


class GroupLags:
    """Asks a cluster about consumer groups. `config` is librdkafka's."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = {"log_level": 0, **config}
        self._cluster = Cluster(config)

    def names(self) -> list[str]:
        """All groups of the cluster that this user may see.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        admin = QuietAdmin(self._config)
        try:
            found = admin.list_consumer_groups(request_timeout=_CALL_S).result()
        except KafkaException as error:
            raise _failed("the groups", admin, error) from error
        return sorted(each.group_id for each in found.valid)

    def members(self, group: str) -> dict[tuple[str, int], str]:
        """[topic, partition] Who of the group reads it; a member that reads nothing is not told.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        admin = QuietAdmin(self._config)
        try:
            (answer,) = admin.describe_consumer_groups([group], request_timeout=_CALL_S).values()
            described = answer.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise _failed(f"the group {group}", admin, error) from error
        return {
            (place.topic, place.partition): f"{member.group_instance_id or member.client_id}@{member.host.lstrip('/')}"
            for member in described.members
            for place in (member.assignment.topic_partitions if member.assignment else ())
        }

    def committed(self, group: str) -> dict[str, dict[int, int]]:
        """[topic][partition] The offset that the group reads next, where it ever committed one.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        admin = QuietAdmin(self._config)
        try:
            asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=_CALL_S)
            (answer,) = asked.values()
            places = answer.result().topic_partitions or []
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise _failed(f"the offsets of group {group}", admin, error) from error
        found: dict[str, dict[int, int]] = {}
        for place in places:
            if place.error is None and place.offset >= 0:
                found.setdefault(place.topic, {})[place.partition] = place.offset
        return found

    def lag(self, group: str, topics: Sequence[str]) -> list[PartitionLag]:
        """How far the group is behind on every partition of these topics; a partition it never read counts whole.

        Raises:
            KafkaFailed: Kafka did not answer, or has no such topic.
        """
        committed, members = self.committed(group), self.members(group)
        return [lag for topic in topics for lag in self._of_topic(group, topic, committed.get(topic, {}), members)]

    def _of_topic(
        self, group: str, topic: str, committed: Mapping[int, int], members: Mapping[tuple[str, int], str]
    ) -> list[PartitionLag]:
        partitions = self._cluster.partitions(topic)
        lows = self._cluster.offsets(topic, partitions, EARLIEST)
        ends = self._cluster.offsets(topic, partitions, LATEST)
        begins = {each: min(ends[each], max(lows[each], committed.get(each, 0))) for each in partitions}
        oldest = self._oldest(topic, {each: OffsetRange(begins[each], ends[each]) for each in partitions})
        return [
            PartitionLag(
                group=group,
                topic=topic,
                partition=each,
                committed=committed.get(each),
                end=ends[each],
                records=ends[each] - begins[each] if each in oldest else 0,
                gone=max(0, lows[each] - committed[each]) if each in committed else 0,
                oldest_ms=oldest.get(each),
                member=members.get((topic, each)),
            )
            for each in partitions
        ]

    def _oldest(self, topic: str, spans: Mapping[int, OffsetRange]) -> dict[int, int]:
        """[partition] The timestamp of the first record of its span, where there is one."""
        wanted = {each: span for each, span in spans.items() if span.begin < span.end}
        found: dict[int, int] = {}
        try:
            with BoundedReader({**self._config, **_GLANCE}, topic, wanted) as passage:
                for records in passage.batches(_AT_ONCE):
                    for message, partition in zip(records.messages, records.partitions.tolist(), strict=True):
                        found.setdefault(partition, message.timestamp()[1])
                    if all(each in found or passage.positions[each] >= wanted[each].end for each in wanted):
                        break
        except StreamGap:  # retention is passing by at this moment: asked once more, where it has come to
            partitions = list(wanted)
            lows = self._cluster.offsets(topic, partitions, EARLIEST)
            return self._oldest(
                topic, {each: OffsetRange(min(lows[each], spans[each].end), spans[each].end) for each in lows}
            )
        return found


def _failed(what: str, admin: QuietAdmin, error: KafkaException) -> KafkaFailed:
    return KafkaFailed(f"{what} cannot be asked: {admin.why(error)}")
