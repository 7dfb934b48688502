"""Runs an ASGI application in a server until a stop signal, then drains it. It knows no application by name."""

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

from taskstream.compose.errors import ListenAddressUnusable, TlsUnusable
from taskstream.compose.server.bounded_http import SWEEP_INTERVAL_S, BoundedHttp, HttpBounds, bounded_by
from taskstream.compose.server.express_connection import ExpressHandler
from taskstream.compose.server.tls_acceptor import TlsAcceptor
from taskstream.producer.private_file import exposure
from taskstream.schemas.errors import cause_of
from taskstream.schemas.recurring import Recurring

DRAIN_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class Tls:
    """The server's certificate, and the authority of the client certificates if these are required."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """The TLS settings of every connection: TLS 1.2 or newer, without renegotiation.

        Raises:
            TlsUnusable: a file cannot be used, or the key is not private.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # a client could make the server compute without end
        try:
            problem = exposure(self.key, self.key.stat())
            if problem is not None:
                raise TlsUnusable(f"the key {problem}")
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            reason = f"the certificate {self.certificate} with its key {self.key} cannot be used"
            raise TlsUnusable(f"{reason} ({cause_of(error)}): give two readable files in PEM") from error
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except (OSError, ssl.SSLError) as error:
                raise TlsUnusable(
                    f"the authority {self.client_ca} cannot be used ({cause_of(error)}): give a readable file in PEM"
                ) from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The settings of a server."""

    host: str = "127.0.0.1"
    port: int = 0
    drain_delay_s: float = 1.0
    """How long new connections are accepted after a stop signal, so that load balancers notice the unreadiness."""
    drain_timeout_s: int = 20
    """How long the requests in flight may take after that."""
    backlog: int = 2048
    bounds: HttpBounds = field(default_factory=HttpBounds)
    tls: Tls | None = None


def bind(serving: Serving) -> socket.socket:
    """The listening socket; bind it first, so that a port in use is the first error to be reported.

    Raises:
        ListenAddressUnusable: another program listens there, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serving.host, serving.port))
        listener.listen(serving.backlog)  # connections from now on wait until the application has started
    except OSError as error:
        listener.close()
        raise ListenAddressUnusable(
            f"{serving.host}:{serving.port} cannot be listened on ({cause_of(error)})"
        ) from error
    return listener


def address(listener: socket.socket, serving: Serving | None = None) -> str:
    """The URL of the listening socket."""
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
    """Serve until SIGTERM or SIGINT, then call `on_drain` and drain. Returns 0 if every request got a response, else 1.

    The application does not see the requests that `express` accepts.
    """
    raise_file_limit()
    tls_context = serving.tls.context() if serving.tls is not None else None
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
    server = _Server(config, serving, on_drain, tls_context)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # requests create no reference cycles, so rare collections suffice
    server.run([listener])
    return 0 if server.started and server.finished else 1


class _Server(uvicorn.Server):
    """uvicorn's server, with our signal handling, draining and time limits."""

    def __init__(
        self,
        config: uvicorn.Config,
        serving: Serving,
        on_drain: Callable[[], None],
        tls_context: ssl.SSLContext | None,
    ) -> None:
        super().__init__(config)
        self._tls_context = tls_context
        self._serving = serving
        self._on_drain = on_drain
        self._tls_acceptors: list[TlsAcceptor] = []
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
        if self._tls_context is None or sockets is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self._tls_acceptors = [self._tls_acceptor(listener, self._tls_context) for listener in sockets]
            for acceptor in self._tls_acceptors:
                acceptor.start()
        self._sweeper = Recurring("the sweep of connections", self._sweep, SWEEP_INTERVAL_S)
        self._sweeper.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain every connection, then end the application: uvicorn's own shutdown closes idle connections at once."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._serving.drain_delay_s + self._serving.drain_timeout_s
        accept_until = loop.time() + self._serving.drain_delay_s
        while loop.time() < accept_until:  # new connections are drained too
            for connection in self._connections():
                connection.drain()
            await asyncio.sleep(DRAIN_INTERVAL_S)
        for server in self.servers:
            server.close()
        for acceptor in self._tls_acceptors:
            acceptor.close()
        for listener in sockets or []:
            listener.close()
        while (self._connections() or self.server_state.tasks) and loop.time() < deadline and not self.force_exit:
            for connection in self._connections():
                connection.shutdown()
            await asyncio.sleep(DRAIN_INTERVAL_S)
        self.finished = not self.server_state.tasks and all(each.idle for each in self._connections())
        for task in self.server_state.tasks:
            task.cancel()
        await self._sweeper.stop()
        await self.lifespan.shutdown()

    def _tls_acceptor(self, listener: socket.socket, context: ssl.SSLContext) -> TlsAcceptor:
        protocol: Any = self.config.http_protocol_class
        bounds = self._serving.bounds
        return TlsAcceptor(
            listener,
            context,
            lambda: protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state),
            protocol.addresses,
            connections=bounds.connections,
            per_address=bounds.connections_per_address,
            handshake_s=bounds.request_s,
        )

    def _sweep(self) -> None:
        now_s = time.monotonic()
        for connection in self._connections():
            connection.sweep(now_s)

    def _connections(self) -> list[BoundedHttp]:
        return [each for each in self.server_state.connections if isinstance(each, BoundedHttp)]


def raise_file_limit() -> None:
    """Raise the limit of open files, and so of connections, to the system's maximum."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
