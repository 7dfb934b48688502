"""Errors that the group's consumer reports, on a consumer without a network; see also `tests/pipeline/worker`."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from taskstream.consumer.errors import InstanceFenced, KafkaFailed
from taskstream.consumer.kafka.rebalancing_source import BatchSource
from taskstream.consumer.kafka.unread_partitions import QUIET_S
from tests.consumer.kafka.fakes import Clock, FakeConsumer, end_of, failed, message

UNKNOWN = KafkaError.UNKNOWN_TOPIC_OR_PART


class NoWatch:
    def watch(self, _call: str, _limit_s: float) -> contextlib.nullcontext:
        return contextlib.nullcontext()


def read(*batches, rounds: int = 100) -> None:
    """Read so often; the consumer's wait for records takes a second each time."""
    clock = Clock()
    with BatchSource({}, "t", NoWatch(), FakeConsumer(batches, clock), clock) as source:
        for _ in range(rounds):
            source.read(10, 1.0)


def test_a_topic_that_stays_unknown_ends_it_after_a_while():
    read([failed(UNKNOWN)], rounds=15)
    with pytest.raises(KafkaFailed, match=r"^t cannot be read: the brokers do not know it"):
        read([failed(UNKNOWN)])


def test_a_topic_that_is_unknown_for_a_moment_is_waited_for():
    read([failed(UNKNOWN)], [], [end_of(0, 5)])


def test_what_is_forbidden_ends_it_at_once():
    with pytest.raises(KafkaFailed, match=r"^User:ANONYMOUS may not read the group"):
        read([failed(KafkaError.GROUP_AUTHORIZATION_FAILED)], rounds=1)


class LosesItsPartitions(FakeConsumer):
    """Reports the loss of partition 0 within its first wait, as librdkafka does, and returns the first batch with it."""

    def subscribe(self, _topics: list[str], **callbacks: Any) -> None:
        self._lost = callbacks["on_lost"]

    def consume(self, most: int, timeout: float) -> list[Message]:
        if (lost := self._lost) is not None:
            self._lost = None
            lost(self, [TopicPartition("t", 0)])
        return super().consume(most, timeout)


class StuckConsumer(FakeConsumer):
    """Is assigned partitions 0 and 1 at once, with five committed of nine records; none of partition 0 arrives."""

    def __init__(self, clock: Clock, arrives_after_seeks: float) -> None:
        super().__init__([], clock)
        self.sought: list[tuple[int, int, float]] = []
        self.watermarks = {0: (0, 9), 1: (0, 5)}
        self._arrives_after_seeks = arrives_after_seeks

    def subscribe(self, _topics: list[str], **callbacks: Any) -> None:
        self._assigned = callbacks["on_assign"]

    def incremental_assign(self, partitions: list[TopicPartition]) -> None: ...

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:  # noqa: ARG002
        return [TopicPartition(each.topic, each.partition, 5) for each in partitions]

    def seek(self, place: TopicPartition) -> None:
        self.sought.append((place.partition, place.offset, self._clock.now_s))

    def consume(self, most: int, timeout: float) -> list[Message]:
        if (assigned := self._assigned) is not None:
            self._assigned = None
            assigned(self, [TopicPartition("t", 0), TopicPartition("t", 1)])
            return [end_of(1, 5)]
        if len(self.sought) - 2 == self._arrives_after_seeks:  # two are of the assignment
            self._arrives_after_seeks = math.inf
            return [message(offset, partition=0) for offset in range(5, 9)]
        return super().consume(most, timeout)


@pytest.mark.parametrize("fetched_to", [9, 5, -1001], ids=["a fetch told the end", "of before", "never fetched"])
def test_a_partition_of_which_nothing_arrives_is_sought_again_and_then_left_to_another_worker(fetched_to):
    clock = Clock()
    consumer = StuckConsumer(clock, arrives_after_seeks=math.inf)
    consumer.fetched_to = {0: fetched_to}
    with BatchSource({"group.id": "g"}, "t", NoWatch(), consumer, clock) as source:
        source.subscribe(Listener())
        with pytest.raises(KafkaFailed, match=r"^t-0 has records from offset 5 to 9, and none arrives: another worker"):
            list(itertools.starmap(source.read, [(10, 1.0)] * 100))
    assert consumer.sought == [(0, 5, 0), (1, 5, 0), (0, 5, QUIET_S), (0, 5, 2 * QUIET_S)]
    assert clock.now_s == 3 * QUIET_S


def test_a_stuck_partition_goes_on_after_the_seek_and_one_at_its_end_is_left_alone():
    clock = Clock()
    consumer = StuckConsumer(clock, arrives_after_seeks=1)
    with BatchSource({"group.id": "g"}, "t", NoWatch(), consumer, clock) as source:
        source.subscribe(Listener())
        read = [source.read(10, 1.0) for _ in range(100)]
        assert source.positions == {0: 9, 1: 5}
    assert [offset for batch in read for offset in batch.offsets.tolist()] == [5, 6, 7, 8]
    assert consumer.sought[2:] == [(0, 5, QUIET_S)]


def test_of_many_quiet_partitions_one_is_looked_at_after_each_empty_read():
    """A question is a request that the loop waits for."""
    clock = Clock()
    consumer = StuckConsumer(clock, arrives_after_seeks=math.inf)
    consumer.watermarks = {0: (0, 9), 1: (0, 9)}
    with BatchSource({"group.id": "g"}, "t", NoWatch(), consumer, clock) as source:
        source.subscribe(Listener())
        with pytest.raises(KafkaFailed, match="t-0 has records"):
            list(itertools.starmap(source.read, [(10, 1.0)] * 100))
    assert consumer.sought[2:] == [(0, 5, QUIET_S), (1, 5, QUIET_S + 1), (0, 5, 2 * QUIET_S), (1, 5, 2 * QUIET_S + 1)]


class BeginsLate(StuckConsumer):
    """Refuses the first two seeks, as librdkafka does while partitions that were given back have not stopped."""

    def seek(self, place: TopicPartition) -> None:
        super().seek(place)
        if len(self.sought) <= 2:
            raise KafkaException(KafkaError(KafkaError._STATE))


def test_while_the_client_cannot_seek_the_next_read_goes_back_again_and_returns_nothing():
    clock = Clock()
    consumer = BeginsLate(clock, arrives_after_seeks=0)
    with BatchSource({"group.id": "g"}, "t", NoWatch(), consumer, clock) as source:
        source.subscribe(Listener())
        assert [len(source.read(10, 1.0)) for _ in range(3)] == [0, 0, 0]
        assert source.positions == {0: 5, 1: 5}
    assert [place[:2] for place in consumer.sought] == [(0, 5), (1, 5)] * 2


class Listener:
    """Does nothing."""

    def assigned(self, *_: object) -> None: ...

    def revoked(self, *_: object) -> None: ...

    def lost(self, *_: object) -> None: ...


def test_a_fatal_error_that_comes_with_lost_partitions_is_raised():
    clock = Clock()
    consumer = LosesItsPartitions([[failed(KafkaError._FATAL)]], clock)
    with BatchSource({"group.id": "g"}, "t", NoWatch(), consumer, clock) as source:
        source.subscribe(Listener())
        with pytest.raises(InstanceFenced, match="the group has excluded this member"):
            source.read(10, 1.0)


def test_a_connection_to_nobody_is_noticed_within_20_s_or_as_the_user_says():
    """librdkafka notices it after its socket timeout, 60 s by default: measured through the proxies of the chaos test."""
    for given, expected in ({}, 10_000), ({"socket.timeout.ms": 5_000}, 5_000):
        consumer = FakeConsumer((), Clock())
        with BatchSource(given, "t", NoWatch(), consumer):
            assert consumer.config["socket.timeout.ms"] == expected


def test_the_brokers_of_its_client_are_watched_while_it_is_open():
    def watches() -> int:
        return [thread.name for thread in threading.enumerate()].count("brokers")

    before = watches()
    with BatchSource({}, "t", NoWatch(), FakeConsumer((), Clock())):
        assert watches() == before + 1
    assert watches() == before
