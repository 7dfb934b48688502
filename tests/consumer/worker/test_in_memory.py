"""The source and the transaction in memory behave as those on Kafka do."""

from __future__ import annotations

import pytest

from taskstream.consumer.kafka.in_memory.broker import InMemoryBroker, InMemoryRecord
from taskstream.consumer.kafka.in_memory.source import InMemorySource
from taskstream.consumer.kafka.in_memory.transaction import InMemoryTransaction
from tests.consumer.worker.behaviour import SourceBehaviour, TransactionBehaviour, at_end  # noqa: F401 (a fixture)


class InMemoryKafka:
    """See `behaviour.KafkaUnderTest`."""

    events = "events"
    output = "output"

    def __init__(self) -> None:
        self._broker = InMemoryBroker(partitions=2)

    def publish(self, partition: int, *values: bytes) -> None:
        for value in values:
            self._broker.append(InMemoryRecord(self.events, None, value, partition))

    def truncate(self, partition: int, begin: int) -> None:
        self._broker.truncate(self.events, partition, begin)

    def source(self, instance: str | None = None, *, short_lived: bool = False) -> InMemorySource:  # noqa: ARG002
        return InMemorySource(self._broker, self.events, instance)

    def expire(self, source: InMemorySource) -> None:
        self._broker.leave(source.member_id)

    def transaction(self, transactional_id: str) -> InMemoryTransaction:
        return InMemoryTransaction(self._broker, transactional_id)

    def committed(self) -> dict[int, int]:
        return {partition: offset for (_, partition), offset in self._broker.committed.items()}

    def records(self, topic: str, *, decided: bool = True):  # noqa: ARG002 (a commit here is visible at once)
        messages = [message for log in self._broker.log(topic) for message in log.messages]
        return [(each.partition(), each.key(), each.value(), each.headers() or []) for each in messages]


@pytest.fixture
def kafka() -> InMemoryKafka:
    return InMemoryKafka()


class TestInMemorySource(SourceBehaviour):
    """See the suite."""


class TestInMemoryTransaction(TransactionBehaviour):
    """See the suite."""
