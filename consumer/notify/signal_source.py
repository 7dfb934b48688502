"""The signals topic as read by a member of the notifiers' group, and what of it is settled. It decodes no record.

Offsets are committed when they are settled, never when they are read: what a killed process had not delivered is read
again. A group without offsets begins at the end of the topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from taskstream.consumer.errors import ConsumerError, KafkaFailed, RightMissing
from taskstream.consumer.kafka.admin.partition_ends import PartitionEnds
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.client_log import kafka_logger
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.kafka_errors import (
    UnknownTopicLimit,
    is_final,
    is_offset_gone,
    is_unknown_topic,
)
from taskstream.consumer.kafka.ranges import Offsets, Since
from taskstream.consumer.kafka.retry import with_retry
from taskstream.consumer.kafka.transaction import CallWatch
from taskstream.consumer.notify.alert import SignalPlace
from taskstream.consumer.notify.offset_ledger import OffsetLedger

_CALL_S = 5.0
_CALL_LIMIT_S = 120.0
_HISTORY_BATCH = 1_000
_log = structlog.get_logger("notify")
T = TypeVar("T")


class SignalSource:
    """`with SignalSource(...) as source: source.read(...)`. Entering joins the group; leaving commits, too."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        group: str,
        watchdog: CallWatch,
        *,
        from_earliest: bool,
        clock: Callable[[], float],
        on_lost: Callable[[int], None],
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        """`clock`: monotonic seconds. `on_lost`: called with the number of signals that retention deleted unread."""
        self._kafka = config
        self._config = {
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 2_000,
            "reconnect.backoff.max.ms": 1_000,
            "queued.min.messages": 1_000,
            "queued.max.messages.kbytes": 8_192,
            **config,
            "logger": kafka_logger(),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "cooperative-sticky",
            "on_commit": self._on_commit,
        }
        self._topic = topic
        self._watchdog = watchdog
        self._from_earliest = from_earliest
        self._clock = clock
        self._on_lost_records = on_lost
        self._new_consumer = new_consumer
        self._consumer_or_none: Consumer | None = None
        self._ledgers: dict[int, OffsetLedger] = {}
        self._sent: dict[int, tuple[int, str]] = {}
        """[partition] The last commit that was sent."""
        self._new: set[int] = set()
        """Partitions that came since `history` was read."""
        self._paused = False
        self._moved = False
        self._failed: ConsumerError | KafkaException | None = None
        self._unknown = UnknownTopicLimit()
        self.assigned = False
        """Whether the group has answered with partitions, perhaps none."""

    def __enter__(self) -> Self:
        self._consumer_or_none = self._new_consumer(self._config)
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self._watchdog.watch("leaving the group", _CALL_LIMIT_S):
            self._consumer.close()  # it calls _on_revoke, which commits

    @property
    def pending(self) -> int:
        """How many signals were read and are not settled."""
        return sum(each.pending for each in self._ledgers.values())

    def holds(self, origin: SignalPlace) -> bool:
        """Whether this signal's partition is still ours, and the signal not settled."""
        ledger = self._ledgers.get(origin.partition)
        return ledger is not None and ledger.is_open(origin.offset)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are ours."""
        return frozenset(self._ledgers)

    def history(self, since_s: float) -> Iterator[list[Message]]:
        """What lies before the beginning of partitions that came since the last call; from `since_s` (since 1970) on.

        Raises:
            StreamGap: retention deleted records while they were read.
            KafkaFailed: Kafka did not answer.
        """
        ends = {each: self._ledgers[each].position for each in self._new & self._ledgers.keys()}
        self._new.clear()
        if not ends:
            return
        bounds = Since(max(0, round(since_s * 1000))), Offsets({self._topic: ends})
        with BoundedReader(self._kafka, self._topic, Cluster(self._kafka).pinned(self._topic, *bounds)) as reader:
            for records in reader.batches(_HISTORY_BATCH):
                yield records.messages

    def read(self, most: int, timeout_s: float) -> tuple[list[Message], bool]:
        """Records in the order of each partition, and whether partitions came or went: see `holds`. `took` each.

        Raises:
            KafkaFailed: the group or the topic cannot be read.
        """
        with self._watchdog.watch("reading", _CALL_LIMIT_S):
            messages = self._consumer.consume(most, timeout=timeout_s)
        if self._failed is not None:
            raise self._failed
        good = []
        for message in messages:
            error = message.error()
            if error is None:
                good.append(message)
            else:
                self._handle(message, error)
        if good:
            self._unknown.end()
        elif self._unknown.exceeded(self._clock()):
            raise KafkaFailed(f"{self._topic} cannot be read: the brokers do not know it, or one of its partitions")
        moved, self._moved = self._moved, False
        if moved:  # the records mix those of before and after
            self.commit(wait=True)  # where a new group begins is so from now on, whenever this process ends
            self.rewind()
            return [], True
        return [each for each in good if self._is_next(each)], False

    def took(self, origin: SignalPlace, parts: int) -> bool:
        """The record is settled when `settle` was called `parts` times. False: an earlier process has settled it."""
        ledger = self._ledgers[origin.partition]
        known = ledger.is_settled(origin.offset)
        ledger.read(origin.offset, 0 if known else parts)
        return not known

    def settle(self, origin: SignalPlace) -> None:
        """One part of the record is done."""
        if origin.partition in self._ledgers:
            self._ledgers[origin.partition].settle(origin.offset)

    def rewind(self) -> None:
        """Read on after the last records that `took` was called for."""
        with self._watchdog.watch("seeking", _CALL_LIMIT_S):
            for partition, ledger in self._ledgers.items():
                self._go_to(TopicPartition(self._topic, partition, ledger.position))

    def pause(self, *, paused: bool) -> None:
        """Fetch no more records, or go on."""
        if paused != self._paused:
            self._paused = paused
            self._apply_pause()

    def commit(self, *, wait: bool = False) -> None:
        """Commit what is settled and was not committed. One that fails is sent again with the next."""
        changed = {}
        for partition, ledger in self._ledgers.items():
            if self._sent.get(partition) != (found := ledger.commit()):
                changed[partition] = found
        if not changed:
            return
        self._sent.update(changed)
        offsets = [TopicPartition(self._topic, each, offset, text) for each, (offset, text) in changed.items()]
        with self._watchdog.watch("committing", _CALL_LIMIT_S):
            try:
                if wait:
                    self._consumer.commit(offsets=offsets, asynchronous=False)
                else:
                    self._consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:
                self._on_commit(error.args[0], offsets)

    @property
    def _consumer(self) -> Consumer:
        if self._consumer_or_none is None:
            raise RuntimeError("the source is not open")
        return self._consumer_or_none

    def _is_next(self, message: Message) -> bool:
        partition, offset = message.partition(), message.offset()
        return partition in self._ledgers and offset is not None and offset >= self._ledgers[partition].position

    def _go_to(self, place: TopicPartition) -> None:
        """Read a held partition from here on."""
        try:
            self._consumer.seek(place)
        except KafkaException:  # it cannot after an offset that is gone: librdkafka has stopped the partition
            self._consumer.incremental_unassign([TopicPartition(place.topic, place.partition)])
            self._consumer.incremental_assign([place])
            if self._paused:
                self._apply_pause()

    def _apply_pause(self) -> None:
        held = [TopicPartition(self._topic, each) for each in self._ledgers]
        if held:
            (self._consumer.pause if self._paused else self._consumer.resume)(held)

    def _handle(self, message: Message, error: KafkaError) -> None:
        partition = message.partition()
        if is_offset_gone(error) and partition in self._ledgers:
            self._go_to_the_beginning(partition)
        elif sentence := denial(error, self._config, topic=self._topic, group=self._config["group.id"]):
            raise RightMissing(sentence)
        elif is_final(error):
            raise KafkaFailed(f"{self._topic} cannot be read: {error.str()}")
        elif is_unknown_topic(error):
            self._unknown.start(self._clock())

    def _go_to_the_beginning(self, partition: int) -> None:
        """Retention deleted signals before they were read, or the topic was created again: read what there is."""
        ledger = self._ledgers[partition]
        low, _ = self._ends(partition)
        lost = low - ledger.position
        _log.error("signals_lost", partition=partition, offset=ledger.position, begins_at=low)
        if lost > 0:
            self._on_lost_records(lost)
            ledger.position = low
        else:
            self._ledgers[partition] = OffsetLedger(low)
        self._moved = True

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._keeping_errors():
            starts = self._starts([each.partition for each in partitions])
            self._ledgers.update(starts)
            self._new.update(starts)
            consumer.incremental_assign(
                [TopicPartition(self._topic, each, ledger.position) for each, ledger in starts.items()]
            )
            self._apply_pause()
            self.assigned = True

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._keeping_errors():
            self.commit(wait=True)
        self._forget(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(consumer, partitions)

    def _forget(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._moved = True
        for each in partitions:
            self._ledgers.pop(each.partition, None)
            self._sent.pop(each.partition, None)
        consumer.incremental_unassign(partitions)

    def _starts(self, partitions: list[int]) -> dict[int, OffsetLedger]:
        """Where to read each partition from.

        A partition without an offset begins at its end, if no partition has one; else it was added, and begins at its
        first record.
        """
        if not partitions:
            return {}
        # In a callback of the consumer, its own `list_topics` would end the process (an assertion in confluent-kafka).
        numbers = Cluster(self._kafka).partitions(self._topic)
        found = self._asked("the group's offsets cannot be asked", partial(self._committed, numbers))
        is_new = not any(each.offset >= 0 for each in found.values()) and not self._from_earliest
        starts = {}
        for each in partitions:
            place = found.get(each)
            if place is not None and place.offset >= 0:
                starts[each] = OffsetLedger(place.offset, place.metadata)
            else:
                low, high = self._ends(each)
                starts[each] = OffsetLedger(high if is_new else low)
        return starts

    def _committed(self, numbers: list[int]) -> dict[int, TopicPartition]:
        """[partition] The committed offset of each partition of the topic, also of those that others hold."""
        asked = [TopicPartition(self._topic, each) for each in numbers]
        found: list[TopicPartition] = self._consumer.committed(asked, timeout=_CALL_S)
        for each in found:
            if each.error is not None:
                raise KafkaException(each.error)
        return {each.partition: each for each in found}

    def _ends(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        what = f"the ends of {self._topic}-{partition} cannot be asked"
        ends = PartitionEnds(self._consumer, self._config, self._new_consumer)
        return self._asked(what, partial(ends.ask, place))

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        denied = partial(denial, config=self._config, topic=self._topic, group=self._config["group.id"])
        return with_retry(what, ask, denied=denied)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is None:
            return
        _log.warning("not_committed", why=error.str())
        for each in partitions:
            self._sent.pop(each.partition, None)

    @contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        """Within a callback, which librdkafka calls: an error is raised by the next `read`."""
        self._moved = True
        try:
            yield
        except (ConsumerError, KafkaException) as error:
            self._failed = error
