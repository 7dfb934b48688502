"""Clients that mean no good: each is cut or refused, costs bounded memory, and the others are served meanwhile."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from benchmarks.hostile_clients import Hostile
from taskstream.compose.server.serve import raise_file_limit
from tests.producer.edges import REPORT, RunningEdge

IDLE = 5_000
SOME_MB = 32
"""Far below what any of them would cost if it were believed."""
PER_IDLE_CONNECTION_KB = 32


@pytest.fixture
def hostile(edge: RunningEdge) -> Hostile:
    raise_file_limit()
    return Hostile(edge.port, edge.token)


def held_mb(edge: RunningEdge, name: str = "VmRSS") -> float:
    lines = Path(f"/proc/{edge.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def peak_begins(edge: RunningEdge) -> float:
    """What is held now; VmHWM is the peak from here on."""
    Path(f"/proc/{edge.process.pid}/clear_refs").write_text("5")
    return held_mb(edge)


async def served(edge: RunningEdge) -> bool:
    return (await asyncio.to_thread(edge.put, "t-good", REPORT)).status == 200


def test_headers_that_dribble_in_are_cut_while_others_are_served(edge, hostile):
    before_mb = peak_begins(edge)

    async def meanwhile():
        loris = asyncio.ensure_future(hostile.dribble(300))
        good = []
        while not loris.done():
            good.append(await served(edge))
            await asyncio.sleep(0.05)
        return loris.result(), good

    ends, good = asyncio.run(meanwhile())
    assert ends == {408: 300}
    assert len(good) > 3
    assert all(good)
    assert held_mb(edge, "VmHWM") - before_mb < SOME_MB


def test_thousands_of_idle_connections_cost_little_and_others_are_served(edge, hostile):
    before_mb = peak_begins(edge)
    count = min(IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)

    async def meanwhile():
        opened = await hostile.idle(count)
        good = [await served(edge) for _ in range(5)]
        for writer in opened:
            writer.close()
        return good

    assert all(asyncio.run(meanwhile()))
    assert held_mb(edge, "VmHWM") - before_mb < count * PER_IDLE_CONNECTION_KB / 1024 + SOME_MB


@pytest.mark.parametrize(
    "attack, status",
    [
        (lambda hostile: hostile.bomb_streamed(10), 413),
        (Hostile.bomb_small, 413),
        (lambda hostile: hostile.fields_declared(1_000_000), 413),
        (lambda hostile: hostile.fields_streamed(1_000_000), 413),
        (Hostile.fields_in_batch, 400),
        (Hostile.nested, 400),
    ],
    ids=["10 GiB bomb", "small bomb", "a million fields", "... streamed", "a batch of fields", "nested"],
)
def test_a_body_that_would_be_huge_is_refused_and_never_held(edge, hostile, attack, status):
    before_mb = peak_begins(edge)

    async def attacked():
        return await attack(hostile), await served(edge)

    assert asyncio.run(attacked()) == (status, True)
    assert held_mb(edge, "VmHWM") - before_mb < SOME_MB
