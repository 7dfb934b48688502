"""A Kafka that forgets producers soon: edge and worker go on in place, and lose and double nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.brokers import accept_later_timestamps
from tests.pipeline.streams import Fleet, committed, read_all, records, send, words, worker
from tests.producer.edges import running_edge
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
EXPIRES_S = 10
"""Far longer than a busy machine takes from one request of a transaction to the next."""
FORGETFUL = {
    "transactional.id.expiration.ms": str(EXPIRES_S * 1000),
    "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "producer.id.expiration.ms": "1000",
    "producer.id.expiration.check.interval.ms": "500",
}


@pytest.fixture
def forgetful(tmp_path, kafka_cache_dir) -> Iterator[LocalKafka]:
    folder = tmp_path / "kafka"
    with LocalKafka(folder, cache_dir=kafka_cache_dir, heap="512m", properties=FORGETFUL) as kafka:
        accept_later_timestamps(kafka.client)
        yield kafka


@pytest.fixture
def topics(forgetful: LocalKafka, topic_prefix: str) -> Topics:
    made = Topics(topic_prefix, partitions=2)
    create_topics(forgetful.client.config(), made)
    return made


def test_an_edge_writes_on_when_its_producer_id_has_expired(forgetful, topics, tmp_path):
    servers = forgetful.client.bootstrap_servers

    def broker_s() -> float:
        """The broker's time, by the last probe that the edge wrote."""
        return max((each.timestamp()[1] for each in read_all(servers, topics.probe.name)), default=0) / 1000

    with running_edge(forgetful.client, topics.prefix, tmp_path) as edge:
        for number in range(3):
            assert edge.put(f"t-{number}").status == 200
            assert edge.put("always").status == 200
            began_s = broker_s()
            wait_until(lambda began_s=began_s: broker_s() > began_s + 4)
        assert edge.put("always").status == 200
        assert edge.process.poll() is None
    found = [each["task_id"] for each in records(read_all(servers, topics.progress.name), "ProgressReported")]
    assert sorted(found) == [*["always"] * 4, "t-0", "t-1", "t-2"]


def test_a_worker_goes_on_when_its_transactional_id_has_expired(forgetful, topics, tmp_path):
    servers, fleet = forgetful.client.bootstrap_servers, Fleet(tasks=5, seed=1)

    def expires() -> bool:
        """Fold another event after a pause; whether the pause was so long that Kafka forgot the producer."""
        send(servers, topics, [fleet.event()])
        wait_until(lambda: committed(servers, topics) == fleet.sent, lambda: words(tmp_path))
        return "producer lost" in words(tmp_path)

    with worker(servers, topics, tmp_path) as process:
        wait_until(lambda: "assigned" in words(tmp_path))
        wait_until(expires, lambda: words(tmp_path), pause_s=EXPIRES_S + 2.0)
        assert expires()
        assert process.poll() is None
    folded = records(list(_last_rows(servers, topics)), "SeriesState")
    assert sum(each["reports"] for each in folded) == fleet.sent


def _last_rows(servers: str, topics: Topics) -> Iterator[Any]:
    """The last record of each series."""
    yield from {each.key(): each for each in read_all(servers, topics.state.name)}.values()
