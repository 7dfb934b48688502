"""`BatchSource` in memory: a member of the in-memory broker's group. Rebalances happen in `read`, as in Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException, Message

from taskstream.consumer.errors import ConsumerError, InstanceFenced
from taskstream.consumer.kafka.committed_offsets import stream_gap
from taskstream.consumer.kafka.direct.message_fetch import batch_of
from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.in_memory.broker import InMemoryBroker, InMemoryMembership
from taskstream.consumer.kafka.rebalancing_source import RebalanceListener

_GROUP = "in-memory"


class InMemorySource:
    """Behaves as `consumer.kafka.rebalancing_source.BatchSource`; `read` never waits."""

    def __init__(self, broker: InMemoryBroker, topic: str, instance: str | None = None) -> None:
        self.topic = topic
        self._broker = broker
        self._instance = instance
        self._listener: RebalanceListener | None = None
        self._member_id = ""
        self._told_assignment = False
        """Whether the listener had an assignment, perhaps an empty one, since this member joined."""
        self._next: dict[int, int] = {}
        self._committed_to: dict[int, int] = {}
        self.unmarked: set[int] = set()
        """See `BatchSource.unmarked`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up(sorted(self._next), call_listener=kind is None)
        self._broker.leave(self._member_id)
        self._member_id = ""

    def subscribe(self, listener: RebalanceListener) -> None:
        """See `BatchSource.subscribe`."""
        self._listener = listener
        self._member_id = self._broker.join(self._instance)
        self._told_assignment = False

    @property
    def positions(self) -> dict[int, int]:
        """See `BatchSource.positions`."""
        return dict(self._next)

    @property
    def unproven(self) -> set[int]:
        """See `BatchSource.unproven`."""
        return {each for each in self.unmarked if self._next[each] == self._committed_to[each]}

    @property
    def member_id(self) -> str:
        """See `BatchSource.member_id`."""
        return self._member_id

    def membership(self) -> Any:
        """See `BatchSource.membership`."""
        return InMemoryMembership(self._member_id) if self._member_id else None

    def read(self, most: int, timeout_s: float) -> SourceBatch:  # noqa: ARG002 (nothing to wait for)
        """See `BatchSource.read`."""
        if self._broker.is_fenced(self._member_id, self._instance):
            raise InstanceFenced(f"the group has excluded this member: {self._instance} joined again")
        if self._rebalance():
            self.rewind()
            return batch_of([])
        messages: list[Message] = []
        for partition in sorted(self._next):
            log = self._log(partition)
            position = self._next[partition]
            if position < log.begin:
                raise self._gap(partition, position)
            taken = log.messages[position - log.begin :][: most - len(messages)]
            messages += taken
            self._next[partition] = position + len(taken)
        return batch_of(messages)

    def committed(self, offsets: Mapping[int, int]) -> None:
        """See `BatchSource.committed`."""
        self.unmarked = self.unproven
        self._committed_to.update((each, offset) for each, offset in offsets.items() if each in self._next)

    def rewind(self) -> None:
        """See `BatchSource.rewind`."""
        self._next = {partition: self._committed_to[partition] for partition in self._next}

    def rewind_to_kafka(self) -> None:
        """See `BatchSource.rewind_to_kafka`."""
        self._committed_to = self._starts(list(self._next))[0]
        self.unmarked = self._unmarked(list(self._next))
        self.rewind()

    def lag(self) -> dict[int, int | None]:
        """See `BatchSource.lag`."""
        return {partition: self._log(partition).end - position for partition, position in self._next.items()}

    def level(self) -> list[int]:
        """See `BatchSource.level`."""
        return [partition for partition, position in self._next.items() if position >= self._log(partition).end]

    def _rebalance(self) -> bool:
        """Give up, and accept, the partitions that the group moves now; whether any moved."""
        if not self._broker.is_member(self._member_id):
            self._lose(sorted(self._next))
            self._member_id = self._broker.join(self._instance)
            self._told_assignment = False
            return True
        target = self._broker.target(self._member_id)
        if gone := sorted(self._next.keys() - target):
            self._give_up(gone)
        came = sorted(each for each in target - self._next.keys() if each not in self._broker.owners)
        if came or not self._told_assignment:
            self._accept(came)
            return True
        return bool(gone)

    def _accept(self, partitions: Sequence[int]) -> None:
        starts, unread = self._starts(partitions)
        self._broker.owners.update(dict.fromkeys(partitions, self._member_id))
        if self._listener is not None:
            self._listener.assigned(partitions, unread)
        self._next.update(starts)
        self._committed_to.update(starts)
        self.unmarked |= self._unmarked(partitions)
        self._told_assignment = True

    def _give_up(self, partitions: Sequence[int], *, call_listener: bool = True) -> None:
        """Like librdkafka, call the listener while the partitions are still ours."""
        try:
            if self._listener is not None and call_listener and partitions:
                self._listener.revoked(partitions)
        finally:
            for partition in partitions:
                del self._next[partition]
                self.unmarked.discard(partition)
                self._broker.release(self._member_id, partition)

    def _lose(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            del self._next[partition]
            self.unmarked.discard(partition)
        if self._listener is not None and partitions:
            self._listener.lost(partitions)

    def _starts(self, partitions: Sequence[int]) -> tuple[dict[int, int], set[int]]:
        starts = {}
        unread = set()
        for partition in partitions:
            log = self._log(partition)
            offset = self._broker.committed.get((self.topic, partition))
            if offset is None:
                offset = log.begin
                unread.add(partition)
            elif not log.begin <= offset <= log.end:
                raise self._gap(partition, offset)
            starts[partition] = offset
        return starts, unread

    def _unmarked(self, partitions: Sequence[int]) -> set[int]:
        return {each for each in partitions if (self.topic, each) in self._broker.unmarked}

    def _gap(self, partition: int, offset: int) -> ConsumerError | KafkaException:
        log = self._log(partition)
        why = f"the group continues at offset {offset}, the topic holds {log.begin} to {log.end}"
        return stream_gap(_GROUP, self.topic, partition, why)

    def _log(self, partition: int) -> Any:
        return self._broker.log(self.topic)[partition]
