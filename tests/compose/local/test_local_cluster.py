"""Several local brokers: one cluster, replicated by default, which goes on without one of them and keeps its data."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from taskstream.compose.errors import BrokerCountDiffers
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.local_cluster import LocalCluster, registered_brokers
from taskstream.compose.remedies import message_of
from tests.compose.local.test_local_kafka import read_one, write
from tests.processes import is_alive
from tests.waiting import LIMIT_S, wait_until


def create_topic(client: KafkaClient, name: str) -> None:
    admin = AdminClient(client.config())  # named: a client that is garbage collected does not answer
    admin.create_topics([NewTopic(name, 3)])[name].result(LIMIT_S)


def test_a_topic_has_three_replicas_by_default(cluster: KafkaClient, topic_prefix: str):
    create_topic(cluster, topic_prefix)
    admin = AdminClient(cluster.config())
    wait_until(lambda: topic_prefix in admin.list_topics(timeout=60).topics)
    partitions = admin.list_topics(topic_prefix, timeout=60).topics[topic_prefix].partitions.values()
    assert {len(each.replicas) for each in partitions} == {3}


def test_it_goes_on_without_one_broker_and_keeps_its_data_over_a_restart_of_all(private_cluster: LocalCluster):
    create_topic(private_cluster.client, "t")
    write(private_cluster.client, "t", b"kept")
    private_cluster.nodes[1].kill()
    assert read_one(private_cluster.client, "t", "g") == b"kept"
    private_cluster.nodes[1].start()
    pids = [node.pid for node in private_cluster.nodes.values()]
    private_cluster.stop()
    wait_until(lambda: not any(map(is_alive, pids)))
    private_cluster.start()
    assert registered_brokers(private_cluster.client, timeout_s=60) == 3
    assert read_one(private_cluster.client, "t", "h") == b"kept"


def test_a_folder_keeps_its_number_of_brokers(tmp_path: Path, kafka_cache_dir: Path):
    (tmp_path / "one" / "storage").mkdir(parents=True)
    (tmp_path / "one" / "storage" / "meta.properties").write_text("cluster.id=x\n")
    with pytest.raises(BrokerCountDiffers, match="of 1 broker, not 3") as differs:
        LocalCluster(tmp_path / "one", brokers=3, cache_dir=kafka_cache_dir).prepare()
    assert "give --brokers 1, or another --data-dir" in message_of(differs.value)
    for number in (1, 2, 3):
        (tmp_path / "three" / f"broker-{number}").mkdir(parents=True)
    with pytest.raises(BrokerCountDiffers, match="of 3 brokers, not 1"):
        LocalCluster(tmp_path / "three", brokers=1, cache_dir=kafka_cache_dir).prepare()
