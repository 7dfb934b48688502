"""The signal of delivery reports, on a producer of librdkafka that knows no broker."""

from __future__ import annotations

import os
import select

import confluent_kafka
import pytest
from confluent_kafka import Producer

from taskstream.producer.acks.report_signal import report_signal
from taskstream.schemas.librdkafka.client_handle import KNOWN
from tests.waiting import LIMIT_S, wait_until


@pytest.fixture
def producer():
    with_no_broker = Producer({"log_level": 0})
    yield with_no_broker
    with_no_broker.purge()
    with_no_broker.close()


@pytest.fixture
def signal(producer):
    found = report_signal(producer)
    assert found is not None, f"{confluent_kafka.__version__} is pinned, and {list(KNOWN)} were tested"
    yield found
    found.close()


def is_readable(fd: int, within_s: float = 0) -> bool:
    return bool(select.select([fd], [], [], within_s)[0])


def fail_one(producer: Producer, reports: list[str]) -> None:
    """Produce a message, and have it fail."""
    producer.produce("topic", b"value", on_delivery=lambda error, _message: reports.append(error.name()))
    producer.purge()


def test_a_report_makes_it_readable_until_it_is_cleared(producer, signal):
    reports: list[str] = []
    assert not is_readable(signal.fd)
    for count in (1, 2):
        fail_one(producer, reports)
        assert is_readable(signal.fd, LIMIT_S)
        signal.clear()
        assert not is_readable(signal.fd)
        wait_until(lambda count=count: producer.poll(0) >= 0 and len(reports) == count)
    assert set(reports) == {"_PURGE_QUEUE"}


def test_a_report_between_the_clearing_and_the_poll_is_in_the_poll(producer, signal):
    reports: list[str] = []
    fail_one(producer, reports)
    assert is_readable(signal.fd, LIMIT_S)
    signal.clear()
    fail_one(producer, reports)
    wait_until(lambda: producer.poll(0) >= 0 and len(reports) == 2)


def test_clearing_without_a_report_does_nothing(signal):
    signal.clear()
    assert not is_readable(signal.fd)


def test_nothing_is_written_to_a_descriptor_that_was_closed(producer, signal):
    fd = signal.fd
    signal.close()
    again = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        assert again == fd
        reports: list[str] = []
        fail_one(producer, reports)
        wait_until(lambda: producer.poll(0) >= 0 and len(reports) == 1)
        assert not is_readable(again)
    finally:
        os.close(again)


def test_another_version_and_another_client_have_none(producer):
    assert report_signal(producer, "2.99.0") is None
    assert report_signal(object()) is None


def test_a_closed_producer_has_none():
    closed = Producer({"log_level": 0})
    closed.close()
    assert report_signal(closed) is None
