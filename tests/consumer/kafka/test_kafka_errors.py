"""Which errors of Kafka are final and which pass."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from taskstream.consumer.kafka.kafka_errors import UnknownTopicLimit, is_final, is_passing, is_unknown_topic


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
    ],
)
def test_what_is_forbidden_is_final(code):
    assert is_final(KafkaError(code))


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.NOT_COORDINATOR,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
    ],
)
def test_what_is_away_for_a_moment_passes(code):
    assert is_passing(KafkaError(code))


def test_what_is_fatal_to_the_client_is_final_whatever_its_code():
    assert is_final(KafkaError(KafkaError._TIMED_OUT, fatal=True))


def test_a_partition_without_a_leader_is_known():
    assert is_unknown_topic(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    assert not is_unknown_topic(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))


def test_an_unknown_topic_is_waited_for_from_the_first_report_until_something_is_read():
    limit = UnknownTopicLimit(15.0)
    assert not limit.exceeded(1_000.0)
    limit.start(10.0)
    limit.start(24.0)
    assert not limit.exceeded(25.0)
    assert limit.exceeded(25.1)
    limit.end()
    assert not limit.exceeded(1_000.0)
