"""Creates the declared topics on a cluster and describes those that exist. It never alters or deletes a topic."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartitionInfo
from confluent_kafka.admin import ConfigEntry, ConfigResource, NewTopic

from taskstream.compose.errors import TopicsError
from taskstream.consumer.kafka.kafka_errors import is_unknown_topic
from taskstream.consumer.kafka.quiet_admin import QuietAdmin
from taskstream.schemas.topics import FoundTopic, Topic, Topics

CLUSTER_DEFAULT = -1
"""As a replication factor: the cluster's default.replication.factor."""
CREATE_TIMEOUT_S = 30.0
FIND_TIMEOUT_S = 10.0
POLL_S = 0.1
_REMEDIES = {
    "TOPIC_AUTHORIZATION_FAILED": "allow this user to describe and create it",
    "CLUSTER_AUTHORIZATION_FAILED": "allow this user to create topics",
    "TOPIC_EXCEPTION": "a topic name is made of letters, digits and . _ -",
    "INVALID_REPLICATION_FACTOR": "the replication factor must not exceed the number of brokers",
}


def create_topics(
    admin_config: Mapping[str, Any],
    topics: Topics,
    replication_factor: int = CLUSTER_DEFAULT,
    timeout_s: float = CREATE_TIMEOUT_S,
) -> list[str]:
    """Create the missing topics, wait until every partition has a leader, and return the names of the created topics.

    A topic that exists is not changed; `taskstream.schemas.topics.differences` compares it with its declaration.

    Raises:
        TopicsError: the cluster did not answer, refused a topic, or a partition has no leader after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    admin = QuietAdmin(admin_config)
    present = _partitions(admin, topics, timeout_s)
    created = []
    if missing := [topic for topic in topics.all if topic.name not in present]:
        new = [NewTopic(each.name, each.partitions, replication_factor, config=dict(each.config)) for each in missing]
        futures = admin.create_topics(new, operation_timeout=timeout_s, request_timeout=timeout_s)
        created = [name for name, future in futures.items() if _was_created(admin, name, future)]
    while waiting := _leaderless(topics.all, _partitions(admin, topics, timeout_s)):
        if time.monotonic() > deadline:
            raise TopicsError(f"{', '.join(waiting)}: no leader after {timeout_s:g} s: are all brokers up?")
        time.sleep(POLL_S)
    return created


def found_topics(
    admin_config: Mapping[str, Any], topics: Topics, timeout_s: float = FIND_TIMEOUT_S
) -> dict[str, FoundTopic]:
    """[name] The partitions and configuration of each of the topics that exists on the cluster.

    Raises:
        TopicsError: the cluster did not answer, or refused to describe a topic.
    """
    admin = QuietAdmin(admin_config)
    described = _partitions(admin, topics, timeout_s)
    if not described:
        return {}
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in described]
    found = {}
    for resource, future in admin.describe_configs(resources, request_timeout=timeout_s).items():
        entries: dict[str, ConfigEntry] = _result(admin, resource.name, "cannot read its configuration", future)
        config = {name: str(entry.value) for name, entry in entries.items()}
        found[resource.name] = FoundTopic(len(described[resource.name]), config)
    return found


def _partitions(admin: QuietAdmin, topics: Topics, timeout_s: float) -> dict[str, list[TopicPartitionInfo]]:
    found = {}
    names = TopicCollection([topic.name for topic in topics.all])
    for name, future in admin.describe_topics(names, request_timeout=timeout_s).items():
        try:
            found[name] = future.result().partitions
        except KafkaException as error:
            if not is_unknown_topic(error.args[0]):
                raise TopicsError(f"{name}: cannot be described: {_message(admin, error)}") from error
    return found


def _was_created(admin: QuietAdmin, name: str, future: Future[None]) -> bool:
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:  # another process was faster
            return False
        raise TopicsError(f"{name}: not created: {_message(admin, error)}") from error
    return True


def _leaderless(declared: tuple[Topic, ...], described: dict[str, list[TopicPartitionInfo]]) -> list[str]:
    return [
        topic.name
        for topic in declared
        if topic.name not in described or not all(each.leader for each in described[topic.name])
    ]


def _result(admin: QuietAdmin, name: str, failure: str, future: Future[Any]) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        raise TopicsError(f"{name}: {failure}: {_message(admin, error)}") from error


def _message(admin: QuietAdmin, error: KafkaException) -> str:
    """Librdkafka's message, and a remedy for the usual causes."""
    remedy = _REMEDIES.get(error.args[0].name())
    return f"{admin.why(error)}: {remedy}" if remedy else admin.why(error)
