"""From the timestamp of an event to its row being readable by a read_committed consumer, at a steady rate."""

from __future__ import annotations

import threading
import time

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from benchmarks.worker_events import PROJECT, Reporter, loader, send
from benchmarks.worker_process import process, worker_command
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

RATE = 1_000
SECONDS = 30
SERIES = RATE * SECONDS
"""Each is reported once: its row tells of this one event."""
TICK_S = 0.01
PATIENCE_S = 90.0


def latency(kafka: LocalKafka) -> None:
    topics = Topics("latency")
    create_topics(kafka.client.config(), topics, 1)
    with process(worker_command(kafka.bootstrap_servers, topics)) as running:
        warm = Reporter(1)
        first = threading.Thread(target=report, args=(kafka.bootstrap_servers, topics, Reporter(SERIES)))
        rows = arrivals(kafka.bootstrap_servers, topics)
        send_now(kafka.bootstrap_servers, topics, warm)
        next(rows)
        first.start()
        took_ms = []
        for received_us, read_us in rows:
            assert running.poll() is None, "the worker ended by itself"
            took_ms.append((read_us - received_us) / 1000)
            if len(took_ms) == SERIES:
                break
        first.join()
    half, most, worst = np.percentile(took_ms, [50, 99, 100])
    print(f"event to row at {RATE:,} events a second: p50 {half:.0f} ms, p99 {most:.0f} ms, longest {worst:.0f} ms")


def report(bootstrap: str, topics: Topics, reporter: Reporter) -> None:
    """RATE reports a second, in small lots, received when they are sent."""
    producer, began, sent = loader(bootstrap), time.time(), 0
    while sent < SERIES:
        due = min(int((time.time() - began) * RATE), SERIES)
        places = np.arange(sent, due)
        if due > sent:
            values = reporter.values(places, np.full(due - sent, round(time.time() * 1e6)))
            for place, value in zip(places.tolist(), values, strict=True):
                key = f"{PROJECT}/{reporter.tasks[place]}"
                send(producer, topics.progress.name, place % topics.partitions, [key], [value])
        sent = due
        producer.flush(0.001)
        time.sleep(TICK_S)
    assert producer.flush(30) == 0


def send_now(bootstrap: str, topics: Topics, reporter: Reporter) -> None:
    producer = loader(bootstrap)
    values = reporter.values(np.zeros(1, np.int64), np.full(1, round(time.time() * 1e6)))
    send(producer, topics.progress.name, 0, ["warm"], values)
    assert producer.flush(30) == 0


def arrivals(bootstrap: str, topics: Topics):
    """For each row as it is read: when its event was received, and when the row was read (us)."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "latency",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
        }
    )
    reader, deadline = RecordReader(TableIds(), "SeriesState"), time.monotonic() + PATIENCE_S
    consumer.assign([TopicPartition(topics.state.name, number, 0) for number in range(topics.partitions)])
    try:
        while time.monotonic() < deadline:
            for message in consumer.consume(1_000, 0.01):
                read_us = time.time() * 1e6
                assert message.error() is None, message.error()
                yield reader.read(message.value())["last_seen"], read_us
    finally:
        consumer.close()
    raise AssertionError("rows do not come any more")
