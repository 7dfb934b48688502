"""A part of a topic as offsets: bounds become a span a partition, pinned at the moment of asking. No record is read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from taskstream.consumer.errors import BadRange, KafkaFailed
from taskstream.consumer.kafka.quiet_admin import QuietAdmin
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest, Offsets, Since

_CALL_S = 15.0
_PAUSE_S = 0.1
_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,  # so says a broker that has not heard of a new topic yet
    }
)
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # confluent-kafka gives no types here
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call] # as above


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets of one partition: `begin` is in it, `end` is not."""

    begin: int
    end: int
    gone: int = 0
    """Offsets before `begin` that were asked for by number and are on the topic no more."""


class Cluster:
    """Asks a cluster where a topic's records lie. `config` is librdkafka's."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def partitions(self, topic: str) -> list[int]:
        """The numbers of a topic's partitions.

        Raises:
            KafkaFailed: Kafka did not answer, or has no such topic.
        """
        admin = QuietAdmin(self._config)
        try:
            found = admin.list_topics(topic, timeout=_CALL_S).topics[topic]
        except KafkaException as error:
            raise KafkaFailed(f"{topic}: {admin.why(error)}") from error
        if found.error is not None:
            raise KafkaFailed(f"{topic}: {found.error.str()}; `taskstream topics list` tells what is there")
        return sorted(found.partitions)

    def pinned(self, topic: str, start: Bound, end: Bound) -> dict[int, OffsetRange]:
        """The span of every partition that takes part, as a read_committed reader sees it now.

        Raises:
            BadRange: a file of offsets does not name the topic.
            KafkaFailed: Kafka did not answer, or has no such topic.
        """
        named = [_named(bound, topic) for bound in (start, end) if isinstance(bound, Offsets)]
        partitions = self.partitions(topic)
        for offsets in named:
            partitions = [each for each in partitions if each in offsets]
        lows = self.offsets(topic, partitions, EARLIEST)
        highs = self.offsets(topic, partitions, LATEST)
        begins = self._resolved(topic, start, lows, highs)
        ends = self._resolved(topic, end, lows, highs)
        return {each: _span(begins[each], ends[each], lows[each], highs[each]) for each in partitions}

    def offsets(
        self,
        topic: str,
        partitions: list[int],
        spec: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[int, int]:
        """One offset a partition, as a reader of this `isolation` sees it; -1 where no record has so late a timestamp.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        if not partitions:
            return {}
        admin = QuietAdmin(self._config)
        asked = {TopicPartition(topic, each): spec for each in partitions}
        deadline = time.monotonic() + _CALL_S
        while True:
            answers = admin.list_offsets(asked, isolation_level=isolation, request_timeout=_CALL_S)
            try:
                return {each.partition: answer.result().offset for each, answer in answers.items()}
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.code() not in _PASSING or time.monotonic() > deadline:
                    raise KafkaFailed(f"the offsets of {topic} cannot be asked: {admin.why(error)}") from error
                time.sleep(_PAUSE_S)

    def _resolved(
        self, topic: str, bound: Bound, lows: Mapping[int, int], highs: Mapping[int, int]
    ) -> Mapping[int, int]:
        match bound:
            case Earliest():
                return lows
            case Latest():
                return highs
            case Offsets():
                return _named(bound, topic)
            case Since(timestamp_ms):
                spec: OffsetSpec = OffsetSpec.for_timestamp(timestamp_ms)
                found = self.offsets(topic, list(lows), spec)
                return {each: highs[each] if offset < 0 else offset for each, offset in found.items()}


def _named(bound: Offsets, topic: str) -> Mapping[int, int]:
    if topic not in bound.by_topic:
        raise BadRange(f"the file of offsets names {', '.join(sorted(bound.by_topic))} and not {topic}")
    return bound.by_topic[topic]


def _span(begin: int, end: int, low: int, high: int) -> OffsetRange:
    """What of begin..end is there."""
    there = min(max(begin, low), high)
    return OffsetRange(there, max(there, min(end, high)), max(0, min(low, end) - begin))
