"""Records that are queued from arrays, with a producer that knows no broker."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException, Producer

from taskstream.consumer.kafka.direct.batch_produce import produce_packed
from taskstream.consumer.kafka.direct.native_client import why_not
from taskstream.schemas.codec.header_columns import headers_part
from taskstream.schemas.codec.packed_values import PackedValues

KEYS = PackedValues.of([b"%d" % number for number in range(25)])
HEADERS = [("same", b"for all"), ("own", KEYS)]


@pytest.fixture
def producer():
    assert why_not() is None
    made = Producer({"queue.buffering.max.messages": 10, "log_level": 0})
    yield made
    made.purge()


def test_a_full_queue_takes_what_fits_and_the_others_when_it_has_room(producer):
    assert produce_packed(producer, "topic", KEYS, KEYS, HEADERS, 0) == 10
    assert (
        produce_packed(producer, "topic", KEYS.part(10, 25), KEYS.part(10, 25), headers_part(HEADERS, 10, 25), 0) == 0
    )
    assert len(producer) == 10

    producer.purge()
    producer.poll(0)
    rest = KEYS.part(20, 25), KEYS.part(20, 25), headers_part(HEADERS, 20, 25)
    assert produce_packed(producer, "topic", *rest, 0) == 5


def test_no_records_are_queued_at_once(producer):
    assert produce_packed(producer, "topic", KEYS.part(0, 0), KEYS.part(0, 0), headers_part(HEADERS, 0, 0), -1) == 0


def test_records_that_librdkafka_refuses_raise_its_error():
    producer = Producer({"message.max.bytes": 1_000, "log_level": 0})
    values = PackedValues.of([b"short", b"x" * 2_000])

    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        produce_packed(producer, "topic", KEYS.part(0, 2), values, [], 0)
    producer.purge()
