"""What an administrator does to the topic of the reports under an edge: it refuses with a sentence, or goes on."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import read_all
from tests.pipeline.worker.test_worker_topics import add_partitions, recreate
from tests.producer.edges import running_edge
from tests.waiting import wait_until


@pytest.fixture
def admin(broker: KafkaClient) -> AdminClient:
    return AdminClient(broker.config())


def test_partitions_added_to_the_reports_are_refused_by_a_running_edge_and_by_a_new_one(
    broker, topics, admin, tmp_path
):
    problem = f"{topics.progress.name} has 3 partitions and {topics.state.name} has 2: the number of partitions"
    with running_edge(broker, topics.prefix, tmp_path) as edge:
        assert edge.put("t-1").status == 200
        add_partitions(admin, 3, topics.progress.name)
        wait_until(lambda: edge.get("/readyz").status == 503)
        assert edge.get("/readyz").json()["checks"]["topic"].startswith(problem)
        refused = edge.put("t-1")
        assert refused.status == 503
        assert refused.json()["retriable"]
        assert problem in refused.json()["detail"]
        assert "a new prefix" in refused.json()["detail"]
    clock = tmp_path / "clock"
    clock.write_text("0")
    with running_edge(broker, topics.prefix, tmp_path, clock_ahead=clock) as again:
        wait_until(lambda: problem in again.put("t-1").json().get("detail", ""))
        assert again.stop() == 0
    assert len(read_all(broker.bootstrap_servers, topics.progress.name)) == 1


def test_partitions_added_to_all_topics_are_refused_by_a_running_edge(broker, topics, admin, tmp_path):
    with running_edge(broker, topics.prefix, tmp_path) as edge:
        add_partitions(admin, 3, topics.state.name, topics.progress.name)
        wait_until(lambda: "now and had 2" in edge.get("/readyz").json()["checks"].get("topic", ""))
        assert edge.put("t-1").status == 503


def test_an_edge_writes_to_a_topic_that_is_made_anew(broker, topics, admin, tmp_path):
    with running_edge(broker, topics.prefix, tmp_path) as edge:
        assert all(edge.put(f"t-{number}").status == 200 for number in range(20))
        recreate(broker, admin, topics, topics.progress.name)
        wait_until(lambda: all(edge.put(f"t-{number}").status == 200 for number in range(20)))
        assert len(read_all(broker.bootstrap_servers, topics.progress.name)) >= 20
        assert edge.process.poll() is None


def test_an_edge_that_starts_before_its_topics_is_ready_when_they_are_created(broker, topic_prefix, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("0")
    with running_edge(broker, topic_prefix, tmp_path, clock_ahead=clock) as edge:
        wait_until(lambda: "taskstream topics create" in edge.get("/readyz").json()["checks"]["kafka"])
        create_topics(broker.config(), Topics(topic_prefix, partitions=2))
        wait_until(lambda: edge.get("/readyz").status == 200)
