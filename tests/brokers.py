"""The Kafka for the tests: the one that TASKSTREAM_TEST_BOOTSTRAP names, else a container, else a local one.

No test is skipped for want of a Kafka.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from docker.errors import DockerException

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.compose.local.local_cluster import LocalCluster
from taskstream.compose.local.local_kafka import LocalKafka
from tests.sharing import shared_by_processes
from tests.waiting import LIMIT_S, wait_until

BOOTSTRAP_VARIABLE = "TASKSTREAM_TEST_BOOTSTRAP"
IMAGE = "confluentinc/cp-kafka:7.6.0"
RETENTION_AT_ONCE = {"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "500"}
"""Kafka deletes expired segments within a second, not within five minutes: a test whose records are expired always fails."""
NEVER_TAKEN_FOR_DEAD = {"broker.session.timeout.ms": "120000"}
"""Of brokers that no test kills. One that stands still for three seconds, as on a busy machine, would lose all its
partitions, and take long to lead hundreds of them again."""


@pytest.fixture(scope="session")
def kafka_cache_dir() -> Path:
    """The cache folder of the local Kafka, for tests that start one without these fixtures."""
    return default_cache_dir(os.environ)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaClient]:
    """A Kafka shared by all tests and test processes; each test uses only topics and groups with its own prefix."""
    bootstrap_servers = os.environ.get(BOOTSTRAP_VARIABLE)
    if bootstrap_servers:
        client = KafkaClient(bootstrap_servers)
        accept_later_timestamps(client)
        yield client
    else:
        kafka = _container() if docker_answers() else _local(tmp_path_factory.mktemp("kafka"), brokers=1)
        with shared_by_processes("kafka", tmp_path_factory, kafka) as bootstrap_servers:
            yield KafkaClient(bootstrap_servers)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test uses, in this run or in any other on the same cluster."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def private_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A running Kafka for one test, which may stop, kill and restart it."""
    with LocalKafka(tmp_path / "kafka", cache_dir=default_cache_dir(os.environ), heap="512m") as kafka:
        accept_later_timestamps(kafka.client)
        yield kafka


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaClient]:
    """Three brokers shared by all tests that only need them to be there: no test stops one of them."""
    brokers = _local(tmp_path_factory.mktemp("cluster"), brokers=3)
    with shared_by_processes("cluster", tmp_path_factory, brokers) as bootstrap_servers:
        yield KafkaClient(bootstrap_servers)


@pytest.fixture
def private_cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """Three brokers for one test, which may stop, pause, kill and restart each of them."""
    with LocalCluster(tmp_path / "cluster", brokers=3, cache_dir=default_cache_dir(os.environ)) as cluster:
        accept_later_timestamps(cluster.client)
        yield cluster


def accept_later_timestamps(client: KafkaClient) -> None:
    """Let records have timestamps after the broker's clock: the tests' reports are received in the year 2096."""
    admin = AdminClient(client.config())  # named: a client that is garbage collected does not answer
    for number in admin.list_topics(timeout=60).brokers:
        set_config(admin, ConfigResource.Type.BROKER, str(number), "log.message.timestamp.after.max.ms", str(2**63 - 1))


def set_topic(client: KafkaClient, topic: str, setting: str, value: str) -> None:
    """Change one setting of a topic, and wait until the broker has it."""
    admin = AdminClient(client.config())
    set_config(admin, ConfigResource.Type.TOPIC, topic, setting, value)


def set_config(admin: AdminClient, kind: ConfigResource.Type, name: str, setting: str, value: str) -> None:
    """Change one setting: the controller answers when it has noted it, and the broker has it later."""
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    for answer in admin.incremental_alter_configs([ConfigResource(kind, name, incremental_configs=[entry])]).values():
        answer.result(LIMIT_S)

    def at_the_broker() -> str:
        [answer] = admin.describe_configs([ConfigResource(kind, name)]).values()
        return answer.result(LIMIT_S)[setting].value

    wait_until(lambda: at_the_broker() == value)


def docker_answers() -> bool:
    """Whether a Docker engine answers."""
    try:
        engine = docker.from_env(timeout=3)
    except DockerException:
        return False
    try:
        return bool(engine.ping())
    except DockerException:
        return False
    finally:
        engine.close()


@contextmanager
def _local(folder: Path, brokers: int) -> Iterator[str]:
    cache_dir = default_cache_dir(os.environ)
    one = LocalKafka(folder, cache_dir=cache_dir, properties=RETENTION_AT_ONCE | NEVER_TAKEN_FOR_DEAD)
    several = LocalCluster(folder, brokers=brokers, cache_dir=cache_dir, properties=lambda *_: NEVER_TAKEN_FOR_DEAD)
    with one if brokers == 1 else several as kafka:
        accept_later_timestamps(kafka.client)
        yield kafka.client.bootstrap_servers


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.community.kafka import KafkaContainer

    kafka = KafkaContainer(IMAGE).with_kraft()
    kafka.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    kafka.with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
    kafka.with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
    kafka.with_env("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "4")
    kafka.start(timeout=120)
    try:
        bootstrap_servers = kafka.get_bootstrap_server()
        accept_later_timestamps(KafkaClient(bootstrap_servers))
        yield bootstrap_servers
    finally:
        kafka.stop()
