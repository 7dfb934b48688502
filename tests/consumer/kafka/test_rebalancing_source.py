"""Errors that the group's consumer reports, on a consumer without a network; see also `tests/pipeline/worker`."""

from __future__ import annotations

import contextlib

import pytest
from confluent_kafka import KafkaError

from taskstream.consumer.errors import KafkaFailed
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
    with pytest.raises(KafkaFailed, match=r"^t cannot be read: .*authorization"):
        read([failed(KafkaError.GROUP_AUTHORIZATION_FAILED)], rounds=1)
