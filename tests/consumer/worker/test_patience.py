"""A worker waits for Kafka as long as it takes, unless it is asked to stop or a topic stays unknown."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.worker.patience import Patience

AWAY = KafkaError(KafkaError._TRANSPORT)
UNKNOWN = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_brokers_may_be_away_for_an_hour():
    clock = Clock()
    patience = Patience(lambda: False, clock, clock.sleep)
    while clock.now_s < 4_600:
        patience.wait("commit_transaction", AWAY)


def test_a_stop_ends_the_wait():
    clock = Clock()
    with pytest.raises(KafkaFailed, match="asked to stop"):
        Patience(lambda: True, clock, clock.sleep).wait("commit_transaction", AWAY)


def test_a_topic_that_stays_unknown_is_not_waited_for():
    clock = Clock()
    patience = Patience(lambda: False, clock, clock.sleep)
    while clock.now_s < 1_060:
        patience.wait("the ends cannot be asked", UNKNOWN)
    with pytest.raises(KafkaFailed, match="was the topic deleted"):
        patience.wait("the ends cannot be asked", UNKNOWN)


def test_a_topic_that_is_unknown_now_and_then_is_waited_for():
    clock = Clock()
    patience = Patience(lambda: False, clock, clock.sleep)
    while clock.now_s < 1_300:
        patience.wait("the ends cannot be asked", UNKNOWN)
        patience.wait("the ends cannot be asked", AWAY)
