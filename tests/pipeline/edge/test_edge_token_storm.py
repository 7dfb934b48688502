"""Unknown tokens in masses at an edge with an identity service: callers of other addresses do not notice."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.pipeline.edge.test_edge_hostile import held_mb, peak_begins
from tests.private_files import write_private
from tests.producer.callers.token_service import TokenService
from tests.producer.edges import REPORT, RunningEdge, running_edge
from tests.waiting import wait_until

STORM = 300
OTHERS = "127.0.0.2"
SOME_MB = 32


@pytest.fixture
def service() -> Iterator[TokenService]:
    with TokenService(seen="project-1", new="project-2", stale="project-3") as service:
        yield service


@pytest.fixture
def guarded(broker, edge_topics, service, tmp_path) -> Iterator[RunningEdge]:
    """An edge that caches nothing: each request asks the service."""
    file = tmp_path / "keystone.json"
    write_private(file, json.dumps({**service.settings, "cache_s": 0}))
    with running_edge(broker, edge_topics.prefix, tmp_path, "--keystone", str(file)) as edge:
        yield edge


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def send(edge: RunningEdge, token: str, address: str) -> Connection:
    """One report on a connection of its own, from this address of the loopback network."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, local_addr=(address, 0))
    body = json.dumps(REPORT)
    head = (
        f"PUT /v3/tasks/t/progress HTTP/1.1\r\nHost: e\r\nX-Auth-Token: {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write((head + body).encode())
    await writer.drain()
    return reader, writer


async def answer(connection: Connection) -> int:
    reader, writer = connection
    line = await reader.readuntil(b"\r\n")
    writer.close()
    return int(line.split()[1])


async def put(edge: RunningEdge, token: str, address: str) -> int:
    return await answer(await send(edge, token, address))


async def storm(edge: RunningEdge, addresses: list[str]) -> list[Connection]:
    """Unknown tokens, all sent."""
    return await asyncio.gather(
        *(send(edge, secrets.token_urlsafe(20), addresses[number % len(addresses)]) for number in range(STORM))
    )


def first_status(edge: RunningEdge, token: str, address: str) -> int:
    """Not 503, which a client answers by sending the report again: on a busy machine any service can be slow."""
    return wait_until(lambda: (status := asyncio.run(put(edge, token, address))) != 503 and status, pause_s=1.0)


def test_a_storm_of_one_address_delays_no_token_of_another(guarded, service):
    async def stormed() -> tuple[int, int, Counter[int]]:
        service.answering_unknown.clear()  # as slow as a service can be
        held = await storm(guarded, ["127.0.0.1"])
        seen, new = await put(guarded, "seen", "127.0.0.1"), await put(guarded, "new", OTHERS)
        service.answering_unknown.set()
        return seen, new, Counter(await asyncio.gather(*map(answer, held)))

    assert first_status(guarded, "seen", "127.0.0.1") == 200
    before_mb = peak_begins(guarded)
    seen, new, statuses = asyncio.run(stormed())
    assert (seen, new) == (200, 200)
    assert statuses[503] > STORM // 2
    assert statuses.keys() <= {401, 503}
    assert held_mb(guarded, "VmHWM") - before_mb < SOME_MB


def test_a_storm_from_many_addresses_leaves_room_for_known_tokens_and_heals(guarded, service):
    async def stormed() -> tuple[int, Counter[int]]:
        service.answering_unknown.clear()
        held = await storm(guarded, [f"127.0.1.{1 + number}" for number in range(50)])
        seen = await put(guarded, "seen", OTHERS)
        service.answering_unknown.set()
        return seen, Counter(await asyncio.gather(*map(answer, held)))

    assert first_status(guarded, "seen", OTHERS) == 200
    seen, statuses = asyncio.run(stormed())
    assert seen == 200
    assert statuses[503] > 0
    assert statuses.keys() <= {401, 503}
    assert first_status(guarded, "new", "127.0.0.3") == 200
