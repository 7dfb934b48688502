"""The program that asks a group's coordinator one question: librdkafka can end the process that asks.

When such a request times out while its coordinator is away, an assertion of librdkafka (up to 2.16) aborts the process.
`group_questions` starts this program. It reads one JSON document from standard input (`config`, `group`, `question`,
`call_s`) and prints one: `answer`, or `code`, `error` and `why`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException

from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.kafka_errors import is_unknown_group


def _description(admin: QuietAdmin, group: str, call_s: float) -> dict[str, Any]:
    found = answered(admin.describe_consumer_groups([group], request_timeout=call_s)[group], call_s)
    members = [
        {
            "name": each.group_instance_id or each.client_id,
            "host": each.host,
            "partitions": [
                [held.topic, held.partition] for held in (each.assignment.topic_partitions if each.assignment else ())
            ],
        }
        for each in found.members
    ]
    return {"state": found.state.name, "members": members}


def _offsets(admin: QuietAdmin, group: str, call_s: float) -> list[list[Any]]:
    asked = [ConsumerGroupTopicPartitions(group)]
    (answer,) = admin.list_consumer_group_offsets(asked, request_timeout=call_s).values()
    found = answered(answer, call_s).topic_partitions or []
    return [[each.topic, each.partition, each.offset] for each in found if each.error is None and each.offset >= 0]


QUESTIONS: Final[dict[str, Callable[[QuietAdmin, str, float], Any]]] = {
    "description": _description,
    "offsets": _offsets,
}


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to the question; None when there is no such group."""
    admin = QuietAdmin(asked["config"])
    try:
        return {"answer": QUESTIONS[asked["question"]](admin, asked["group"], asked["call_s"])}
    except KafkaException as error:
        reason = error.args[0]
        if is_unknown_group(reason):
            return {"answer": None}
        return {"code": reason.code(), "error": reason.str(), "why": admin.why(error)}


if __name__ == "__main__":
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # the answer is printed: nothing that librdkafka does at its end may change the exit code
