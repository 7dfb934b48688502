"""Questions to Kafka that fail while a coordinator moves or a broker is away: asked again, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from taskstream.consumer.errors import KafkaFailed

T = TypeVar("T")
PATIENCE_S = 60.0
_PAUSE_S = 0.2

FINAL = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._AUTHENTICATION,  # noqa: SLF001 (librdkafka's public names, here and below)
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
"""What asking again does not mend."""


def with_retry(
    what: str,
    ask: Callable[[], T],
    patience_s: float = PATIENCE_S,
    why: Callable[[KafkaException], str] = lambda error: f"{error.args[0].str()}: is Kafka up, and its address right?",
) -> T:
    """The answer to `ask`, which is called again while it fails with what may pass; `why` then has the last word.

    Raises:
        KafkaFailed: with `what`, when it cannot pass, or did not within `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() in FINAL or reason.fatal():
                raise KafkaFailed(f"{what}: {reason.str()}") from error
            if time.monotonic() > deadline:
                raise KafkaFailed(f"{what}: tried for {patience_s:.0f} s: {why(error)}") from error
            time.sleep(_PAUSE_S)
