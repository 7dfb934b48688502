"""Asking Kafka again: what may pass is waited for, and no longer than was said."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.retry import with_retry


def failing(times: int, code: int):
    """A question that fails so often, and is then answered with how often it was asked."""
    asked = []

    def ask() -> int:
        asked.append(1)
        if len(asked) <= times:
            raise KafkaException(KafkaError(code))
        return len(asked)

    return ask


def test_what_passes_is_waited_for():
    assert with_retry("offsets", failing(2, KafkaError._TRANSPORT)) == 3


def test_what_does_not_pass_in_time_says_what_was_asked_and_what_to_look_at():
    with pytest.raises(KafkaFailed, match=r"^offsets: tried for 0 s: .*: is Kafka up, and its address right\?$"):
        with_retry("offsets", failing(1_000, KafkaError._TIMED_OUT), patience_s=0.1)


def test_what_cannot_pass_is_not_asked_again():
    ask = failing(1, KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaFailed, match="authorization"):
        with_retry("offsets", ask)
    assert ask() == 2
