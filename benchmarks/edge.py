"""CPU a report: (a) an empty 200 in the same server, (b) FastAPI and aiokafka (if installed), (c) the edge.

One process each, acks=all, a local Kafka on the same cores; a closed loop of keep-alive connections. CPU is the
server process's own, librdkafka's threads included. (s) is an empty 200 on the short way that the edge takes past ASGI.

As fast as it can, (a) never rests, and (c) rests while it waits for Kafka; a process that wakes for a few requests at a
time pays more for each. So (a) is measured a second time, with pauses in which it has as many requests a second as (c).
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import uvloop

from benchmarks.edge_load import TOKEN, Figures, measure
from benchmarks.local import local_kafka, token_file
from taskstream.compose.local.ports import free_port
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics

SECTION = "edge"
SECONDS = 3.0
ROUNDS = 3
CONNECTIONS = (64, 256)
EMPTY = "(a) empty 200"
PACED = "(a) at the pace of (c)"
FASTAPI = "(b) FastAPI + aiokafka"
EDGE = "(c) the edge"
ANSWER_S = 0.001
"""What an answer of (a) takes, about, when it has as little to do as (c)."""
Command = Callable[[str], list[str]]


def run() -> None:
    with tempfile.TemporaryDirectory() as folder, local_kafka() as kafka:
        topics = Topics("bench")
        create_topics(kafka.client.config(), topics)
        tokens = token_file(Path(folder), TOKEN)
        servers = kafka.bootstrap_servers
        edge = [
            "-m",
            "taskstream",
            "edge",
            "--bootstrap-servers",
            servers,
            "--prefix",
            "bench",
            "--tokens",
            str(tokens),
        ]
        peers = "benchmarks.edge_peers"
        commands: dict[str, Command] = {
            EMPTY: lambda port: ["-m", peers, "empty", port],
            "(s) empty 200, short way": lambda port: ["-m", peers, "short", port],
            FASTAPI: lambda port: ["-m", peers, "fastapi", port, servers, topics.progress.name],
            EDGE: lambda port: [*edge, "--rate", "0", "--port", port],
        }
        if not (importlib.util.find_spec("fastapi") and importlib.util.find_spec("aiokafka")):
            print("(b) is left out: pip install fastapi aiokafka")
            del commands[FASTAPI]
        for connections in CONNECTIONS:
            compare(commands, connections)


def compare(commands: dict[str, Command], connections: int) -> None:
    """Every server in every round: what else the machine does then falls on all of them. Medians are told."""
    rounds = [one_round(commands, connections) for _ in range(ROUNDS)]
    for name in rounds[0]:
        median = Figures(*map(statistics.median, zip(*(each[name] for each in rounds), strict=True)))
        print(f"  {connections:4} connections  {name:25} {median}", flush=True)
    for name in [each for each in rounds[0] if each != EDGE]:
        ratios = sorted(each[EDGE].cpu_us / each[name].cpu_us for each in rounds)
        print(f"       (c) is {statistics.median(ratios):.2f} times {name} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def one_round(commands: dict[str, Command], connections: int) -> dict[str, Figures]:
    figures = {name: once(command, connections) for name, command in commands.items()}
    figures[PACED] = once(commands[EMPTY], connections, max(0.0, connections / figures[EDGE].per_s - ANSWER_S))
    return figures


def once(command: Command, connections: int, pause_s: float = 0.0) -> Figures:
    port = free_port()
    server = [sys.executable, *command(str(port))]
    process = subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return uvloop.run(measure(port, process.pid, connections, SECONDS, pause_s))
    finally:
        process.terminate()
        process.wait(40)
