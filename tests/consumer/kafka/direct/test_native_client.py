"""Which versions are trusted, and how a client's handle is found."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, Producer

from taskstream.consumer.errors import NotProven
from taskstream.consumer.kafka.direct import native_client, record_fields
from taskstream.schemas.librdkafka.library import CONSUMER, PRODUCER, librdkafka


def test_the_installed_versions_are_proven_or_the_ordinary_way_says_why():
    why = native_client.why_not()

    tested = native_client.TESTED.get(native_client.confluent_kafka.__version__)
    assert (why is None) == (tested is not None)
    assert why is None or "was not tested with it; tested: confluent" in why.replace("tested: 2", "tested: confluent 2")


@pytest.mark.parametrize(("client", "native"), [("2.16.1", 0x021000FF), ("2.16.0", 0x021001FF), ("0", 0)])
def test_any_other_version_is_refused_with_both_versions(client, native):
    with pytest.raises(NotProven, match=rf"^confluent-kafka {client} with librdkafka 0x{native:08x} was not tested"):
        native_client._require_versions(client, native)


@pytest.fixture
def proven() -> None:
    assert native_client.why_not() is None


@pytest.mark.usefixtures("proven")
def test_messages_that_go_through_the_library_are_compared(monkeypatch):
    monkeypatch.setattr(native_client, "KEY_SIZE", native_client.VALUE_SIZE)
    with pytest.raises(NotProven, match="are read with the lengths"):
        native_client._require_messages(librdkafka())


@pytest.mark.usefixtures("proven")
@pytest.mark.parametrize(
    ("kind", "other", "message"),
    [
        ("_KEY", record_fields._VALUE, "are read with the lengths"),
        ("_FLAGS", 99, "librdkafka accepts 0 of 2 messages"),
    ],
)
def test_a_library_with_other_kinds_of_fields_is_refused(monkeypatch, kind, other, message):
    monkeypatch.setattr(record_fields, kind, other)
    with pytest.raises(NotProven, match=message):
        native_client._require_messages(librdkafka())


@pytest.mark.usefixtures("proven")
def test_headers_that_go_through_the_library_are_compared(monkeypatch):
    monkeypatch.setattr(native_client, "headers_of", lambda *_: [])
    with pytest.raises(NotProven, match=r"with the headers \[\[\('same', b'for both'\).* have the headers \[\[\]"):
        native_client._require_messages(librdkafka())


@pytest.mark.usefixtures("proven")
def test_a_client_has_a_handle_until_it_is_closed():
    consumer, producer = Consumer({"group.id": "g", "log_level": 0}), Producer({"log_level": 0})
    kind = librdkafka().call["rd_kafka_type"]
    assert kind(native_client.handle_of(consumer)) == CONSUMER
    assert kind(native_client.handle_of(producer)) == PRODUCER
    consumer.close()
    with pytest.raises(NotProven, match="open handle"):
        native_client.handle_of(consumer)


def test_another_object_has_no_handle():
    with pytest.raises(NotProven, match="is not a client"):
        native_client.handle_of(object())
