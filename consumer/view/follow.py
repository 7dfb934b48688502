"""Follows the state topic: read_committed, every partition, no group; batches of changed rows, and how far behind.

It knows Kafka and the record; who keeps the rows and who asks for them, it must not know.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumer.records import rows_of, strings_of
from consumer.series import ROW, Rows
from schemas.columns import ColumnReader
from schemas.ids import SchemaIds

BATCH: Final = 5_000
WAIT_S: Final = 0.05
"""How long a batch waits for its first record, and so the most that a stop waits for a batch."""
ASK_TIMEOUT_S: Final = 0.5
SILENT_BROKER_S: Final = 3.0
"""A broker answers each fetch within half a second, with or without records; unheard for so long, it is not there."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What one batch says, each key once: new rows, and keys that are no more."""

    keys: Sequence[str] = ()
    rows: Rows = field(default_factory=lambda: np.zeros(0, ROW))
    traces: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    agent_times: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    dropped: Sequence[str] = ()


class Progress:
    """How far the topic was followed. Offsets count records and Kafka's own marks alike."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._current_at_s = clock()
        self.positions: dict[int, int] = {}
        self.goals: dict[int, int] = {}
        """[partition] The end for read_committed as it was when following began."""
        self.ends: dict[int, int] = {}
        """[partition] The same, as it was told last."""
        self.caught_up = False
        """Whether the end as it was when following began has been reached once."""
        self.problem: str | None = "not connected to Kafka yet"
        self.unreadable = 0
        """Records that could not be read, and were left out."""

    @property
    def records_behind(self) -> int:
        """Offsets between the position and the end that was told last."""
        return sum(max(0, end - self.positions.get(part, 0)) for part, end in self.ends.items())

    @property
    def lag_s(self) -> float:
        """Seconds since what is held was known to be all there is; 0 while it is."""
        return 0.0 if self._is_current() else self._clock() - self._current_at_s

    def look(self) -> None:
        """Take note of whether what is held is all there is."""
        if not self.caught_up and self.goals:
            self.caught_up = all(self.positions.get(part, 0) >= goal for part, goal in self.goals.items())
        if self._is_current():
            self._current_at_s = self._clock()

    def _is_current(self) -> bool:
        return self.caught_up and self.problem is None and self.records_behind == 0


class StateFollower:
    """`async with StateFollower(...) as follower: changes = await follower.changes()`, again and again.

    Kafka that is away is waited for; `progress.problem` says so meanwhile.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, ids: SchemaIds) -> None:
        """`config` is librdkafka's: where Kafka is, and how to speak to it."""
        self.topic = topic
        self.progress = Progress()
        self._reader = ColumnReader(ids, "SeriesState")
        self._config = {
            "fetch.queue.backoff.ms": 10,
            "log.connection.close": False,
            **config,
            "group.id": f"{topic}-view",  # librdkafka wants a name; no group is ever joined, no offset committed
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "statistics.interval.ms": 1000,
            "stats_cb": self._on_stats,
            "error_cb": lambda _error: None,  # each one is told again by a batch or by the statistics
        }
        self._consumer: Consumer | None = None
        self._assigned = False

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "follow")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def changes(self) -> Changes:
        """The next batch; an empty one after a moment without news.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer; the batch is lost to this
                follower, which must not go on.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._round)

    def _round(self) -> Changes:
        if not self._assigned and not self._assign():
            time.sleep(WAIT_S)
            return Changes()
        assert self._consumer is not None
        changes = self._take(self._consumer.consume(BATCH, WAIT_S))
        self.progress.look()
        return changes

    def _assign(self) -> bool:
        """Take every partition from its beginning; False while Kafka does not tell them."""
        if self._consumer is None:
            self._consumer = Consumer(self._config)
        try:
            known = self._consumer.list_topics(self.topic, timeout=ASK_TIMEOUT_S).topics[self.topic]
            if known.error is not None:
                self.progress.problem = f"{self.topic}: {known.error.str()}; `taskstream topics create` makes it"
                return False
            parts = [TopicPartition(self.topic, number, OFFSET_BEGINNING) for number in known.partitions]
            marks = {part.partition: self._watermarks(self._consumer, part) for part in parts}
        except KafkaException as error:
            self.progress.problem = f"Kafka does not answer: {error.args[0].str()}"
            return False
        self.progress.positions = {number: low for number, (low, _) in marks.items()}
        self.progress.goals = {number: high for number, (_, high) in marks.items()}
        self.progress.ends = dict(self.progress.goals)
        self.progress.problem = None
        self._consumer.assign(parts)
        self._assigned = True
        return True

    @staticmethod
    def _watermarks(consumer: Consumer, part: TopicPartition) -> tuple[int, int]:
        """The first offset and the end; asked with the consumer's isolation level, so no open transaction counts."""
        low, high = consumer.get_watermark_offsets(part, timeout=ASK_TIMEOUT_S)
        return low, high

    def _take(self, messages: Sequence[Message]) -> Changes:
        values: dict[str, Message] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                self._note(error)
            elif (key := _text(message.key())).count("/") < 2:  # no worker writes such a key
                self.progress.unreadable += 1
            else:
                values[key] = message
        self._advance(messages)
        if not values:
            return Changes()
        dropped = [key for key, message in values.items() if message.value() is None]
        kept = [(key, message) for key, message in values.items() if message.value() is not None]
        decoded = self._reader.read([message.value() for _, message in kept])
        self.progress.unreadable += len(decoded.rejected)
        read = [kept[place] for place in decoded.kept.tolist()]
        partitions = np.fromiter((message.partition() for _, message in read), np.int32, len(read))
        traces, agent_times = strings_of(decoded.batch)
        return Changes([key for key, _ in read], rows_of(decoded.batch, partitions), traces, agent_times, dropped)

    def _advance(self, messages: Sequence[Message]) -> None:
        """A position is what follows the last record, or the end that Kafka told: marks of its own lie in between."""
        for message in messages:
            partition, offset, error = message.partition(), message.offset(), message.error()
            if partition is None or offset is None:
                continue
            if error is None:
                self.progress.positions[partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (librdkafka's own errors are named so)
                self.progress.positions[partition] = offset

    def _note(self, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (as above)
            self.progress.problem = None
        else:
            self.progress.problem = f"Kafka says: {error.str()}"

    def _on_stats(self, text: str) -> None:
        """Once a second: the ends for read_committed, and whether the brokers that keep the partitions are heard."""
        stats = json.loads(text)
        partitions = stats.get("topics", {}).get(self.topic, {}).get("partitions", {})
        leaders = set()
        for number, told in partitions.items():
            if int(number) in self.progress.ends:
                leaders.add(told.get("leader"))
                self.progress.ends[int(number)] = max(told.get("ls_offset", 0), self.progress.goals[int(number)])
        if not self._assigned:
            return
        away = [each["name"] for each in stats.get("brokers", {}).values() if each["nodeid"] in leaders and _gone(each)]
        if away:
            self.progress.problem = f"not heard from {', '.join(away)}"
        elif leaders - {None, -1}:
            self.progress.problem = None

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()


def _gone(broker: Mapping[str, Any]) -> bool:
    return bool(broker.get("state") != "UP" or broker.get("rxidle", 0) > SILENT_BROKER_S * 1e6)


def _text(key: bytes | str | None) -> str:
    """A record's key."""
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else key or ""
