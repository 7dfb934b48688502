"""The cost of hostile clients to the edge, and their effect on ordinary clients meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
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
from taskstream.consumer.export.topic_batches import batches
from taskstream.producer.callers.token_file import token_line
from taskstream.schemas.http.caller import Role
from taskstream.schemas.topics import Topics
from tests.private_files import write_private
from tests.producer.callers.token_service import TokenService

SECTION = "hostile"
PREFIX = "hostile"
REQUEST_TIMEOUT_S = 3
GOOD_CLIENTS = 8
GOOD_PAUSE_S = 0.02
QUIET_S = 3.0
SLOW_CONNECTIONS = 500
IDLE = 10_000
ALL_S = 60.0
ATTACK_PAUSE_S = 0.05
"""Between two rounds of one kind of attack: the load is bounded."""
SEED = 7
HOSTILE_TOKEN = "hostile"
GIBIBYTES = 10
TASKS = 2_000
"""Of the hostile project, which soon has as many."""
STORM = 20
FIELDS = 1_000_000
Attack = Callable[[Hostile], Awaitable[object]]


def run() -> None:
    raise_file_limit()
    with tempfile.TemporaryDirectory() as folder, local_kafka() as kafka, TokenService() as service:
        create_topics(kafka.client.config(), Topics(PREFIX))
        tokens = token_file(Path(folder), TOKEN)
        with tokens.open("a") as file:
            file.write(token_line(HOSTILE_TOKEN, "hostile", [Role.REPORT]) + "\n")
        keystone = write_private(Path(folder) / "keystone.json", json.dumps(service.settings))
        port = free_port()
        edge = ["edge", "--bootstrap-servers", kafka.bootstrap_servers, "--prefix", PREFIX, "--port", str(port)]
        options = [
            "--tokens",
            str(tokens),
            "--request-timeout",
            str(REQUEST_TIMEOUT_S),
            "--max-connections-per-address",
            "0",
            "--keystone",
            str(keystone),
            "--tasks-per-project",
            str(TASKS),
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "taskstream", *edge, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            acknowledged = uvloop.run(run_attacks(port, process.pid))
            lost = acknowledged - events_on(kafka.bootstrap_servers)
            print(f"  {len(acknowledged):,} reports of good clients acknowledged, {len(lost)} of them not on the topic")
        finally:
            process.terminate()
            process.wait(40)


async def run_attacks(port: int, pid: int) -> set[str]:
    """The event ids that good clients got."""
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
        "20 connections that pipeline 2 MB": lambda hostile: at_once(hostile.pipelined, 20),
        "100 clients that never read": lambda hostile: hostile.unread(100),
        "500 damaged and pipelined requests": lambda hostile: hostile.garbage(500, SEED),
        "20 batches of 100,000 reports": lambda hostile: repeated(hostile.refused_batch, 20),
        f"all of these for {ALL_S:g} s": everything,
    }
    await until_ready(port)
    observed = Observed(pause_s=GOOD_PAUSE_S)
    await connect(port, GOOD_CLIENTS, observed)
    hostile = Hostile(port, HOSTILE_TOKEN)
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
    return set(observed.event_ids)


async def everything(hostile: Hostile) -> Counter[str]:
    """Every attack in a loop of its own, all at once, for ALL_S seconds; how often each came to its end."""
    rounds: Counter[str] = Counter()
    deadline = time.monotonic() + ALL_S

    async def again_and_again(name: str, attack: Callable[[int], Awaitable[object]]) -> None:
        for number in itertools.count():
            if time.monotonic() > deadline:
                return
            await attack(number)
            rounds[name] += 1
            await asyncio.sleep(ATTACK_PAUSE_S)

    attacks: dict[str, Callable[[int], Awaitable[object]]] = {
        "slow headers": lambda _: hostile.slow_loris(100),
        "pipelined": lambda _: hostile.pipelined(),
        "unread": lambda _: hostile.unread(20),
        "garbage": lambda number: hostile.garbage(20, number),
        "bombs": lambda _: hostile.bomb_small(),
        "nested": lambda _: hostile.nested(),
        "fields": lambda _: hostile.fields_in_batch(),
        "batches": lambda _: hostile.refused_batch(),
        "unknown tokens": lambda number: storm(hostile, number),
        "new tasks": hostile.new_tasks,
    }
    await asyncio.gather(*(again_and_again(name, attack) for name, attack in attacks.items()))
    return rounds


async def storm(hostile: Hostile, number: int) -> None:
    await asyncio.gather(*(hostile.unknown_token(STORM * number + each) for each in range(STORM)))


async def at_once(attack: Callable[[], Awaitable[int]], times: int) -> None:
    await asyncio.gather(*(attack() for _ in range(times)))


def events_on(bootstrap_servers: str) -> set[str]:
    """The event ids of all records on the topic."""
    found = batches(bootstrap_servers, prefix=PREFIX, columns=["event_id"])
    return {event_id for batch in found for event_id in batch.column("event_id").to_pylist()}


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
