"""Measures a process that consumes events in a group: its throughput, CPU time and memory."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.processes import cpu_of, memory_mib
from taskstream.schemas.topics import Topics

POLL_S = 0.05
COMMIT_TIMEOUT_S = 180.0
"""The longest time until the first committed offset, and between two commits."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Events per second, CPU time per event, and peak memory of a process."""

    per_s: float
    cpu_us: float
    peak_mib: int


def worker_command(bootstrap: str, topics: Topics, *more: str) -> list[str]:
    command = [sys.executable, "-P", "-m", "taskstream", "worker", "--bootstrap-servers", bootstrap]
    return [*command, "--prefix", topics.prefix, "--metrics-port", "0", "--instance", "bench", *more]


@contextlib.contextmanager
def process(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the process, and stop it at the end; if it has ended by itself, print the end of its output."""
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield running
        finally:
            if running.poll() is not None:
                output.seek(0)
                print(output.read().decode()[-2000:], file=sys.stderr)
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def measure_throughput(
    command: Sequence[str], bootstrap: str, topics: Topics, group: str, events: int, unmeasured: int = 1
) -> Throughput:
    """Run the process until its group has committed `events` events; measure from the commit of `unmeasured` on."""
    with process(command) as running, offsets(bootstrap, topics, group) as committed:
        began: tuple[float, int, float] | None = None
        last, moved = 0, time.monotonic()
        while True:
            assert running.poll() is None, f"{group} ended by itself"
            done, now, cpu = committed(), time.monotonic(), cpu_of(running.pid)
            if done != last:
                last, moved = done, now
            assert now - moved < COMMIT_TIMEOUT_S, f"{group} has committed nothing since {done:,}"
            if done >= unmeasured and began is None:
                began = now, done, cpu
            if done >= events:
                break
            time.sleep(POLL_S)
        assert began is not None
        assert done > began[1], f"{group} finished between two polls: prepare more events"
        count = done - began[1]
        return Throughput(
            count / (now - began[0]), (cpu - began[2]) / count * 1e6, round(memory_mib(running.pid, "VmHWM"))
        )


@contextlib.contextmanager
def offsets(bootstrap: str, topics: Topics, group: str) -> Iterator[object]:
    """A function that returns how many events the group has committed."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0})
    partitions = [TopicPartition(topics.progress.name, number) for number in range(topics.partitions)]

    def committed() -> int:
        try:
            return sum(max(each.offset, 0) for each in consumer.committed(partitions, timeout=10))
        except KafkaException:
            return 0  # the group's coordinator is not available yet, or a transaction's offsets are pending

    try:
        yield committed
    finally:
        consumer.close()
