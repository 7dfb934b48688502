"""The logs, the committed offsets, the members of one group and the producer epochs of a Kafka in memory."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

Headers = Sequence[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True)
class InMemoryRecord:
    """A record that is not written yet; partition -1 is the partition of its key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int = -1
    headers: Headers = ()


@dataclass(slots=True)
class InMemoryLog:
    """One partition: records from offset `begin` on."""

    begin: int = 0
    messages: list[Message] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return self.begin + len(self.messages)


@dataclass(frozen=True, slots=True)
class InMemoryMembership:
    """What a member commits offsets with."""

    member_id: str


class InMemoryBroker:
    """Topics with `partitions` partitions each, and one consumer group on one topic.

    Partitions move cooperatively: a member gives a partition up during its read before another one receives it.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.committed: dict[tuple[str, int], int] = {}
        """The group's committed offset by topic and partition."""
        self.unmarked: set[tuple[str, int]] = set()
        """The offsets without a marker, by topic and partition."""
        self.owners: dict[int, str] = {}
        """The member that holds each partition."""
        self._logs: dict[str, list[InMemoryLog]] = {}
        self._members: list[str] = []
        self._instances: dict[str, str] = {}
        """The member that joined last under each instance name."""
        self._epochs: dict[str, int] = {}
        self._joined = 0

    def log(self, topic: str) -> list[InMemoryLog]:
        """The partitions of a topic, which is created by its first use."""
        return self._logs.setdefault(topic, [InMemoryLog() for _ in range(self.partitions)])

    def append(self, record: InMemoryRecord) -> None:
        """Write one record."""
        partition = record.partition
        if partition < 0:
            partition = zlib.crc32(record.key or b"") % self.partitions
        log = self.log(record.topic)[partition]
        headers: list[tuple[str, Any]] = [
            (name, value.encode() if isinstance(value, str) else value) for name, value in record.headers
        ]
        log.messages.append(
            Message(
                topic=record.topic,
                partition=partition,
                offset=log.end,
                key=record.key,
                value=record.value,
                headers=headers or None,
                timestamp=(TIMESTAMP_NOT_AVAILABLE, -1),
            )
        )

    def truncate(self, topic: str, partition: int, begin: int) -> None:
        """Delete the records before offset `begin`, as retention does."""
        log = self.log(topic)[partition]
        del log.messages[: begin - log.begin]
        log.begin = begin

    def join(self, instance: str | None) -> str:
        """A new member's id; with an instance name it replaces, and fences, the member of that name."""
        self._joined += 1
        member_id = f"member-{self._joined}"
        fenced = self._instances.get(instance) if instance is not None else None
        if instance is not None:
            self._instances[instance] = member_id
        if fenced in self._members:
            self._members[self._members.index(fenced)] = member_id
            self._release(fenced)
        else:
            self._members.append(member_id)
        return member_id

    def leave(self, member_id: str) -> None:
        """Remove a member; also what a session timeout does to it. Its partitions are free."""
        if member_id in self._members:
            self._members.remove(member_id)
        self._release(member_id)

    def release(self, member_id: str, partition: int) -> None:
        """The member gives one partition up."""
        if self.owners.get(partition) == member_id:
            del self.owners[partition]

    def is_member(self, member_id: str) -> bool:
        """Whether the group knows this member."""
        return member_id in self._members

    def is_fenced(self, member_id: str, instance: str | None) -> bool:
        """Whether another member has joined under the same instance name since."""
        return instance is not None and self._instances.get(instance) != member_id

    def target(self, member_id: str) -> set[int]:
        """The partitions that the member is to hold once all members have given up what they must."""
        index = self._members.index(member_id)
        return {each for each in range(self.partitions) if each % len(self._members) == index}

    def new_epoch(self, transactional_id: str) -> int:
        """The epoch of a new producer; it fences those before it."""
        self._epochs[transactional_id] = self._epochs.get(transactional_id, -1) + 1
        return self._epochs[transactional_id]

    def is_newest(self, transactional_id: str, epoch: int) -> bool:
        """Whether no newer producer has fenced this one."""
        return self._epochs[transactional_id] == epoch

    def accepts(self, membership: Any) -> bool:
        """Whether offsets may be committed with this membership."""
        return isinstance(membership, InMemoryMembership) and self.is_member(membership.member_id)

    def commit(
        self,
        records: Sequence[InMemoryRecord],
        offsets: Mapping[tuple[str, int], int],
        unmarked: Collection[tuple[str, int]] = (),
    ) -> None:
        """Write the records and the offsets of one transaction; those of `unmarked` have no marker."""
        for record in records:
            self.append(record)
        self.committed.update(offsets)
        self.unmarked.difference_update(offsets)
        self.unmarked.update(unmarked)

    def move_offset(self, topic: str, partition: int, offset: int) -> None:
        """Set the group's offset, as another program does."""
        self.committed[topic, partition] = offset
        self.unmarked.add((topic, partition))

    def _release(self, member_id: str) -> None:
        self.owners = {partition: owner for partition, owner in self.owners.items() if owner != member_id}
