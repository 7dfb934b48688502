"""Following a topic without an end, on a consumer without a network."""

from __future__ import annotations

import itertools

import pytest
from confluent_kafka import KafkaError

from taskstream.consumer.errors import KafkaFailed, StreamGap
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.tail.topic_tail import TopicTail
from tests.consumer.kafka.fakes import Clock, FakeConsumer, failed, message


def tail(*batches) -> tuple[TopicTail, FakeConsumer]:
    clock = Clock()
    consumer = FakeConsumer(batches, clock)
    return TopicTail({}, "t", {0: OffsetRange(3, 9)}, to_the_end=False, new_consumer=consumer, clock=clock), consumer


def test_records_come_from_the_beginning_of_the_range_on():
    following, consumer = tail([message(3)], [message(4)])

    assert [[each.offset() for each in batch] for batch in itertools.islice(following.batches(), 3)] == [[3], [4], []]
    assert consumer.assigned == [(0, 3)]


def test_an_error_that_passes_is_the_problem_until_the_next_record():
    following, _ = tail([failed(KafkaError.LEADER_NOT_AVAILABLE)], [message(3)])
    batches = following.batches()

    assert next(batches) == []
    assert "eader not available" in following.problem
    assert len(next(batches)) == 1
    assert following.problem == ""


def test_a_topic_that_stays_unknown_ends_it():
    following, consumer = tail([failed(KafkaError.UNKNOWN_TOPIC_OR_PART)])
    with pytest.raises(KafkaFailed, match=r"^t cannot be read: .*[Uu]nknown topic"):
        list(following.batches())
    assert consumer.closed


@pytest.mark.parametrize(
    ("code", "error"),
    [(KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaFailed), (KafkaError._AUTO_OFFSET_RESET, StreamGap)],
)
def test_what_is_final_ends_it_at_once(code, error):
    following, _ = tail([failed(code)], [message(3)])
    with pytest.raises(error):
        next(following.batches())
