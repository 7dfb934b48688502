"""The worker's latency at a steady rate: from the receipt of an event until a read_committed consumer reads its row."""

from __future__ import annotations

import threading
import time

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from benchmarks.worker_events import PROJECT, Reporter, bulk_producer, send
from benchmarks.worker_process import process, worker_command
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

RATE = 1_000
SECONDS = 30
SERIES = RATE * SECONDS
"""Each series has one report, so a row belongs to one event."""
TICK_S = 0.01
TIMEOUT_S = 90.0


def measure_latency(kafka: LocalKafka) -> None:
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
    print(f"event to row at {RATE:,} events per second: p50 {half:.0f} ms, p99 {most:.0f} ms, longest {worst:.0f} ms")


def report(bootstrap: str, topics: Topics, reporter: Reporter) -> None:
    """Write RATE reports per second in small batches; the time of receipt is the time of writing."""
    producer, began, sent = bulk_producer(bootstrap), time.time(), 0
    while sent < SERIES:
        due = min(int((time.time() - began) * RATE), SERIES)
        numbers = np.arange(sent, due)
        if due > sent:
            values = reporter.values(numbers, np.full(due - sent, round(time.time() * 1e6)))
            for number, value in zip(numbers.tolist(), values, strict=True):
                key = f"{PROJECT}/{reporter.tasks[number]}"
                send(producer, topics.progress.name, number % topics.partitions, [key], [value])
        sent = due
        producer.flush(0.001)
        time.sleep(TICK_S)
    assert producer.flush(30) == 0


def send_now(bootstrap: str, topics: Topics, reporter: Reporter) -> None:
    producer = bulk_producer(bootstrap)
    values = reporter.values(np.zeros(1, np.int64), np.full(1, round(time.time() * 1e6)))
    send(producer, topics.progress.name, 0, ["warm"], values)
    assert producer.flush(30) == 0


def arrivals(bootstrap: str, topics: Topics):
    """For each row: the time of receipt of its event, and the time at which the row was read, in us since 1970."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "latency",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
        }
    )
    reader, deadline = RecordReader(TableIds(), "SeriesState"), time.monotonic() + TIMEOUT_S
    consumer.assign([TopicPartition(topics.state.name, number, 0) for number in range(topics.partitions)])
    try:
        while time.monotonic() < deadline:
            for message in consumer.consume(1_000, 0.01):
                read_us = time.time() * 1e6
                assert message.error() is None, message.error()
                yield reader.read(message.value())["last_seen"], read_us
    finally:
        consumer.close()
    raise AssertionError(f"not all rows arrived within {TIMEOUT_S:g} s")
