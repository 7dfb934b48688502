"""The progress topic as batches, read by one member of the consumer group. It knows offsets and no record's content.

It keeps its own positions: a batch never holds a record of a partition that is no longer held, nor one that was read
before. A read during which partitions were assigned, revoked or lost returns no records: the listener has closed its
open work, and reading begins again at the committed offsets.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from taskstream.consumer.errors import ConsumerError, InstanceFenced, KafkaFailed, PartitionsAdded, RightMissing
from taskstream.consumer.kafka.admin.broker_watch import BrokerWatch
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.admin.topic_identity import TopicIdentity
from taskstream.consumer.kafka.committed_offsets import CommittedOffsets
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.kafka.direct.source_batch import Fetch, FetchEvent, NewFetch, SourceBatch
from taskstream.consumer.kafka.kafka_errors import (
    UnknownTopicLimit,
    is_end_of_partition,
    is_fatal,
    is_final,
    is_offset_gone,
    is_unknown_topic,
)
from taskstream.consumer.kafka.retry import Waiting
from taskstream.consumer.kafka.transaction import CallWatch
from taskstream.consumer.kafka.unread_partitions import UnreadPartitions
from taskstream.schemas.topics import PERMANENT

Ints = npt.NDArray[np.int64]
_END_OFFSET_S = 1.0
_ASKED_AT_ONCE = 1
"""Quiet partitions whose end is asked for after one empty read, of which there are twenty a second."""
_CALL_LIMIT_S = 60.0
"""For calls of the client; the longest waits 50 ms of its own."""
_LISTENER_LIMIT_S = 1_200.0
"""For a call of the listener, in which state is read back."""
_log = structlog.get_logger("worker")
_FOREIGN = 1 << 62
"""A position that no record reaches."""


class RebalanceListener(Protocol):
    """Holds what the records of the held partitions are folded into.

    `read` makes these calls, and closing the source makes `revoked` and `lost`. When a call returns, no work may be
    open: it is committed or rolled back. An error that a call raises is raised by `read`; until then no other call
    is made.
    """

    def assigned(self, partitions: Sequence[int], unread: Collection[int]) -> None:
        """These partitions are ours from now on: close the open work and read their state back.

        unread: those without a committed offset. `partitions` is empty when the group has none left for us.
        """
        ...

    def revoked(self, partitions: Sequence[int]) -> None:
        """These partitions are still ours, and go to another member next: commit the open work, drop their state."""
        ...

    def lost(self, partitions: Sequence[int]) -> None:
        """These partitions already belong to another member: roll the open work back, drop their state."""
        ...


class _Membership(Enum):
    ACTIVE = auto()
    LEAVING = auto()
    """Closing: partitions are given back, and none is accepted."""
    LEAVING_AFTER_ERROR = auto()
    """Closing, and what was read may not be folded: the listener must not commit it."""


class BatchSource:
    """A member of the workers' group: `with BatchSource(...) as source: source.subscribe(listener); source.read(...)`.

    Entering creates the client, `subscribe` joins the group, and leaving gives the partitions back.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        watchdog: CallWatch,
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
        clock: Callable[[], float] = time.monotonic,
        waiting: Waiting | None = None,
        state: TopicIdentity | None = None,
        new_fetch: NewFetch = MessageFetch,
    ) -> None:
        """`config` is librdkafka's; `clock` gives monotonic seconds; `waiting` and `state`: see CommittedOffsets.

        new_fetch: how records are taken out of the client.
        """
        self._state_topic = state
        self._new_fetch = new_fetch
        self._fetch_or_none: Fetch | None = None
        self._brokers: BrokerWatch | None = None
        self.topic = topic
        self._config = dict(config)
        self._watchdog = watchdog
        self._consumer_or_none: Consumer | None = None
        self._listener: RebalanceListener | None = None
        self._state = _Membership.ACTIVE
        self._next: dict[int, int] = {}
        self._committed_to: dict[int, int] = {}
        """The committed offset of every held partition: while we hold it, nobody else commits."""
        self.unmarked: set[int] = set()
        """The held partitions whose committed offset has no marker, until one that was read from is committed."""
        self._ends: dict[int, int] = {}
        """The position at which a partition last ended; transaction markers can lie before it."""
        self._moved = False
        """Partitions were assigned, revoked or lost during this read."""
        self._failed: ConsumerError | KafkaException | None = None
        self._new_consumer = new_consumer
        self._clock = clock
        self._unknown = UnknownTopicLimit()
        self._waiting = waiting
        self._unread = UnreadPartitions()

    def __enter__(self) -> Self:
        self._consumer_or_none = self._new_consumer(
            {
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 2_000,
                "reconnect.backoff.max.ms": 1_000,
                # A connection whose other end has gone without a word is noticed only when a fetch times out.
                "socket.timeout.ms": 10_000,
                "max.partition.fetch.bytes": 8 << 20,
                "fetch.max.bytes": 16 << 20,  # so that a response comes within the timeout also at 2 MB/s
                "fetch.wait.max.ms": 100,
                "queued.min.messages": 200_000,
                "fetch.queue.backoff.ms": 10,  # a full queue can be empty before a second, the default, has passed
            }
            | self._config
            | {
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "cooperative-sticky",
            }
        )
        self._fetch_or_none = self._new_fetch(self._consumer, self.topic)
        self._brokers = BrokerWatch(self._consumer, self.topic, self._config)
        self._brokers.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = _Membership.LEAVING if kind is None else _Membership.LEAVING_AFTER_ERROR
        with self._watchdog.watch("leaving the group", _CALL_LIMIT_S):
            if self._brokers is not None:
                self._brokers.stop()
            self._fetch.close()
            self._consumer.close()

    def subscribe(self, listener: RebalanceListener) -> None:
        """Join the group; `listener` is called from within the next reads."""
        self._listener = listener
        self._consumer.subscribe(
            [self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    @property
    def positions(self) -> dict[int, int]:
        """For each held partition the offset after the last record that was read."""
        return dict(self._next)

    @property
    def unproven(self) -> set[int]:
        """The partitions in `unmarked` of which nothing was read: their offsets stay without a marker."""
        return {each for each in self.unmarked if self._next[each] == self._committed_to[each]}

    @property
    def member_id(self) -> str:
        """The id that the group gave this member; empty while it is not a member."""
        return self._consumer.memberid() or ""

    def membership(self) -> Any:
        """The group metadata to commit offsets with; None when this consumer is not a member of its group."""
        with self._watchdog.watch("asking for the membership", _CALL_LIMIT_S):
            metadata = self._consumer.consumer_group_metadata()
            # Kafka accepts offsets from a client that is in no group without checking its generation: what it refuses
            # from a member of a past generation, it would accept from us. The id is asked for after the metadata, so
            # that we cannot have joined again in between.
            return metadata if self._consumer.memberid() else None

    def read(self, most: int, timeout_s: float) -> SourceBatch:
        """Up to `most` records, waiting up to `timeout_s` for the first; rebalances happen in here.

        Raises:
            StreamGap: the position is no longer on the topic.
            InstanceFenced: another member joined the group under our instance name.
            KafkaFailed: the group or the topic cannot be read.
            ConsumerError: whatever the listener raised.
        """
        with self._watchdog.watch("reading", _CALL_LIMIT_S):
            batch, events = self._fetch.read(most, timeout_s)
            if self._failed is not None:
                failed, self._failed = self._failed, None
                raise failed
            for event in events:
                self._handle_event(event)
            if self._moved:
                # `batch` mixes records fetched before and after the move: begin again at the committed offsets.
                # Errors are handled before: librdkafka reports a fatal one once, together with the lost partitions.
                self._moved = False
                self.rewind()
                batch = batch.take(np.zeros(0, np.int64))
            if len(batch):
                self._unknown.end()
            elif self._unknown.exceeded(self._clock()):
                raise KafkaFailed(f"{self.topic} cannot be read: the brokers do not know it, or one of its partitions")
            else:
                self._read_stuck_partitions()
            return self._advance(batch)

    def _advance(self, batch: SourceBatch) -> SourceBatch:
        """The records of held partitions, from their positions on; the positions advance past them."""
        partitions, offsets = batch.partitions, batch.offsets
        positions = np.full(int(partitions.max(initial=0)) + 1, _FOREIGN)
        for partition, position in self._next.items():
            positions[partition : partition + 1] = position
        good = offsets >= positions[partitions]
        if not good.all():
            batch = batch.take(np.flatnonzero(good))
            partitions, offsets = batch.partitions, batch.offsets
        np.maximum.at(positions, partitions, offsets + 1)
        arrived = np.unique(partitions).tolist()
        for partition in arrived:
            self._next[partition] = int(positions[partition])
        self._unread.heard(arrived, self._clock())
        return batch

    def committed(self, offsets: Mapping[int, int]) -> None:
        """These offsets of held partitions are committed: `rewind` goes back to them."""
        self.unmarked = self.unproven
        self._committed_to.update((each, offset) for each, offset in offsets.items() if each in self._next)

    def rewind(self) -> None:
        """Go back to the committed offset of every held partition.

        It asks Kafka nothing: a coordinator answers a member that joins the group again only when the last other member
        has joined too, on the same connection for all its requests. Where the client cannot seek yet, the next read
        goes back again, and returns no records.
        """
        with self._watchdog.watch("seeking", _CALL_LIMIT_S):
            for partition, offset in self._committed_to.items():
                try:
                    self._consumer.seek(TopicPartition(self.topic, partition, offset))
                except KafkaException as error:
                    # librdkafka begins with a new partition only when those that were given back have stopped.
                    if error.args[0].code() != KafkaError._STATE:  # noqa: SLF001 (librdkafka's public name)
                        raise
                    self._moved = True
                self._next[partition] = offset
        self._ends.clear()

    def rewind_to_kafka(self) -> None:
        """Ask Kafka for the committed offset of every held partition, and go back to it.

        Raises:
            StreamGap: a committed offset is no longer on the topic.
            KafkaFailed: Kafka does not return the group's offsets.
        """
        found = self._committed.starts(list(self._next))
        self._committed_to = {start.partition: start.offset for start in found.starts}
        self.unmarked = found.unmarked
        self.rewind()

    def lag(self) -> dict[int, int | None]:
        """For each held partition the number of records after its position; None while it is unknown."""
        ahead: dict[int, int | None] = {}
        for partition in self._next:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)
            reached = self._reached(partition)
            ahead[partition] = None if low < 0 or high < 0 else max(high - reached, 0)
        return ahead

    def level(self) -> list[int]:
        """The held partitions that are read to the end that Kafka reports now; none while it does not answer."""
        found = []
        for partition in self._next:
            place = TopicPartition(self.topic, partition)
            try:
                _, high = self._consumer.get_watermark_offsets(place, timeout=_END_OFFSET_S)
            except KafkaException:
                return []
            if self._reached(partition) >= high:
                found.append(partition)
        return found

    def _read_stuck_partitions(self) -> None:
        """After a read that returned nothing, so that no record waits in the client: look at some quiet partitions.

        One that has records, of which none arrives, is sought again. If that does not help, another has to read it.
        Kafka is asked: the end that the client knows is of the last response that it had for the partition.

        Raises:
            KafkaFailed: it did not help.
        """
        now_s = self._clock()
        quiet = self._unread.quiet(now_s)
        for partition in quiet[:_ASKED_AT_ONCE]:
            place, reached = TopicPartition(self.topic, partition), self._reached(partition)
            try:
                _, high = self._consumer.get_watermark_offsets(place, timeout=_END_OFFSET_S)
            except KafkaException:  # a leader does not answer: nothing can arrive, and each question would wait
                self._unread.heard(quiet, now_s)
                return
            if high <= reached:
                self._unread.heard([partition], now_s)
            elif self._unread.seek_again(partition, now_s):
                _log.warning("nothing arrives", partition=partition, offset=reached, end=high, remedy="seek")
                with self._watchdog.watch("seeking", _CALL_LIMIT_S):
                    self._consumer.seek(TopicPartition(self.topic, partition, self._next[partition]))
            else:
                raise KafkaFailed(
                    f"{self.topic}-{partition} has records from offset {reached} to {high}, and none arrives: another "
                    "worker has to read it"
                )

    def _reached(self, partition: int) -> int:
        return max(self._next[partition], self._ends.get(partition, 0))

    @property
    def _consumer(self) -> Consumer:
        if self._consumer_or_none is None:
            raise RuntimeError("the source is not open")
        return self._consumer_or_none

    @property
    def _fetch(self) -> Fetch:
        if self._fetch_or_none is None:
            raise RuntimeError("the source is not open")
        return self._fetch_or_none

    @property
    def _committed(self) -> CommittedOffsets:
        return CommittedOffsets(
            self._consumer,
            self._config["group.id"],
            self.topic,
            self._waiting,
            self._state_topic,
            self._config,
            self._new_consumer,
        )

    def _handle_event(self, event: FetchEvent) -> None:
        partition, offset, error = event.partition, event.offset, event.error
        if is_end_of_partition(error):
            self._unknown.end()
            if partition in self._next and offset is not None:
                self._ends[partition] = offset
                self._unread.heard([partition], self._clock())
        elif is_offset_gone(error):
            raise self._committed.gap(partition, error.str())
        elif is_fatal(error):
            raise InstanceFenced(
                f"the group has excluded this member: {error.str()}. Is another worker running under the same instance "
                "name? Each worker needs a name of its own"
            )
        elif sentence := denial(error, self._config, topic=self.topic, group=self._config.get("group.id", "")):
            raise RightMissing(sentence)
        elif is_final(error):
            raise KafkaFailed(f"{self.topic} cannot be read: {error.str()}")
        elif is_unknown_topic(error):
            self._unknown.start(self._clock())

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._state in (_Membership.LEAVING, _Membership.LEAVING_AFTER_ERROR):
            return
        numbers = [each.partition for each in partitions]
        with self._calling_listener() as listener:
            if listener is not None:
                # Offsets first: they are stable only when the predecessor's transactions are decided.
                self._require_state_of(numbers)
                found = self._committed.starts(numbers)
                listener.assigned(numbers, found.unread)
                self._fetch.hold(numbers)
                consumer.incremental_assign(found.starts)
                self._next.update((start.partition, start.offset) for start in found.starts)
                self._committed_to.update((start.partition, start.offset) for start in found.starts)
                self._unread.heard(numbers, self._clock())
                self.unmarked |= found.unmarked

    def _require_state_of(self, partitions: Sequence[int]) -> None:
        """Return when each of these partitions of events has one of state.

        Raises:
            PartitionsAdded: one has none.
        """
        state = self._state_topic
        if state is not None and (extra := [each for each in partitions if each >= state.partitions]):
            raise PartitionsAdded(
                f"{self.topic} has {max(extra) + 1} partitions now and {state.name} has {state.partitions}: {PERMANENT}"
            )

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._calling_listener() as listener:
            if listener is not None:
                listener.revoked([each.partition for each in partitions])
        self._forget(partitions)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions)  # first: their positions must not be asked for, or committed, any more
        with self._calling_listener() as listener:
            if listener is not None:
                listener.lost([each.partition for each in partitions])
        consumer.incremental_unassign(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            self._next.pop(place.partition, None)
            self._committed_to.pop(place.partition, None)
            self._ends.pop(place.partition, None)
            self._unread.forget(place.partition)
            self.unmarked.discard(place.partition)

    @contextlib.contextmanager
    def _calling_listener(self) -> Iterator[RebalanceListener | None]:
        """The listener, unless an error has happened; one that happens now is kept for `read`, librdkafka drops it."""
        self._moved = True
        usable = self._failed is None and self._state is not _Membership.LEAVING_AFTER_ERROR
        try:
            with self._watchdog.watch("reading state back", _LISTENER_LIMIT_S):
                yield self._listener if usable else None
        except (ConsumerError, KafkaException) as error:
            self._failed = error
