"""Writes notes to their topic, and waits until Kafka has them. It decides nothing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from taskstream.consumer.errors import KafkaFailed, RightMissing
from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.notes.note_decoder import NoteChange
from taskstream.consumer.notes.task_note import TaskNote
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.librdkafka.unproven_delivery import ONE_IN_FLIGHT
from taskstream.schemas.topics import task_key

ACK_S: Final = 5.0


class NoteWriter:
    """Writes one note at a time, from any thread. The first one opens the producer; `close` ends it."""

    def __init__(self, config: Mapping[str, Any], topic: str, ids: SchemaIds) -> None:
        """`config` is librdkafka's."""
        self._config = {
            "log_level": 0,
            **config,
            "acks": "all",
            "enable.idempotence": True,
            **ONE_IN_FLIGHT,
            "delivery.timeout.ms": int(ACK_S * 1000),
            "linger.ms": 0,
            "allow.auto.create.topics": False,
        }
        self._topic = topic
        self._ids = ids
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def write(self, name: tuple[str, str], note: TaskNote | None) -> NoteChange:
        """Make this note of the task (project and id), or withdraw its note; returns it with its offset.

        Raises:
            KafkaFailed: Kafka has not acknowledged the record.
            RegistryFailed, UnknownSchema: the record's schema has no id.
        """
        value = None if note is None else RecordWriter(self._ids, newest("TaskNote")).write(asdict(note))
        answers: list[tuple[KafkaError | None, int]] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            offset: Any = message.offset()
            answers.append((error, offset))

        with self._lock:
            if self._producer is None:
                self._producer = Producer(self._config)
            try:
                self._producer.produce(self._topic, value, task_key(*name), on_delivery=delivered)
            except KafkaException as error:
                raise self._failed(error.args[0]) from error
            self._producer.flush(ACK_S + 1.0)
        if not answers:
            raise KafkaFailed(f"{self._topic}: no acknowledgement within {ACK_S:g} s")
        refusal, offset = answers[0]
        if refusal is not None:
            raise self._failed(refusal)
        return NoteChange(name, note, offset)

    def close(self) -> None:
        """End the producer."""
        with self._lock:
            self._producer = None

    def _failed(self, error: KafkaError) -> KafkaFailed:
        if sentence := denial(error, self._config, topic=self._topic):
            return RightMissing(sentence)
        remedy = "; does the topic exist? `taskstream topics create` creates it"
        return KafkaFailed(f"{self._topic} does not take the note: {error.str()}{remedy}")
