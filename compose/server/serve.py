"""Runs an ASGI application in a server until a signal says stop, then drains it. It knows no application by name."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from taskstream.compose.errors import PortInUseError, TlsUnusable
from taskstream.compose.server.bounded_http import SWEEP_INTERVAL_S, BoundedHttp, HttpBounds, bounded_by
from taskstream.compose.server.express_http import ExpressHandler

DRAIN_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate of ours, and whose certificates the callers must show, if they must."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """The settings of every connection: TLS 1.2 or newer.

        Raises:
            TlsUnusable: a file cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            reason = f"the certificate {self.certificate} with its key {self.key} cannot be used: {error}"
            raise TlsUnusable(reason) from error
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except (OSError, ssl.SSLError) as error:
                raise TlsUnusable(f"the authority {self.client_ca} cannot be used: {error}") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How to serve."""

    host: str = "127.0.0.1"
    port: int = 0
    drain_delay_s: float = 1.0
    """After a stop signal: how long new connections are still taken, until everybody knows that we are unready."""
    drain_timeout_s: int = 20
    """How long what is then in flight may take."""
    backlog: int = 2048
    bounds: HttpBounds = field(default_factory=HttpBounds)
    tls: Tls | None = None


def bind(serving: Serving) -> socket.socket:
    """The listening socket; binding it before anything else makes a taken port the first thing that is told.

    Raises:
        PortInUseError: somebody listens there.
    """
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serving.host, serving.port))
        listener.listen(serving.backlog)  # who connects from now on waits until the application is up
    except OSError as error:
        listener.close()
        reason = f"{serving.host}:{serving.port} cannot be listened on ({error}): choose another --port, or 0"
        raise PortInUseError(reason) from error
    return listener


def address(listener: socket.socket, serving: Serving | None = None) -> str:
    """Where it listens, as a URL."""
    scheme = "https" if serving is not None and serving.tls is not None else "http"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def serve(
    app: Any,
    listener: socket.socket,
    serving: Serving,
    on_drain: Callable[[], None] = lambda: None,
    express: ExpressHandler | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT. `on_drain` is called first. Gives 0 if everything was answered, else 1.

    Requests that `express` takes do not come to the application.
    """
    raise_file_limit()
    config = uvicorn.Config(
        app,
        http=bounded_by(serving.bounds, express),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=serving.backlog,
        timeout_graceful_shutdown=serving.drain_timeout_s,
    )
    config.load()
    config.ssl = serving.tls.context() if serving.tls is not None else None
    server = _Server(config, serving, on_drain)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a request leaves no cycles behind, so to look for them rarely is enough
    server.run([listener])
    return 0 if server.started and server.finished else 1


class _Server(uvicorn.Server):
    """Uvicorn's, but a signal ends in an exit code of ours."""

    def __init__(self, config: uvicorn.Config, serving: Serving, on_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._serving = serving
        self._on_drain = on_drain
        self.finished = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        yield

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._on_drain()
        self.handle_exit(number, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let every connection have its answer, then end the application: uvicorn's own closes idle ones at once."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._serving.drain_delay_s + self._serving.drain_timeout_s
        accept_until = loop.time() + self._serving.drain_delay_s
        while loop.time() < accept_until:  # those that connect meanwhile are told too
            for connection in self._connections():
                connection.drain()
            await asyncio.sleep(DRAIN_INTERVAL_S)
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        while (self._connections() or self.server_state.tasks) and loop.time() < deadline and not self.force_exit:
            for connection in self._connections():
                connection.shutdown()
            await asyncio.sleep(DRAIN_INTERVAL_S)
        self.finished = not self.server_state.tasks and all(each.idle for each in self._connections())
        for task in self.server_state.tasks:
            task.cancel()
        self._sweeper.cancel()
        await self.lifespan.shutdown()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            now_s = time.monotonic()
            for connection in self._connections():
                connection.sweep(now_s)

    def _connections(self) -> list[BoundedHttp]:
        return [each for each in self.server_state.connections if isinstance(each, BoundedHttp)]


def raise_file_limit() -> None:
    """Let this process have as many connections as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
