"""CPU per report of (a) an empty 200 in the same server, (b) FastAPI with aiokafka (if installed), (c) the edge.

One process each, acks=all, a local Kafka on the same cores, and a closed loop of keep-alive connections. CPU is that of
the server process, including librdkafka's threads. (s) is an empty 200 on the edge's path that bypasses ASGI.

At full load, (a) never idles, while (c) idles when it waits for Kafka; a process that wakes up for few requests at a
time pays more per request. So (a) is also measured with pauses that give it the request rate of (c).
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
RESPONSE_S = 0.001
"""The approximate response time of (a) at the request rate of (c)."""
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
            "(s) empty 200, past ASGI": lambda port: ["-m", peers, "short", port],
            FASTAPI: lambda port: ["-m", peers, "fastapi", port, servers, topics.progress.name],
            EDGE: lambda port: [*edge, "--rate", "0", "--port", port],
        }
        if not (importlib.util.find_spec("fastapi") and importlib.util.find_spec("aiokafka")):
            print("(b) is skipped: pip install fastapi aiokafka")
            del commands[FASTAPI]
        for connections in CONNECTIONS:
            compare(commands, connections)


def compare(commands: dict[str, Command], connections: int) -> None:
    """Measure every server in every round, so that other load of the machine affects all; print the medians."""
    rounds = [one_round(commands, connections) for _ in range(ROUNDS)]
    for name in rounds[0]:
        median = Figures(*map(statistics.median, zip(*(each[name] for each in rounds), strict=True)))
        print(f"  {connections:4} connections  {name:25} {median}", flush=True)
    for name in [each for each in rounds[0] if each != EDGE]:
        ratios = sorted(each[EDGE].cpu_us / each[name].cpu_us for each in rounds)
        print(f"       (c) is {statistics.median(ratios):.2f} times {name} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def one_round(commands: dict[str, Command], connections: int) -> dict[str, Figures]:
    figures = {name: measure_server(command, connections) for name, command in commands.items()}
    pause_s = max(0.0, connections / figures[EDGE].per_s - RESPONSE_S)
    figures[PACED] = measure_server(commands[EMPTY], connections, pause_s)
    return figures


def measure_server(command: Command, connections: int, pause_s: float = 0.0) -> Figures:
    port = free_port()
    server = [sys.executable, *command(str(port))]
    process = subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return uvloop.run(measure(port, process.pid, connections, SECONDS, pause_s))
    finally:
        process.terminate()
        process.wait(40)
