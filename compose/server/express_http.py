"""The short way through the server: a whole request is handed over as bytes, and its answer is written as bytes.

It stands in for uvicorn's request cycle where no application is called. It knows no request and no answer by name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState


class HeldRequest(Protocol):
    """A request whose body is still to come."""

    def complete(self, body: bytes, reply: ExpressConnection) -> None:
        """Take the body; then, now or later, `reply.send` is called once."""
        ...


class ExpressHandler(Protocol):
    """What an application may offer beside itself."""

    def begin(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> HeldRequest | None:
        """Take the request, or leave it to the application. Its body is bounded by whoever takes it."""
        ...


class Transport(Protocol):
    """Where answers are written."""

    def write(self, data: bytes, /) -> None:
        """To the other side."""
        ...

    def close(self) -> None:
        """After what was written."""
        ...


class ExpressConnection:
    """The answers of one connection, one at a time. It has what uvicorn's protocol looks at in a request's cycle."""

    __slots__ = (
        "_on_response", "_state", "_transport", "body", "disconnected", "keep_alive", "message_event", "more_body",
        "response_complete", "response_started",
    )  # fmt: skip

    def __init__(self, transport: Transport, state: ServerState, on_response: Callable[[], None]) -> None:
        self._transport = transport
        self._state = state
        self._on_response = on_response
        self.message_event = _NO_EVENT
        self.body = b""
        self.more_body = False
        self.response_started = False
        self.response_complete = True
        self.disconnected = False
        self.keep_alive = True

    def begin(self, *, keep_alive: bool) -> None:
        """An answer is owed from now on."""
        self.keep_alive = keep_alive
        self.response_complete = False

    def send(self, status: int, head: bytes, body: bytes = b"") -> None:
        """Pay it. `head` is header lines, each with its end."""
        self.response_complete = True
        if self.disconnected:
            return
        last = not self.keep_alive or b"connection: close" in head
        end = b"connection: close\r\n\r\n" if last and b"connection: close" not in head else b"\r\n"
        self._transport.write(b"".join((_first_lines(status, *self._state.default_headers), head, end, body)))
        if last:
            self._transport.close()
        self._on_response()


class _NoEvent:
    """Nobody waits for the rest of a request that came whole."""

    def set(self) -> None:
        pass


_NO_EVENT = _NoEvent()


@functools.lru_cache(32)
def _first_lines(status: int, *headers: tuple[bytes, bytes]) -> bytes:
    """The same for a second: then the date is another."""
    return STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % header for header in headers)
