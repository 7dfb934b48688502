"""TCP proxies between clients and brokers, which delay, hold back, half-close and reset connections.

They know no Kafka: a proxy forwards bytes between one port and another.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from enum import Enum
from types import TracebackType
from typing import Self

HARM_INTERVAL_S = 0.5
HARMED_SHARE = 0.3
"""So many of the connections are closed or reset in each interval, chosen at random."""
LONGEST_DELAY_S = 1.0
_PIECE_BYTES = 1 << 16
_CALL_S = 300.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Harm(Enum):
    """What a proxy does to its connections."""

    DELAY = "delay"
    """Each piece of data is up to a second late."""
    MUTE = "mute"
    """No byte passes. It arrives when the harm ends, also if its sender has gone."""
    LATE = "keep back"
    """What clients sent on their present connections arrives when the harm ends, also if they have gone. New connections
    pass: what a client sends again on them overtakes it."""
    HALF_CLOSE = "half-close"
    """Some clients see the end of what the broker sends, and may send on. Others have a connection to nobody: only the
    broker sees the end."""
    RESET = "reset"
    """Both sides see a reset."""


class Proxies:
    """`with Proxies({port: target}) as proxies:` forwards each port to its target, both on this machine."""

    def __init__(self, targets: Mapping[int, int]) -> None:
        self._loop = asyncio.new_event_loop()
        self._proxies = {port: _Proxy(target) for port, target in targets.items()}
        self._listening = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="proxies", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(60), f"no proxy listens on {sorted(self._proxies)}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def harm(self, ports: Iterable[int], harm: Harm | None) -> None:
        """Do this to the present and future connections of these ports, until it is set to None."""

        async def set_all() -> None:
            for port in ports:
                self._proxies[port].set_harm(harm)

        asyncio.run_coroutine_threadsafe(set_all(), self._loop).result(_CALL_S)

    def kept_back(self, port: int) -> int:
        """How many connections are open of which bytes were kept back."""
        return self._proxies[port].kept_back()

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for port, proxy in self._proxies.items():
                await stack.enter_async_context(await asyncio.start_server(proxy.forward, "127.0.0.1", port))
            self._listening.set()
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), HARM_INTERVAL_S)
                for proxy in self._proxies.values():
                    proxy.harm_some()
            for proxy in self._proxies.values():
                proxy.close()


class _Proxy:
    """One port that forwards to another."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._harm: Harm | None = None
        self._passes = asyncio.Event()
        self._passes.set()
        self._connections: set[_Connection] = set()
        self._rng = random.Random(target)

    def set_harm(self, harm: Harm | None) -> None:
        self._harm = harm
        if harm is Harm.MUTE:
            self._passes.clear()
        else:
            self._passes.set()
        for connection in self._connections:
            if harm is Harm.LATE:
                connection.passes.clear()
            else:
                connection.passes.set()

    def kept_back(self) -> int:
        return sum(connection.was_kept_back for connection in [*self._connections])

    def harm_some(self) -> None:
        for connection in [*self._connections]:
            if self._rng.random() < HARMED_SHARE:
                if self._harm is Harm.RESET:
                    connection.reset()
                elif self._harm is Harm.HALF_CLOSE:
                    connection.half_close(orphan=self._rng.random() < 0.5)

    def close(self) -> None:
        self._passes.set()
        for connection in self._connections:
            connection.passes.set()
            connection.reset()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, to_broker)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(reader, to_broker, connection, from_client=True),
                self._pump(from_broker, writer, connection, from_client=False),
            )
        finally:
            self._connections.discard(connection)
            connection.reset()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection, *, from_client: bool
    ) -> None:
        try:
            while data := await reader.read(_PIECE_BYTES):
                await self._passes.wait()
                if from_client and not connection.passes.is_set():
                    connection.was_kept_back = True
                    await connection.passes.wait()
                if self._harm is Harm.DELAY:
                    await asyncio.sleep(self._rng.uniform(0, LONGEST_DELAY_S))
                if not connection.is_closed(writer):
                    writer.write(data)
                    await writer.drain()
            await self._passes.wait()
            if not connection.is_orphan:
                connection.close(writer)
            elif from_client:
                connection.reset()
        except OSError:
            await self._passes.wait()
            connection.reset()


class _Connection:
    """A client's connection and the one to its broker."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.is_orphan = False
        """The broker has gone, and the client is not told."""
        self.passes = asyncio.Event()
        """What the client sends arrives."""
        self.passes.set()
        self.was_kept_back = False
        self._client = client
        self._broker = broker
        self._closed: set[asyncio.StreamWriter] = set()

    def is_closed(self, writer: asyncio.StreamWriter) -> bool:
        return writer in self._closed

    def close(self, writer: asyncio.StreamWriter) -> None:
        """End what this side receives."""
        if writer not in self._closed:
            self._closed.add(writer)
            with contextlib.suppress(OSError):
                writer.write_eof()

    def half_close(self, *, orphan: bool) -> None:
        self.is_orphan = self.is_orphan or orphan
        self.close(self._broker if self.is_orphan else self._client)

    def reset(self) -> None:
        for writer in (self._client, self._broker):
            self._closed.add(writer)
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
