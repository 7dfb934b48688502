"""Hostile clients: each method runs one kind of attack and returns the responses. They have a valid token."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import itertools
import json
import random
import zlib
from collections import Counter
from collections.abc import Iterator

from benchmarks.edge_load import BODY

RESPONSE_TIMEOUT_S = 30.0
MIB = 1 << 20
PIPELINED = b"GET /healthz HTTP/1.1\r\nHost: edge\r\n\r\n"
PIPELINED_BYTES = 2_000_000
HELD_S = 5.0
"""How long a connection that is not read is held; the server ends it after its write timeout."""


class Hostile:
    """Attacks on the edge at `port`. The methods return response statuses; 0 means no response."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token

    async def slow_loris(self, connections: int, every_s: float = 0.2) -> Counter[int]:
        """Send headers byte by byte, without end, on many connections."""
        statuses = await asyncio.gather(*(self._slow_loris(every_s) for _ in range(connections)))
        return Counter(statuses)

    async def idle(self, connections: int) -> list[asyncio.StreamWriter]:
        """Open connections and send nothing."""
        return [(await asyncio.open_connection("127.0.0.1", self._port))[1] for _ in range(connections)]

    async def bomb_streamed(self, gibibytes: int) -> int:
        """A chunked gzip body without a length that decompresses to `gibibytes`."""
        return await self._stream(_zeros(gibibytes << 30), "Content-Encoding: gzip")

    async def bomb_small(self) -> int:
        """A gzip body within the size limit that decompresses to a thousand times its size."""
        bomb = await asyncio.to_thread(_bomb)
        return await self._send("PUT", "/v3/tasks/t/progress", bomb, "Content-Encoding: gzip")

    async def fields_declared(self, count: int) -> int:
        """A report with `count` unknown fields and a correct Content-Length."""
        return await self._send("PUT", "/v3/tasks/t/progress", b"".join(_fields(count)))

    async def fields_streamed(self, count: int) -> int:
        """The same report as a chunked body."""
        return await self._stream(_fields(count))

    async def fields_in_batch(self) -> int:
        """A batch of one report with as many unknown fields as fit."""
        size, parts = 2, []
        for part in _fields(MIB):
            size += len(part)
            if size > MIB - 10:
                break
            parts.append(part)
        return await self._send("POST", "/v3/progress", b"[" + b"".join(parts).rstrip(b",}") + b"}]")

    async def nested(self) -> int:
        """Nested JSON arrays, as many as fit into a body."""
        return await self._send("PUT", "/v3/tasks/t/progress", b"[" * 65_000)

    async def pipelined(self) -> int:
        """Requests one behind the other, without a token and without reading a response."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < PIPELINED_BYTES:
                writer.write(PIPELINED * 1000)
                sent += len(PIPELINED) * 1000
                await writer.drain()
            await asyncio.sleep(HELD_S)
        writer.transport.abort()
        return sent

    async def unread(self, connections: int) -> None:
        """Ask for the largest document 600 times on each connection, and read nothing."""
        writers = []
        for _ in range(connections):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1)
            reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: edge\r\n\r\n" * 600)
            writers.append(writer)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(*(writer.drain() for writer in writers))
        await asyncio.sleep(HELD_S)
        for writer in writers:
            writer.transport.abort()

    async def garbage(self, connections: int, seed: int) -> Counter[int]:
        """A report, pipelined with random bytes, in pieces."""
        choose = random.Random(seed)
        statuses: Counter[int] = Counter()
        for _ in range(connections):
            request = bytearray(self._head("PUT", "/v3/tasks/g/progress", f"Content-Length: {len(BODY)}") + BODY)
            for _ in range(choose.randrange(4)):
                request[choose.randrange(len(request))] = choose.randrange(256)
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            with contextlib.suppress(ConnectionError):
                for piece in (request[:50], request[50:], choose.randbytes(200), b"\r\n\r\n"):
                    writer.write(piece)
                    await asyncio.sleep(0)
                writer.write_eof()
            statuses[await _status(reader)] += 1
            writer.close()
        return statuses

    async def refused_batch(self) -> int:
        """A batch of more reports than a batch may have, compressed to a kilobyte."""
        body = gzip.compress(b"[" + b",".join([b"{}"] * 100_000) + b"]")
        return await self._send("POST", "/v3/progress", body, "Content-Encoding: gzip")

    async def unknown_token(self, number: int) -> int:
        """A report with a token that nobody knows."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = self._head("PUT", "/v3/tasks/t/progress", f"Content-Length: {len(BODY)}")
        writer.write(head.replace(self._token.encode(), b"unknown-%d" % number) + BODY)
        status = await _status(reader)
        writer.close()
        return status

    async def new_tasks(self, number: int) -> int:
        """A batch of 200 reports of tasks that nobody has heard of."""
        report = json.loads(BODY)
        tasks = [{"task_id": f"new-{number}-{each}", **report} for each in range(200)]
        return await self._send("POST", "/v3/progress", json.dumps(tasks).encode())

    async def _slow_loris(self, every_s: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        answer = asyncio.ensure_future(_status(reader))
        writer.write(b"PUT /v3/tasks/t/progress HTTP/1.1\r\nX-Slow: ")
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=every_s)
        writer.close()
        return answer.result()

    async def _send(self, method: str, path: str, body: bytes, *headers: str) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._head(method, path, f"Content-Length: {len(body)}", *headers) + body)
        status = await _status(reader)
        writer.close()
        return status

    async def _stream(self, parts: Iterator[bytes], *headers: str) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        answer = asyncio.ensure_future(_status(reader))
        writer.write(self._head("PUT", "/v3/tasks/t/progress", "Transfer-Encoding: chunked", *headers))
        for part in parts:
            if answer.done() or writer.is_closing():
                break
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await asyncio.sleep(0)
        status = await answer
        writer.close()
        return status

    def _head(self, method: str, path: str, *headers: str) -> bytes:
        fixed = (f"{method} {path} HTTP/1.1", "Host: edge", f"X-Auth-Token: {self._token}")
        return "\r\n".join([*fixed, "Content-Type: application/json", *headers, "", ""]).encode()


async def _status(reader: asyncio.StreamReader) -> int:
    try:
        line = await asyncio.wait_for(reader.readline(), RESPONSE_TIMEOUT_S)
    except (ConnectionError, TimeoutError):
        return 0
    return int(line.split()[1]) if line else 0


def _zeros(size: int) -> Iterator[bytes]:
    """A gzip stream of zeros, without its end. Every MiB has the same bytes, so that making them takes no time."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    yield from itertools.repeat(block, size // MIB - 1)


@functools.cache
def _bomb() -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    return deflate.compress(bytes(60 * MIB)) + deflate.flush()


def _fields(count: int) -> Iterator[bytes]:
    """A valid report with `count` additional fields, in chunks."""
    yield BODY[:-1] + b","
    for first in range(0, count, 1000):
        yield b"".join(b'"f%d":0,' % number for number in range(first, min(first + 1000, count)))
    yield b'"last":0}'
