"""Consumer groups as Kafka knows them: members, committed offsets, and lag. It asks, and joins no group.

`ConsumerGroup` answers for the workers' one group, with offsets that no open transaction can change. `GroupLags`
answers for any group how far it is behind, with the offsets as they are at the moment. It reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from taskstream.consumer.errors import KafkaFailed, StreamGap
from taskstream.consumer.kafka.admin.group_questions import GroupQuestions
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import EARLIEST, Cluster, OffsetRange
from taskstream.consumer.kafka.committed_offsets import is_marked
from taskstream.consumer.kafka.kafka_errors import is_final
from taskstream.consumer.kafka.retry import RetryLimit, with_retry

_CALL_S = 15.0
_MEMBERS_LIMIT = RetryLimit(30.0)
_LAG_CALL_S = 10.0
_LAG_LIMIT = RetryLimit(_LAG_CALL_S)
_FIRST_RECORDS = {"queued.min.messages": 1, "queued.max.messages.kbytes": 4_096, "max.partition.fetch.bytes": 65_536}
_BATCH = 1_000


class ConsumerGroup:
    """`with ConsumerGroup(config, name) as group: group.committed(...)`. `config` is librdkafka's."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self._config = {"log_level": 0, **config}
        self._questions = GroupQuestions(self._config, _CALL_S, _MEMBERS_LIMIT)
        self.name = name

    def __enter__(self) -> Self:
        # read_committed: Kafka answers for an offset only when the transaction that sets it is decided
        fixed = {"group.id": self.name, "enable.auto.commit": False, "isolation.level": "read_committed"}
        self.consumer = Consumer(self._config | fixed)
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.close()

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int | None]:
        """[partition] The offset that the group reads next; None where nothing was ever committed.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        found = self._committed(topic, partitions)
        return {each.partition: each.offset if each.offset >= 0 else None for each in found}

    def unmarked(self, topic: str, partitions: Sequence[int]) -> set[int]:
        """The partitions with a committed offset that has no marker: version 0.1 set it, or another program.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        found = self._committed(topic, partitions)
        return {each.partition for each in found if each.offset >= 0 and not is_marked(each)}

    def marks(self, topic: str, partitions: Sequence[int]) -> dict[int, str]:
        """[partition] The metadata of its committed offset; empty where there is none.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        return {each.partition: each.metadata or "" for each in self._committed(topic, partitions)}

    def members(self) -> list[str]:
        """The group's members, by instance or client and host; also those that died within their session timeout.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        found = self._questions.description(self.name)
        if found is None or not found.is_joined:
            return []
        if not found.members:
            return [f"a member that is joining (the group is {found.state})"]
        return [f"{each.name} at {each.host}" for each in found.members]

    def _committed(self, topic: str, partitions: Sequence[int]) -> list[TopicPartition]:
        asked = [TopicPartition(topic, each) for each in partitions]
        found: list[TopicPartition] = with_retry(
            f"the offsets of group {self.name} cannot be read",
            lambda: self.consumer.committed(asked, timeout=_CALL_S),
        )
        for each in found:
            if each.error is not None:
                raise KafkaFailed(f"the offset of {self.name} on {topic}-{each.partition}: {each.error.str()}")
        return found


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far one group is behind on one partition."""

    group: str
    topic: str
    partition: int
    committed: int | None
    """The offset that the group reads next; None: it never committed one."""
    end: int
    """The end for a read_committed reader."""
    records: int
    """Offsets from there to the end; control records and records that compaction removed count too."""
    gone: int
    """Offsets that the group has not read and that the topic no longer has."""
    oldest_ms: int | None
    """Timestamp of the first record that the group has not read; None: there is none."""
    member: str | None
    """The member that reads it now."""

    def seconds(self, now_ms: int) -> float:
        """The age of the first record that the group has not read."""
        return 0.0 if self.oldest_ms is None else max(0.0, (now_ms - self.oldest_ms) / 1000)


class GroupLags:
    """Asks a cluster about consumer groups. `config` is librdkafka's."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = {"log_level": 0, **config}
        self._questions = GroupQuestions(self._config, _LAG_CALL_S, _LAG_LIMIT)
        self._cluster = Cluster(config)
        self._consumers: dict[str, Consumer] = {}

    def names(self) -> list[str]:
        """All groups of the cluster that this user may see.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        admin = QuietAdmin(self._config)

        def ask() -> Any:
            return answered(admin.list_consumer_groups(request_timeout=_LAG_CALL_S), _LAG_CALL_S)

        found = with_retry("the groups cannot be listed", ask, _LAG_LIMIT, admin.why)
        return sorted(each.group_id for each in found.valid)

    def members(self, group: str) -> dict[tuple[str, int], str]:
        """[topic, partition] The member that reads it; members without partitions are left out.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        found = self._questions.description(group)
        return {
            partition: f"{member.name}@{member.host.lstrip('/')}"
            for member in (found.members if found else ())
            for partition in member.partitions
        }

    def committed(self, group: str) -> dict[str, dict[int, int]]:
        """[topic][partition] The offset that the group reads next, where it ever committed one.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        return self._questions.offsets(group)

    def lag(self, group: str, topics: Sequence[str]) -> list[PartitionLag]:
        """How far the group is behind on every partition of these topics. A partition it never read counts whole.

        Raises:
            KafkaFailed: Kafka did not answer, or has no such topic.
        """
        committed, members = self.committed(group), self.members(group)
        return [lag for topic in topics for lag in self._of_topic(group, topic, committed.get(topic, {}), members)]

    def unread(self, group: str, topic: str) -> list[PartitionLag]:
        """As `lag` for one topic, without the members, with a client that is kept for the next question.

        It asks for the group's offsets as a member would, without joining. With the admin client's question instead,
        librdkafka 2 ended the view with a segmentation fault, on clusters that had just started.

        Raises:
            KafkaFailed: Kafka did not answer, or has no such topic.
        """
        asked = [TopicPartition(topic, each) for each in self._cluster.partitions(topic)]
        what = f"the offsets of group {group} cannot be read"
        found = with_retry(
            what,
            partial(self._ask_committed, group, asked),
            _LAG_LIMIT,
            denied=partial(denial, config=self._config, topic=topic, group=group, is_member=False),
        )
        for each in found:
            if each.error is not None:
                raise KafkaFailed(f"{what}: {topic}-{each.partition}: {each.error.str()}")
        committed = {each.partition: each.offset for each in found if each.offset >= 0}
        return self._of_topic(group, topic, committed, {})

    def _ask_committed(self, group: str, asked: list[TopicPartition]) -> list[TopicPartition]:
        """The group's offsets. A client that may not ask times out, and reports the reason once, as an event.

        Raises:
            KafkaException: Kafka did not answer, or does not allow it.
        """
        if group not in self._consumers:
            fixed = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
            self._consumers[group] = Consumer(self._config | fixed)
        consumer = self._consumers[group]
        try:
            found: list[TopicPartition] = consumer.committed(asked, timeout=_LAG_CALL_S)
        except KafkaException as error:
            event = consumer.poll(0)
            reason = None if event is None else event.error()
            if reason is None or not is_final(reason):
                raise
            del self._consumers[group]  # it would not report the reason again
            consumer.close()
            raise KafkaException(reason) from error
        return found

    def _of_topic(
        self, group: str, topic: str, committed: Mapping[int, int], members: Mapping[tuple[str, int], str]
    ) -> list[PartitionLag]:
        extents = self._cluster.extents(topic, self._cluster.partitions(topic))
        unread = {
            each: OffsetRange(min(extent.end, max(extent.begin, committed.get(each, 0))), extent.end)
            for each, extent in extents.items()
        }
        oldest = self._oldest(topic, unread)
        return [
            PartitionLag(
                group=group,
                topic=topic,
                partition=each,
                committed=committed.get(each),
                end=extent.end,
                records=unread[each].end - unread[each].begin if each in oldest else 0,
                gone=max(0, extent.begin - committed[each]) if each in committed else 0,
                oldest_ms=oldest.get(each),
                member=members.get((topic, each)),
            )
            for each, extent in extents.items()
        ]

    def _oldest(self, topic: str, ranges: Mapping[int, OffsetRange]) -> dict[int, int]:
        """[partition] The timestamp of the first record of its range, where there is one."""
        wanted = {each: offsets for each, offsets in ranges.items() if offsets.begin < offsets.end}
        found: dict[int, int] = {}
        try:
            with BoundedReader({**self._config, **_FIRST_RECORDS}, topic, wanted) as reader:
                for records in reader.batches(_BATCH):
                    for message, partition in zip(records.messages, records.partitions.tolist(), strict=True):
                        found.setdefault(partition, message.timestamp()[1])
                    if all(each in found or reader.positions[each] >= wanted[each].end for each in wanted):
                        break
        except StreamGap:  # retention moved the beginning meanwhile: ask for it again
            begins = self._cluster.offsets(topic, list(wanted), EARLIEST)
            return self._oldest(
                topic,
                {each: OffsetRange(min(begin, ranges[each].end), ranges[each].end) for each, begin in begins.items()},
            )
        return found
