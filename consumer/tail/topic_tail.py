"""Reads a topic from given offsets, to an end or without one. It knows offsets, and no record's content."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from taskstream.consumer.errors import KafkaFailed, RightMissing, StreamGap
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.kafka.kafka_errors import (
    UnknownTopicLimit,
    is_final,
    is_group_refused,
    is_offset_gone,
    is_unknown_topic,
)

_BATCH = 500
_WAIT_S = 0.2
_SMALL = {"queued.min.messages": 1_000, "queued.max.messages.kbytes": 8_192, "log_level": 0}


class TopicTail:
    """`for messages in TopicTail(...).batches(): ...`. In no group; only committed records.

    Each batch holds each partition's records in order, and is empty after a moment without records.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        ranges: Mapping[int, OffsetRange],
        *,
        to_the_end: bool,
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`to_the_end`: stop at the end of the ranges; else go on with new records. `config` is librdkafka's."""
        self._config = {**_SMALL, **config}
        self._topic = topic
        self._ranges = ranges
        self._to_the_end = to_the_end
        self._new_consumer = new_consumer
        self._clock = clock
        self._unknown = UnknownTopicLimit()
        self.problem = ""
        """Kafka's last error, until the next record; empty: none."""

    def batches(self) -> Generator[list[Message]]:
        """Records as they arrive.

        Raises:
            StreamGap: retention deleted records before they were read.
            KafkaFailed: an error is final, or the topic stayed unknown.
        """
        return self._to_their_ends() if self._to_the_end else self._without_end()

    def _to_their_ends(self) -> Generator[list[Message]]:
        with BoundedReader(self._config, self._topic, self._ranges) as reader:
            for records in reader.batches(_BATCH):
                yield records.messages

    def _without_end(self) -> Generator[list[Message]]:
        fixed = {
            "group.id": f"{self._topic}-tail",  # required by the client, and never joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "error_cb": self._on_error,
        }
        consumer = self._new_consumer({**self._config, **fixed})
        try:
            begins = [TopicPartition(self._topic, each, offsets.begin) for each, offsets in self._ranges.items()]
            consumer.assign(begins)
            while True:
                fetched = consumer.consume(_BATCH, timeout=_WAIT_S)
                for message in fetched:
                    if (error := message.error()) is not None:
                        self._check(message.partition(), error)
                records = [message for message in fetched if message.error() is None]
                if records:
                    self.problem = ""
                    self._unknown.end()
                elif self._unknown.exceeded(self._clock()):
                    raise KafkaFailed(f"{self._topic} cannot be read: {self.problem}")
                yield records
        finally:
            consumer.close()

    def _on_error(self, error: KafkaError) -> None:
        self.problem = error.str()

    def _check(self, partition: int | None, error: KafkaError) -> None:
        if is_offset_gone(error):
            raise StreamGap(
                f"{self._topic}-{partition}: retention deleted records before they were read: {error.str()}"
            )
        if is_group_refused(error):
            return
        if sentence := denial(error, self._config, topic=self._topic):
            raise RightMissing(sentence)
        if is_final(error):
            raise KafkaFailed(f"{self._topic} cannot be read: {error.str()}")
        if is_unknown_topic(error):
            self._unknown.start(self._clock())
        self.problem = error.str()
