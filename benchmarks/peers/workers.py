"""The worker beside the peer workers: each catches up on the same events, in every round, on one local Kafka."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.local import local_kafka
from benchmarks.peers.edges import OURS, SCHEMAS, end_offset
from benchmarks.peers.rounds import in_turn, ratio_text
from benchmarks.worker_events import prepare
from benchmarks.worker_process import Throughput, measure_throughput, worker_command
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

COMMIT_MS = 1000
"""How often a peer commits."""
TIMEOUT_S = 120.0


def compare_workers(programs: Mapping[str, Path], rounds: int, events: int, series: int) -> None:
    """Measure and print; the rows of all must have the same totals. programs: [name of the peer] its program."""
    os.environ["GOMAXPROCS"] = "1"
    with local_kafka() as kafka:
        topics = Topics("bench")
        create_topics(kafka.client.config(), topics, 1)
        prepare(kafka.bootstrap_servers, topics, events, series)
        what = f"{events:,} events over {series:,} series"
        print(f"  {what}, {topics.partitions} partitions", flush=True)
        found: dict[str, list[Throughput]] = {name: [] for name in (OURS, *programs)}
        for number in range(rounds):
            totals = {}
            for name in in_turn(list(found), number):
                load = os.getloadavg()[0]
                one, totals[name] = one_worker(kafka, topics, name, programs.get(name), number, events)
                found[name].append(one)
                print(f"  round {number + 1}: {name:12} {described(one)}; load before {load:.1f}", flush=True)
            if len(set(totals.values())) != 1:
                raise AssertionError(f"rows, reports and bytes differ: {totals}")
            print(f"  round {number + 1}: rows, reports and bytes of all: {totals[OURS]}", flush=True)
        for name, each in found.items():
            cpu_us, per_s = [one.cpu_us for one in each], [one.per_s for one in each]
            print(
                f"  {what}: {name:12} median {statistics.median(per_s):,.0f}/s, {statistics.median(cpu_us):.2f} us CPU"
            )
            if name != OURS:
                cpu = ratio_text([one.cpu_us for one in found[OURS]], cpu_us)
                rate = ratio_text([one.per_s for one in found[OURS]], per_s)
                print(f"  {what}: {OURS} / {name}: CPU per event {cpu}, rate {rate}", flush=True)


def described(one: Throughput) -> str:
    return f"{one.per_s:9,.0f} events per second, {one.cpu_us:.2f} us CPU per event, peak {one.peak_mib} MiB"


def one_worker(
    kafka: LocalKafka, topics: Topics, name: str, program: Path | None, number: int, events: int
) -> tuple[Throughput, tuple[int, int, int]]:
    """The figures, and the number, reports and bytes of the rows. program: None for ours."""
    group, bootstrap = f"{name.lower()}-{number}", kafka.bootstrap_servers
    if program is None:
        results = topics
        empty(kafka, topics)
        command = worker_command(bootstrap, topics, "--group", group)
    else:
        results = Topics(group)
        create_topics(kafka.client.config(), results, 1)
        names = [topics.progress.name, results.state.name, results.rates.name]
        command = [str(program), bootstrap, *names, group, str(COMMIT_MS), str(SCHEMAS)]
    return measure_throughput(command, bootstrap, topics, group, events), row_totals(bootstrap, results)


def empty(kafka: LocalKafka, topics: Topics) -> None:
    """Delete the worker's topics and create them again: a new group refuses a state topic with rows."""
    admin = AdminClient(kafka.client.config())
    names = [topics.state.name, topics.rates.name, topics.signals.name]
    for answer in admin.delete_topics(names, operation_timeout=60).values():
        answer.result(TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while set(names) & set(admin.list_topics(timeout=30).topics):
        assert time.monotonic() < deadline, f"the topics are not deleted: {names}"
        time.sleep(0.2)
    create_topics(kafka.client.config(), topics, 1, timeout_s=TIMEOUT_S)


def row_totals(bootstrap: str, topics: Topics) -> tuple[int, int, int]:
    """How many rows are committed, and the sums of their reports and of their replicated bytes."""
    config = {"bootstrap.servers": bootstrap, "group.id": "bench.rows", "isolation.level": "read_committed"}
    consumer = Consumer({**config, "enable.partition.eof": True, "enable.auto.commit": False})
    partitions = [TopicPartition(topics.state.name, number, 0) for number in range(topics.partitions)]
    left = {each.partition for each in partitions if end_offset(consumer, each)}
    values: dict[bytes, bytes] = {}
    consumer.assign([each for each in partitions if each.partition in left])
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while left:
            assert time.monotonic() < deadline, f"the end of partitions {left} is not reached"
            for message in consumer.consume(10_000, 1.0):
                error = message.error()
                if error is None:
                    values[message.key()] = message.value()
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 # its public name
                    left.discard(message.partition())
    finally:
        consumer.close()
    reader = RecordReader(TableIds(), "SeriesState")
    rows = [reader.read(value) for value in values.values()]
    return len(rows), sum(row["reports"] for row in rows), sum(row["replicatesize"] for row in rows)
