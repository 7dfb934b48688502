"""The Kafka that tests run on: the one that is given, else a container's, else our own. Never none, never a skip."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.compose.local.local_kafka import LocalKafka

GIVEN = "TASKSTREAM_TEST_BOOTSTRAP"
IMAGE = "confluentinc/cp-kafka:7.6.0"


@pytest.fixture(scope="session")
def kafka_cache_dir() -> Path:
    """Where the files of a local Kafka are kept, for a test that starts one by other means than these fixtures."""
    return default_cache_dir(os.environ)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaClient]:
    """A Kafka shared by all tests; each keeps to topics and groups under its own `topic_prefix`."""
    given = os.environ.get(GIVEN)
    if given:
        yield KafkaClient(given)
    elif docker_answers():
        with _container() as client:
            yield client
    else:
        with LocalKafka(tmp_path_factory.mktemp("kafka"), cache_dir=default_cache_dir(os.environ)) as kafka:
            yield kafka.client


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test has, of this run or of any other on the same cluster."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def private_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A Kafka of this test alone, already started: it may be stopped, killed and restarted."""
    with LocalKafka(tmp_path / "kafka", cache_dir=default_cache_dir(os.environ), heap="512m") as kafka:
        yield kafka


def docker_answers() -> bool:
    """Whether a Docker engine can be asked for a container."""
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
def _container() -> Iterator[KafkaClient]:
    from testcontainers.community.kafka import KafkaContainer

    kafka = KafkaContainer(IMAGE).with_kraft()
    kafka.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    kafka.with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
    kafka.with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
    kafka.with_env("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "4")
    kafka.start(timeout=120)
    try:
        yield KafkaClient(kafka.get_bootstrap_server())
    finally:
        kafka.stop()
