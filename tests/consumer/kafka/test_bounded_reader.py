"""Reading given offsets to their end, on a consumer without a network."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from taskstream.consumer.errors import KafkaFailed, StreamGap
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from tests.consumer.kafka.fakes import Clock, FakeConsumer, end_of, failed, message


def read(ranges, *batches) -> tuple[list[int], FakeConsumer]:
    """The offsets that were read, and the consumer that they came from."""
    clock = Clock()
    consumer = FakeConsumer(batches, clock)
    with BoundedReader({}, "t", ranges, consumer, clock) as reader:
        offsets = [int(each) for records in reader.batches(100) for each in records.offsets]
    with BoundedReader({}, "t", ranges, FakeConsumer(batches, clock), clock, MessageFetch) as reader:
        assert [int(each) for records in reader.columns(100) for each in records.offsets] == offsets
    return offsets, consumer


def test_it_reads_to_the_end_of_the_range_and_no_further():
    offsets, consumer = read({0: OffsetRange(3, 5)}, [message(3), message(4), message(5)])

    assert offsets == [3, 4]
    assert (consumer.assigned, consumer.unassigned, consumer.closed) == ([(0, 3)], [0], True)


def test_a_gap_at_the_end_ends_by_the_end_of_the_partition():
    assert read({0: OffsetRange(3, 9)}, [message(3)], [end_of(0, 9)])[0] == [3]


def test_nothing_is_read_of_an_empty_range():
    assert read({0: OffsetRange(3, 3)})[1].assigned == []


def test_a_topic_that_is_unknown_for_a_moment_is_waited_for():
    batches = ([failed(KafkaError.UNKNOWN_TOPIC_OR_PART)], [], [message(3)])
    assert read({0: OffsetRange(3, 4)}, *batches)[0] == [3]


def test_a_topic_that_stays_unknown_fails_with_the_reason():
    with pytest.raises(KafkaFailed, match=r"no record of t, partitions .0., came for 60 s: .*[Uu]nknown topic"):
        read({0: OffsetRange(3, 4)}, [failed(KafkaError.UNKNOWN_TOPIC_OR_PART)])


def test_what_is_forbidden_fails_at_once():
    with pytest.raises(KafkaFailed, match=r"^User:ANONYMOUS may not read the topic t: "):
        read({0: OffsetRange(3, 4)}, [failed(KafkaError.TOPIC_AUTHORIZATION_FAILED)], [message(3)])


def test_records_that_retention_deleted_are_a_gap():
    with pytest.raises(StreamGap, match=r"^t-0: retention deleted records before they were read"):
        read({0: OffsetRange(3, 4)}, [failed(KafkaError._AUTO_OFFSET_RESET)])


def test_a_connection_to_nobody_is_noticed_long_before_the_reader_gives_up():
    """librdkafka notices it after its socket timeout, 60 s by default, which is when the reader fails: measured through
    a proxy, a reader failed after 67 s or lost 58 s, and with this timeout 11 s."""
    for given, expected in ({}, 10_000), ({"socket.timeout.ms": 5_000}, 5_000):
        consumer = FakeConsumer((), Clock())
        with BoundedReader(given, "t", {}, consumer):
            assert consumer.config["socket.timeout.ms"] == expected
