"""Topics of one test; and an edge with its topics, shared by the tests that only speak to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.consumer.view.views import RunningView, StateTopic, running_view
from tests.producer.edges import RunningEdge, running_edge


@pytest.fixture
def partitions() -> int:
    """Of the events and the state of one test; a file that needs another number has a fixture of this name."""
    return 2


@pytest.fixture
def topics(broker: KafkaClient, topic_prefix: str, partitions: int) -> Topics:
    """Of one test, and made."""
    made = Topics(topic_prefix, partitions=partitions)
    create_topics(broker.config(), made)
    return made


@pytest.fixture(scope="session")
def edge_topics(broker: KafkaClient) -> Topics:
    topics = Topics(f"test-{uuid.uuid4().hex[:12]}", partitions=3)
    create_topics(broker.config(), topics)
    return topics


@pytest.fixture(scope="session")
def edge(broker: KafkaClient, edge_topics: Topics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEdge]:
    """With a short time for whole requests."""
    folder = tmp_path_factory.mktemp("edge")
    with running_edge(
        broker,
        edge_topics.prefix,
        folder,
        "--request-timeout",
        "2",
        "--max-batch-reports",
        "50",
        "--write-timeout",
        "3",
        "--max-connections-per-address",
        "0",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def view(broker: KafkaClient, states: StateTopic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    """On the state topic that the file's fixture `states` fills; a file that starts its view otherwise has its own."""
    with running_view(broker, states.topics.prefix, tmp_path_factory.mktemp("view")) as running:
        yield running
