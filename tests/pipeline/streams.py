"""What the pipeline's tests put on the topics and read back from them, by plain clients: the counts from outside."""

from __future__ import annotations

import math
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import urllib3
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from taskstream.consumer.kafka.retry import with_retry
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.state_records import rows_of, strings_of
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.codec.record_codec import RecordReader, RecordWriter
from taskstream.schemas.ids import TableIds
from taskstream.schemas.librdkafka.unproven_delivery import ONE_IN_FLIGHT
from taskstream.schemas.topics import Topics, task_key
from tests.programs import Program
from tests.waiting import LIMIT_S, NotYet, wait_until

IDS = TableIds()
SENT_AT_MS = 4_200_000_000_000
"""Kafka's timestamp of the reports of a `Fleet`: after their times of receipt, or a worker rejects them,
and so late that no retention deletes them."""


@dataclass
class Fleet:
    """Tasks that advance, repeat themselves, send old reports again, start anew and go back: a seeded stream."""

    tasks: int
    seed: int
    now_us: int = 4_000_000_000_000_000
    """Far ahead of any clock, so that no worker calls a series silent: that would depend on the moment."""
    step_us: int = 50_000

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._writer = RecordWriter(IDS, newest("ProgressReported"))
        self._bytes = [0] * self.tasks
        self._before = [0] * self.tasks
        self.sent = 0

    def event(self) -> tuple[str, bytes]:
        """The next report: key and wire bytes."""
        rng = self._random
        task = rng.randrange(self.tasks)
        self.now_us += rng.randrange(2 * self.step_us)
        what = rng.random()
        replicated = self._bytes[task]
        if what < 0.9:
            self._before[task], replicated = replicated, replicated + rng.randrange(1 << 22)
            self._bytes[task] = replicated
        elif what < 0.95:
            replicated = self._before[task]
        elif what < 0.96:
            self._bytes[task] = self._before[task] = replicated = rng.randrange(1 << 20)
        self.sent += 1
        record = {
            "event_id": f"{self.seed}-{self.sent}",
            "project_id": f"project-{task % 3}",
            "task_id": f"task-{task:06d}",
            "received_at": self.now_us - (rng.randrange(1_000_000) if what > 0.98 else 0),
            "subtask_name": "MIGRATE_LINUX_BLOCK" if task % 5 else "SYNC_LINUX_BLOCK",
            "progress": min(100, replicated >> 22),
            "replicatesize": replicated,
            "totalsize": 1 << 29,
            "process_trace": f"report {self.sent}",
            "agent_time": None,
        }
        return task_key(record["project_id"], record["task_id"]), self._writer.write(record)


def producer(bootstrap: str, **config: Any) -> Producer:
    """A producer that puts keys where the edge puts them, and loses nothing."""
    return Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True, "linger.ms": 5}
        | ONE_IN_FLIGHT
        | config
    )


def read_all(bootstrap: str, topic: str, isolation: str = "read_committed", *, decided: bool = True) -> list[Message]:
    """Every record of a topic, in the order of each partition, up to its end as it is now.

    decided: wait until each transaction that has records there now is committed or aborted. Kafka answers a commit
    before its readers see it.
    """
    config = {"bootstrap.servers": bootstrap, "group.id": "reader", "enable.partition.eof": True}
    consumer = Consumer(config | {"isolation.level": isolation, "auto.offset.reset": "earliest"})
    try:
        partitions = sorted(consumer.list_topics(topic, timeout=60).topics[topic].partitions)
        ends = _ends(config | {"isolation.level": "read_uncommitted" if decided else isolation}, topic, partitions)
        left = {p for p, end in ends.items() if end > 0}
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        found = []
        deadline = time.monotonic() + LIMIT_S
        while left:
            assert time.monotonic() < deadline, f"{topic} has no end in partitions {left}"
            for message in consumer.consume(10_000, 0.2):
                if message.error() is None:
                    found.append(message)
                else:
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    if message.offset() >= ends[message.partition()]:
                        left.discard(message.partition())
        return found
    finally:
        consumer.close()


def _ends(config: dict[str, Any], topic: str, partitions: Sequence[int]) -> dict[int, int]:
    consumer = Consumer(config)

    def end(partition: int) -> int:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)[1]

    try:  # the leader of a new topic can be too new to answer
        return {each: with_retry(f"the end of {topic}-{each}", partial(end, each)) for each in partitions}
    finally:
        consumer.close()


def records(messages: Sequence[Message], name: str) -> list[dict[str, Any]]:
    """The records in these messages, read one by one by the reference codec."""
    reader = RecordReader(IDS, name)
    return [reader.read(message.value()) for message in messages]


def newest_by_key(messages: Sequence[Message]) -> dict[str, bytes]:
    """What compaction would leave: the last value of each key, none where it is a tombstone."""
    last = {message.key().decode(): message.value() for message in messages}
    return {key: value for key, value in last.items() if value is not None}


def table_of(state: dict[str, bytes], bucket_s: float = 60.0) -> SeriesTable:
    """The table that these values of the state topic are the rows of; all in partition 0."""
    table = SeriesTable(Settings(bucket_s))
    decoded = ColumnReader(IDS, "SeriesState").read(list(state.values()))
    assert not decoded.rejected
    rows = rows_of(decoded.batch, np.zeros(len(state), np.int32))
    table.put(list(state), rows, *strings_of(decoded.batch))
    return table


@contextmanager
def worker(
    bootstrap: str, topics: Topics, folder: Path, instance: str = "w", *more: str, named: bool = True
) -> Iterator[Program]:
    """A worker process; what is left of it is ended. Its words are in folder/instance.log; `named`: Kafka knows it."""
    arguments = ["worker", "--bootstrap-servers", bootstrap, "--metrics-port", "0", "--prefix", topics.prefix]
    process = Program([*arguments, *(("--instance", instance) if named else ()), *more], folder / f"{instance}.log")
    try:
        yield process
    except BaseException:
        ask_where_it_is(process, folder, instance)
        raise
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ask_where_it_is(process: Program, folder: Path, instance: str) -> None:
    """Let a worker write its state and which line each thread is at into its log, for the report of a failed test."""
    if process.poll() is not None:
        return
    _, metrics = ask(folder, "/metrics", instance)
    shown = [
        line for line in metrics.splitlines() if re.match(r"taskstream_worker_(state|lag_records|events_total)", line)
    ]
    before = words(folder, instance)
    process.send_signal(signal.SIGUSR1)
    with suppress(AssertionError):
        wait_until(lambda: words(folder, instance) != before, limit_s=10)
    with (folder / f"{instance}.log").open("a") as log:
        log.write("\n".join(shown) + "\n")


def report(task: int, received_at: int, replicatesize: int, **more: Any) -> tuple[str, bytes]:
    """One report: key and wire bytes."""
    record = {
        "event_id": f"{task}-{received_at}",
        "project_id": "p",
        "task_id": f"task-{task}",
        "received_at": received_at,
        "subtask_name": "MIGRATE_LINUX_FILE",
        "progress": 1,
        "replicatesize": replicatesize,
        "totalsize": 1 << 40,
        "process_trace": "",
        "agent_time": None,
    } | more
    return task_key("p", record["task_id"]), RecordWriter(IDS, newest("ProgressReported")).write(record)


def send(bootstrap: str, topics: Topics, events: Iterable[tuple[str, bytes]]) -> None:
    """Put these events on the progress topic; all are acknowledged when this returns."""
    sender = producer(bootstrap)
    for key, value in events:
        sender.produce(topics.progress.name, value, key, timestamp=SENT_AT_MS)
    assert sender.flush(LIMIT_S) == 0


@contextmanager
def arriving(bootstrap: str, topics: Topics, fleet: Fleet, rate: int, patience_s: float = LIMIT_S) -> Iterator[None]:
    """So many events a second all the while; at the end all of them are acknowledged."""
    stop = threading.Event()
    failed: list[str] = []
    sender = producer(bootstrap, **{"delivery.timeout.ms": round(patience_s * 1000), "log_level": 0})

    def send_on() -> None:
        while not stop.wait(0.05):
            for _ in range(rate // 20):
                key, value = fleet.event()
                sender.produce(topics.progress.name, value, key, timestamp=SENT_AT_MS, on_delivery=delivered)
            sender.poll(0)

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error.str())

    thread = threading.Thread(target=send_on)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        assert sender.flush(patience_s) == 0
        assert failed == []


def words(folder: Path, instance: str = "w") -> str:
    """What a worker has said so far."""
    return (folder / f"{instance}.log").read_text()


def ask(folder: Path, path: str, instance: str = "w") -> tuple[int, str]:
    """Status and body of a page of the worker's own port, as it was told last; 0 while it does not answer."""
    told = re.findall(r"metrics at (http://[^/]+)/metrics", words(folder, instance))
    try:
        answer = urllib3.request("GET", f"{told[-1]}{path}", timeout=60, retries=False) if told else None
    except urllib3.exceptions.HTTPError:
        return 0, ""
    return (answer.status, answer.data.decode()) if answer is not None else (0, "")


def measured(folder: Path, name: str, instance: str = "w") -> float:
    """The sum of a metric over its labels; NaN while there is none."""
    _, text = ask(folder, "/metrics", instance)
    found = re.findall(rf"^taskstream_worker_{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found)) if found else math.nan


def has_counted(folder: Path, name: str, number: int, instance: str = "w") -> bool:
    """Whether a worker's counter shows this number; more only if its log says why.

    A worker that Kafka took for dead, or did not answer, folds again what it had not committed, and counts that again.

    Raises:
        NotYet: it does not; with what it shows.
    """
    counted = measured(folder, name, instance)
    disturbed = re.findall(r"\] (aborted|lost|producer lost)\s", words(folder, instance))
    if counted == number or (counted > number and disturbed):
        return True
    raise NotYet(f"{name} is {counted}, not {number}; the log has {disturbed}")


def committed(bootstrap: str, topics: Topics) -> int:
    """The sum of the group's committed offsets."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topics.prefix}.worker"})
    try:
        places = [TopicPartition(topics.progress.name, p) for p in range(topics.partitions)]
        return sum(max(place.offset, 0) for place in consumer.committed(places, timeout=60))
    except KafkaException:
        return -1  # the coordinator is still looking for its place; who waits asks again
    finally:
        consumer.close()


def kill(process: Program) -> None:
    """SIGKILL, and wait until it is gone."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
