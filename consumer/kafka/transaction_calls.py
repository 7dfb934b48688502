"""Calls of a transactional producer, a few times while they may be tried again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from taskstream.consumer.errors import KafkaFailed

CALL_S = 30.0
_TRIES = 4


def transactional(name: str, call: Callable[[], Any]) -> None:
    """Make the call.

    Raises:
        KafkaFailed: it came to nothing; running the command again tells what was done.
    """
    for attempt in itertools.count(1):
        try:
            call()
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if attempt < _TRIES and reason.retriable() and not reason.txn_requires_abort():
                continue
            raise KafkaFailed(f"{name}: {reason.str()}: run it again") from error
        return
