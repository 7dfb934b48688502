"""HTTP/1.1 as we serve it: uvicorn's protocol with bounds on headers, connections and time, and an orderly end.

It speaks for the server alone: what it refuses never reaches the application, and is told in the API's own form.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from taskstream.compose.server.express_http import ExpressConnection, ExpressHandler, HeldRequest
from taskstream.compose.server.lingering_close import LingeringClose
from taskstream.schemas.http.api_error import (
    HEADERS_TOO_LARGE,
    MALFORMED,
    REQUEST_TIMEOUT,
    UNAVAILABLE,
    ErrorAnswer,
)

SWEEP_INTERVAL_S: Final = 1.0
QUIET_S: Final = 1.0
"""Before a stop closes an idle connection: its next request may be on its way, and would have no answer."""


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """Past any of these a connection is answered and closed, or, when it is idle, just closed."""

    header_bytes: int = 32_768
    """Of one request, its first line with them; a token alone may have 16,384 characters."""
    connections: int = 16_000
    """Open at once, of one process."""
    request_s: float = 10.0
    """From the first byte of a request to the last of its body."""
    idle_s: float = 75.0
    """Between two requests; longer than the usual load balancer's, so that it is the one who closes."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    bounds = HttpBounds()
    """Set on a subclass, as `express` is, see `bounded_by`: uvicorn makes the instances."""
    express: ExpressHandler | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.draining = False
        self._in_request = False  # from the first byte to the last of the body
        self._in_headers = False
        self._header_bytes = 0  # of chunks that did not complete them
        self._chunk_bytes = 0
        self._since_s = time.monotonic()  # of the request, or of being idle
        self._held: HeldRequest | None = None  # a request on the short way, its body still to come
        self._held_body = b""
        self._whole: HeldRequest | None = None  # the same when it has come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take the connection, or answer at once that there are too many."""
        self._transport = LingeringClose(transport, lambda: not self._in_request)
        super().connection_made(self._transport)  # type: ignore[arg-type] # all of a transport that uvicorn uses
        self._reply = ExpressConnection(self._transport, self.server_state, self.on_response_complete)
        if len(self.connections) > self.bounds.connections:
            self._refuse(ErrorAnswer(UNAVAILABLE, "too many connections", retry_after_s=2))

    def data_received(self, data: bytes) -> None:
        """Parse; what the parser finds comes back through the `on_` methods."""
        if self._transport.closing:
            self._transport.discard(len(data))
            return
        self._chunk_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(ErrorAnswer(MALFORMED, "no other protocol is spoken here"))
        except httptools.HttpParserError:
            self._refuse(ErrorAnswer(MALFORMED, "this is no HTTP/1.1"))
        if self._in_headers:
            self._header_bytes += self._chunk_bytes
            if self._header_bytes > self.bounds.header_bytes:
                self._refuse_headers()
        if self._whole is not None:  # not from within the parser: it would take any error of theirs for one of HTTP
            held, self._whole = self._whole, None
            if not self._transport.closing:
                held.complete(self._held_body, self._reply)

    def on_message_begin(self) -> None:
        """The first byte of a request is there."""
        self._in_request = self._in_headers = True
        self._header_bytes = 0
        self._since_s = time.monotonic()
        self._held = None
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; `_to_application` looks for those that concern the server."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Hand the request to the application, if its headers are within bounds."""
        self._in_headers = False
        if self._header_bytes + self._chunk_bytes > self.bounds.header_bytes:  # then it is worth counting
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.bounds.header_bytes:
                self._refuse_headers()
        if not self._transport.closing and not self._hold():
            self._to_application()

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on."""
        if self._held is not None:
            self._held_body += body
        elif not self._transport.closing:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if not self._transport.closing:
            self._in_request = False
            self._chunk_bytes = 0  # what follows in this chunk is another request's
            if self._held is None:
                super().on_message_complete()
            else:
                self._reply.begin(keep_alive=self._keeps_alive())
                self.cycle = self._reply  # type: ignore[assignment] # it has all of a cycle that is looked at
                self._whole, self._held = self._held, None

    def on_response_complete(self) -> None:
        """The answer is complete: go on with the next request, if it is already there."""
        self.server_state.total_requests += 1
        self._since_s = time.monotonic()
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                cycle, app = self.pipeline.pop()
                cycle.keep_alive = cycle.keep_alive and not self.draining
                self._start_asgi_task(cycle, app)

    @property
    def idle(self) -> bool:
        """Whether neither a request nor an answer is under way."""
        return not self._in_request and self._answered

    @property
    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def drain(self) -> None:
        """Let the answer under way, or the next one, be the last of this connection."""
        self.draining = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Called by the server, again and again, after its listeners are closed."""
        self.drain()
        if self.idle and time.monotonic() - self._since_s > QUIET_S:
            self.transport.close()

    def sweep(self, now_s: float) -> None:
        """End what takes too long."""
        waited_s = now_s - self._since_s
        if self._in_request and waited_s > self.bounds.request_s:
            if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
                self.transport.abort()
            else:
                self._refuse(ErrorAnswer(REQUEST_TIMEOUT, f"no whole request within {self.bounds.request_s:g} s"))
        elif self.idle and waited_s > self.bounds.idle_s:
            self.transport.close()

    def _hold(self) -> bool:
        """Take the short way, if nothing is before this request and its answer can be written at once."""
        if self.express is None or not self._answered or self.flow.write_paused:
            return False
        self._held = self.express.begin(self.parser.get_method(), self.url, self.headers)
        self._held_body = b""
        return self._held is not None

    def _to_application(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()  # it makes the scope
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        if self.draining:
            self.cycle.keep_alive = False

    def _keeps_alive(self) -> bool:
        keeps = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        return bool(keeps) and not self.draining

    def _refuse_headers(self) -> None:
        what = f"the headers are larger than {self.bounds.header_bytes} bytes"
        self._refuse(ErrorAnswer(HEADERS_TOO_LARGE, what))

    def _refuse(self, answer: ErrorAnswer) -> None:
        """Answer in the application's stead and close."""
        if self._transport.closing:
            return
        if not self._answered:
            if self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True  # the application's answer has nobody to go to
            self.cycle.message_event.set()
        request_id = uuid.uuid4().hex
        body = answer.body(request_id)
        lines = [STATUS_LINE[answer.kind.status]]
        lines += [f"{name}: {value}\r\n".encode() for name, value in answer.wire_headers(request_id)]
        lines += [b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body), body]
        self._in_request = True  # whatever still comes is not read
        self.transport.write(b"".join(lines))
        self.transport.close()


def bounded_by(bounds: HttpBounds, express: ExpressHandler | None = None) -> type[BoundedHttp]:
    """The protocol with these bounds, and with a short way past the application if it has one."""
    return type("BoundedHttp", (BoundedHttp,), {"bounds": bounds, "express": express})
