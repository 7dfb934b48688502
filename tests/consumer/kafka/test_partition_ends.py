"""The question for a partition's ends, on clients without a network."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from taskstream.consumer.kafka.admin.partition_ends import PartitionEnds
from taskstream.consumer.kafka.kafka_errors import is_away

PLACE = TopicPartition("t", 0)


class Client:
    """Answers with the ends, or fails with the code."""

    def __init__(self, answer: tuple[int, int] | int) -> None:
        self._answer = answer
        self.closed = False

    def __call__(self, _config: dict[str, Any]) -> Client:
        return self

    def get_watermark_offsets(self, _place: TopicPartition, timeout: float) -> tuple[int, int]:  # noqa: ARG002
        if isinstance(self._answer, int):
            raise KafkaException(KafkaError(self._answer))
        return self._answer

    def close(self) -> None:
        self.closed = True


def test_the_first_client_is_asked_while_it_answers():
    first = Client((1, 2))
    ends = PartitionEnds(first, {}, Client((3, 4)))
    assert ends.ask(PLACE) == ends.ask(PLACE) == (1, 2)
    assert not first.closed


def test_after_a_failure_new_clients_are_asked_and_closed():
    anew = Client((3, 4))
    ends = PartitionEnds(Client(KafkaError._TIMED_OUT), {}, anew)
    with pytest.raises(KafkaException):
        ends.ask(PLACE)
    assert ends.ask(PLACE) == (3, 4)
    assert anew.closed


def test_a_partition_that_librdkafka_calls_unknown_has_a_leader_that_is_away():
    ends = PartitionEnds(Client(KafkaError._UNKNOWN_PARTITION), {}, Client((3, 4)))
    with pytest.raises(KafkaException) as raised:
        ends.ask(PLACE)
    assert is_away(raised.value.args[0])


def test_an_unknown_topic_is_reported_as_such():
    ends = PartitionEnds(Client(KafkaError.UNKNOWN_TOPIC_OR_PART), {}, Client((3, 4)))
    with pytest.raises(KafkaException) as raised:
        ends.ask(PLACE)
    assert raised.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
