"""A worker in a thread, by a clock that the test sets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.worker.metrics import WorkerMetrics
from taskstream.consumer.worker.run_worker import run_worker
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import IDS
from tests.waiting import LIMIT_S

T = 4_000_000_000_000_000
S = 1_000_000


class Clock:
    """Gives the time that the test sets."""

    now_us = T

    def __call__(self) -> float:
        return self.now_us / S


@contextmanager
def working(broker: KafkaClient, topics: Topics, clock: Clock, **more: Any) -> Iterator[None]:
    """A worker in a thread, with this clock; `more` are settings."""
    stop, failed = threading.Event(), []
    often: dict[str, Any] = {"commit_interval_s": 0.05, "expire_interval_s": 0.1}
    settings = WorkerSettings(topics, f"{topics.prefix}.worker", "w", **often, **more)

    def work() -> None:
        try:
            run_worker(broker.config(), IDS, settings, WorkerMetrics(), stop.is_set, clock)
        except Exception as error:  # noqa: BLE001 (raised below, in the test's own thread)
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(LIMIT_S)
        assert not failed, failed
        assert not thread.is_alive()
