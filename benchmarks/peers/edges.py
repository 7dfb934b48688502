"""The edge beside the peer edges: each in its own process, one after the other in every round, on one local Kafka."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import uvloop
from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.edge_load import TOKEN, Figures, measure
from benchmarks.local import local_kafka, token_file
from benchmarks.peers.rounds import in_turn, ratio_text
from taskstream.compose.local.ports import free_port
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.catalog import newest
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

OURS = "taskstream"
PACED_PER_S = 2000.0
LOADS = ((64, 0.0), (256, 0.0), (64, PACED_PER_S))
"""Connections, and the rate that they are paced at: 0 is a closed loop."""
RESPONSE_S = 0.006
"""The approximate response time at the paced rate."""
LEADER_TIMEOUT_S = 60.0
SCHEMAS = Path(__file__).parent.parent.parent / "schemas" / "avro"
Command = Callable[[str], list[str]]


def compare_edges(programs: Mapping[str, Path], rounds: int, seconds: float) -> None:
    """Measure and print all loads. programs: [name of the peer] its program."""
    with tempfile.TemporaryDirectory() as folder, local_kafka() as kafka:
        servers, topics = kafka.bootstrap_servers, Topics("bench")
        create_topics(kafka.client.config(), topics, 1)
        tokens = str(token_file(Path(folder), TOKEN))
        ours = [sys.executable, "-P", "-m", "taskstream", "edge", "--bootstrap-servers", servers]
        ours += ["--prefix", topics.prefix, "--tokens", tokens, "--rate", "0", "--port"]
        commands: dict[str, Command] = {OURS: lambda port: [*ours, port]}
        schema = SCHEMAS / "ProgressReported.v2.avsc"
        schema_id = str(TableIds().id_of(newest("ProgressReported")))
        for name, program in programs.items():
            more = [servers, topics.progress.name, tokens, str(schema), schema_id]
            commands[name] = lambda port, program=program, more=more: [str(program), port, *more]  # type: ignore[misc]
        for connections, paced_per_s in LOADS:
            compare_at(commands, connections, paced_per_s, rounds, seconds, servers, topics)


def compare_at(
    commands: Mapping[str, Command],
    connections: int,
    paced_per_s: float,
    rounds: int,
    seconds: float,
    servers: str,
    topics: Topics,
) -> None:
    what = f"{connections} connections" + (f", paced to about {paced_per_s:,.0f}/s" if paced_per_s else "")
    pause_s = max(0.0, connections / paced_per_s - RESPONSE_S) if paced_per_s else 0.0
    found: dict[str, list[Figures]] = {name: [] for name in commands}
    for number in range(rounds):
        for name in in_turn(list(commands), number):
            before = end_offsets(servers, topics)
            load = os.getloadavg()[0]
            figures = one_server(commands[name], connections, seconds, pause_s)
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


def one_server(command: Command, connections: int, seconds: float, pause_s: float) -> Figures:
    port = free_port()
    running = subprocess.Popen(
        command(str(port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"GOMAXPROCS": "1"},
    )
    try:
        return uvloop.run(measure(port, running.pid, connections, seconds, pause_s))
    finally:
        running.terminate()
        try:
            running.wait(40)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


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
