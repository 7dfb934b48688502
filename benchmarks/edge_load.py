"""Loads an edge with keep-alive connections in a closed loop, and measures responses and the server's CPU time."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.processes import cpu_of

BODY = json.dumps(
    {
        "subtask_name": "MIGRATE_LINUX_FILE", "progress": 42, "replicatesize": 123_456_789, "totalsize": 987_654_321,
        "process_trace": "copying /srv/www/a/b/c", "migrate_speed": 512.5, "compress_rate": 1.5, "remain_time": 1234,
    }
).encode()  # fmt: skip
TOKEN = "bench"
READY_TIMEOUT_S = 120.0
Requests = Callable[[int, int], Sequence[bytes]]
"""From a port and a connection's number, the requests that the connection sends in turn."""


def token_requests(port: int, number: int, token: str = TOKEN) -> list[bytes]:
    """One report with a token."""
    head = (
        f"PUT /v3/tasks/t{number}/progress HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: agent/1\r\n"
        f"X-Auth-Token: {token}\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return [head.encode() + BODY]


class Figures(NamedTuple):
    """The figures of one measurement: rate, response times, CPU time per response, responses other than 200."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    refused: int

    def __str__(self) -> str:
        times = f"p50 {self.p50_ms:6.1f} ms  p99 {self.p99_ms:6.1f} ms"
        return f"{self.per_s:7,.0f}/s  {times}  {self.cpu_us:6.1f} µs CPU  {self.refused} refused"


class Observed:
    """What all connections of one load observed."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s
        """The pause between a response and the next report of the same connection."""
        self.took: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.event_ids: list[str] = []
        self.cut = 0
        """Connections that ended before a response."""
        self.stop = False

    def clear(self) -> None:
        self.took.clear()
        self.statuses.clear()

    def ms(self, share: float) -> float:
        took = sorted(self.took)
        return took[int(len(took) * share)] * 1e3 if took else float("nan")


class Agent(asyncio.Protocol):
    """Sends a report, waits for the response, sends the next; ends on `stop` or on the server's Connection: close."""

    def __init__(self, requests: Sequence[bytes], observed: Observed) -> None:
        self._requests = itertools.cycle(requests)
        self._observed = observed
        self._in_flight = False
        self._answer = b""

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or (b"content-length: 0" not in head and not body):
            return
        self._in_flight = False
        self._observed.took.append(time.perf_counter() - self._sent_s)
        self._observed.statuses[int(head[9:12])] += 1
        if (at := head.find(b"x-event-id: ")) >= 0:
            self._observed.event_ids.append(head[at + 12 : at + 48].decode())
        if self._observed.stop or b"connection: close" in head:
            self._transport.close()
        elif self._observed.pause_s:
            asyncio.get_running_loop().call_later(self._observed.pause_s, self._send)
        else:
            self._send()

    def connection_lost(self, _error) -> None:
        self._observed.cut += self._in_flight

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        self._sent_s, self._in_flight, self._answer = time.perf_counter(), True, b""
        self._transport.write(next(self._requests))


async def measure(
    port: int, pid: int, connections: int, seconds: float, pause_s: float = 0.0, requests: Requests = token_requests
) -> Figures:
    """Load the server for `seconds`, each connection in a closed loop with a pause, and return the figures."""
    await until_ready(port)
    observed = Observed(pause_s)
    await connect(port, connections, observed, requests)
    await asyncio.sleep(1.0)
    observed.clear()
    cpu_s, begun_s = cpu_of(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    count, cpu_s, wall_s = len(observed.took), cpu_of(pid) - cpu_s, time.perf_counter() - begun_s
    refused = count - observed.statuses[200]
    figures = Figures(count / wall_s, observed.ms(0.5), observed.ms(0.99), cpu_s / count * 1e6, refused)
    observed.stop = True
    await asyncio.sleep(0.3)
    return figures


async def connect(port: int, connections: int, observed: Observed, requests: Requests = token_requests) -> None:
    loop = asyncio.get_running_loop()
    for number in range(connections):
        sent = requests(port, number)
        await loop.create_connection(lambda sent=sent: Agent(sent, observed), "127.0.0.1", port)


async def until_ready(port: int) -> None:
    """Wait for the first report that is answered with 200."""
    loop, deadline = asyncio.get_running_loop(), time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        observed = Observed()
        observed.stop = True
        try:
            await loop.create_connection(
                lambda observed=observed: Agent(token_requests(port, 0), observed), "127.0.0.1", port
            )
        except OSError:
            await asyncio.sleep(0.1)
            continue
        for _ in range(20):
            await asyncio.sleep(0.05)
            if observed.statuses[200]:
                return
    raise TimeoutError(f"nothing on port {port} answers with 200")
