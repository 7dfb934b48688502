"""Asks where partitions begin and end, until the present leader answers. It reads no record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

_CALL_S = 5.0


class PartitionEnds:
    """`ends.ask(partition)` asks `consumer`, and after a failure a new client each time.

    librdkafka's client can go on asking a leader that has gone, for a minute and longer after Kafka has elected another
    one. `config` is that of the new clients, which join no group.
    """

    def __init__(
        self,
        consumer: Consumer,
        config: Mapping[str, Any],
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        self._consumer = consumer
        self._config = dict(config)
        self._new_consumer = new_consumer
        self._failed = False

    def ask(self, partition: TopicPartition) -> tuple[int, int]:
        """The partition's first offset and its end.

        Raises:
            KafkaException: it was not answered. A partition that librdkafka does not find in an answer is one without
                a leader, not an unknown one.
        """
        try:
            return self._ask_anew(partition) if self._failed else _ask(self._consumer, partition)
        except KafkaException as error:
            self._failed = True
            if error.args[0].code() == KafkaError._UNKNOWN_PARTITION:  # noqa: SLF001 (its public name)
                raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE)) from error
            raise

    def _ask_anew(self, partition: TopicPartition) -> tuple[int, int]:
        consumer = self._new_consumer(self._config)
        try:
            return _ask(consumer, partition)
        finally:
            consumer.close()


def _ask(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(partition, timeout=_CALL_S)
    return low, high
