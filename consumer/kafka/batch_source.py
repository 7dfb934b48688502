"""The progress topic as batches, and the partitions that come and go. It knows offsets, and nothing of what is in them.

Positions are ours: a batch never holds a record of a partition that is no longer held, nor one that was given before.
A read during which partitions came or went gives nothing: the holder has committed what was open, and all begins again
at what is committed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from taskstream.consumer.errors import ConsumerError, KafkaFailed
from taskstream.consumer.kafka.committed_offsets import CommittedOffsets
from taskstream.consumer.kafka.retry import FINAL

Ints = npt.NDArray[np.int64]
_GLANCE_S = 1.0


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Records in the order of each partition; partitions and offsets: [records]."""

    messages: list[Message]
    values: list[bytes | None]
    partitions: npt.NDArray[np.int32]
    offsets: Ints


class RebalanceListener(Protocol):
    """Who holds what a partition's records are folded into; called from within `BatchSource.read`.

    After each call nothing may be open: it is committed, or gone back on.
    """

    def assigned(self, partitions: Sequence[int], unread: Collection[int]) -> None:
        """Commit or abort what is open; these are ours from now on: bring their state.

        unread: those of which nothing was ever committed. There may be no partitions at all: then we stand by.
        """
        ...

    def revoked(self, partitions: Sequence[int]) -> None:
        """These go to somebody else: commit or abort what is open, then forget their state."""
        ...

    def lost(self, partitions: Sequence[int]) -> None:
        """These are already somebody else's: what is open must not be committed."""
        ...


class BatchSource:
    """A member of the workers' group. `with Source(...) as source: source.read(...)`."""

    def __init__(self, config: Mapping[str, Any], topic: str, holder: RebalanceListener) -> None:
        self._config = dict(config)
        self._topic = topic
        self._holder = holder
        self._next: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        """Where a partition ended when we last came to its end; marks of transactions can lie before it."""
        self._moved = False
        """Partitions came or went during this read."""
        self._rejoining = False
        """We are leaving the group, and come back when nothing is held any more."""
        self._failing = False
        """We close after an error: what was read may not have been folded, and must not be committed."""
        self._closing = False
        """We leave: what is still assigned to us goes back at once, and nothing is asked or read back for it."""
        self._failed: ConsumerError | KafkaException | None = None

    def __enter__(self) -> Self:
        self.consumer = Consumer(
            {
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 2_000,
                "max.partition.fetch.bytes": 8 << 20,
                "fetch.wait.max.ms": 100,
                "queued.min.messages": 200_000,
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
        self._starts = CommittedOffsets(self.consumer, self._config["group.id"], self._topic)
        self._subscribe()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._failing = kind is not None
        self._closing = True
        self.consumer.close()

    @property
    def held(self) -> list[int]:
        """The partitions that are ours."""
        return sorted(self._next)

    @property
    def positions(self) -> dict[int, int]:
        """For each partition of ours the offset after the last record that was given."""
        return dict(self._next)

    def read(self, most: int, timeout_s: float) -> SourceBatch:
        """Up to `most` records, waiting at most so long for the first; rebalances happen in here.

        Raises:
            StreamGap: the position is no longer on the topic.
            KafkaFailed: the group or the topic cannot be read.
            ConsumerError: whatever the holder raised.
        """
        messages = self.consumer.consume(most, timeout=timeout_s)
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        if self._moved:
            # What was fetched before and after the move lies mixed in `messages`: begin again at what is committed.
            self._moved = False
            self.rewind()
            messages = []
        if self._rejoining and not self._next:
            self._rejoining = False
            self._subscribe()
        errors = list(map(Message.error, messages))
        if any(error is not None for error in errors):
            for message, error in zip(messages, errors, strict=True):
                if error is not None:
                    self._answer(message, error)
            messages = [message for message, error in zip(messages, errors, strict=True) if error is None]
        return self._ours(messages)

    def _ours(self, messages: list[Message]) -> SourceBatch:
        """Those of partitions that are held, from our positions on; the positions move behind them."""
        count = len(messages)
        partitions = np.fromiter(map(Message.partition, messages), np.int32, count)
        offsets = np.fromiter(map(Message.offset, messages), np.int64, count)
        positions = np.full(int(partitions.max(initial=0)) + 1, _FOREIGN)
        for partition, position in self._next.items():
            positions[partition : partition + 1] = position
        good = offsets >= positions[partitions]
        if not good.all():
            messages = [messages[place] for place in np.flatnonzero(good).tolist()]
            partitions, offsets = partitions[good], offsets[good]
        np.maximum.at(positions, partitions, offsets + 1)
        for partition in np.unique(partitions).tolist():
            self._next[partition] = int(positions[partition])
        return SourceBatch(messages, list(map(Message.value, messages)), partitions, offsets)

    def rejoin(self) -> None:
        """Leave the group and join it again, during the next reads: Kafka then distributes all partitions anew."""
        self._rejoining = True
        self.consumer.unsubscribe()

    def rewind(self) -> None:
        """Go back to what is committed, for every partition of ours.

        Raises:
            KafkaFailed: the group's offsets cannot be asked.
        """
        for place in self._starts.of(self.held)[0]:
            self.consumer.seek(place)
            self._next[place.partition] = place.offset
        self._ends.clear()

    def lag(self) -> dict[int, int | None]:
        """For each partition of ours how many records are ahead of it; None while that is not known."""
        ahead: dict[int, int | None] = {}
        for partition, position in self._next.items():
            low, high = self.consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            reached = max(position, self._ends.get(partition, 0))
            ahead[partition] = None if low < 0 or high < 0 else max(high - reached, 0)
        return ahead

    def level(self) -> list[int]:
        """The partitions of ours that we have read to their end, as Kafka tells it now; none while it does not."""
        found = []
        for partition, position in self._next.items():
            place = TopicPartition(self._topic, partition)
            try:
                _, high = self.consumer.get_watermark_offsets(place, timeout=_GLANCE_S)
            except KafkaException:
                return []
            if max(position, self._ends.get(partition, 0)) >= high:
                found.append(partition)
        return found

    def _subscribe(self) -> None:
        self.consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _answer(self, message: Message, error: KafkaError) -> None:
        code, partition, offset = error.code(), message.partition(), message.offset()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001 (librdkafka's public name for it)
            if partition in self._next and offset is not None:
                self._ends[partition] = offset
        elif code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 (as above)
            raise self._starts.gap(partition, error.str())
        elif error.fatal() or code == KafkaError._FATAL:  # noqa: SLF001 (as above)
            raise KafkaFailed(
                f"the group has shut us out: {error.str()}. Is another worker running as the same --instance? Each "
                "needs a name of its own"
            )
        elif code in FINAL:
            raise KafkaFailed(f"{self._topic} cannot be read: {error.str()}")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._closing:
            return
        numbers = [each.partition for each in partitions]
        with self._keeping_failure():
            # Offsets first: they are stable only when the predecessor's transactions are decided.
            starts, unread = self._starts.of(numbers)
            self._holder.assigned(numbers, unread)
            consumer.incremental_assign(starts)
            self._next.update((place.partition, place.offset) for place in starts)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._keeping_failure():
            if not self._failing:
                self._holder.revoked([each.partition for each in partitions])
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions)  # first: no position of theirs may be asked for, or committed, any more
        with self._keeping_failure():
            if not self._failing:
                self._holder.lost([each.partition for each in partitions])
        consumer.incremental_unassign(partitions)

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            self._next.pop(place.partition, None)
            self._ends.pop(place.partition, None)

    @contextlib.contextmanager
    def _keeping_failure(self) -> Iterator[None]:
        """An error of a callback is kept, and `read` raises it: in librdkafka's hands it would be lost."""
        self._moved = True
        try:
            yield
        except (ConsumerError, KafkaException) as error:
            self._failed = error


_FOREIGN = 1 << 62
"""A position that no record reaches."""
