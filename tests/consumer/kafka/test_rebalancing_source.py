"""Errors that the group's consumer reports, on a consumer without a network; see also `tests/pipeline/worker`."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from taskstream.consumer.errors import InstanceFenced, KafkaFailed
from taskstream.consumer.kafka.rebalancing_source import BatchSource
from tests.consumer.kafka.fakes import Clock, FakeConsumer, end_of, failed

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
