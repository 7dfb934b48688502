"""The edge beside the peer edges: each in a process of its own, loaded in turn in every round, on one local Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvloop
from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.edge_load import TOKEN, Figures, Observed, connect, measure, until_ready
from benchmarks.local import local_kafka, token_file
from benchmarks.peers.build import Command
from benchmarks.peers.edge_answers import answer_differences, edge_answers
from benchmarks.peers.rounds import in_turn, ratio_text
from benchmarks.peers.worker_peers import SCHEMA_FILES, SCHEMA_IDS
from taskstream.compose.local.ports import free_port
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics

OURS = "taskstream"
PACED_PER_S = 2000.0
LOADS = ((64, 0.0), (256, 0.0), (64, PACED_PER_S))
"""Connections, and the rate that they are paced at: 0 is a closed loop."""
RESPONSE_S = 0.006
"""The approximate response time at the paced rate."""
LEADER_TIMEOUT_S = 60.0
WARM_UP_REPORTS = 30_000
"""How many reports an edge answers before it is measured: a JVM compiles meanwhile."""
WARM_UP_CONNECTIONS = 64
WARM_UP_S = 120


@dataclass(frozen=True, slots=True)
class RunningEdge:
    """A running edge."""

    port: int
    pid: int


def compare_edges(programs: Mapping[str, Command], rounds: int, seconds: float) -> None:
    """Measure and print all loads. programs: [name of the peer] the beginning of its command."""
    with contextlib.ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        kafka = opened.enter_context(local_kafka())
        servers, topics = kafka.bootstrap_servers, Topics("bench")
        create_topics(kafka.client.config(), topics, 1)
        tokens = str(token_file(Path(folder), TOKEN))
        ours = [sys.executable, "-P", "-m", "taskstream", "edge", "--bootstrap-servers", servers]
        ours += ["--prefix", topics.prefix, "--tokens", tokens, "--rate", "0", "--port"]
        more = [servers, topics.progress.name, tokens, SCHEMA_FILES[0], SCHEMA_IDS[0]]
        edges = {OURS: opened.enter_context(running_edge(lambda port: [*ours, port]))}
        for name, program in programs.items():
            edges[name] = opened.enter_context(running_edge(lambda port, program=program: [*program, port, *more]))
        check_answers(edges, servers, topics)
        for connections, paced_per_s in LOADS:
            compare_at(edges, connections, paced_per_s, rounds, seconds, servers, topics)


def check_answers(edges: Mapping[str, RunningEdge], servers: str, topics: Topics) -> None:
    """Print how many requests all edges answer alike.

    Raises:
        AssertionError: a peer answers or stores something else than ours.
    """
    answers = {name: edge_answers(edge.port, servers, topics.progress.name) for name, edge in edges.items()}
    for name, theirs in answers.items():
        if different := answer_differences(answers[OURS], theirs):
            raise AssertionError(f"the answers of {OURS} and {name} differ: {'; '.join(different)}")
    print(f"  all edges answer {len(answers[OURS])} requests alike, and store the same records", flush=True)


def compare_at(
    edges: Mapping[str, RunningEdge],
    connections: int,
    paced_per_s: float,
    rounds: int,
    seconds: float,
    servers: str,
    topics: Topics,
) -> None:
    what = f"{connections} connections" + (f", paced to about {paced_per_s:,.0f}/s" if paced_per_s else "")
    pause_s = max(0.0, connections / paced_per_s - RESPONSE_S) if paced_per_s else 0.0
    found: dict[str, list[Figures]] = {name: [] for name in edges}
    for number in range(rounds):
        for name in in_turn(list(edges), number):
            edge = edges[name]
            before = end_offsets(servers, topics)
            load = os.getloadavg()[0]
            figures = uvloop.run(measure(edge.port, edge.pid, connections, seconds, pause_s))
            stored = end_offsets(servers, topics) - before
            acked = round(figures.per_s * seconds) - figures.refused
            assert stored >= acked, f"{name} acknowledged {acked:,} reports, but only {stored:,} are on the topic"
            found[name].append(figures)
            print(f"  {what}, round {number + 1}: {name:12} {figures}; load before {load:.1f}", flush=True)
    for name, each in found.items():
        print(f"  {what}: {name:12} median {Figures(*map(statistics.median, zip(*each, strict=True)))}")
        if name != OURS:
            cpu = ratio_text([one.cpu_us for one in found[OURS]], [one.cpu_us for one in each])
            rate = ratio_text([one.per_s for one in found[OURS]], [one.per_s for one in each])
            print(f"  {what}: {OURS} / {name}: CPU per acknowledged report {cpu}, rate {rate}", flush=True)


@contextlib.contextmanager
def running_edge(command: Callable[[str], list[str]]) -> Iterator[RunningEdge]:
    """An edge that has answered WARM_UP_REPORTS; it waits while others are measured. command: by its port."""
    port = free_port()
    running = subprocess.Popen(
        command(str(port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"GOMAXPROCS": "1"},
    )
    try:
        uvloop.run(warm_up(port))
        yield RunningEdge(port, running.pid)
    finally:
        running.terminate()
        try:
            running.wait(40)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


async def warm_up(port: int) -> None:
    """Send WARM_UP_REPORTS, or as many as are answered within WARM_UP_S."""
    await until_ready(port)
    observed = Observed()
    await connect(port, WARM_UP_CONNECTIONS, observed)
    for _ in range(WARM_UP_S):
        await asyncio.sleep(1.0)
        if len(observed.took) >= WARM_UP_REPORTS:
            break
    observed.stop = True
    await asyncio.sleep(0.3)


def end_offsets(servers: str, topics: Topics) -> int:
    """How many records were ever written to the progress topic."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench.ends"})
    try:
        partitions = [TopicPartition(topics.progress.name, number) for number in range(topics.partitions)]
        return sum(end_offset(consumer, each) for each in partitions)
    finally:
        consumer.close()


def end_offset(consumer: Consumer, partition: TopicPartition) -> int:
    """The end of a partition; a new topic has no leaders for a moment."""
    deadline = time.monotonic() + LEADER_TIMEOUT_S
    while True:
        try:
            return int(consumer.get_watermark_offsets(partition, timeout=30)[1])
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
