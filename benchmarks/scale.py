"""What grows with partitions and series: topics, the restore and the rebalance of workers, a view, the broker.

For each number of partitions, on a local Kafka of its own: the topics are made, a row of every series is written to the
state topic; a worker starts; a second one joins; the first one is killed; a view starts. A worker has restored when the
series that the workers hold, by their /metrics, are all. Then one worker catches up on reports of fewer series.
Options: `python -m benchmarks.scale --partitions 960 --series 10000000`.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.local import local_kafka
from benchmarks.processes import memory_mib
from benchmarks.worker_events import prepare, prepare_rows
from benchmarks.worker_process import measure_throughput, process, worker_command
from benchmarks.worker_rows import commit_offset_zero, seconds_until_held
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.local.ports import free_ports
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.consumer.view.views import running_view
from tests.waiting import wait_until

SECTION = "scale"
PARTITIONS = (12, 96, 960)
SERIES = 1_000_000
EVENTS, EVENT_SERIES = 2_000_000, 20_000
TIMEOUT_S = 900.0
POLL_S = 0.2


def run(partitions: Sequence[int] = PARTITIONS, series: int = SERIES) -> None:
    """Print a line for each step."""
    for count in partitions:
        print(f"{count} partitions, {series:,} series", flush=True)
        with local_kafka() as kafka, tempfile.TemporaryDirectory() as folder:
            measure(kafka, Path(folder), Topics("scale", partitions=count), series)
            catch_up(kafka, Topics("events", partitions=count))


def measure(kafka: LocalKafka, folder: Path, topics: Topics, series: int) -> None:
    began = time.monotonic()
    create_topics(kafka.client.config(), topics, 1)
    print(f"  topics made in {time.monotonic() - began:.1f} s")
    prepare_rows(kafka.bootstrap_servers, topics, series)
    commit_offset_zero(kafka.bootstrap_servers, topics)
    first, second = free_ports(2)
    with process(worker_command(kafka.bootstrap_servers, topics, "--metrics-port", str(first))) as one:
        seconds = seconds_until_held({first: one}, series)
        print(f"  one worker: all held {seconds:.1f} s after its start, {memory_mib(one.pid):.0f} MiB", flush=True)
        with process(
            worker_command(kafka.bootstrap_servers, topics, "--instance", "other", "--metrics-port", str(second))
        ) as two:
            seconds = seconds_until_held({first: one, second: two}, series, shared=True)
            print(
                f"  a second one: shared {seconds:.1f} s after its start, {memory_mib(one.pid):.0f} and "
                f"{memory_mib(two.pid):.0f} MiB",
                flush=True,
            )
            one.send_signal(signal.SIGKILL)
            seconds = seconds_until_held({second: two}, series)
            print(f"  the first one killed: the other held all {seconds:.1f} s later", flush=True)
    began = time.monotonic()
    with running_view(kafka.client, topics.prefix, folder, wait=False, stopped_clock=False) as view:
        wait_until(lambda: view.get("/readyz", by=None).status == 200, limit_s=TIMEOUT_S, pause_s=POLL_S)
        print(
            f"  a view: ready {time.monotonic() - began:.1f} s after its start, {memory_mib(view.process.pid):.0f} MiB"
        )
    broker = kafka.pid
    print(
        f"  the broker: {memory_mib(broker):.0f} MiB, {len(list(Path(f'/proc/{broker}/fd').iterdir()))} open files",
        flush=True,
    )


def catch_up(kafka: LocalKafka, topics: Topics) -> None:
    create_topics(kafka.client.config(), topics, 1)
    prepare(kafka.bootstrap_servers, topics, EVENTS, EVENT_SERIES)
    command, group = worker_command(kafka.bootstrap_servers, topics), f"{topics.prefix}.worker"
    found = measure_throughput(command, kafka.bootstrap_servers, topics, group, EVENTS)
    print(
        f"  one worker catches up: {found.per_s:,.0f} events per second, {found.cpu_us:.2f} us of CPU each", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, nargs="+", default=PARTITIONS)
    parser.add_argument("--series", type=int, default=SERIES)
    options = parser.parse_args()
    run(options.partitions, options.series)


if __name__ == "__main__":
    main()
