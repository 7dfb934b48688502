"""How a worker waits for Kafka: as long as it takes, and it says what for. It does not wait for an unknown topic."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from confluent_kafka import KafkaError

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.kafka_errors import UnknownTopicLimit, is_unknown_topic

_PAUSE_S = 0.2
_EVERY_S = 10.0
"""Between two log lines."""
_QUIET_S = 5.0
"""After a pause longer than this between two calls, another wait begins."""
_UNKNOWN_S = 60.0
_log = structlog.get_logger("worker")


class Patience:
    """`wait` is called between two attempts of the same request. `stopping`: whether the worker is asked to stop."""

    def __init__(
        self,
        stopping: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._stopping = stopping
        self._clock = clock
        self._sleep = sleep
        self._began_s = self._logged_s = self._last_s = -_QUIET_S
        self._unknown = UnknownTopicLimit(_UNKNOWN_S)

    def wait(self, what: str, error: KafkaError) -> None:
        """Pause before `what`, which failed with `error`, is tried again.

        Raises:
            KafkaFailed: the worker is asked to stop, or a topic has been unknown for a minute.
        """
        now_s = self._clock()
        if now_s - self._last_s > _QUIET_S + _PAUSE_S:
            self._began_s, self._logged_s = now_s, now_s - _EVERY_S
            self._unknown.end()
        if now_s - self._logged_s >= _EVERY_S:
            self._logged_s = now_s
            _log.warning("waiting for Kafka", what=what, why=error.str(), seconds=round(now_s - self._began_s))
        if is_unknown_topic(error):
            self._unknown.start(now_s)
        else:
            self._unknown.end()
        if self._unknown.exceeded(now_s):
            raise KafkaFailed(f"{what}: {error.str()} for {_UNKNOWN_S:.0f} s: was the topic deleted?")
        if self._stopping():
            raise KafkaFailed(f"{what}: {error.str()}: asked to stop while Kafka did not answer")
        self._sleep(_PAUSE_S)
        self._last_s = self._clock()
