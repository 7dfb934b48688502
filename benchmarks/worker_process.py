"""One process that reads events in a group: how fast it comes on, what CPU and what memory it takes."""

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

LOOK_S = 0.05
FIRST_S = 180.0
"""So long may pass until the first committed offset; and between two that differ."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of it."""

    a_second: float
    cpu_us: float
    """An event."""
    peak_mib: int


def worker_command(bootstrap: str, topics: Topics, *more: str) -> list[str]:
    command = [sys.executable, "-P", "-m", "taskstream", "worker", "--bootstrap-servers", bootstrap]
    return [*command, "--prefix", topics.prefix, "--metrics-port", "0", "--instance", "bench", *more]


@contextlib.contextmanager
def process(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, stopped in the end; what it said is told when it ended by itself."""
    with tempfile.TemporaryFile() as words:
        running = subprocess.Popen(command, stdout=words, stderr=words)
        try:
            yield running
        finally:
            if running.poll() is not None:
                words.seek(0)
                print(words.read().decode()[-2000:], file=sys.stderr)
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def catching_up(command: Sequence[str], bootstrap: str, topics: Topics, group: str, events: int) -> Reached:
    """Run it until its group has committed so many events."""
    with process(command) as running, offsets(bootstrap, topics, group) as committed:
        began: tuple[float, int, float] | None = None
        last, moved = 0, time.monotonic()
        while True:
            assert running.poll() is None, f"{group} ended by itself"
            done, now, cpu = committed(), time.monotonic(), cpu_of(running.pid)
            if done != last:
                last, moved = done, now
            assert now - moved < FIRST_S, f"{group} stands at {done:,}"
            if done and began is None:
                began = now, done, cpu
            if done >= events:
                break
            time.sleep(LOOK_S)
        assert began is not None
        assert done > began[1], f"{group} was faster than we looked: take more events"
        count = done - began[1]
        return Reached(
            count / (now - began[0]), (cpu - began[2]) / count * 1e6, round(memory_mib(running.pid, "VmHWM"))
        )


@contextlib.contextmanager
def offsets(bootstrap: str, topics: Topics, group: str) -> Iterator[object]:
    """A function that tells how many events the group has committed."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0})
    places = [TopicPartition(topics.progress.name, number) for number in range(topics.partitions)]

    def committed() -> int:
        try:
            return sum(max(place.offset, 0) for place in consumer.committed(places, timeout=10))
        except KafkaException:
            return 0  # the group's coordinator is not there yet, or offsets are being decided

    try:
        yield committed
    finally:
        consumer.close()
