"""Creates the declared topics on a cluster and describes those that exist. It never alters or deletes a topic."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartitionInfo
from confluent_kafka.admin import ConfigEntry, ConfigResource, NewTopic

from taskstream.compose.errors import TopicsError
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.kafka_errors import is_away, is_unknown_topic
from taskstream.consumer.kafka.retry import RetryLimit, retry
from taskstream.schemas.topics import FoundTopic, Topic, Topics

CLUSTER_DEFAULT = -1
"""As a replication factor: the cluster's default.replication.factor."""
CREATE_TIMEOUT_S = 120.0
FIND_TIMEOUT_S = 10.0
CALL_S = 10.0
"""The longest wait for the answer to one request; it is repeated when a broker is away."""
POLL_S = 0.1
T = TypeVar("T")
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
    min_insync_replicas: int | None = None,
) -> list[str]:
    """Create the missing topics, wait until every partition has a leader, and return the names of the created topics.

    A topic that exists is not changed; `taskstream.schemas.topics.differences` compares it with its declaration.
    min_insync_replicas: of the topics that are created; None: the cluster's own.

    Raises:
        TopicsError: the cluster did not answer, refused a topic, or a partition has no leader after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    admin = QuietAdmin(admin_config)
    present = _partitions(admin, topics, timeout_s)
    created: list[str] = []
    if missing := [topic for topic in topics.all if topic.name not in present]:
        more = {} if min_insync_replicas is None else {"min.insync.replicas": str(min_insync_replicas)}
        new = [
            NewTopic(topic.name, topic.partitions, replication_factor, config={**topic.config, **more})
            for topic in missing
        ]

        def create(call_s: float) -> Mapping[str, Future[None]]:
            return admin.create_topics(new, operation_timeout=call_s, request_timeout=call_s)

        created = list(_answers(admin, "not created", create, timeout_s, left_out=_exists))
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

    def describe(call_s: float) -> Mapping[str, Future[dict[str, ConfigEntry]]]:
        answers = admin.describe_configs(resources, request_timeout=call_s)
        return {resource.name: future for resource, future in answers.items()}

    configs = _answers(admin, "cannot read its configuration", describe, timeout_s)
    return {name: _found(described[name], entries) for name, entries in configs.items()}


def live_brokers(admin_config: Mapping[str, Any], timeout_s: float = FIND_TIMEOUT_S) -> int:
    """The number of brokers that the cluster lists.

    Raises:
        TopicsError: the cluster did not answer.
    """
    admin = QuietAdmin(admin_config)
    try:
        return len(retry(lambda: admin.list_topics(timeout=timeout_s), is_away, RetryLimit(timeout_s)).brokers)
    except KafkaException as error:
        raise TopicsError(f"the brokers cannot be listed: {_message(admin, error)}") from error


def _partitions(admin: QuietAdmin, topics: Topics, timeout_s: float) -> dict[str, list[TopicPartitionInfo]]:
    names = TopicCollection([topic.name for topic in topics.all])

    def describe(call_s: float) -> Mapping[str, Future[Any]]:
        return admin.describe_topics(names, request_timeout=call_s)

    found = _answers(admin, "cannot be described", describe, timeout_s, left_out=is_unknown_topic)
    return {name: description.partitions for name, description in found.items()}


def _found(partitions: list[TopicPartitionInfo], entries: Mapping[str, ConfigEntry]) -> FoundTopic:
    config = {name: str(entry.value) for name, entry in entries.items()}
    replicas = min((len(each.replicas) for each in partitions), default=1)
    in_sync = min((len(each.isr) for each in partitions), default=1)
    return FoundTopic(len(partitions), config, replicas, in_sync)


def _exists(error: KafkaError) -> bool:
    """Whether another process, or a request that was not answered in time, created the topic."""
    return error.code() == KafkaError.TOPIC_ALREADY_EXISTS


def _answers(
    admin: QuietAdmin,
    failure: str,
    request: Callable[[float], Mapping[str, Future[T]]],
    timeout_s: float,
    left_out: Callable[[KafkaError], bool] = lambda _error: False,
) -> dict[str, T]:
    """[topic] The answers to `request` (its argument: seconds), which is repeated while a broker is away.

    A topic with an error that is `left_out` has no answer.

    Raises:
        TopicsError: another error, or no answer within `timeout_s`.
    """
    found: dict[str, T] = {}
    name = ""

    call_s = min(CALL_S, timeout_s)

    def ask() -> None:
        nonlocal name
        for name, future in request(call_s).items():
            try:
                found[name] = answered(future, call_s)
            except KafkaException as error:
                if not left_out(error.args[0]):
                    raise

    try:
        retry(ask, is_away, RetryLimit(timeout_s, pause_s=POLL_S))
    except KafkaException as error:
        raise TopicsError(f"{name}: {failure}: {_message(admin, error)}") from error
    return found


def _leaderless(declared: tuple[Topic, ...], described: dict[str, list[TopicPartitionInfo]]) -> list[str]:
    return [
        topic.name
        for topic in declared
        if topic.name not in described or not all(each.leader for each in described[topic.name])
    ]


def _message(admin: QuietAdmin, error: KafkaException) -> str:
    """Librdkafka's message, and a remedy for the usual causes."""
    remedy = _REMEDIES.get(error.args[0].name())
    return f"{admin.why(error)}: {remedy}" if remedy else admin.why(error)
