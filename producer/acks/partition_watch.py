"""Watches the number of partitions of the topic that the edge writes to. It asks from a thread, and writes nothing.

librdkafka's producer puts keys where the number of partitions says, and uses a new number within five minutes. The
reports of a task would then continue in another partition. So the edge refuses reports before that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from taskstream.schemas.topics import PERMANENT

INTERVAL_S: Final = 3.0
FIRST_ANSWER_S: Final = 3.0
"""The longest time that the start of an edge waits for the first answer."""
_CALL_S: Final = 5.0
_JOIN_S: Final = 1.0
_QUIET: Final = {"log_level": 0, "reconnect.backoff.ms": 250, "reconnect.backoff.max.ms": 1_000}
_REMEDY: Final = f"{PERMANENT}; start edges, workers and views with the topics of a new prefix"


class PartitionWatch:
    """`async with PartitionWatch(config, topic, state_topic) as watch`: inside, `watch.problem` is up to date.

    `config` is librdkafka's. The state topic has as many partitions; where this user may not describe it, only changes
    since the start are found.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, state_topic: str, interval_s: float = INTERVAL_S) -> None:
        self._config = {**_QUIET, **config}
        self._topic = topic
        self._state_topic = state_topic
        self._interval_s = interval_s
        self._first: int | None = None
        self.admin: AdminClient | None = None
        """The client that asks, also for others; None until the watch is entered."""
        self.problem: str | None = None
        """Why the topic cannot be used any more; None: nothing, or it is not known."""
        self._answered = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="partitions", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        await asyncio.get_running_loop().run_in_executor(None, self._answered.wait, FIRST_ANSWER_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, _JOIN_S)

    def compare(self, found: int, of_state: int | None) -> None:
        """Set `problem` for these numbers of partitions; `of_state`: of the state topic, None: unknown."""
        self._first = self._first or found
        if of_state is not None and found != of_state:
            self.problem = f"{self._topic} has {found} partitions and {self._state_topic} has {of_state}: {_REMEDY}"
        elif found != self._first:
            self.problem = f"{self._topic} has {found} partitions now and had {self._first}: {_REMEDY}"
        else:
            self.problem = None

    def _run(self) -> None:
        self.admin = admin = AdminClient(self._config)
        while not self._stopping.is_set():
            found = _partitions(admin, self._topic)
            if found is not None:
                self.compare(found, _partitions(admin, self._state_topic))
                self._answered.set()
            self._stopping.wait(self._interval_s)


def _partitions(admin: AdminClient, topic: str) -> int | None:
    """The topic's number of partitions; None when Kafka does not say."""
    try:
        found = admin.list_topics(topic, timeout=_CALL_S).topics[topic]
    except KafkaException:
        return None
    return len(found.partitions) if found.error is None else None
