"""The worker with librdkafka's messages as arrays, and with Python objects: both ways in turn, in one run.

Each run has topics of its own with the same reports; the ways begin in turn. A ratio compares the two runs of a round.
Reading alone and the restore run in this process; their CPU is that of the process, with librdkafka's threads.
"""

from __future__ import annotations

import os
import statistics
import time

from benchmarks.local import local_kafka
from benchmarks.worker_events import prepare, prepare_rows
from benchmarks.worker_process import Throughput, measure_throughput, worker_command
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.consumer.gc_control import manual_gc
from taskstream.consumer.kafka.direct.direct_fetch import DirectFetch
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.kafka.direct.native_client import why_not
from taskstream.consumer.kafka.direct.source_batch import NewFetch
from taskstream.consumer.kafka.rebalancing_source import BatchSource
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.worker.state_restore import StateRestore
from taskstream.consumer.worker.watchdog import Watchdog
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

SECTION = "direct"
EVENTS = int(os.environ.get("TASKSTREAM_BENCH_EVENTS", "1000000"))
SERIES = int(os.environ.get("TASKSTREAM_BENCH_SERIES", "20000"))
RESTORED = int(os.environ.get("TASKSTREAM_BENCH_RESTORED", "1000000"))
"""Rows on the state topic."""
ROUNDS = int(os.environ.get("TASKSTREAM_BENCH_ROUNDS", "3"))
WAYS = {"arrays": ("--direct",), "objects": ("--no-direct",)}


def run() -> None:
    print(f"{EVENTS:,} events over {SERIES:,} series, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
    found: dict[str, list[Throughput]] = {way: [] for way in WAYS}
    with local_kafka() as broker:
        measure_reading(broker)
        measure_restoring(broker)
        for turn in range(ROUNDS):
            order = list(WAYS) if turn % 2 == 0 else list(WAYS)[::-1]
            for way in order:
                topics = Topics(f"bench-{turn}-{way}")
                create_topics(broker.client.config(), topics, 1)
                prepare(broker.bootstrap_servers, topics, EVENTS, SERIES)
                command = worker_command(broker.bootstrap_servers, topics, *WAYS[way])
                one = measure_throughput(command, broker.bootstrap_servers, topics, f"{topics.prefix}.worker", EVENTS)
                found[way].append(one)
                print(
                    f"{way}: {one.per_s:,.0f} events/s, {one.cpu_us:.2f} us CPU per event, {one.peak_mib} MiB, load "
                    f"{os.getloadavg()[0]:.1f}",
                    flush=True,
                )
    speeds = [ours.per_s / other.per_s for ours, other in zip(found["arrays"], found["objects"], strict=True)]
    costs = [ours.cpu_us / other.cpu_us for ours, other in zip(found["arrays"], found["objects"], strict=True)]
    for what, ratios in (("events/s", speeds), ("CPU per event", costs)):
        print(f"arrays / objects, {what}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def measure_reading(broker: LocalKafka) -> None:
    """Reads the events without folding them, both ways in turn, with one process's own CPU."""
    assert why_not() is None, why_not()
    topics = Topics("reading")
    create_topics(broker.client.config(), topics, 1)
    prepare(broker.bootstrap_servers, topics, EVENTS, SERIES)
    with Watchdog() as watchdog:
        for turn in range(2 * ROUNDS):
            new_fetch: NewFetch = DirectFetch if turn % 2 == 0 else MessageFetch
            config = broker.client.config(**{"group.id": f"reading-{turn}"})
            with BatchSource(config, topics.progress.name, watchdog, new_fetch=new_fetch) as source:
                source.subscribe(Silent())
                while not source.positions:
                    source.read(1, 0.05)
                began_s, cpu_s, count = time.monotonic(), time.process_time(), 0
                while count < EVENTS:
                    count += len(source.read(10_000, 0.05))
                per_s, cpu_us = count / (time.monotonic() - began_s), (time.process_time() - cpu_s) / count * 1e6
            way = "arrays" if turn % 2 == 0 else "objects"
            print(f"reading alone, {way}: {per_s:,.0f} events/s, {cpu_us:.2f} us CPU per event", flush=True)


def measure_restoring(broker: LocalKafka) -> None:
    """Restores a table from the state topic, both ways in turn; each begins with an empty table."""
    topics = Topics("restoring")
    create_topics(broker.client.config(), topics, 1)
    prepare_rows(broker.bootstrap_servers, topics, RESTORED)
    partitions = list(range(topics.partitions))
    for turn in range(2 * ROUNDS):
        way, new_fetch = (("arrays", DirectFetch), ("objects", MessageFetch))[turn % 2]
        table, restore = (
            SeriesTable(),
            StateRestore(broker.client.config(), topics.state.name, TableIds(), new_fetch=new_fetch),
        )
        with manual_gc():
            began_s, cpu_s = time.monotonic(), time.process_time()
            count = restore.restore(partitions, table)
            took_s, cpu_us = time.monotonic() - began_s, (time.process_time() - cpu_s) / count * 1e6
        assert len(table) == RESTORED
        print(f"restore, {way}: {took_s:.1f} s, {cpu_us:.2f} us CPU per row, load {os.getloadavg()[0]:.1f}", flush=True)


class Silent:
    """A listener that has nothing to keep."""

    def assigned(self, *_: object) -> None: ...

    def revoked(self, *_: object) -> None: ...

    def lost(self, *_: object) -> None: ...
