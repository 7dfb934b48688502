"""What a question to Kafka that failed says: the reason behind a timeout, and what to look at."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaException, TopicCollection

from taskstream.compose.local.ports import free_port
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.kafka_errors import is_away
from tests.waiting import LIMIT_S


def told(config: dict) -> str:
    admin = QuietAdmin(config)
    with pytest.raises(KafkaException) as failed:
        admin.list_topics(timeout=3)
    return admin.why(failed.value)


def test_where_nobody_listens_the_address_is_named_and_that_it_refuses():
    address = f"127.0.0.1:{free_port()}"
    said = told({"bootstrap.servers": address})
    assert "Connection refused" in said
    assert said.endswith(f"does Kafka listen at {address}, and with this security.protocol?")


def test_tls_towards_a_listener_that_speaks_none_leads_to_the_protocol(broker):
    said = told(broker.config(**{"security.protocol": "SSL"}))
    assert "in state SSL_HANDSHAKE" in said
    assert said.endswith("and with this security.protocol?")


def test_a_refusal_of_the_broker_is_told_as_it_is(broker):
    admin = QuietAdmin(broker.config())
    answer = admin.describe_topics(TopicCollection(["nobody-s"]), request_timeout=LIMIT_S)["nobody-s"]
    with pytest.raises(KafkaException) as failed:
        answer.result()
    assert admin.why(failed.value) == failed.value.args[0].str()


def test_librdkafka_s_own_lines_stay_away_from_the_error_stream(capfd):
    told({"bootstrap.servers": f"127.0.0.1:{free_port()}"})
    assert capfd.readouterr().err == ""


def test_a_client_that_does_not_say_how_a_request_ended_is_a_timeout(monkeypatch):
    monkeypatch.setattr("taskstream.consumer.kafka.admin.quiet_admin._GRACE_S", 0.0)
    never = Future()

    with pytest.raises(KafkaException) as raised:
        answered(never, 0.01)

    assert is_away(raised.value.args[0]), "it is asked again"
