"""The topics on a cluster: found as they are, and created as they are declared. It never alters or deletes one."""

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
"""As a replication factor: the one that the cluster's own configuration says."""
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
    """Create those of the topics that are missing, and return their names when every partition has a leader.

    A topic that exists stays as it is, whatever it is: `taskstream.schemas.topics.differences` tells what it should be.

    Raises:
        TopicsError: the cluster did not answer, refused one, or the topics did not appear in time.
    """
    deadline = time.monotonic() + timeout_s
    admin = QuietAdmin(admin_config)
    present = _partitions(admin, topics, timeout_s)
    created = []
    if missing := [topic for topic in topics.all if topic.name not in present]:
        new = [NewTopic(each.name, each.partitions, replication_factor, config=dict(each.config)) for each in missing]
        asked = admin.create_topics(new, operation_timeout=timeout_s, request_timeout=timeout_s)
        created = [name for name, answer in asked.items() if _was_created(admin, name, answer)]
    while waiting := _leaderless(topics.all, _partitions(admin, topics, timeout_s)):
        if time.monotonic() > deadline:
            raise TopicsError(f"{', '.join(waiting)}: no leader after {timeout_s:g} s: are all brokers up?")
        time.sleep(POLL_S)
    return created


def found_topics(
    admin_config: Mapping[str, Any], topics: Topics, timeout_s: float = FIND_TIMEOUT_S
) -> dict[str, FoundTopic]:
    """Those of the topics that the cluster has, by name.

    Raises:
        TopicsError: the cluster did not answer, or refused to.
    """
    admin = QuietAdmin(admin_config)
    described = _partitions(admin, topics, timeout_s)
    if not described:
        return {}
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in described]
    found = {}
    for resource, answer in admin.describe_configs(resources, request_timeout=timeout_s).items():
        entries: dict[str, ConfigEntry] = _answer(admin, resource.name, "its configuration was not told", answer)
        config = {name: str(entry.value) for name, entry in entries.items()}
        found[resource.name] = FoundTopic(len(described[resource.name]), config)
    return found


def _partitions(admin: QuietAdmin, topics: Topics, timeout_s: float) -> dict[str, list[TopicPartitionInfo]]:
    found = {}
    names = TopicCollection([topic.name for topic in topics.all])
    for name, answer in admin.describe_topics(names, request_timeout=timeout_s).items():
        try:
            found[name] = answer.result().partitions
        except KafkaException as error:
            if not is_unknown_topic(error.args[0]):
                raise TopicsError(f"{name}: not found out: {_told(admin, error)}") from error
    return found


def _was_created(admin: QuietAdmin, name: str, answer: Future[None]) -> bool:
    try:
        answer.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:  # somebody was faster
            return False
        raise TopicsError(f"{name}: not created: {_told(admin, error)}") from error
    return True


def _leaderless(declared: tuple[Topic, ...], described: dict[str, list[TopicPartitionInfo]]) -> list[str]:
    return [
        topic.name
        for topic in declared
        if topic.name not in described or not all(each.leader for each in described[topic.name])
    ]


def _answer(admin: QuietAdmin, name: str, failure: str, answer: Future[Any]) -> Any:
    try:
        return answer.result()
    except KafkaException as error:
        raise TopicsError(f"{name}: {failure}: {_told(admin, error)}") from error


def _told(admin: QuietAdmin, error: KafkaException) -> str:
    """What librdkafka says, and what to do about the usual causes."""
    remedy = _REMEDIES.get(error.args[0].name())
    return f"{admin.why(error)}: {remedy}" if remedy else admin.why(error)
