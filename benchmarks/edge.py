"""CPU a report: (a) an empty 200 in the same server, (b) FastAPI and aiokafka (if installed), (c) the edge.

One process each, acks=all, a local Kafka on the same cores; a closed loop of keep-alive connections. CPU is the
server process's own, librdkafka's threads included.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from compose.kafka import LocalKafka
from compose.kafka_jars import default_cache_dir
from compose.ports import free_port
from compose.topics_admin import create_topics
from producer.callers.token_file import token_line
from schemas.caller import Role
from schemas.topics import Topics

SECTION = "edge"
SECONDS = 5.0
CONNECTIONS = (64, 256)
BODY = json.dumps(
    {
        "subtask_name": "MIGRATE_LINUX_FILE", "progress": 42, "replicatesize": 123_456_789, "totalsize": 987_654_321,
        "process_trace": "copying /srv/www/a/b/c", "migrate_speed": 512.5, "compress_rate": 1.5, "remain_time": 1234,
    }
).encode()  # fmt: skip


def run() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalKafka(Path(folder) / "kafka", cache_dir=default_cache_dir(os.environ)) as kafka,
    ):
        topics = Topics("bench")
        create_topics(kafka.client.config(), topics)
        tokens = Path(folder) / "tokens"
        tokens.write_text(token_line("bench", "p", [Role.REPORT]) + "\n")
        servers = kafka.bootstrap_servers
        edge = ["-m", "compose", "edge", "--bootstrap-servers", servers, "--prefix", "bench", "--tokens", str(tokens)]
        peers = "benchmarks.edge_peers"
        commands = {
            "(a) empty 200": lambda port: ["-m", peers, "empty", port],
            "(b) FastAPI + aiokafka": lambda port: ["-m", peers, "fastapi", port, servers, topics.progress.name],
            "(c) the edge": lambda port: [*edge, "--rate", "0", "--port", port],
        }
        if not (importlib.util.find_spec("fastapi") and importlib.util.find_spec("aiokafka")):
            print("(b) is left out: pip install fastapi aiokafka")
            del commands["(b) FastAPI + aiokafka"]
        for connections in CONNECTIONS:
            compare(commands, connections)


def compare(commands, connections: int) -> None:
    costs = {}
    for name, command in commands.items():
        port = free_port()
        process = subprocess.Popen([sys.executable, *command(str(port))], stderr=subprocess.DEVNULL)
        try:
            figures = uvloop.run(measure(port, process.pid, connections))
        finally:
            process.terminate()
            process.wait(40)
        rate, p50_ms, p99_ms, costs[name], refused = figures
        told = (
            f"{rate:7,.0f}/s  p50 {p50_ms:6.1f} ms  p99 {p99_ms:6.1f} ms  {costs[name]:6.1f} µs CPU  {refused} refused"
        )
        print(f"  {connections:4} connections  {name:24} {told}")
    ours = costs["(c) the edge"]
    for name, cost in costs.items():
        if cost != ours:
            print(f"       (c) is {ours / cost:.2f} times {name}")


async def measure(port: int, pid: int, connections: int):
    loop, seen = asyncio.get_running_loop(), Seen()
    await until_up(port)
    await asyncio.sleep(3.0)  # readiness is asked for once a second; (a) and (b) have none
    for number in range(connections):
        await loop.create_connection(lambda number=number: Agent(port, number, seen), "127.0.0.1", port)
    await asyncio.sleep(1.5)
    seen.took.clear()
    seen.refused, cpu_s, begun = 0, cpu_of(pid), time.perf_counter()
    await asyncio.sleep(SECONDS)
    count, cpu_s, wall_s = len(seen.took), cpu_of(pid) - cpu_s, time.perf_counter() - begun
    took = sorted(seen.took)
    seen.stop = True
    await asyncio.sleep(0.3)
    return count / wall_s, took[count // 2] * 1e3, took[count * 99 // 100] * 1e3, cpu_s / count * 1e6, seen.refused


async def until_up(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise TimeoutError(f"nothing listens on port {port}")


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Seen:
    def __init__(self) -> None:
        self.took: list[float] = []
        self.refused = 0
        self.stop = False


class Agent(asyncio.Protocol):
    """Sends one report, waits for its answer, sends the next."""

    def __init__(self, port: int, number: int, seen: Seen) -> None:
        head = (
            f"PUT /v3/tasks/t{number}/progress HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: agent/1\r\n"
            f"X-Auth-Token: bench\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        self._request = head.encode() + BODY
        self._seen = seen

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if b"\r\n\r\n" not in data:
            return  # a body of a refusal
        self._seen.took.append(time.perf_counter() - self._sent)
        self._seen.refused += not data.startswith(b"HTTP/1.1 200")
        if self._seen.stop:
            self._transport.close()
        else:
            self._send()
