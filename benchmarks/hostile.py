"""The cost of hostile clients to the edge, and their effect on ordinary clients meanwhile."""

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

from benchmarks.edge_load import TOKEN, Observed, connect, until_ready
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
SLOW_CONNECTIONS = 500
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
            uvloop.run(run_attacks(port, process.pid))
        finally:
            process.terminate()
            process.wait(40)


async def run_attacks(port: int, pid: int) -> None:
    idle = min(IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    attacks: dict[str, Attack] = {
        f"no attack for {QUIET_S:g} s": lambda _: asyncio.sleep(QUIET_S),
        f"{SLOW_CONNECTIONS} slow-loris connections": lambda hostile: hostile.slow_loris(SLOW_CONNECTIONS),
        f"{idle:,} idle connections": lambda hostile: hold_idle(hostile, idle),
        f"a gzip bomb of {GIBIBYTES} GiB, streamed": lambda hostile: hostile.bomb_streamed(GIBIBYTES),
        "20 gzip bombs of 60 KB, 60 MiB each": lambda hostile: repeated(hostile.bomb_small, 20),
        f"a report of {FIELDS:,} fields": lambda hostile: hostile.fields_declared(FIELDS),
        "... streamed": lambda hostile: hostile.fields_streamed(FIELDS),
        "20 batches of as many fields as fit": lambda hostile: repeated(hostile.fields_in_batch, 20),
        "20 bodies of 65,000 brackets": lambda hostile: repeated(hostile.nested, 20),
    }
    await until_ready(port)
    observed = Observed(pause_s=GOOD_PAUSE_S)
    await connect(port, GOOD_CLIENTS, observed)
    hostile = Hostile(port, TOKEN)
    for name, attack in attacks.items():
        await asyncio.sleep(1.0)
        observed.clear()
        before_mib, cpu_s, begun_s = reset_peak_mib(pid), cpu_of(pid), time.monotonic()
        outcome = await attack(hostile)
        wall_s = time.monotonic() - begun_s
        await asyncio.sleep(0.5)
        cpu_s = cpu_of(pid) - cpu_s
        good = (
            f"good: {observed.statuses.total():4} answers, {observed.statuses.total() - observed.statuses[200]} not 200"
        )
        times = f"p50 {observed.ms(0.5):5.1f}, p99 {observed.ms(0.99):6.1f}, worst {observed.ms(0.9999):6.1f} ms"
        memory = f"{before_mib:4.0f} MiB, peak {memory_mib(pid, 'VmHWM'):4.0f}"
        print(
            f"  {name:37} {wall_s:4.1f} s, {cpu_s:5.2f} s CPU, {memory}; {good}, {times}; {described(outcome)}",
            flush=True,
        )
    observed.stop = True
    await asyncio.sleep(0.3)


async def hold_idle(hostile: Hostile, count: int) -> None:
    opened = await hostile.idle(count)
    await asyncio.sleep(2.0)
    for writer in opened:
        writer.close()


async def repeated(attack: Callable[[], Awaitable[int]], times: int) -> set[int]:
    return {await attack() for _ in range(times)}


def described(outcome: object) -> str:
    return "" if outcome is None else f"answered {dict(outcome) if isinstance(outcome, dict) else outcome}"


def reset_peak_mib(pid: int) -> float:
    """Reset the process's peak memory (VmHWM), and return its resident memory."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return memory_mib(pid)
