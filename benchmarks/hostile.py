"""What hostile clients cost the edge, and what its good clients notice of them meanwhile."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from benchmarks.edge_load import TOKEN, Seen, connect, until_ready
from benchmarks.hostile_clients import Hostile
from benchmarks.local import local_kafka, token_file
from benchmarks.processes import cpu_of, memory_mib
from taskstream.compose.local.ports import free_port
from taskstream.compose.server.serve import raise_file_limit
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics

SECTION = "hostile"
REQUEST_TIMEOUT_S = 3
GOOD_CLIENTS = 8
GOOD_PAUSE_S = 0.02
QUIET_S = 3.0
LORIS = 500
IDLE = 10_000
GIBIBYTES = 10
FIELDS = 1_000_000
Attack = Callable[[Hostile], Awaitable[object]]


def run() -> None:
    raise_file_limit()
    with tempfile.TemporaryDirectory() as folder, local_kafka() as kafka:
        create_topics(kafka.client.config(), Topics("hostile"))
        tokens = token_file(Path(folder), TOKEN)
        port = free_port()
        edge = ["edge", "--bootstrap-servers", kafka.bootstrap_servers, "--prefix", "hostile", "--port", str(port)]
        options = [
            "--tokens",
            str(tokens),
            "--request-timeout",
            str(REQUEST_TIMEOUT_S),
            "--max-connections-per-address",
            "0",
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "taskstream", *edge, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            uvloop.run(suffer(port, process.pid))
        finally:
            process.terminate()
            process.wait(40)


async def suffer(port: int, pid: int) -> None:
    idle = min(IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    attacks: dict[str, Attack] = {
        f"nobody hostile for {QUIET_S:g} s": lambda _: asyncio.sleep(QUIET_S),
        f"{LORIS} slow-loris connections": lambda hostile: hostile.dribble(LORIS),
        f"{idle:,} idle connections": lambda hostile: opened_and_held(hostile, idle),
        f"a gzip bomb of {GIBIBYTES} GiB, streamed": lambda hostile: hostile.bomb_streamed(GIBIBYTES),
        "20 gzip bombs of 60 KB, 60 MiB each": lambda hostile: repeated(hostile.bomb_small, 20),
        f"a report of {FIELDS:,} fields": lambda hostile: hostile.fields_declared(FIELDS),
        "... streamed": lambda hostile: hostile.fields_streamed(FIELDS),
        "20 batches of all the fields that fit": lambda hostile: repeated(hostile.fields_in_batch, 20),
        "20 bodies of 65,000 brackets": lambda hostile: repeated(hostile.nested, 20),
    }
    await until_ready(port)
    seen = Seen(pause_s=GOOD_PAUSE_S)
    await connect(port, GOOD_CLIENTS, seen)
    hostile = Hostile(port, TOKEN)
    for name, attack in attacks.items():
        await asyncio.sleep(1.0)
        seen.clear()
        before_mib, cpu_s, begun_s = memory_from_now_on_mib(pid), cpu_of(pid), time.monotonic()
        outcome = await attack(hostile)
        wall_s = time.monotonic() - begun_s
        await asyncio.sleep(0.5)
        cpu_s = cpu_of(pid) - cpu_s
        good = f"good: {seen.statuses.total():4} answers, {seen.statuses.total() - seen.statuses[200]} not 200"
        times = f"p50 {seen.ms(0.5):5.1f}, p99 {seen.ms(0.99):6.1f}, worst {seen.ms(0.9999):6.1f} ms"
        memory = f"{before_mib:4.0f} MiB, peak {memory_mib(pid, 'VmHWM'):4.0f}"
        print(
            f"  {name:37} {wall_s:4.1f} s, {cpu_s:5.2f} s CPU, {memory}; {good}, {times}; {told(outcome)}", flush=True
        )
    seen.stop = True
    await asyncio.sleep(0.3)


async def opened_and_held(hostile: Hostile, count: int) -> None:
    opened = await hostile.idle(count)
    await asyncio.sleep(2.0)
    for writer in opened:
        writer.close()


async def repeated(attack: Callable[[], Awaitable[int]], times: int) -> set[int]:
    return {await attack() for _ in range(times)}


def told(outcome: object) -> str:
    return "" if outcome is None else f"answered {dict(outcome) if isinstance(outcome, dict) else outcome}"


def memory_from_now_on_mib(pid: int) -> float:
    """What it holds now; its peak counts from here."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return memory_mib(pid)
