"""The fetch that reads librdkafka's messages into arrays, without a Python object per record.

The partitions' queues are forwarded to a queue of its own, as librdkafka's API provides; the Python consumer keeps its
queue, on which it serves rebalances and reports the errors of the group. Each message is owned from the read that
returned it to the next read or `close`, and is given back exactly once; a batch of a past read refuses to be asked.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, KafkaError

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.direct.message_struct import (
    KEY_FIELD,
    VALUE_FIELD,
    MessageStruct,
    copy_bytes,
    destroy_messages,
    read_fields,
)
from taskstream.consumer.kafka.direct.native_client import handle_of, headers_of
from taskstream.consumer.kafka.direct.source_batch import FetchEvent, SourceBatch
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.librdkafka.library import NO_TIMESTAMP, librdkafka

Pointers = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


class DirectFetch:
    """See `Fetch`. `native_client.why_not` must have returned None, and `close` must precede the consumer's."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._library = librdkafka()
        self._timestamp_code = self._library.address("rd_kafka_message_timestamp")
        self._destroy_code = self._library.address("rd_kafka_message_destroy")
        self._handle = handle_of(consumer)
        self._queue: int | None = self._library.call["rd_kafka_queue_new"](self._handle)
        self._owned: Pointers = np.empty(0, np.uint64)
        """The messages of the last read, or 0."""
        self._reads = 0

    def hold(self, partitions: Sequence[int]) -> None:
        """See `Fetch.hold`: from now on these partitions' messages go to the queue here.

        librdkafka ends the forwarding when a partition is unassigned, so each assignment repeats it.
        """
        call, queue = self._library.call, self._open_queue
        for partition in partitions:
            source = call["rd_kafka_queue_get_partition"](self._handle, self._topic.encode(), partition)
            call["rd_kafka_queue_forward"](source, queue)
            call["rd_kafka_queue_destroy"](source)

    def read(self, most: int, timeout_s: float) -> tuple[SourceBatch, list[FetchEvent]]:
        """See `Fetch.read`.

        Raises:
            KafkaFailed: a record arrived at the consumer's own queue.
        """
        self._release()
        events = self._serve(most)
        # Owned before the call: an interrupt as it returns must lose no message, or the consumer never closes.
        self._owned = pointers = np.zeros(most, np.uint64)
        fetch = self._library.call["rd_kafka_consume_batch_queue"]
        count = fetch(self._open_queue, round(timeout_s * 1_000), pointers.ctypes.data, most)
        if count < 0:
            raise KafkaFailed(f"{self._topic} cannot be read: librdkafka returns no batch")
        self._owned = pointers[:count]
        batch, errors = self._batch()
        failed = np.flatnonzero(errors)
        if failed.size:
            events += [self._event(int(self._owned[index])) for index in failed.tolist()]
            batch = batch.take(np.flatnonzero(errors == 0))
        return batch, events

    def close(self) -> None:
        """See `Fetch.close`. What the consumer still fetches is discarded from now on."""
        self._release()
        queue, self._queue = self._queue, None
        if queue is not None:
            self._library.call["rd_kafka_queue_destroy"](queue)

    @property
    def _open_queue(self) -> int:
        if self._queue is None:
            raise RuntimeError("the fetch is closed")
        return self._queue

    def _serve(self, most: int) -> list[FetchEvent]:
        """Let the consumer call its callbacks; the errors that it reports."""
        events = []
        for _ in range(most):
            message = self._consumer.poll(0)
            if message is None:
                break
            error = message.error()
            if error is None:
                # To go on would skip it: a later record of its partition is already on the other queue.
                where = f"{self._topic}-{message.partition()} offset {message.offset()}"
                raise KafkaFailed(f"{where} did not arrive where it is read directly: start the program again")
            events.append(FetchEvent(message.partition(), message.offset(), error))
        return events

    def _batch(self) -> tuple[SourceBatch, npt.NDArray[np.int32]]:
        """The owned messages as columns, those of events with empty values, and the error of each."""
        pointers, reads = self._owned, self._reads
        count = pointers.shape[0]
        errors, partitions = np.empty(count, np.int32), np.empty(count, np.int32)
        offsets, timestamps = np.empty(count, np.int64), np.empty(count, np.int64)
        bounds, key_bounds = np.empty(count + 1, np.int64), np.empty(count + 1, np.int64)
        numbers = errors, partitions, offsets, timestamps
        read_fields(pointers, self._timestamp_code, *numbers, bounds, key_bounds)
        values = PackedValues.from_bounds(_bytes(pointers, VALUE_FIELD, bounds), bounds)

        def require_owned() -> None:
            if reads != self._reads:
                raise RuntimeError("the record was given back to librdkafka: ask for it before the next read")

        def keys() -> PackedValues:
            require_owned()
            return PackedValues.from_bounds(_bytes(pointers, KEY_FIELD, key_bounds), key_bounds)

        def record(index: int) -> RawRecord:
            require_owned()
            return self._record(int(pointers[index]))

        return SourceBatch(values, partitions, offsets, timestamps, keys, record), errors

    def _event(self, address: int) -> FetchEvent:
        message = MessageStruct.from_address(address)
        why = self._library.call["rd_kafka_message_errstr"](address) or b""
        error = KafkaError(message.err, why.decode("utf-8", "replace"))
        return FetchEvent(message.partition, message.offset, error)

    def _record(self, address: int) -> RawRecord:
        message = MessageStruct.from_address(address)
        kind = ctypes.c_int(NO_TIMESTAMP)
        timestamp_ms = self._library.call["rd_kafka_message_timestamp"](address, ctypes.byref(kind))
        return RawRecord(
            self._topic,
            message.partition,
            message.offset,
            None if kind.value == NO_TIMESTAMP else timestamp_ms,
            _copied(message.key, message.key_len),
            _copied(message.payload, message.len),
            headers_of(self._library, address),
        )

    def _release(self) -> None:
        """Give the messages of the last read back."""
        self._reads += 1
        destroy_messages(self._owned, self._destroy_code)


def _bytes(pointers: Pointers, field: int, bounds: Ints) -> npt.NDArray[np.uint8]:
    """A field of all messages, one after another; read-only, as the buffers of values that are objects are."""
    out = np.empty(int(bounds[-1]), np.uint8)
    copy_bytes(pointers, field, bounds, out.ctypes.data)
    out.flags.writeable = False
    return out


def _copied(address: int | None, size: int) -> bytes | None:
    return None if not address else ctypes.string_at(address, size)
