"""The start of the worker beside that of Kafka Streams: the rows of many series are on the topic, none locally."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.local import local_kafka
from benchmarks.peers.edges import OURS
from benchmarks.peers.rounds import in_turn, ratio_text
from benchmarks.peers.worker_peers import Job, StreamsWorker, WorkerPeer
from benchmarks.processes import cpu_of, memory_mib
from benchmarks.worker_events import prepare_rows
from benchmarks.worker_process import worker_command
from benchmarks.worker_rows import commit_offset_zero, metric, metrics_of
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.local.ports import free_ports
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics

APPLICATION = "restore"
POLL_S = 0.1
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Restored:
    """The start of a process until its state is restored, the process' own start included."""

    seconds: float
    cpu_s: float
    peak_mib: int

    def __str__(self) -> str:
        return f"ready after {self.seconds:.1f} s, {self.cpu_s:.1f} s of CPU, peak {self.peak_mib} MiB"


def compare_restore(peers: Mapping[str, WorkerPeer], rounds: int, series: int) -> None:
    """Measure and print. Streams' changelog has the same records as our state topic; other peers restore nothing."""
    streams = {name: each for name, each in peers.items() if isinstance(each, StreamsWorker)}
    with local_kafka() as kafka:
        topics = Topics("bench")
        create_topics(kafka.client.config(), topics, 1)
        changelogs = sorted({each.state_topic(APPLICATION) for each in streams.values()})
        create_compacted(kafka, changelogs, topics.partitions)
        prepare_rows(kafka.bootstrap_servers, topics, series, changelogs)
        commit_offset_zero(kafka.bootstrap_servers, topics)
        what = f"{series:,} series"
        found: dict[str, list[Restored]] = {name: [] for name in (OURS, *streams)}
        for number in range(rounds):
            for name in in_turn(list(found), number):
                load = os.getloadavg()[0]
                peer = streams.get(name)
                one = ours_restored(kafka, topics, series) if peer is None else restored(kafka, topics, peer, series)
                found[name].append(one)
                print(f"  {what}, round {number + 1}: {name:28} {one}; load before {load:.1f}", flush=True)
        for name, each in found.items():
            seconds, cpu_s = [one.seconds for one in each], [one.cpu_s for one in each]
            medians = f"{statistics.median(seconds):.1f} s, {statistics.median(cpu_s):.1f} s of CPU"
            print(f"  {what}: {name:28} median {medians}", flush=True)
            if name != OURS:
                time_ratio = ratio_text([one.seconds for one in found[OURS]], seconds)
                cpu_ratio = ratio_text([one.cpu_s for one in found[OURS]], cpu_s)
                print(f"  {what}: {OURS} / {name}: time {time_ratio}, CPU {cpu_ratio}", flush=True)


def create_compacted(kafka: LocalKafka, names: list[str], partitions: int) -> None:
    """Create topics as Streams creates its changelogs."""
    if names:
        admin = AdminClient(kafka.client.config())
        topics = [NewTopic(name, partitions, 1, config={"cleanup.policy": "compact"}) for name in names]
        for answer in admin.create_topics(topics).values():
            answer.result(TIMEOUT_S)


def ours_restored(kafka: LocalKafka, topics: Topics, series: int) -> Restored:
    (port,) = free_ports(1)
    command = worker_command(kafka.bootstrap_servers, topics, "--metrics-port", str(port))
    return until_ready(command, lambda _output: round(metric(metrics_of(port), "series")), series)


def restored(kafka: LocalKafka, topics: Topics, peer: StreamsWorker, series: int) -> Restored:
    with tempfile.TemporaryDirectory() as folder:
        state = peer.state_topic(APPLICATION)
        job = Job(
            kafka.bootstrap_servers, topics.progress.name, topics.rates.name, state, APPLICATION, Path(folder) / "state"
        )
        return until_ready(peer.command(job), records_restored, series)


def records_restored(output: str) -> int:
    """The number that Streams printed when it was running; 0 if it is not."""
    return max((int(each) for each in re.findall(r"^ready (\d+)$", output, re.MULTILINE)), default=0)


def until_ready(command: Sequence[str], held: Callable[[str], int], series: int) -> Restored:
    """Run the process until `held` of its output is `series`, or more, and stop it."""
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        running = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            while held(text_of(output)) < series:
                assert running.poll() is None, f"it ended by itself: {text_of(output)[-2000:]}"
                assert time.monotonic() - began < TIMEOUT_S, f"it is not ready: {text_of(output)[-2000:]}"
                time.sleep(POLL_S)
            seconds = time.monotonic() - began
            return Restored(seconds, cpu_of(running.pid), round(memory_mib(running.pid, "VmHWM")))
        finally:
            stop(running)


def text_of(output: IO[bytes]) -> str:
    """All that was written so far, read without moving the position, which the process shares."""
    return os.pread(output.fileno(), 1 << 20, 0).decode(errors="replace")


def stop(running: subprocess.Popen[bytes]) -> None:
    running.terminate()
    try:
        running.wait(30)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
