"""Delivery reports that confluent-kafka calls back with while its own fatal error waits to be raised."""

from __future__ import annotations

import ctypes

import pytest
from confluent_kafka import KafkaError, Producer, cimpl

from taskstream.producer.acks.delivery import Delivery
from taskstream.producer.errors import NotAcked
from taskstream.producer.events.event_builder import Event
from taskstream.schemas.librdkafka.client_handle import handle_in
from taskstream.schemas.librdkafka.library import PRODUCER
from tests.waiting import LIMIT_S


def fail_fatally(producer: Producer) -> None:
    """As librdkafka's own tests do."""
    fail = ctypes.CDLL(cimpl.__file__).rd_kafka_test_fatal_error
    fail.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    assert fail(handle_in(producer, PRODUCER), KafkaError.DUPLICATE_SEQUENCE_NUMBER, b"test") == 0


class Nobody:
    """Waits for nothing."""

    def acked(self, partition: int, offset: int) -> None: ...

    def failed(self, failure: NotAcked) -> None: ...


def test_a_report_that_comes_while_a_fatal_error_waits_to_be_raised_is_not_begun():
    """The first one does; begun, it would end wherever Python finds that error, such as after half of the answer."""
    reported: list[Delivery] = []
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "enable.idempotence": True, "log_level": 0})
    event = Event("e", b"", [], 0)
    deliveries = [Delivery(lambda each, *_: reported.append(each), Nobody(), 0.0, event) for _ in range(3)]
    for each in deliveries:
        producer.produce("t", b"v", on_delivery=each)
    fail_fatally(producer)
    producer.purge(blocking=False)
    with pytest.raises(SystemError):
        producer.flush(LIMIT_S)
    producer.flush(LIMIT_S)
    assert reported == deliveries[1:]
