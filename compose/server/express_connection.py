"""The fast path through the server: hands a whole request over as bytes and writes its response as bytes.

It replaces uvicorn's request cycle where no ASGI application is called. It knows no route and no response by name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from taskstream.schemas.http.response import header_lines


class HeldRequest(Protocol):
    """A request whose body is still to come."""

    def complete(self, body: bytes, responder: ExpressConnection) -> None:
        """Process the request with this body; call `responder.send` once, now or later."""
        ...

    def again(self, changed: list[tuple[bytes, bytes]], body_bytes: int) -> HeldRequest | None:
        """A later request with the same head but for the values of these headers, and with a body of another length.

        None: it must be parsed, as when the caller is not known any more.
        """
        ...


class ExpressHandler(Protocol):
    """The fast path that an application may offer beside itself."""

    def begin(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> HeldRequest | None:
        """Accept the request, or return None to leave it to the application. Whoever accepts it bounds its body."""
        ...


class Transport(Protocol):
    """Where responses are written."""

    def write(self, data: bytes, /) -> None:
        """Send these bytes."""
        ...

    def close(self) -> None:
        """Close once the bytes written before are sent."""
        ...


class ExpressConnection:
    """Writes the responses of one connection, one at a time; has the attributes of uvicorn's request cycle."""

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
        """Start a response: `send` must follow."""
        self.keep_alive = keep_alive
        self.response_complete = False

    def send(self, status: int, head: bytes, body: bytes = b"") -> None:
        """Write the response. `head` is header lines, each with its end."""
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
    """The event of a request whose body is complete: nobody waits for it."""

    def set(self) -> None:
        pass


_NO_EVENT = _NoEvent()


@functools.lru_cache(32)
def _first_lines(status: int, *headers: tuple[bytes, bytes]) -> bytes:
    """The status line and the default headers; these change once per second, with the date."""
    return STATUS_LINE[status] + header_lines(headers)
