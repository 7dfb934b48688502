"""The pair of `check` with processes: an edge beside the same server with an empty answer, both kept running."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop

from benchmarks.edge_load import TOKEN, measure
from benchmarks.local import token_file
from benchmarks.ratios import Ratio
from benchmarks.worker_process import process
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.local.ports import free_ports
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics

GROUPS, ROUNDS = 3, 2
SECONDS = 2.0
CONNECTIONS = 64


def edge_ratio(kafka: LocalKafka) -> dict[str, Ratio]:
    """[pair] CPU per acknowledged report over CPU per empty answer, at full load."""
    topics = Topics("edge")
    create_topics(kafka.client.config(), topics, 1)
    edge_port, empty_port = free_ports(2)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        where = ["--bootstrap-servers", kafka.bootstrap_servers, "--prefix", topics.prefix, "--rate", "0"]
        tokens = token_file(Path(folder), TOKEN)
        edge = ["-m", "taskstream", "edge", *where, "--tokens", str(tokens), "--port", str(edge_port)]
        ours = stack.enter_context(process([sys.executable, *edge]))
        empty = ["-m", "benchmarks.edge_peers", "empty", str(empty_port)]
        other = stack.enter_context(process([sys.executable, *empty]))
        groups = [
            [(_cpu_us(edge_port, ours), _cpu_us(empty_port, other)) for _ in range(ROUNDS)] for _ in range(GROUPS)
        ]
    return {"edge / empty answer": Ratio.of(groups)}


def _cpu_us(port: int, server: subprocess.Popen[bytes]) -> float:
    figures = uvloop.run(measure(port, server.pid, CONNECTIONS, SECONDS))
    assert figures.refused == 0, figures
    return figures.cpu_us
