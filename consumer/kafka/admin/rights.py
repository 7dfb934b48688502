"""Which rights a client lacks: from the error of a request, or by asking for what it may do with some topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation

from taskstream.consumer.errors import RightMissing
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.kafka_errors import is_unknown_topic
from taskstream.schemas.kafka_rights import denied

_NAMES: Final = {AclOperation.READ: "Read", AclOperation.WRITE: "Write"}


def denial(
    error: KafkaError,
    config: Mapping[str, Any],
    *,
    topic: str = "",
    group: str = "",
    transactional_id: str = "",
    is_member: bool = True,
) -> str | None:
    """The sentence about the right that a reading client of this configuration lacks; None: that is not the error.

    is_member: the client joins the group; else it only asks about it.
    """
    match error.code():
        case KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return denied(config, "Read", "topic", topic)
        case KafkaError.GROUP_AUTHORIZATION_FAILED:
            return denied(config, "Read" if is_member else "Describe", "group", group)
        case KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return denied(config, "Write", "transactional id", transactional_id)
        case KafkaError.CLUSTER_AUTHORIZATION_FAILED:
            return denied(config, "IdempotentWrite", "cluster")
    return None


def require_rights(
    admin: QuietAdmin, config: Mapping[str, Any], needed: Mapping[str, Sequence[AclOperation]], call_s: float
) -> None:
    """Return when the user may do what is `needed` with each topic, as far as the broker says.

    Raises:
        RightMissing: one operation or more is not allowed.
        KafkaException: Kafka did not answer.
    """
    lacking = list(_lacking(admin, needed, call_s))
    if lacking:
        raise RightMissing("; ".join(denied(config, operation, "topic", name) for operation, name in lacking))


def _lacking(
    admin: QuietAdmin, needed: Mapping[str, Sequence[AclOperation]], call_s: float
) -> Iterator[tuple[str, str]]:
    names = TopicCollection(list(needed))
    answers = admin.describe_topics(names, include_authorized_operations=True, request_timeout=call_s)
    for name, answer in answers.items():
        try:
            held = answered(answer, call_s).authorized_operations
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if is_unknown_topic(reason):
                continue
            if reason.code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise
            held = [AclOperation.UNKNOWN]
        if held:  # a broker without an authorizer may list none
            yield from ((_NAMES[each], name) for each in needed[name] if each not in held)
