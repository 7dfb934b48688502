"""Clients that mean no good: each is cut or refused, costs bounded memory, and the others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import socket
from pathlib import Path

import pytest

from benchmarks.hostile_clients import Hostile
from taskstream.compose.server.serve import raise_file_limit
from tests.producer.edges import REPORT, RunningEdge
from tests.waiting import wait_until

IDLE = 5_000
ESTABLISHED = "01"
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
        loris = asyncio.ensure_future(hostile.slow_loris(300))
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


PIPELINED = b"GET /healthz HTTP/1.1\r\nHost: edge\r\n\r\n"
A_LOT = 10_000_000


def test_a_connection_that_pipelines_without_end_and_never_reads_costs_one_read_of_the_socket(edge):
    before_mb = peak_begins(edge)
    with socket.create_connection(("127.0.0.1", edge.port), timeout=5) as connection:
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):  # the edge stops reading, then cuts it off
            while sent < A_LOT:
                sent += connection.send(PIPELINED * 1000)
        assert edge.get("/healthz").status == 200
    assert held_mb(edge, "VmHWM") - before_mb < SOME_MB


def test_what_is_pipelined_is_answered_in_order_by_a_client_that_reads(edge):
    count = 500
    with socket.create_connection(("127.0.0.1", edge.port), timeout=120) as connection:
        connection.sendall(PIPELINED * count + PIPELINED.replace(b"Host: edge", b"Host: edge\r\nConnection: close"))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == count + 1


def test_a_hundred_clients_that_never_read_are_cut_off_and_cost_little(edge):
    before_mb = peak_begins(edge)
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: edge\r\n\r\n" * 600
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(socket.create_connection(("127.0.0.1", edge.port))) for _ in range(100)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(asked)
        wait_until(lambda: not connected_to(edge, {client.getsockname()[1] for client in clients}), "they stay")
        assert edge.get("/healthz").status == 200
    assert held_mb(edge, "VmHWM") - before_mb < SOME_MB


def connected_to(edge: RunningEdge, ports: set[int]) -> set[int]:
    """Those of these client ports to which the edge's side of the connection still exists."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, state = line.split()[1:4]
        if int(local.rpartition(":")[2], 16) == edge.port and state == ESTABLISHED:
            found.add(int(remote.rpartition(":")[2], 16))
    return found & ports


def test_a_report_and_then_garbage_is_two_answers_in_order(edge):
    body = json.dumps(REPORT).encode()
    head = f"PUT /v3/tasks/t-1/progress HTTP/1.1\r\nHost: e\r\nX-Auth-Token: {edge.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", edge.port), timeout=120) as connection:
        connection.sendall(head.encode() + body + b"\x16\x03\x01 garbage\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    first, second = answer.split(b"HTTP/1.1 ")[1:]
    assert (first[:3], second[:3]) == (b"200", b"400")


def test_a_client_that_ends_its_side_after_a_report_gets_its_answer(edge):
    body = json.dumps(REPORT).encode()
    head = f"PUT /v3/tasks/t-1/progress HTTP/1.1\r\nHost: e\r\nX-Auth-Token: {edge.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", edge.port), timeout=120) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 200")


SEEDS = (
    PIPELINED,
    b"PUT /v3/tasks/t/progress HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n\r\n{}",
    b"PUT /v3/tasks/t/progress HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST /v3/progress HTTP/1.1\r\nHost: e\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
    b"GET /v3/tasks/%ff%00 HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
PIECES = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\x00",
    b"\xff" * 8,
    b": ",
    b"Content-Length: 99999999999999999999\r\n",
    b"%",
    b"HTTP/9.9",
)
STREAMS = int(os.environ.get("TASKSTREAM_TEST_STREAMS", "500"))


def mutated(dice: random.Random) -> bytes:
    """A few requests behind each other, with bytes changed, cut out, doubled or put in."""
    stream = bytearray(b"".join(dice.choice(SEEDS) for _ in range(dice.randrange(1, 6))))
    for _ in range(dice.randrange(0, 8)):
        place = dice.randrange(len(stream) + 1)
        match dice.randrange(4):
            case 0:
                stream[place : place + 1] = bytes([dice.randrange(256)])
            case 1:
                del stream[place : place + dice.randrange(20)]
            case 2:
                stream[place:place] = stream[place : place + dice.randrange(40)]
            case _:
                stream[place:place] = dice.choice(PIECES)
    return bytes(stream)


def test_no_bytes_on_a_socket_make_a_traceback(edge):
    dice = random.Random(13)

    async def send(stream: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        with contextlib.suppress(OSError):
            begin = 0
            while begin < len(stream):
                end = begin + dice.randrange(1, len(stream) + 1)
                writer.write(stream[begin:end])
                await writer.drain()
                begin = end
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 120)
        writer.close()

    async def all_of_them() -> None:
        for _ in range(0, STREAMS, 50):
            await asyncio.gather(*(send(mutated(dice)) for _ in range(50)))

    asyncio.run(all_of_them())
    assert edge.put().status == 200
    assert "Traceback" not in edge.log.read_text()
