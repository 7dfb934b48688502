"""A member that leaves while the group assigns partitions to it: it asks and reads back nothing for them."""

from __future__ import annotations

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.consumer.kafka.rebalancing_source import BatchSource
from taskstream.consumer.worker.watchdog import Watchdog
from taskstream.schemas.topics import Topics
from tests.waiting import wait_until


class Calls:
    """A listener that records the names of its calls."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def assigned(self, *_: object) -> None:
        self.names.append("assigned")

    def revoked(self, *_: object) -> None:
        self.names.append("revoked")

    def lost(self, *_: object) -> None:
        self.names.append("lost")


def has_joined(broker: KafkaClient, group: str) -> bool:
    admin = AdminClient(broker.config())  # named: a client that is garbage collected does not answer
    found = admin.list_consumer_groups(states={ConsumerGroupState.STABLE}, request_timeout=60).result()
    return group in {each.group_id for each in found.valid}


def test_a_worker_stopped_while_it_joins_leaves_without_restoring_anything(broker: KafkaClient, topic_prefix):
    topics = Topics(topic_prefix, partitions=3)
    create_topics(broker.config(), topics)
    calls = Calls()
    config = broker.config(**{"group.id": topic_prefix})
    with Watchdog() as watchdog, BatchSource(config, topics.progress.name, watchdog) as source:
        source.subscribe(calls)
        # The join goes on in librdkafka's own thread; the assignment waits for a read that is never made.
        wait_until(lambda: has_joined(broker, topic_prefix))

    assert "assigned" not in calls.names
    assert source.positions == {}
    assert source._failed is None, "something was asked for while leaving, when librdkafka does not answer any more"
