"""Reads a topic from given offsets, to an end or on and on. It knows offsets, and nothing of what is in the records."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from taskstream.consumer.errors import KafkaFailed, StreamGap
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.kafka.retry import FINAL

_AT_ONCE = 500
_WAIT_S = 0.2
_SMALL = {"queued.min.messages": 1_000, "queued.max.messages.kbytes": 8_192, "log_level": 0}


class TopicTail:
    """`for messages in Following(...).batches(): ...`. In no group; what is committed only.

    Each batch holds each partition's records in order, and is empty after a moment without any.
    """

    def __init__(
        self, config: Mapping[str, Any], topic: str, spans: Mapping[int, OffsetRange], *, to_the_end: bool
    ) -> None:
        """`to_the_end`: it ends where the spans end; else it goes on with what comes."""
        self._config = {**_SMALL, **config}
        self._topic = topic
        self._spans = spans
        self._to_the_end = to_the_end
        self.problem = ""
        """Why nothing comes at the moment, in Kafka's words."""

    def batches(self) -> Generator[list[Message]]:
        """Records as they come.

        Raises:
            StreamGap: retention took records before they were read.
            KafkaFailed: Kafka does not give them, and waiting would not help.
        """
        return self._to_their_ends() if self._to_the_end else self._on_and_on()

    def _to_their_ends(self) -> Generator[list[Message]]:
        with BoundedReader(self._config, self._topic, self._spans) as passage:
            for records in passage.batches(_AT_ONCE):
                yield records.messages

    def _on_and_on(self) -> Generator[list[Message]]:
        must = {
            "group.id": f"{self._topic}-tail",  # required by the client, and never joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "error_cb": self._on_error,
        }
        consumer = Consumer({**self._config, **must})
        try:
            consumer.assign([TopicPartition(self._topic, each, span.begin) for each, span in self._spans.items()])
            while True:
                fetched = consumer.consume(_AT_ONCE, timeout=_WAIT_S)
                for message in fetched:
                    if (error := message.error()) is not None:
                        self._answer(message.partition(), error)
                good = [message for message in fetched if message.error() is None]
                if good:
                    self.problem = ""
                yield good
        finally:
            consumer.close()

    def _on_error(self, error: KafkaError) -> None:
        self.problem = error.str()

    def _answer(self, partition: int | None, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 (librdkafka's public name)
            raise StreamGap(f"{self._topic}-{partition}: retention took records before they were read: {error.str()}")
        if error.fatal() or error.code() in FINAL:
            raise KafkaFailed(f"{self._topic} cannot be read: {error.str()}")
        self.problem = error.str()
