"""A batch that Kafka refuses for a moment, while a later one waits, is written before that one: none is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, KafkaError

from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.kafka.transaction import Transaction
from taskstream.consumer.replay.topic_target import TopicTarget
from tests.consumer.kafka.test_transaction import NoWatch
from tests.mock_kafka import MockKafka
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.slow

Slow = Callable[[], None]
"""From now on Kafka is slow, and refuses the next batch."""
PAUSE_S = 0.15
"""The first record is on its way then; were it not, the test would prove less, and not fail."""


def copy_to(bootstrap: str, topic: str, slow: Slow) -> None:
    first, *records = [
        RawRecord("from", partition, 0, None, b"key", value, [])
        for partition, value in [(1, b"0"), (0, b"1"), (0, b"2")]
    ]
    with TopicTarget({"bootstrap.servers": bootstrap, "log_level": 0}, topic) as target:
        target.write_records([first])
        target.flush()
        slow()
        for record in records:
            target.write_records([record])
            time.sleep(PAUSE_S)
        target.flush()


def commit_to(bootstrap: str, topic: str, slow: Slow) -> None:
    config = {"bootstrap.servers": bootstrap, "log_level": 0}
    group = Consumer(config | {"group.id": "worker"})
    with Transaction(config, "worker.w", NoWatch()) as transaction:
        transaction.send(topic, b"key", b"0", 1)
        transaction.commit("events", {}, group.consumer_group_metadata())
        slow()
        for value in (b"1", b"2"):
            transaction.send(topic, b"key", value, 0)
            time.sleep(0.4 + PAUSE_S)  # the partition is added to the transaction first
        transaction.commit("events", {}, group.consumer_group_metadata())
    group.close()


@pytest.mark.parametrize("write", [copy_to, commit_to])
def test_what_kafka_refuses_for_a_moment_is_written_before_what_follows(write):
    with MockKafka() as kafka:
        kafka.create("target", partitions=2)

        def slow() -> None:
            kafka.answer_after(400)
            kafka.refuse_next_batch(KafkaError.NOT_LEADER_FOR_PARTITION)

        write(kafka.bootstrap_servers, "target", slow)
        kafka.answer_after(0)
        assert kafka.values("target", LIMIT_S) == [b"1", b"2"]
