"""Hostile clients: each method runs one kind of attack and returns the responses. They have a valid token."""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections import Counter
from collections.abc import Iterator

from benchmarks.edge_load import BODY

RESPONSE_TIMEOUT_S = 30.0
MIB = 1 << 20


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
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    for _ in range(size // MIB):
        if part := deflate.compress(bytes(MIB)):
            yield part
    yield deflate.flush()


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
