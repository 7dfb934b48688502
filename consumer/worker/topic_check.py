"""Checks before a worker starts: the topics exist, and the state topic has as many partitions as the progress topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException, TopicCollection

from taskstream.consumer.errors import PartitionsUnequal, TopicsMissing
from taskstream.consumer.kafka.kafka_errors import is_unknown_topic
from taskstream.consumer.kafka.quiet_admin import QuietAdmin
from taskstream.consumer.kafka.retry import with_retry
from taskstream.schemas.topics import Topics

_CALL_S = 10.0


def check_topics(config: Mapping[str, Any], topics: Topics) -> int:
    """Check that a worker may fold `topics`; returns the number of partitions of the progress and the state topic.

    Raises:
        TopicsUnfit: one is missing, or progress and state have different numbers of partitions.
        KafkaFailed: Kafka did not answer.
    """
    admin = QuietAdmin(config)
    used = (topics.progress, topics.state, topics.rates, topics.signals, topics.rejected)
    names = [each.name for each in used]
    counts = with_retry("the topics cannot be described", lambda: _partition_counts(admin, names), why=admin.why)
    missing = [name for name, count in counts.items() if not count]
    if missing:
        raise TopicsMissing(f"{', '.join(missing)} does not exist", topics.prefix)
    events, rows = counts[topics.progress.name], counts[topics.state.name]
    if events != rows:
        raise PartitionsUnequal(
            f"{topics.progress.name} has {events} partitions and {topics.state.name} has {rows}: each partition of "
            "events needs one of state"
        )
    return events


def _partition_counts(admin: QuietAdmin, names: list[str]) -> dict[str, int]:
    """The number of partitions of each topic; 0: there is no such topic."""
    counts = {}
    for name, answer in admin.describe_topics(TopicCollection(names), request_timeout=_CALL_S).items():
        try:
            counts[name] = len(answer.result().partitions)
        except KafkaException as error:
            if not is_unknown_topic(error.args[0]):
                raise
            counts[name] = 0
    return counts
