"""The start of a worker with a million rows on the state topic: the time of the restore, and the memory afterwards."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping

import urllib3
from confluent_kafka import Consumer, TopicPartition

from benchmarks.processes import cpu_of, memory_mib
from benchmarks.worker_events import prepare_rows
from benchmarks.worker_process import process, worker_command
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.local.ports import free_ports
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics

SERIES = 1_000_000
TIMEOUT_S = 900.0
POLL_S = 0.2


def measure_restore(kafka: LocalKafka) -> None:
    topics = Topics("million")
    create_topics(kafka.client.config(), topics, 1)
    prepare_rows(kafka.bootstrap_servers, topics, SERIES)
    commit_offset_zero(kafka.bootstrap_servers, topics)
    (port,) = free_ports(1)
    with process(worker_command(kafka.bootstrap_servers, topics, "--metrics-port", str(port))) as running:
        seconds_until_held({port: running}, SERIES)
        metrics = metrics_of(port)
        print(
            f"a million rows restored in {metric(metrics, 'restoring_seconds_total'):.1f} s; the whole start took "
            f"{cpu_of(running.pid):.1f} s of CPU; resident {memory_mib(running.pid):.0f} MiB, peak "
            f"{memory_mib(running.pid, 'VmHWM'):.0f} MiB",
            flush=True,
        )


def seconds_until_held(workers: Mapping[int, subprocess.Popen[bytes]], series: int, *, shared: bool = False) -> float:
    """Until these workers, by the ports of their metrics, hold `series` series together; if `shared`, each some."""
    began = time.monotonic()
    while True:
        held = [metric(metrics_of(port), "series") for port in workers]
        if sum(held) == series and (not shared or all(held)):
            return time.monotonic() - began
        assert all(each.poll() is None for each in workers.values()), "a worker ended by itself"
        assert time.monotonic() - began < TIMEOUT_S, f"{held} of {series} series are held"
        time.sleep(POLL_S)


def metrics_of(port: int) -> str:
    """The text of /metrics; empty while nobody answers."""
    try:
        return urllib3.request("GET", f"http://127.0.0.1:{port}/metrics", retries=False, timeout=60).data.decode()
    except urllib3.exceptions.HTTPError:
        return ""


def commit_offset_zero(bootstrap: str, topics: Topics) -> None:
    """Commit the offset 0 of every partition: a worker refuses a state topic with rows for a group without offsets."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topics.prefix}.worker"})
    offsets = [TopicPartition(topics.progress.name, number, 0) for number in range(topics.partitions)]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def metric(metrics: str, name: str) -> float:
    return sum(map(float, re.findall(rf"^taskstream_worker_{name} (\S+)$", metrics, re.MULTILINE)))
