"""The obvious consumer loop: poll one message, decode with fastavro, update a dict, produce, commit every second.

A program: `fastavro_loop.py BOOTSTRAP SOURCE TARGET GROUP` runs until it is stopped.
"""

from __future__ import annotations

import io
import sys
import time
from typing import Any

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds

COMMIT_S = 1.0
PART = 0.1
STATE = fastavro.parse_schema(
    {
        "type": "record",
        "name": "State",
        "fields": [
            {"name": "bytes", "type": "long"},
            {"name": "seen", "type": "long"},
            {"name": "rate", "type": "double"},
        ],
    }
)


def main(bootstrap: str, source: str, target: str, group: str) -> None:
    reader = RecordReader(TableIds(), "ProgressReported")
    config = {"bootstrap.servers": bootstrap}
    consumer = Consumer(config | {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    producer = Producer(config | {"acks": "all", "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})
    consumer.subscribe([source])
    states: dict[str, dict[str, Any]] = {}
    committed = time.monotonic()
    while True:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            event = reader.read(message.value())
            key = f"{event['project_id']}/{event['task_id']}/{event['subtask_name']}"
            states[key] = after(states.get(key), event)
            out = io.BytesIO()
            fastavro.schemaless_writer(out, STATE, states[key])
            producer.produce(target, out.getvalue(), key)
            producer.poll(0)
        if time.monotonic() - committed >= COMMIT_S:
            producer.flush()
            commit(consumer)
            committed = time.monotonic()


def after(state: dict[str, Any] | None, event: dict[str, Any]) -> dict[str, Any]:
    rate = 0.0
    if state is not None:
        rate = state["rate"]
        if event["received_at"] > state["seen"]:
            now = (event["replicatesize"] - state["bytes"]) / (event["received_at"] - state["seen"]) * 1e6
            rate += (now - rate) * PART
    return {"bytes": event["replicatesize"], "seen": event["received_at"], "rate": rate}


def commit(consumer: Consumer) -> None:
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        if error.args[0].code() != KafkaError._NO_OFFSET:  # noqa: SLF001 (a public name of librdkafka)
            raise


if __name__ == "__main__":
    main(*sys.argv[1:])
