"""The source and the transaction on Kafka: the same suite that those in memory pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.direct.batch_produce import produce_packed
from taskstream.consumer.kafka.direct.direct_fetch import DirectFetch
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.kafka.direct.native_client import why_not
from taskstream.consumer.kafka.direct.source_batch import NewFetch
from taskstream.consumer.kafka.rebalancing_source import BatchSource
from taskstream.consumer.kafka.transaction import Transaction
from taskstream.consumer.worker.watchdog import Watchdog
from taskstream.schemas.topics import Topics
from tests.consumer.worker.behaviour import SourceBehaviour, TransactionBehaviour, at_end  # noqa: F401 (a fixture)
from tests.pipeline.streams import producer, read_all
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.slow

SESSION_S = 6.0
"""The shortest that Kafka allows."""


class RealKafka:
    """See `behaviour.KafkaUnderTest`."""

    def __init__(self, broker: KafkaClient, topics: Topics, watchdog: Watchdog, new_fetch: NewFetch) -> None:
        self.events = topics.progress.name
        self.output = topics.rates.name
        self._group = topics.prefix
        self._broker = broker
        self._watchdog = watchdog
        self._new_fetch = new_fetch

    def publish(self, partition: int, *values: bytes) -> None:
        sender = producer(self._broker.bootstrap_servers)
        for value in values:
            sender.produce(self.events, value, None, partition)
        assert sender.flush(LIMIT_S) == 0

    def truncate(self, partition: int, begin: int) -> None:
        cut = [TopicPartition(self.events, partition, begin)]
        admin = AdminClient(self._broker.config())  # named: a client that is garbage collected does not answer
        for answer in admin.delete_records(cut).values():
            answer.result()

    def source(self, instance: str | None = None, *, short_lived: bool = False) -> BatchSource:
        session_ms = round(SESSION_S * 1_000) if short_lived else 45_000
        limits = {
            "session.timeout.ms": session_ms,
            "max.poll.interval.ms": max(session_ms, 300_000 * (not short_lived)),
        }
        config = {"group.id": self._group, **limits}
        if instance is not None:
            config["group.instance.id"] = instance
        return BatchSource(self._broker.config(**config), self.events, self._watchdog, new_fetch=self._new_fetch)

    def expire(self, source: BatchSource) -> None:
        assert source.member_id
        time.sleep(SESSION_S + 1.5)

    def transaction(self, transactional_id: str) -> Transaction:
        direct = produce_packed if self._new_fetch is DirectFetch else None
        name = f"{self._group}.{transactional_id}"
        return Transaction(self._broker.config(), name, self._watchdog, produce_packed=direct)

    def committed(self) -> dict[int, int]:
        consumer = Consumer(self._broker.config(**{"group.id": self._group}))
        try:
            places = consumer.committed([TopicPartition(self.events, each) for each in (0, 1)], timeout=LIMIT_S)
        finally:
            consumer.close()
        return {place.partition: place.offset for place in places if place.offset >= 0}

    def records(self, topic: str, *, decided: bool = True):
        messages = read_all(self._broker.bootstrap_servers, topic, decided=decided)
        return [(each.partition(), each.key(), each.value(), each.headers() or []) for each in messages]


@pytest.fixture
def new_fetch() -> NewFetch:
    """The ordinary way."""
    return MessageFetch


@pytest.fixture
def kafka(broker: KafkaClient, topics: Topics, new_fetch: NewFetch) -> Iterator[RealKafka]:
    with ExitStack() as stack:
        yield RealKafka(broker, topics, stack.enter_context(Watchdog()), new_fetch)


class TestKafkaSource(SourceBehaviour):
    """See the suite."""


class ReadsDirectly:
    """With messages as arrays, and records produced from arrays."""

    @pytest.fixture
    def new_fetch(self) -> NewFetch:
        assert why_not() is None
        return DirectFetch


class TestDirectKafkaSource(ReadsDirectly, SourceBehaviour):
    """See the suite."""


class TestDirectKafkaTransaction(ReadsDirectly, TransactionBehaviour):
    """See the suite."""


class TestKafkaTransaction(TransactionBehaviour):
    """See the suite."""
