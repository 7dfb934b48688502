"""librdkafka's own mock cluster: one broker on a free port of 127.0.0.1 that answers as a test says.

Its functions: https://github.com/confluentinc/librdkafka/blob/v2.15.0/src/rdkafka_mock.h
"""

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition, cimpl

from taskstream.schemas.librdkafka.client_handle import handle_in
from taskstream.schemas.librdkafka.library import PRODUCER

_PRODUCE = 0
"""The key of Kafka's ProduceRequest."""
_BROKER = 1


class MockKafka:
    """`with MockKafka() as kafka:` runs it; `kafka.bootstrap_servers` is its address. It creates topics that are asked for."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(cimpl.__file__)
        self._library.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
        self._library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p

    def __enter__(self) -> Self:
        self._owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        handle = ctypes.c_void_p(handle_in(self._owner, PRODUCER))
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_handle_mock_cluster(handle))
        self.bootstrap_servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner.close()

    def create(self, topic: str, partitions: int = 1) -> None:
        """A topic that does not exist yet."""
        assert self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1) == 0

    def answer_after(self, milliseconds: int) -> None:
        """How long each response takes."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, _BROKER, milliseconds)

    def refuse_next_batch(self, code: int) -> None:
        """The next ProduceRequest has this error, and stores nothing."""
        codes = (ctypes.c_int * 1)(code)
        push = self._library.rd_kafka_mock_push_request_errors_array
        push(self._cluster, ctypes.c_int16(_PRODUCE), ctypes.c_size_t(1), codes)

    def values(self, topic: str, timeout_s: float) -> list[bytes]:
        """What partition 0 holds."""
        config = {"bootstrap.servers": self.bootstrap_servers, "group.id": "reader", "log_level": 0}
        consumer = Consumer(config | {"enable.partition.eof": True})
        found: list[bytes] = []
        try:
            consumer.assign([TopicPartition(topic, 0, 0)])
            while (message := consumer.poll(timeout_s)) is not None and message.error() is None:
                found.append(message.value())
            assert message is not None, f"nothing arrived of {topic} within {timeout_s:g} s"
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            return found
        finally:
            consumer.close()
