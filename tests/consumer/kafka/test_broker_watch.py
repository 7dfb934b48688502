"""A client that has lost all brokers gets its bootstrap brokers back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from taskstream.consumer.kafka.admin.broker_watch import BrokerWatch, add_brokers
from taskstream.consumer.kafka.direct.native_client import why_not
from tests.waiting import wait_until

SERVERS = "127.0.0.1:9092"


class Answering:
    """A client that is answered or not; as a class, it stands for each client that is created."""

    def __init__(self, answered: Sequence[bool]) -> None:
        """answered: whether each question is; the last one holds for all further ones."""
        self._answered = list(answered)

    def __call__(self, _config: object) -> Answering:
        return self

    def list_topics(self, _topic: str, timeout: float) -> None:  # noqa: ARG002 (as the client's)
        if not (self._answered.pop(0) if len(self._answered) > 1 else self._answered[0]):
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))


def watch(client: Answering, new: Answering, added: list[str], interval_s: float = 60) -> BrokerWatch:
    def add(_client: object, servers: str) -> bool:
        added.append(servers)
        return True

    return BrokerWatch(client, "t", {"bootstrap.servers": SERVERS, "logger": None}, new, add, interval_s)


@pytest.mark.parametrize(
    ("client", "new", "expected"),
    [([False], [True], [SERVERS]), ([True], [True], []), ([False], [False], []), ([False, True], [True], [])],
    ids=["only a new client is answered", "both", "none: Kafka is away", "both, after Kafka was away"],
)
def test_brokers_are_added_to_a_client_that_is_not_answered_while_a_new_one_is(client, new, expected):
    added: list[str] = []
    watch(Answering(client), Answering(new), added).look()
    assert added == expected


def test_it_looks_again_and_again_until_it_is_stopped():
    added: list[str] = []
    watching = watch(Answering([False]), Answering([True]), added, interval_s=0.001)
    watching.start()
    wait_until(lambda: len(added) > 1)
    watching.stop()


def test_a_client_connects_to_brokers_that_are_added(broker):
    """The client begins with a port where nobody listens, which is all that a client without brokers can do."""
    assert why_not() is None
    client = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0})
    try:
        assert add_brokers(client, broker.bootstrap_servers)
        assert client.list_topics(timeout=60).brokers
    finally:
        client.close()
