"""Runs an ASGI application in a server until a signal says stop, then drains it. It knows no application by name."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn

from compose.errors import PortInUseError


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve."""

    host: str = "127.0.0.1"
    port: int = 0
    drain_timeout_s: int = 20
    """How long what is in flight may take after a stop signal."""
    backlog: int = 2048


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


def address(listener: socket.socket, scheme: str = "http") -> str:
    """Where it listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def serve(app: Any, listener: socket.socket, serving: Serving, on_drain: Callable[[], None] = lambda: None) -> int:
    """Serve until SIGTERM or SIGINT. `on_drain` is called first. Gives 0 if everything was answered, else 1."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=serving.backlog,
        timeout_graceful_shutdown=serving.drain_timeout_s,
    )
    server = _Server(config, on_drain)
    server.run([listener])
    return 0 if server.started and server.finished else 1


class _Server(uvicorn.Server):
    """Uvicorn's, but a signal ends in an exit code of ours."""

    def __init__(self, config: uvicorn.Config, on_drain: Callable[[], None]) -> None:
        super().__init__(config)
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await asyncio.sleep(0)
        self.finished = not self.server_state.tasks
