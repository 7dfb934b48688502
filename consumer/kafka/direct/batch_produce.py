"""Produces records that lie in arrays with a producer of confluent-kafka, without a Python object per record."""

from __future__ import annotations

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Producer

from taskstream.consumer.kafka.direct.message_struct import MESSAGE
from taskstream.consumer.kafka.direct.native_client import handle_of
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.librdkafka.library import COPY, librdkafka


def produce_packed(producer: Producer, topic: str, keys: PackedValues, values: PackedValues, partition: int) -> int:
    """Queue records without headers for one partition, as `Producer.produce` does for each; returns how many.

    Fewer than there are: the producer's queue is full, and the others have to be given again; their order is kept.
    `native_client.why_not` must have returned None. librdkafka copies the bytes before this returns.

    Raises:
        KafkaException: librdkafka refuses the records.
        NotProven: the producer is closed.
    """
    count = len(values)
    messages = np.zeros(count, MESSAGE)
    messages["payload"] = np.uint64(values.data.ctypes.data) + values.starts.astype(np.uint64)
    messages["len"] = values.ends - values.starts
    messages["key"] = np.uint64(keys.data.ctypes.data) + keys.starts.astype(np.uint64)
    messages["key_len"] = keys.ends - keys.starts
    call = librdkafka().call
    handle = call["rd_kafka_topic_new"](handle_of(producer), topic.encode(), None)
    if not handle:
        raise KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC, f"librdkafka has no topic {topic}"))  # noqa: SLF001
    try:
        taken: int = call["rd_kafka_produce_batch"](handle, partition, COPY, messages.ctypes.data, count)
    finally:
        call["rd_kafka_topic_destroy"](handle)
    if taken < count:
        errors = messages["err"]
        refused = errors[(errors != 0) & (errors != KafkaError._QUEUE_FULL)]  # noqa: SLF001 (librdkafka's public name)
        if refused.size:
            raise KafkaException(KafkaError(int(refused[0])))
    return taken
