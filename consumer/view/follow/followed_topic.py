"""One topic followed: read_committed, all partitions, no group. It knows Kafka, and nothing of what records say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from taskstream.consumer.view.follow.follow_progress import FollowProgress

BATCH: Final = 5_000
WAIT_S: Final = 0.05
"""How long a batch waits for its first record, and so the most that a stop waits for a batch."""
ASK_TIMEOUT_S: Final = 0.5
SILENT_BROKER_S: Final = 3.0
"""A broker answers each fetch within half a second, with or without records; unheard for so long, it is not there."""
_QUIET: Final[dict[str, Any]] = {
    "log_level": 2,  # what it would say at each attempt to connect, `FollowProgress.problem` says once
    "log.connection.close": False,
    "reconnect.backoff.max.ms": 2_000,
}


class FollowedTopic:
    """Batches of a topic's records, from its beginning or from a time on. For one thread; Kafka may be away."""

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        back_s: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`config` is librdkafka's: where Kafka is, and how to speak to it. `back_s`: begin so long ago."""
        self.name = name
        self.progress = FollowProgress()
        self._back_s = back_s
        self._clock = clock
        self._config = {
            "fetch.queue.backoff.ms": 10,
            **_QUIET,
            **config,
            "group.id": f"{name}-view",  # librdkafka wants a name; no group is ever joined, no offset committed
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "statistics.interval.ms": 1000,
            "stats_cb": self._on_stats,
            "error_cb": self._on_error,
        }
        self._consumer: Consumer | None = None
        self._assigned = False
        self._last_error = ""

    def batch(self) -> list[Message]:
        """The next records, after a moment at most; none while there is no news or no Kafka."""
        if not self._assigned and not self._assign():
            time.sleep(WAIT_S)
            return []
        assert self._consumer is not None
        records = []
        for message in self._consumer.consume(BATCH, WAIT_S):
            error = message.error()
            if error is None:
                records.append(message)
            else:
                self._note(message, error)
        self._advance(records)
        return records

    def close(self) -> None:
        """Let go of Kafka."""
        if self._consumer is not None:
            self._consumer.close()

    def _assign(self) -> bool:
        """Take every partition; False while Kafka does not tell them."""
        if self._consumer is None:
            self._consumer = Consumer(self._config)
        try:
            known = self._consumer.list_topics(self.name, timeout=ASK_TIMEOUT_S).topics[self.name]
            if known.error is not None:
                self.progress.problem = f"{self.name}: {known.error.str()}; `taskstream topics create` makes it"
                return False
            marks = {number: self._watermarks(self._consumer, number) for number in known.partitions}
            starts = self._starts(self._consumer, marks)
        except KafkaException as error:
            self.progress.problem = f"Kafka does not answer: {error.args[0].str()}"
            return False
        first = {part.partition: max(part.offset, marks[part.partition][0]) for part in starts}
        self.progress.begin(first, {number: high for number, (_, high) in marks.items()})
        self._consumer.assign(starts)
        self._assigned = True
        return True

    def _watermarks(self, consumer: Consumer, number: int) -> tuple[int, int]:
        """The first offset and the end; asked with the consumer's isolation level, so no open transaction counts."""
        low, high = consumer.get_watermark_offsets(TopicPartition(self.name, number), timeout=ASK_TIMEOUT_S)
        return low, high

    def _starts(self, consumer: Consumer, marks: Mapping[int, tuple[int, int]]) -> list[TopicPartition]:
        if self._back_s is None:
            return [TopicPartition(self.name, number, OFFSET_BEGINNING) for number in marks]
        since_ms = int((self._clock() - self._back_s) * 1000)
        asked = [TopicPartition(self.name, number, since_ms) for number in marks]
        found = consumer.offsets_for_times(asked, timeout=ASK_TIMEOUT_S)
        for part in found:
            if part.offset < 0:  # nothing is that young
                part.offset = marks[part.partition][1]
        return list(found)

    def _advance(self, records: Sequence[Message]) -> None:
        """A position is what follows the last record, or the end that Kafka told: marks of its own lie in between."""
        for record in records:
            partition, offset = record.partition(), record.offset()
            assert partition is not None
            assert offset is not None
            self.progress.positions[partition] = max(offset + 1, self.progress.positions.get(partition, 0))

    def _note(self, message: Message, error: KafkaError) -> None:
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 (librdkafka's own errors are named so)
            self.progress.problem = f"Kafka says: {error.str()}"
            return
        self.progress.problem = None
        partition, offset = message.partition(), message.offset()
        if partition is not None and offset is not None:
            self.progress.positions[partition] = offset

    def _on_error(self, error: KafkaError) -> None:
        """What librdkafka says of its connections: the reason, once a broker is not heard from."""
        self._last_error = error.str()

    def _on_stats(self, text: str) -> None:
        """Once a second: the ends for read_committed, and whether the brokers that keep the partitions are heard."""
        stats = json.loads(text)
        partitions = stats.get("topics", {}).get(self.name, {}).get("partitions", {})
        leaders = set()
        for number, told in partitions.items():
            if int(number) in self.progress.ends:
                leaders.add(told.get("leader"))
                self.progress.ends[int(number)] = max(told.get("ls_offset", 0), self.progress.goals[int(number)])
        if not self._assigned:
            return
        away = [each["name"] for each in stats.get("brokers", {}).values() if each["nodeid"] in leaders and _gone(each)]
        if away:
            reason = f" ({self._last_error})" if self._last_error else ""
            self.progress.problem = f"not heard from {', '.join(away)}{reason}"
        elif leaders - {None, -1}:
            self.progress.problem = None


def _gone(broker: Mapping[str, Any]) -> bool:
    return bool(broker.get("state") != "UP" or broker.get("rxidle", 0) > SILENT_BROKER_S * 1e6)
