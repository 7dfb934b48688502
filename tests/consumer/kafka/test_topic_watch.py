"""Asking again and again which topics some names stand for."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from taskstream.consumer.kafka.admin.topic_identity import TopicIdentity
from taskstream.consumer.kafka.admin.topic_watch import TopicWatch
from tests.waiting import wait_until


class OnlyTheSecondIsAnswered:
    """Stands for the class: the first client that is created has lost its brokers, the second has not."""

    def __init__(self) -> None:
        self.created = 0

    def __call__(self, _config: Mapping[str, Any]) -> OnlyTheSecondIsAnswered:
        self.created += 1
        return self

    def describe_topics(self, _names: object, request_timeout: float) -> dict[str, Future[Any]]:  # noqa: ARG002
        answer = Future[Any]()
        if self.created == 1:
            answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        else:
            answer.set_result(SimpleNamespace(topic_id="id", partitions=[0, 1]))
        return {"t": answer}


def test_a_client_that_was_not_answered_is_replaced():
    admins = OnlyTheSecondIsAnswered()
    with TopicWatch({}, ["t"], interval_s=0.001, new_admin=admins) as watch:
        wait_until(lambda: watch.found == {"t": TopicIdentity("t", "id", 2)})
    assert admins.created == 2
