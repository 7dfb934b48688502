"""Creates the declared topics on a cluster and describes those that exist. It never alters or deletes a topic."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartitionInfo
from confluent_kafka.admin import ClusterMetadata, ConfigEntry, ConfigResource, NewTopic

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
BROKER_S = 2.0
"""The longest wait for the answer of one particular broker."""
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
    """Create the missing topics, wait until every partition has a leader, and return the names that were missing.

    When it returns, every broker that answers knows the created topics: who asks next may ask any of them. A topic that
    exists is not changed; `taskstream.schemas.topics.differences` compares it with its declaration.

    A name that is taken when Kafka is asked is among them: a request that was not answered in time has created the
    topic, or another process has at the same moment. Kafka's answer does not tell which.

    min_insync_replicas: of the topics that are created; None: the cluster's own.

    Raises:
        TopicsError: the cluster did not answer, refused a topic, or after `timeout_s` a partition has no leader or a
            broker does not know a topic.
    """
    deadline = time.monotonic() + timeout_s
    admin = QuietAdmin(admin_config)
    present = _partitions(admin, topics, timeout_s)
    if missing := [topic for topic in topics.all if topic.name not in present]:
        more = {} if min_insync_replicas is None else {"min.insync.replicas": str(min_insync_replicas)}
        new = [
            NewTopic(topic.name, topic.partitions, replication_factor, config={**topic.config, **more})
            for topic in missing
        ]

        def create(call_s: float) -> Mapping[str, Future[None]]:
            return admin.create_topics(new, operation_timeout=call_s, request_timeout=call_s)

        _answers(admin, "not created", create, timeout_s, left_out=_exists)
    while waiting := _leaderless(topics.all, _partitions(admin, topics, timeout_s)):
        if time.monotonic() > deadline:
            raise TopicsError(f"{', '.join(waiting)}: no leader after {timeout_s:g} s: are all brokers up?")
        time.sleep(POLL_S)
    names = [topic.name for topic in missing]
    while names and (uninformed := _uninformed(admin, admin_config, names, timeout_s)):
        if time.monotonic() > deadline:
            raise TopicsError(
                f"{', '.join(uninformed)}: does not know the new topics after {timeout_s:g} s: is it in touch with the "
                "controller?"
            )
        time.sleep(POLL_S)
    return names


def found_topics(
    admin_config: Mapping[str, Any], topics: Topics, timeout_s: float = FIND_TIMEOUT_S
) -> dict[str, FoundTopic]:
    """[name] The partitions and configuration of each of the topics that exists on the cluster.

    The two come from two answers, perhaps of two brokers. Where one knows a topic and the other does not, because it
    was just created or deleted, both are asked again.

    Raises:
        TopicsError: the cluster did not answer, refused to describe a topic, or its answers differ after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    admin = QuietAdmin(admin_config)
    while described := _partitions(admin, topics, timeout_s):
        configs = _configs(admin, list(described), timeout_s)
        if not (doubtful := described.keys() - configs.keys()):
            return {name: _found(described[name], entries) for name, entries in configs.items()}
        if time.monotonic() > deadline:
            raise TopicsError(
                f"{', '.join(sorted(doubtful))}: one broker knows it and another does not, after {timeout_s:g} s: are "
                "all brokers in touch with the controller?"
            )
        time.sleep(POLL_S)
    return {}


def live_brokers(admin_config: Mapping[str, Any], timeout_s: float = FIND_TIMEOUT_S) -> int:
    """The number of brokers that the cluster lists.

    Raises:
        TopicsError: the cluster did not answer.
    """
    return len(_listed(QuietAdmin(admin_config), timeout_s).brokers)


def _partitions(admin: QuietAdmin, topics: Topics, timeout_s: float) -> dict[str, list[TopicPartitionInfo]]:
    names = TopicCollection([topic.name for topic in topics.all])

    def describe(call_s: float) -> Mapping[str, Future[Any]]:
        return admin.describe_topics(names, request_timeout=call_s)

    found = _answers(admin, "cannot be described", describe, timeout_s, left_out=is_unknown_topic)
    return {name: description.partitions for name, description in found.items()}


def _configs(admin: QuietAdmin, names: list[str], timeout_s: float) -> dict[str, dict[str, ConfigEntry]]:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]

    def describe(call_s: float) -> Mapping[str, Future[dict[str, ConfigEntry]]]:
        answers = admin.describe_configs(resources, request_timeout=call_s)
        return {resource.name: future for resource, future in answers.items()}

    return _answers(admin, "cannot read its configuration", describe, timeout_s, left_out=is_unknown_topic)


def _uninformed(
    admin: QuietAdmin, admin_config: Mapping[str, Any], names: Collection[str], timeout_s: float
) -> list[str]:
    """The addresses of the brokers that answer and do not know all of these topics. A single broker is not asked.

    A client asks the broker that it is given, as long as it has asked nothing else.
    """
    brokers = _listed(admin, timeout_s).brokers.values()
    uninformed = []
    for each in brokers if len(brokers) > 1 else ():
        host = f"[{each.host}]" if ":" in str(each.host) else each.host
        address = f"{host}:{each.port}"
        alone = QuietAdmin({**admin_config, "bootstrap.servers": address})
        try:
            known = alone.list_topics(timeout=BROKER_S).topics
        except KafkaException as error:
            if not is_away(error.args[0]):
                raise TopicsError(f"{address}: {_message(alone, error)}") from error
        else:
            if not known.keys() >= set(names):
                uninformed.append(address)
    return uninformed


def _listed(admin: QuietAdmin, timeout_s: float) -> ClusterMetadata:
    try:
        return retry(lambda: admin.list_topics(timeout=timeout_s), is_away, RetryLimit(timeout_s))
    except KafkaException as error:
        raise TopicsError(f"the brokers cannot be listed: {_message(admin, error)}") from error


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
