"""Kafka's clients without a network: a clock, messages, a consumer and an admin client, as these tests need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_CREATE_TIME,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)


class Clock:
    """A monotonic clock that `sleep` and a consumer's waits advance."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def message(offset: int = 0, key: bytes | None = None, value: bytes | None = None, partition: int = 0) -> Message:
    """A record as a consumer returns it."""
    timestamp = TIMESTAMP_CREATE_TIME, 1_000 + offset
    return Message(topic="t.state", partition=partition, offset=offset, key=key, value=value, timestamp=timestamp)


def end_of(partition: int, offset: int) -> Message:
    """What a consumer reports at the end of a partition."""
    error = KafkaError(KafkaError._PARTITION_EOF)
    return Message(topic="t.state", partition=partition, offset=offset, error=error)


def failed(code: int) -> Message:
    """What a consumer reports of an error in partition 0."""
    return Message(topic="t.state", partition=0, offset=OFFSET_INVALID, error=KafkaError(code))


class FakeConsumer:
    """Returns the given batches, then nothing; each wait advances the clock by its timeout."""

    def __init__(self, batches: Sequence[Sequence[Message]], clock: Clock) -> None:
        self._batches = list(batches)
        self._clock = clock
        self.config: dict[str, Any] = {}
        self.assigned: list[tuple[int, int]] = []
        self.unassigned: list[int] = []
        self.closed = False
        self.watermarks: dict[int, tuple[int, int]] = {}
        self.fetched_to: dict[int, int] = {}
        """The end of a partition as of the last fetch, where it is not the true one."""

    def __call__(self, config: dict[str, Any]) -> FakeConsumer:
        """Stands for the class: the client is created with `config`."""
        self.config = config
        return self

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self.assigned = sorted((each.partition, each.offset) for each in partitions)

    def incremental_unassign(self, partitions: Sequence[TopicPartition]) -> None:
        self.unassigned += [each.partition for each in partitions]

    def consume(self, _most: int, timeout: float) -> list[Message]:
        if self._batches:
            return list(self._batches.pop(0))
        self._clock.now_s += timeout
        return []

    def get_watermark_offsets(
        self,
        partition: TopicPartition,
        timeout: float = 0,  # noqa: ARG002 (as the client's)
        *,
        cached: bool = False,
    ) -> tuple[int, int]:
        """Of each partition: `watermarks`, or an empty one."""
        low, high = self.watermarks.get(partition.partition, (0, 0))
        return low, self.fetched_to.get(partition.partition, high) if cached else high

    def close(self) -> None:
        self.closed = True


class _Listed:
    def __init__(self, offset: int) -> None:
        self.offset = offset


class _TopicMetadata:
    def __init__(self, partitions: Sequence[int], error: KafkaError | None) -> None:
        self.partitions = dict.fromkeys(partitions)
        self.error = error


class _Metadata:
    def __init__(self, topics: Mapping[str, _TopicMetadata]) -> None:
        self.topics = topics


class FakeAdmin:
    """A cluster whose topics have two partitions. `offsets(spec, isolation)` gives the answers; `failures` come first."""

    def __init__(self, offsets: Callable[[Any, Any], Mapping[int, int]], failures: Sequence[int] = ()) -> None:
        self._offsets = offsets
        self._failures = list(failures)
        self.asked = 0
        self.created = 0

    def __call__(self, _config: Mapping[str, Any]) -> FakeAdmin:
        """Stands for the class."""
        self.created += 1
        return self

    def list_topics(self, topic: str, timeout: float) -> _Metadata:  # noqa: ARG002 (as the client's)
        return _Metadata({topic: _TopicMetadata([0, 1], None)})

    def list_offsets(
        self,
        specs: Mapping[TopicPartition, Any],
        isolation_level: Any,
        request_timeout: float,  # noqa: ARG002 (as the client's)
    ) -> dict[TopicPartition, Future[_Listed]]:
        self.asked += 1
        code = self._failures.pop(0) if self._failures else None
        answers = {}
        for position, spec in specs.items():
            answers[position] = Future[_Listed]()
            if code is None:
                answers[position].set_result(_Listed(self._offsets(spec, isolation_level)[position.partition]))
            else:
                answers[position].set_exception(KafkaException(KafkaError(code)))
        return answers

    def why(self, error: KafkaException) -> str:
        return str(error.args[0].str())
