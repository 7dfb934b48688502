"""Offsets of a topic's partitions: where they begin and end, and what two bounds are in offsets. It reads no record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from taskstream.consumer.errors import BadRange, KafkaFailed, RightMissing
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.kafka_errors import is_away
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest, Offsets, Since
from taskstream.consumer.kafka.retry import RetryLimit, Waiting, retry, with_retry

_CALL_S = 15.0
_PAUSE_S = 0.1
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # confluent-kafka gives no types here
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call] # as above


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets of one partition: `begin` is in it, `end` is not. With times, only records of these times are in it."""

    begin: int
    end: int
    gone: int = 0
    """Offsets before `begin` that were requested by number and are no longer on the topic."""
    from_ms: int | None = None
    """The earliest timestamp of a record in the range, milliseconds since 1970; None: any."""
    to_ms: int | None = None
    """The earliest timestamp after the range; None: any."""

    @property
    def has_times(self) -> bool:
        """Whether the range selects records by their timestamps."""
        return self.from_ms is not None or self.to_ms is not None

    def has_time(self, timestamp_ms: int) -> bool:
        """Whether a record with this timestamp is selected."""
        after = self.from_ms is None or timestamp_ms >= self.from_ms
        return after and (self.to_ms is None or timestamp_ms < self.to_ms)


class Cluster:
    """Asks a cluster for partitions and offsets, with one admin client that the first question creates.

    `config` is librdkafka's. `call_s` is the timeout of one request, `limit_s` how long a failing one is repeated; with
    `waiting`, an offset is asked for until Kafka answers.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        call_s: float = _CALL_S,
        limit_s: float = _CALL_S,
        new_admin: Callable[[Mapping[str, Any]], QuietAdmin] = QuietAdmin,
        sleep: Callable[[float], None] = time.sleep,
        waiting: Waiting | None = None,
    ) -> None:
        self._config = config
        self._waiting = waiting
        self._call_s = call_s
        self._limit = RetryLimit(limit_s, pause_s=_PAUSE_S)
        self._new_admin = new_admin
        self._sleep = sleep
        self._admin_or_none: QuietAdmin | None = None
        self._why = ""
        """Why the last question for offsets failed."""

    def partitions(self, topic: str) -> list[int]:
        """The numbers of a topic's partitions.

        Raises:
            KafkaFailed: Kafka did not answer, or has no such topic.
        """
        admin = self._admin()

        def ask() -> list[int]:
            found = admin.list_topics(topic, timeout=self._call_s).topics[topic]
            if found.error is not None:
                raise KafkaException(found.error)
            return sorted(found.partitions)

        try:
            return retry(ask, is_away, self._limit, sleep=self._sleep)
        except KafkaException as error:
            if sentence := denial(error.args[0], self._config, topic=topic):
                raise RightMissing(sentence) from error
            if not is_away(error.args[0]):
                remedy = (
                    "is its prefix right? `taskstream topics list` shows all, `taskstream topics create` creates them"
                )
                raise KafkaFailed(f"{topic}: {error.args[0].str()}; {remedy}") from error
            raise KafkaFailed(f"{topic}: {admin.why(error)}") from error

    def pinned(self, topic: str, start: Bound, end: Bound, late: timedelta | None = None) -> dict[int, OffsetRange]:
        """[partition] The offsets from `start` to `end`, as a read_committed reader sees them now.

        Where a bound names partitions, the others are left out. Without `late`, a time means the first offset whose
        record has this or a later timestamp. With it, a range between times is that of the records with these
        timestamps, also where timestamps do not rise: its offsets reach as far as records may be that come so late, and
        readers leave out the others.

        Raises:
            BadRange: a file of offsets does not name the topic.
            KafkaFailed: Kafka did not answer, or has no such topic.
        """
        named = [_named(bound, topic) for bound in (start, end) if isinstance(bound, Offsets)]
        partitions = self.partitions(topic)
        for offsets in named:
            partitions = [each for each in partitions if each in offsets]
        extents = self.extents(topic, partitions)
        last = Since(end.timestamp_ms + _ms(late)) if isinstance(end, Since) and late is not None else end
        begins, ends = (self._resolved(topic, bound, extents) for bound in (start, last))
        times: dict[str, int] = {}
        if late is not None:
            bounds = {"from_ms": start, "to_ms": end}
            times = {name: bound.timestamp_ms for name, bound in bounds.items() if isinstance(bound, Since)}
        spans = {each: _clipped(begins[each], ends[each], extent) for each, extent in extents.items()}
        return {each: replace(span, **times) for each, span in spans.items()}

    def extents(
        self,
        topic: str,
        partitions: Sequence[int],
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[int, OffsetRange]:
        """[partition] From its first offset to its end, as a reader of this `isolation` sees it.

        The end of a read_committed reader is that before the first open transaction (the last stable offset).

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        begins = self.offsets(topic, partitions, EARLIEST, isolation)
        ends = self.offsets(topic, partitions, LATEST, isolation)
        return {each: OffsetRange(begins[each], ends[each]) for each in partitions}

    def offsets(
        self,
        topic: str,
        partitions: Sequence[int],
        spec: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[int, int]:
        """[partition] The offset of `spec`; -1 where no record has so late a timestamp.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        if not partitions:
            return {}
        specs = {TopicPartition(topic, each): spec for each in partitions}

        def ask() -> dict[int, int]:
            admin = self._admin()
            answers = admin.list_offsets(specs, isolation_level=isolation, request_timeout=self._call_s)
            try:
                return {
                    each.partition: _answered(answered(answer, self._call_s).offset) for each, answer in answers.items()
                }
            except KafkaException as error:
                self._why = admin.why(error)
                # A leader that has moved stays unknown to this client: it goes on asking with the old leader's epoch.
                self._admin_or_none = None
                raise

        what = f"the offsets of {topic} cannot be read"
        return with_retry(
            what,
            ask,
            self._limit,
            lambda _: self._why,
            sleep=self._sleep,
            waiting=self._waiting,
            denied=partial(denial, config=self._config, topic=topic),
        )

    def _admin(self) -> QuietAdmin:
        if self._admin_or_none is None:
            self._admin_or_none = self._new_admin(self._config)
        return self._admin_or_none

    def _resolved(self, topic: str, bound: Bound, extents: Mapping[int, OffsetRange]) -> Mapping[int, int]:
        match bound:
            case Earliest():
                return {each: extent.begin for each, extent in extents.items()}
            case Latest():
                return {each: extent.end for each, extent in extents.items()}
            case Offsets():
                return _named(bound, topic)
            case Since(timestamp_ms):
                spec: OffsetSpec = OffsetSpec.for_timestamp(timestamp_ms)
                found = self.offsets(topic, list(extents), spec)
                return {each: extents[each].end if offset < 0 else offset for each, offset in found.items()}


def _answered(offset: int) -> int:
    """The offset, unless there is none: librdkafka reports no error for a leader that did not answer.

    Raises:
        KafkaException: the leader did not answer.
    """
    if offset == OFFSET_INVALID:
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    return offset


def _ms(late: timedelta) -> int:
    return late // timedelta(milliseconds=1)


def _named(bound: Offsets, topic: str) -> Mapping[int, int]:
    if topic not in bound.by_topic:
        raise BadRange(f"the file of offsets names {', '.join(sorted(bound.by_topic))} and not {topic}")
    return bound.by_topic[topic]


def _clipped(begin: int, end: int, extent: OffsetRange) -> OffsetRange:
    """The part of begin..end that the partition holds."""
    first = min(max(begin, extent.begin), extent.end)
    return OffsetRange(first, max(first, min(end, extent.end)), max(0, min(extent.begin, end) - begin))
