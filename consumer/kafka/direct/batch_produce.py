"""Produces records that lie in arrays with a producer of confluent-kafka, without a Python object per record."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException, Producer

from taskstream.consumer.kafka.direct.native_client import handle_of
from taskstream.consumer.kafka.direct.record_fields import produce_to
from taskstream.schemas.codec.header_columns import HeaderColumns
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.librdkafka.library import librdkafka


def produce_packed(
    producer: Producer, topic: str, keys: PackedValues, values: PackedValues, headers: HeaderColumns, partition: int
) -> int:
    """Queue records for one partition, or (-1) for those of their keys, as `Producer.produce` does; returns how many.

    Fewer than there are: the producer's queue is full, and the others have to be given again; their order is kept.
    `native_client.why_not` must have returned None. librdkafka copies the bytes before this returns.

    Raises:
        KafkaException: librdkafka refuses the records.
        NotProven: the producer is closed.
    """
    call = librdkafka().call
    client = handle_of(producer)
    handle = call["rd_kafka_topic_new"](client, topic.encode(), None)
    if not handle:
        raise KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC, f"librdkafka has no topic {topic}"))  # noqa: SLF001
    try:
        taken, error = produce_to(client, handle, keys, values, headers, partition)
    finally:
        call["rd_kafka_topic_destroy"](handle)
    if error:
        code, text = call["rd_kafka_error_code"](error), call["rd_kafka_error_string"](error)
        call["rd_kafka_error_destroy"](error)
        if code != KafkaError._QUEUE_FULL:  # noqa: SLF001 (librdkafka's public name)
            raise KafkaException(KafkaError(code, text.decode("utf-8", "replace")))
    return taken
