"""Clients that mean no good: what each of them sends, and what it got for that. They know an address and a token."""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections import Counter
from collections.abc import Iterator

from benchmarks.edge_load import BODY

PATIENCE_S = 30.0
MIB = 1 << 20


class Hostile:
    """`Hostile(port, token)`; every method gives what the attempts ended with, by status; 0 is no answer at all."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token

    async def dribble(self, connections: int, every_s: float = 0.2) -> Counter[int]:
        """Slow-loris: headers that come byte by byte and never end."""
        ends = await asyncio.gather(*(self._dribble(every_s) for _ in range(connections)))
        return Counter(ends)

    async def idle(self, connections: int) -> list[asyncio.StreamWriter]:
        """Connections that say nothing."""
        return [(await asyncio.open_connection("127.0.0.1", self._port))[1] for _ in range(connections)]

    async def bomb_streamed(self, gibibytes: int) -> int:
        """Gzip in chunks, without a length, that would become so much."""
        return await self._stream(_zeros(gibibytes << 30), "Content-Encoding: gzip")

    async def bomb_small(self) -> int:
        """Gzip that is within the bound of a body and becomes a thousand times as much."""
        bomb = await asyncio.to_thread(_bomb)
        return await self._send("PUT", "/v3/tasks/t/progress", bomb, "Content-Encoding: gzip")

    async def fields_declared(self, count: int) -> int:
        """A report with so many fields that nobody knows, and its true length."""
        return await self._send("PUT", "/v3/tasks/t/progress", b"".join(_fields(count)))

    async def fields_streamed(self, count: int) -> int:
        """The same without a length."""
        return await self._stream(_fields(count))

    async def fields_in_batch(self) -> int:
        """As many as fit into a batch."""
        size, parts = 2, []
        for part in _fields(MIB):
            size += len(part)
            if size > MIB - 10:
                break
            parts.append(part)
        return await self._send("POST", "/v3/progress", b"[" + b"".join(parts).rstrip(b",}") + b"}]")

    async def nested(self) -> int:
        """Brackets within brackets, as deep as a body may be."""
        return await self._send("PUT", "/v3/tasks/t/progress", b"[" * 65_000)

    async def _dribble(self, every_s: float) -> int:
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
        line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
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
    """A valid report with so many fields more, in pieces."""
    yield BODY[:-1] + b","
    for first in range(0, count, 1000):
        yield b"".join(b'"f%d":0,' % number for number in range(first, min(first + 1000, count)))
    yield b'"last":0}'
