"""A member that leaves while it is still being given partitions: it asks and reads back nothing for them."""

from __future__ import annotations

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.consumer.kafka.batch_source import BatchSource
from taskstream.schemas.topics import Topics
from tests.waiting import wait_until


class Told:
    """What a holder of partitions is told, by name."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def assigned(self, *_: object) -> None:
        self.heard.append("assigned")

    def revoked(self, *_: object) -> None:
        self.heard.append("revoked")

    def lost(self, *_: object) -> None:
        self.heard.append("lost")


def has_joined(broker: KafkaClient, group: str) -> bool:
    admin = AdminClient(broker.config())  # named: an admin client that is let go answers nobody
    found = admin.list_consumer_groups(states={ConsumerGroupState.STABLE}, request_timeout=60).result()
    return group in {each.group_id for each in found.valid}


def test_a_worker_told_to_stop_while_it_joins_leaves_without_restoring_anything(broker: KafkaClient, topic_prefix):
    topics = Topics(topic_prefix, partitions=3)
    create_topics(broker.config(), topics)
    told = Told()
    with BatchSource(broker.config(**{"group.id": topic_prefix}), topics.progress.name, told) as source:
        # The join goes on in librdkafka's own thread; the assignment waits for a read that does not come.
        wait_until(lambda: has_joined(broker, topic_prefix))

    assert "assigned" not in told.heard
    assert source.held == []
    assert source._failed is None, "something was asked for while leaving, when nobody answers any more"
