"""Partitions that nobody holds though the group is settled, and who shall ask for a new distribution.

A member that Kafka knows by name (KIP-345) and that dies between giving partitions up and joining again (KIP-429) gets
the rest back when it starts, without a new distribution: what it had given up would stay with nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import structlog
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

_CALL_S = 10.0
_EVERY_S = 3.0
_log = structlog.get_logger("worker")


class OrphanedPartitions:
    """Asks Kafka about the group now and then, without waiting for the answer. Call `left_alone` often."""

    def __init__(self, config: Mapping[str, Any], group: str, topic: str, partitions: int) -> None:
        self._admin = AdminClient(dict(config))
        self._group = group
        self._topic = topic
        self._all = frozenset(range(partitions))
        self._asked: Future[Any] | None = None
        self._due_s = 0.0
        self._before: frozenset[int] = frozenset()

    def left_alone(self, now_s: float, member_id: str) -> frozenset[int]:
        """The partitions that nobody held at two looks in a row, if it is on this member to do something about it."""
        if self._asked is None:
            if now_s >= self._due_s:
                self._due_s = now_s + _EVERY_S
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
        return self._before & again if member_id == first else frozenset()


def orphans(group: Any, topic: str, partitions: frozenset[int]) -> frozenset[int]:
    """Those of `partitions` that no member of this group holds; none while it is being distributed anew."""
    if group.state != ConsumerGroupState.STABLE:
        return frozenset()
    held = {
        place.partition
        for member in group.members
        for place in member.assignment.topic_partitions
        if place.topic == topic
    }
    return partitions - held
