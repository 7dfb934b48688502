"""The ordinary fetch: the messages of confluent-kafka, one Python object per record. It serves with every version."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter, methodcaller
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, Message

from taskstream.consumer.kafka.direct.source_batch import FetchEvent, SourceBatch
from taskstream.consumer.kafka.raw_record import raw_record
from taskstream.schemas.codec.packed_values import PackedValues

_timestamp = methodcaller("timestamp")
_milliseconds = itemgetter(1)


class MessageFetch:
    """See `Fetch`."""

    def __init__(self, consumer: Consumer, _topic: str) -> None:
        self._consumer = consumer

    def hold(self, partitions: Sequence[int]) -> None:
        """See `Fetch.hold`: nothing to do."""

    def read(self, most: int, timeout_s: float) -> tuple[SourceBatch, list[FetchEvent]]:
        """See `Fetch.read`."""
        messages = self._consumer.consume(most, timeout=timeout_s)
        errors = list(map(Message.error, messages))
        events = []
        if any(error is not None for error in errors):
            pairs = list(zip(messages, errors, strict=True))
            events = [FetchEvent(each.partition(), each.offset(), error) for each, error in pairs if error is not None]
            messages = [message for message, error in pairs if error is None]
        return batch_of(messages), events

    def close(self) -> None:
        """See `Fetch.close`: nothing to do."""


def batch_of(messages: Sequence[Message]) -> SourceBatch:
    """These messages as columns; none may be an error."""
    count = len(messages)
    return SourceBatch(
        list(map(Message.value, messages)),
        np.fromiter(map(Message.partition, messages), np.int32, count),
        np.fromiter(map(Message.offset, messages), np.int64, count),
        timestamps_of(messages),
        lambda: _keys_of(messages),
        lambda index: raw_record(messages[index]),
    )


def timestamps_of(messages: Sequence[Message]) -> npt.NDArray[np.int64]:
    """[messages] Kafka's timestamp in milliseconds; negative where a record has none."""
    return np.fromiter(map(_milliseconds, map(_timestamp, messages)), np.int64, len(messages))


def _keys_of(messages: Sequence[Message]) -> PackedValues:
    keys: Any = list(
        map(Message.key, messages)
    )  # confluent-kafka's types allow text, which such a consumer never returns
    return PackedValues.of(keys)
