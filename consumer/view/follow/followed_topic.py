"""Reads all partitions of a topic as records come: read_committed, in no group. It knows no record's content."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.admin.broker_watch import BrokerWatch
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.admin.topic_identity import TopicIdentity
from taskstream.consumer.kafka.admin.topic_watch import TopicWatch
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch, batch_of
from taskstream.consumer.kafka.direct.source_batch import Fetch, FetchEvent, NewFetch, SourceBatch, offsets_after
from taskstream.consumer.kafka.kafka_errors import is_end_of_partition, is_group_refused
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest, Since
from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.schemas.topics import PERMANENT

BATCH: Final = 5_000
QUEUE_KB: Final = 16_384
"""How much librdkafka reads ahead."""
WAIT_S: Final = 0.05
"""How long a batch waits for its first record, and so the most that a stop waits for a batch."""
CALL_S: Final = 0.5
"""How long a question for offsets may take; `batch` asks again."""
SILENT_BROKER_S: Final = 3.0
"""A broker answers each fetch within half a second, with or without records. After so long without, it is away."""
_QUIET: Final[dict[str, Any]] = {
    "log_level": 2,  # it would log each attempt to connect; `FollowProgress.problem` has the reason
    "log.connection.close": False,
    "reconnect.backoff.max.ms": 2_000,
    # A connection whose other end has gone without a word is noticed only when a fetch times out.
    "socket.timeout.ms": 10_000,
}
_NOTHING: Final = batch_of([])


class FollowedTopic:
    """Batches of a topic's records, from its beginning or from a time on. For one thread.

    While Kafka does not answer, batches are empty and `progress.problem` has the reason. A topic that was deleted and
    created again, or has more partitions than before, is read again from its beginning, and `progress.restarts` grows.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        back_s: float | None = None,
        clock: Callable[[], float] = time.time,
        equals: str | None = None,
        new_fetch: NewFetch = MessageFetch,
    ) -> None:
        """`config` is librdkafka's. `back_s`: begin so many seconds ago by `clock`; None: at the first record.

        equals: a topic that must have as many partitions. new_fetch: how records are read.
        """
        self._equals = equals
        self._identity: TopicIdentity | None = None
        self.name = name
        self.progress = FollowProgress()
        self._back_s = back_s
        self._clock = clock
        self._given = {**_QUIET, **config}
        self._watch = TopicWatch(self._given, [name, *([equals] if equals else [])])
        self._cluster = Cluster(self._given, CALL_S, CALL_S)
        self._config = {
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": QUEUE_KB,
            **self._given,
            "group.id": f"{name}-view",  # required by the client, and never joined
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "statistics.interval.ms": 1000,
            "stats_cb": self._on_stats,
            "error_cb": self._on_error,
        }
        self._new_fetch = new_fetch
        self._consumer: Consumer | None = None
        self._fetch: Fetch | None = None
        """Of the consumer."""
        self._brokers: BrokerWatch | None = None
        """Of the consumer."""
        self._assigned = False
        self._last_error = ""

    def batch(self) -> SourceBatch:
        """The next records, after `WAIT_S` or `CALL_S` at most; none while there are none or Kafka does not answer.

        Keys and single records may be asked for until the next call.
        """
        self._watch.start()
        if self._is_another():
            return _NOTHING
        if not self._assigned and not self._assign():
            time.sleep(WAIT_S)
            return _NOTHING
        assert self._fetch is not None
        records, events = self._fetch.read(BATCH, WAIT_S)
        for event in events:
            self._note(event)
        self._advance(records)
        return records

    def close(self) -> None:
        """Close the consumer."""
        self._watch.stop()
        self._close_consumer()

    def _close_consumer(self) -> None:
        if self._brokers is not None:
            self._brokers.stop()
            self._brokers = None
        if self._fetch is not None:
            self._fetch.close()
            self._fetch = None
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _is_another(self) -> bool:
        """Whether the topic is not the one that was read until now; then it is assigned anew."""
        found = self._watch.found
        now, equal = found.get(self.name), found.get(self._equals or "")
        if now is None:
            return False
        before, self._identity = self._identity, now
        is_another = False
        if before is not None and before != now:
            is_another = True
            what = "has other partitions" if before.topic_id == now.topic_id else "was deleted and created again"
            self.progress.restart(f"{self.name} {what}: it is read from its beginning")
        self.progress.unfit = None
        if equal is not None and equal.partitions != now.partitions:
            self.progress.unfit = (
                f"{equal.name} has {equal.partitions} partitions and {now.name} has {now.partitions}: {PERMANENT}; see "
                "`taskstream topics check`"
            )
        if is_another:
            self._assigned = False
            self._close_consumer()
        return is_another

    def _assign(self) -> bool:
        """Assign every partition; False while Kafka does not answer, or has no such topic."""
        if self._consumer is None or self._fetch is None:
            self._consumer = Consumer(self._config)
            self._fetch = self._new_fetch(self._consumer, self.name)
            self._brokers = BrokerWatch(self._consumer, self.name, self._given)
            self._brokers.start()
        begin: Bound = Earliest()
        if self._back_s is not None:
            begin = Since(int((self._clock() - self._back_s) * 1000))
        try:
            ranges = self._cluster.pinned(self.name, begin, Latest())
        except KafkaFailed as error:
            self.progress.problem = str(error)
            return False
        begins = {number: offsets.begin for number, offsets in ranges.items()}
        self.progress.begin(begins, {number: offsets.end for number, offsets in ranges.items()})
        self._fetch.hold(sorted(begins))
        self._consumer.assign([TopicPartition(self.name, number, offset) for number, offset in begins.items()])
        self._assigned = True
        return True

    def _advance(self, records: SourceBatch) -> None:
        """Set the positions after these records."""
        positions = self.progress.positions
        for partition, after in offsets_after(records.partitions, records.offsets).items():
            positions[partition] = max(after, positions.get(partition, 0))

    def _note(self, event: FetchEvent) -> None:
        """The end of a partition sets its position: control records can lie between the last record and the end."""
        error = event.error
        if not is_end_of_partition(error):
            if is_group_refused(error):
                return
            self.progress.problem = denial(error, self._config, topic=self.name) or f"Kafka reports: {error.str()}"
            return
        self.progress.problem = None
        partition, offset = event.partition, event.offset
        if partition is not None and offset is not None:
            self.progress.positions[partition] = offset

    def _on_error(self, error: KafkaError) -> None:
        """Librdkafka reports a failed connection: the reason when a broker is away."""
        self._last_error = error.str()

    def _on_stats(self, text: str) -> None:
        """Once a second: the ends for read_committed, and whether the brokers that lead the partitions answer."""
        statistics = json.loads(text)
        partitions = statistics.get("topics", {}).get(self.name, {}).get("partitions", {})
        leaders = set()
        for number, partition in partitions.items():
            if int(number) in self.progress.ends:
                leaders.add(partition.get("leader"))
                self.progress.ends[int(number)] = max(partition.get("ls_offset", 0), self.progress.goals[int(number)])
        if not self._assigned:
            return
        brokers = statistics.get("brokers", {}).values()
        away = [broker["name"] for broker in brokers if broker["nodeid"] in leaders and _is_away(broker)]
        if away:
            reason = f" ({self._last_error})" if self._last_error else ""
            self.progress.problem = f"not heard from {', '.join(away)}{reason}"
        elif leaders - {None, -1}:
            self.progress.problem = None


def _is_away(broker: Mapping[str, Any]) -> bool:
    return bool(broker.get("state") != "UP" or broker.get("rxidle", 0) > SILENT_BROKER_S * 1e6)
