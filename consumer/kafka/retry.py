"""The one retry loop for requests to Kafka, for questions and for transactional calls alike. Time comes in.

`retry` repeats a request while its error may pass, within a limit. `with_retry` asks a question: for a bounded time.
`call_transaction` makes a transactional call of a command that is run again when it fails: a few times.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from taskstream.consumer.errors import KafkaFailed, RightMissing
from taskstream.consumer.kafka.kafka_errors import is_passing, is_repeatable

T = TypeVar("T")
Waiting = Callable[[str, KafkaError], None]
"""Called instead of a pause, with what cannot be done and why; the request is repeated until this raises an error."""
TRANSACTION_CALL_S = 30.0
"""The timeout of each call that is made with `call_transaction`."""


@dataclass(frozen=True, slots=True)
class RetryLimit:
    """When to give up. A request is always made once."""

    seconds: float = 60.0
    """From the first request on; a request that is under way is not cut off."""
    attempts: float = math.inf
    pause_s: float = 0.2
    """Between two requests."""


QUESTION = RetryLimit()
TRANSACTION_CALL = RetryLimit(seconds=math.inf, attempts=4, pause_s=0.0)
"""librdkafka itself waits within a transactional call, and resumes a call that is made again after a timeout."""


def retry(
    request: Callable[[], T],
    may_pass: Callable[[KafkaError], bool],
    limit: RetryLimit = QUESTION,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    waiting: Callable[[KafkaError], None] | None = None,
) -> T:
    """The result of `request`, which is repeated while its error `may_pass` and the limit allows it.

    With `waiting` there is no limit and no pause: it is called instead, and may raise an error.

    `clock` gives monotonic seconds.

    Raises:
        KafkaException: that of the last request. Its error `may_pass` if and only if the limit was reached.
    """
    deadline_s = clock() + limit.seconds
    for attempt in itertools.count(1):
        try:
            return request()
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if not may_pass(reason):
                raise
            if waiting is not None:
                waiting(reason)
                continue
            if attempt >= limit.attempts or clock() > deadline_s:
                raise
        if limit.pause_s:
            sleep(limit.pause_s)
    raise AssertionError("count() does not end")


def with_retry(
    what: str,
    ask: Callable[[], T],
    limit: RetryLimit = QUESTION,
    why: Callable[[KafkaException], str] = lambda error: f"{error.args[0].str()}: is Kafka up, and its address right?",
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    waiting: Waiting | None = None,
    denied: Callable[[KafkaError], str | None] = lambda _: None,
) -> T:
    """The answer to `ask`, which is called again while its error may pass. `why` explains the last one.

    denied: the sentence about the right that this error is about, if it is; see `admin.rights.denial`.

    Raises:
        RightMissing: Kafka does not allow it.
        KafkaFailed: the error is final, or the limit was reached. The message begins with `what`; its cause is the
            KafkaException.
    """
    try:
        return retry(ask, is_passing, limit, clock, sleep, partial(waiting, what) if waiting else None)
    except KafkaException as error:
        reason: KafkaError = error.args[0]
        if is_passing(reason):
            raise KafkaFailed(f"{what}: tried for {limit.seconds:.0f} s: {why(error)}") from error
        if sentence := denied(reason):
            raise RightMissing(f"{what}: {sentence}") from error
        raise KafkaFailed(f"{what}: {reason.str()}") from error


def call_transaction(
    name: str,
    call: Callable[[], Any],
    limit: RetryLimit = TRANSACTION_CALL,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make the transactional call `name`, again while it may be repeated as it was.

    Raises:
        KafkaFailed: the call failed. Running the command again shows what was done.
    """
    try:
        retry(call, is_repeatable, limit, clock, sleep)
    except KafkaException as error:
        raise KafkaFailed(f"{name}: {error.args[0].str()}: run it again") from error
