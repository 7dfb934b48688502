"""The topics on a real broker: created once, found as they were created, differences told."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient, NewTopic

from taskstream.compose.cli import cli
from taskstream.compose.errors import TopicsError
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.local_cluster import LocalCluster
from taskstream.compose.local.ports import free_port
from taskstream.compose.remedies import message_of
from taskstream.compose.topic_admin import create_topics, found_topics
from taskstream.schemas.topics import Topics, differences
from tests.run import chaos
from tests.waiting import LIMIT_S, wait_until


def test_created_topics_are_found_as_declared(broker: KafkaClient, topic_prefix: str):
    topics = Topics(topic_prefix, partitions=3, retention_days=2)

    created = create_topics(broker.config(), topics)

    assert sorted(created) == sorted(topic.name for topic in topics.all)
    assert differences(topics, found_topics(broker.config(), topics)) == []


def test_when_they_are_created_each_of_several_brokers_knows_them(cluster: KafkaClient, topic_prefix: str):
    topics = Topics(topic_prefix, partitions=1)
    created = create_topics(cluster.config(), topics)
    assert len(created) == len(topics.all)
    addresses = str(cluster.config()["bootstrap.servers"]).split(",")
    assert len(addresses) == 3
    for address in addresses:
        admin = AdminClient({"bootstrap.servers": address})
        assert admin.list_topics(timeout=LIMIT_S).topics.keys() >= set(created)


@pytest.mark.chaos
def test_while_brokers_are_suspended_in_turn_created_topics_are_found(private_cluster: LocalCluster, topic_prefix: str):
    config = private_cluster.client.config()
    print(f"--seed {(seed := chaos.seed())}")
    with ThreadPoolExecutor(1) as beside:
        over = threading.Event()
        suspending = beside.submit(suspend_in_turn, private_cluster, random.Random(seed), over)
        try:
            for number in range(chaos.kills(5)):
                topics = Topics(f"{topic_prefix}.{number}", partitions=2)
                assert len(create_topics(config, topics)) == len(topics.all)
                assert [each for each in differences(topics, found_topics(config, topics)) if each.fatal] == []
        finally:
            over.set()
        suspending.result()


def suspend_in_turn(cluster: LocalCluster, chance: random.Random, over: threading.Event) -> None:
    """Each time one of the brokers, for less than its session lasts: afterwards it is behind for a moment."""
    while not over.wait(0.2):
        node = chance.choice([*cluster.nodes.values()])
        node.signal(signal.SIGSTOP)
        time.sleep(0.4)
        node.signal(signal.SIGCONT)


def test_creating_again_changes_nothing(broker: KafkaClient, topic_prefix: str):
    topics = Topics(topic_prefix, partitions=2)
    create_topics(broker.config(), topics)
    before = found_topics(broker.config(), topics)

    assert create_topics(broker.config(), Topics(topic_prefix, partitions=5)) == []
    assert found_topics(broker.config(), topics) == before


def test_only_what_is_missing_is_created(broker: KafkaClient, topic_prefix: str):
    topics = Topics(topic_prefix, partitions=2)
    _create(broker, topics.rates.name, partitions=2)

    created = create_topics(broker.config(), topics)

    assert topics.rates.name not in created
    assert len(created) == len(topics.all) - 1


def test_no_topic_is_found_before_any_is_created(broker: KafkaClient, topic_prefix: str):
    assert found_topics(broker.config(), Topics(topic_prefix)) == {}


def test_a_state_topic_of_another_partition_count_is_found_out(broker: KafkaClient, topic_prefix: str):
    topics = Topics(topic_prefix, partitions=2)
    _create(broker, topics.state.name, partitions=3)
    create_topics(broker.config(), topics)

    worst = differences(topics, found_topics(broker.config(), topics))[0]

    assert worst.fatal
    assert worst.topic == topics.state.name


def test_an_impossible_replication_factor_is_told_with_its_remedy(broker: KafkaClient, topic_prefix: str):
    with pytest.raises(TopicsError, match="the replication factor must not exceed the number of brokers") as refused:
        create_topics(broker.config(), Topics(topic_prefix, partitions=1), replication_factor=99)

    assert "--replication-factor" in message_of(refused.value)


def test_a_cluster_that_does_not_answer_is_told_in_time():
    nowhere = KafkaClient(f"127.0.0.1:{free_port()}")

    with pytest.raises(TopicsError, match=f"does Kafka listen at {nowhere.bootstrap_servers}") as failed:
        found_topics(nowhere.config(), Topics(), timeout_s=1)

    assert "--bootstrap-servers" in message_of(failed.value)


def test_the_command_creates_them_and_finds_nothing_to_say(broker: KafkaClient, topic_prefix: str):
    created = run("create", broker, topic_prefix)
    checked = run("check", broker, topic_prefix)

    assert (created.exit_code, checked.exit_code) == (0, 0)
    assert all(row["created"] for row in json.loads(created.stdout))
    assert json.loads(checked.stdout) == []


def test_check_of_topics_that_are_missing_fails_and_says_the_remedy(broker: KafkaClient, topic_prefix: str):
    checked = run("check", broker, topic_prefix)

    assert checked.exit_code == 1
    assert {row["remedy"] for row in json.loads(checked.stdout)} == {"run `taskstream topics create`"}


def test_check_passes_with_a_note_when_all_have_another_partition_count(broker: KafkaClient, topic_prefix: str):
    run("create", broker, topic_prefix, "--partitions", "2")
    checked = run("check", broker, topic_prefix, "--partitions", "4")

    assert checked.exit_code == 0
    assert "give --partitions 2" in checked.stdout


def test_create_fails_on_a_state_topic_that_cannot_be_used(broker: KafkaClient, topic_prefix: str):
    _create(broker, Topics(topic_prefix).state.name, partitions=3)
    created = run("create", broker, topic_prefix)

    assert created.exit_code == 1
    assert "has 3 partitions" in created.stderr


def test_topics_of_a_cluster_survive_the_loss_of_a_broker_unless_told_otherwise(
    cluster: KafkaClient, topic_prefix: str
):
    # A broker that was too busy for its heartbeats is no replica's for a moment.
    failures: list[str] = []

    def created() -> bool:
        result = run("create", cluster, topic_prefix)
        failures.append(result.stderr)
        return result.exit_code == 0

    wait_until(created, lambda: failures[-1])
    wait_until(lambda: json.loads(run("check", cluster, topic_prefix).stdout) == [])


def test_check_tells_of_fewer_replicas_and_of_the_settings_of_a_topic(cluster: KafkaClient, topic_prefix: str):
    run("create", cluster, topic_prefix, "--replication-factor", "1", "--min-insync-replicas", "1")
    wait_until(lambda: len(json.loads(run("check", cluster, topic_prefix).stdout)) == 7)
    checked = run("check", cluster, topic_prefix)
    rows = json.loads(checked.stdout)

    assert checked.exit_code == 0
    assert {row["what"] for row in rows} == {"has 1 replica in a cluster of 3 brokers"}
    assert all("--replication-factor 3" in row["remedy"] for row in rows)


def test_a_minimum_of_replicas_in_sync_is_set_and_told(cluster: KafkaClient, topic_prefix: str):
    run("create", cluster, topic_prefix, "--min-insync-replicas", "1")
    wait_until(lambda: len(json.loads(run("check", cluster, topic_prefix).stdout)) == 7)
    rows = json.loads(run("check", cluster, topic_prefix).stdout)

    assert all("--add-config min.insync.replicas=2" in row["remedy"] for row in rows)


def test_list_shows_what_the_cluster_has(broker: KafkaClient, topic_prefix: str):
    _create(broker, Topics(topic_prefix).rates.name, partitions=3)
    listed = {row["topic"]: row["found_partitions"] for row in json.loads(run("list", broker, topic_prefix).stdout)}

    assert listed[f"{topic_prefix}.rates"] == 3
    assert listed[f"{topic_prefix}.progress"] is None


def run(command: str, broker: KafkaClient, prefix: str, *options: str) -> Result:
    """`taskstream topics COMMAND` on this broker, with 2 partitions unless the options say otherwise."""
    arguments = ["topics", command, "--prefix", prefix, "--partitions", "2", "-o", "json", *options]
    return CliRunner().invoke(cli, [*arguments, "--bootstrap-servers", broker.bootstrap_servers])


def _create(broker: KafkaClient, name: str, partitions: int) -> None:
    """Create a topic as a stranger would, and await that it is seen."""
    admin = AdminClient(broker.config())
    admin.create_topics([NewTopic(name, partitions)])[name].result(LIMIT_S)
    wait_until(lambda: name in admin.list_topics(timeout=60).topics)
