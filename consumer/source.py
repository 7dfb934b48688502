"""The progress topic as batches, and the partitions that come and go. It knows offsets, and nothing of what is in them.

Positions are ours: a batch never holds a record of a partition that is no longer held, nor one that was given before.
A read during which partitions came or went gives nothing: the holder has committed what was open, and all begins again
at what is committed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumer.errors import ConsumerError, KafkaFailed, StreamGap

Ints = npt.NDArray[np.int64]
_CALL_S = 5.0
_TIMEOUT_S = 60.0
_PAUSE_S = 0.2
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in the order of each partition; partitions and offsets: [records]."""

    messages: list[Message]
    values: list[bytes]
    partitions: npt.NDArray[np.int32]
    offsets: Ints


class Holder(Protocol):
    """Who holds what a partition's records are folded into; called from within `Source.read`.

    After each call nothing may be open: it is committed, or gone back on.
    """

    def assigned(self, partitions: Sequence[int]) -> None:
        """Commit or abort what is open; these are ours from now on: bring their state."""
        ...

    def revoked(self, partitions: Sequence[int]) -> None:
        """These go to somebody else: commit or abort what is open, then forget their state."""
        ...

    def lost(self, partitions: Sequence[int]) -> None:
        """These are already somebody else's: what is open must not be committed."""
        ...


class Source:
    """A member of the workers' group. `with Source(...) as source: source.read(...)`."""

    def __init__(self, config: Mapping[str, Any], topic: str, holder: Holder) -> None:
        self._config = dict(config)
        self._topic = topic
        self._holder = holder
        self._next: dict[int, int] = {}
        self._moved = False
        """Partitions came or went during this read."""
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
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "cooperative-sticky",
            }
        )
        self.consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.close()

    @property
    def held(self) -> list[int]:
        """The partitions that are ours."""
        return sorted(self._next)

    @property
    def positions(self) -> dict[int, int]:
        """For each partition of ours the offset after the last record that was given."""
        return dict(self._next)

    def read(self, most: int, timeout_s: float) -> Batch:
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
        good: list[Message] = []
        places: list[tuple[int, int]] = []
        for message in messages:
            partition: Any = message.partition()
            offset: Any = message.offset()
            if message.error() is not None:
                self._answer(message)
            elif offset >= self._next.get(partition, _FOREIGN):
                self._next[partition] = offset + 1
                good.append(message)
                places.append((partition, offset))
        found = np.array(places, np.int64).reshape(-1, 2)
        return Batch(
            good, [message.value() or b"" for message in good], found[:, 0].astype(np.int32), found[:, 1].copy()
        )

    def rewind(self) -> None:
        """Go back to what is committed, for every partition of ours.

        Raises:
            KafkaFailed: the group's offsets cannot be asked.
        """
        for place in self._starts(self.held):
            self.consumer.seek(place)
            self._next[place.partition] = place.offset

    def lag(self) -> dict[int, int | None]:
        """For each partition of ours how many records are ahead of it; None while that is not known."""
        ahead: dict[int, int | None] = {}
        for partition, position in self._next.items():
            low, high = self.consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            ahead[partition] = None if low < 0 or high < 0 else max(high - position, 0)
        return ahead

    def _starts(self, partitions: Sequence[int]) -> list[TopicPartition]:
        """Where to begin: at the committed offset; at the first record where nothing was ever committed."""
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        starts = []
        for place in _patiently(lambda: self.consumer.committed(asked, timeout=_CALL_S)):
            if place.error is not None:
                raise KafkaFailed(f"the committed offset of {self._topic}-{place.partition}: {place.error.str()}")
            low, high = _patiently(partial(self.consumer.get_watermark_offsets, place, timeout=_CALL_S))
            if place.offset < 0:
                place.offset = low
            elif not low <= place.offset <= high:
                raise StreamGap(
                    f"{self._topic}-{place.partition}: we would read on at offset {place.offset}, and the topic holds "
                    f"{low} to {high}. Retention ran past us, or the topic was made anew. What is lost cannot be "
                    "folded; to go on without it, stop all workers and move the group with "
                    f"kafka-consumer-groups --reset-offsets --to-earliest --topic {self._topic}:{place.partition}"
                )
            starts.append(TopicPartition(self._topic, place.partition, place.offset))
        return starts

    def _answer(self, message: Message) -> None:
        error = message.error()
        if error is None or error.retriable() or error.code() in _PASSING:
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 (librdkafka's public name for it)
            raise StreamGap(
                f"{self._topic}-{message.partition()}: {error.str()}. Retention ran past us: keep progress longer, or "
                "stop all workers and move the group's offsets to the earliest"
            )
        if error.fatal() or error.code() in _FINAL:
            raise KafkaFailed(f"{self._topic} cannot be read: {error.str()}")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [each.partition for each in partitions]
        with self._keeping_failure():
            # Offsets first: they are stable only when the predecessor's transactions are decided.
            starts = self._starts(numbers)
            self._holder.assigned(numbers)
            consumer.incremental_assign(starts)
            self._next.update((place.partition, place.offset) for place in starts)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._keeping_failure():
            self._holder.revoked([each.partition for each in partitions])
        self._give_up(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._keeping_failure():
            self._holder.lost([each.partition for each in partitions])
        self._give_up(consumer, partitions)

    def _give_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            self._next.pop(place.partition, None)
        consumer.incremental_unassign(partitions)

    @contextlib.contextmanager
    def _keeping_failure(self) -> Iterator[None]:
        """A callback's exception would end inside librdkafka: it is kept, and `read` raises it."""
        self._moved = True
        try:
            yield
        except (ConsumerError, KafkaException) as error:
            self._failed = error


def _patiently(ask: Callable[[], T]) -> T:
    """The answer of a call that fails while the group's coordinator moves or a broker is away: asked for a while."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() in _FINAL or time.monotonic() > deadline:
                raise KafkaFailed(f"the group's offsets cannot be asked: {error.args[0].str()}") from error
            time.sleep(_PAUSE_S)


_FOREIGN = 1 << 62
_PASSING = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._PARTITION_EOF})  # noqa: SLF001
_FINAL = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 (librdkafka's public names)
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
