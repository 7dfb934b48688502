"""Partitions that no member holds although the group is stable, and which member asks for a new assignment.

A member with an instance name (KIP-345) that dies between giving partitions up and joining again (KIP-429) gets its
other partitions back when it starts, without a new assignment: what it gave up would stay without a reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Protocol

import structlog
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

_CALL_S = 10.0
_INTERVAL_S = 3.0
_log = structlog.get_logger("worker")


class GroupMember(Protocol):
    """This worker's membership of its group."""

    @property
    def member_id(self) -> str:
        """The id that the group gave it; empty while it is not a member."""
        ...

    def rejoin(self) -> None:
        """Leave the group and join it again, so that the group assigns all partitions anew."""
        ...


class OrphanedPartitions:
    """Describes the group every few seconds, without waiting for the answer, and rejoins when it must."""

    def __init__(self, config: Mapping[str, Any], group: str, member: GroupMember, topic: str, partitions: int) -> None:
        self._admin = AdminClient(dict(config))
        self._group = group
        self._member = member
        self._topic = topic
        self._all = frozenset(range(partitions))
        self._asked: Future[Any] | None = None
        self._due_s = 0.0
        self._before: frozenset[int] = frozenset()

    def check(self, now_s: float) -> None:
        """Call this often: it rejoins when partitions were orphaned twice in a row and this member is to act."""
        if orphaned := self._orphaned_twice(now_s):
            _log.warning("partitions without a member: joining again", partitions=sorted(orphaned))
            self._member.rejoin()

    def _orphaned_twice(self, now_s: float) -> frozenset[int]:
        if self._asked is None:
            if now_s >= self._due_s:
                self._due_s = now_s + _INTERVAL_S
                self._asked = self._admin.describe_consumer_groups([self._group], request_timeout=_CALL_S)[self._group]
            return frozenset()
        if not self._asked.done():
            return frozenset()
        answer, self._asked = self._asked, None
        try:
            group = answer.result()
        except KafkaException as error:
            _log.warning("the group cannot be described", group=self._group, why=error.args[0].str())
            self._before = frozenset()
            return self._before
        again, self._before = self._before, orphans(group, self._topic, self._all)
        first = min((each.member_id for each in group.members), default="")
        return self._before & again if self._member.member_id == first else frozenset()


def orphans(group: Any, topic: str, partitions: frozenset[int]) -> frozenset[int]:
    """Those of `partitions` that no member of this group holds; none while the group is rebalancing."""
    if group.state != ConsumerGroupState.STABLE:
        return frozenset()
    held = {
        place.partition
        for member in group.members
        for place in member.assignment.topic_partitions
        if place.topic == topic
    }
    return partitions - held
