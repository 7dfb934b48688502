"""The HTTP/1.1 protocol of both servers: uvicorn's, with limits on headers, connections and time, and draining.

A request that it refuses never reaches the application; the response has the API's error form.
"""

from __future__ import annotations

import asyncio
import time
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
    ProblemDetails,
)
from taskstream.schemas.http.request import CLOSE, new_request_id
from taskstream.schemas.http.response import header_lines, problem_response

SWEEP_INTERVAL_S: Final = 1.0
QUIET_S: Final = 1.0
"""How long a connection must be idle before a stop closes it: a request in transit would get no response."""


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """A connection that exceeds one of these gets an error response and is closed; an idle one is closed only."""

    header_bytes: int = 32_768
    """Of one request, including its request line; a token alone may have 16,384 characters."""
    connections: int = 16_000
    """Open at the same time, per process."""
    request_s: float = 10.0
    """From the first byte of a request to the last of its body."""
    idle_s: float = 75.0
    """Between two requests; longer than the usual timeout of load balancers, so that they close first."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    bounds = HttpBounds()
    """Set on a subclass, like `express`: see `bounded_by`. uvicorn creates the instances."""
    express: ExpressHandler | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.draining = False
        self._in_request = False  # from the first byte to the last of the body
        self._in_headers = False
        self._header_bytes = 0  # of the chunks before the current one
        self._chunk_bytes = 0
        self._since_s = time.monotonic()  # start of the request, or of the idle time
        self._held: HeldRequest | None = None  # a request on the fast path whose body is incomplete
        self._held_body = b""
        self._whole: HeldRequest | None = None  # a request on the fast path whose body is complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Accept the connection, or refuse it when there are too many."""
        self._transport = LingeringClose(transport, lambda: not self._in_request)
        super().connection_made(self._transport)  # type: ignore[arg-type] # has all that uvicorn uses
        self._responder = ExpressConnection(self._transport, self.server_state, self.on_response_complete)
        if len(self.connections) > self.bounds.connections:
            self._refuse(ProblemDetails(UNAVAILABLE, "too many connections", retry_after_s=2))

    def data_received(self, data: bytes) -> None:
        """Parse; the parser calls the `on_` methods."""
        if self._transport.closing:
            self._transport.discard(len(data))
            return
        self._chunk_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(ProblemDetails(MALFORMED, "protocol upgrades are not supported"))
        except httptools.HttpParserError:
            self._refuse(ProblemDetails(MALFORMED, "the request is not valid HTTP/1.1"))
        if self._in_headers:
            self._header_bytes += self._chunk_bytes
            if self._header_bytes > self.bounds.header_bytes:
                self._refuse_headers()
        if self._whole is not None:  # outside the parser, which would report any exception as a parse error
            held, self._whole = self._whole, None
            if not self._transport.closing:
                held.complete(self._held_body, self._responder)

    def on_message_begin(self) -> None:
        """The first byte of a request has arrived."""
        self._in_request = self._in_headers = True
        self._header_bytes = 0
        self._since_s = time.monotonic()
        self._held = None
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; `_to_application` evaluates those that concern the server."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Pass the request on, if its headers are within their limit."""
        self._in_headers = False
        if self._header_bytes + self._chunk_bytes > self.bounds.header_bytes:  # only then counting is worthwhile
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.bounds.header_bytes:
                self._refuse_headers()
        if not self._transport.closing and not self._hold():
            self._to_application()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        if self._held is not None:
            self._held_body += body
        elif not self._transport.closing:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if not self._transport.closing:
            self._in_request = False
            self._chunk_bytes = 0  # the rest of this chunk belongs to another request
            if self._held is None:
                super().on_message_complete()
            else:
                self._responder.begin(keep_alive=self._keeps_alive())
                self.cycle = self._responder  # type: ignore[assignment] # has the attributes of a cycle that uvicorn reads
                self._whole, self._held = self._held, None

    def on_response_complete(self) -> None:
        """The response is complete: start the next request if it is already there."""
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
        """Whether neither a request nor a response is in progress."""
        return not self._in_request and self._response_complete

    @property
    def _response_complete(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def drain(self) -> None:
        """Close the connection after the response in progress, or after the next one."""
        self.draining = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close the connection once it is quiet; the server calls this repeatedly after closing its listeners."""
        self.drain()
        if self.idle and time.monotonic() - self._since_s > QUIET_S:
            self.transport.close()

    def sweep(self, now_s: float) -> None:
        """Enforce the time limits."""
        waited_s = now_s - self._since_s
        if self._in_request and waited_s > self.bounds.request_s:
            if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
                self.transport.abort()
            else:
                self._refuse(
                    ProblemDetails(REQUEST_TIMEOUT, f"the request was not complete within {self.bounds.request_s:g} s")
                )
        elif self.idle and waited_s > self.bounds.idle_s:
            self.transport.close()

    def _hold(self) -> bool:
        """Take the fast path, if no response is in progress and one can be written at once."""
        if self.express is None or not self._response_complete or self.flow.write_paused:
            return False
        self._held = self.express.begin(self.parser.get_method(), self.url, self.headers)
        self._held_body = b""
        return self._held is not None

    def _to_application(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()  # creates the scope
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
        detail = f"the headers are larger than {self.bounds.header_bytes} bytes"
        self._refuse(ProblemDetails(HEADERS_TOO_LARGE, detail))

    def _refuse(self, problem: ProblemDetails) -> None:
        """Write an error response in place of the application, and close."""
        if self._transport.closing:
            return
        if not self._response_complete:
            if self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True  # the application's response is dropped
            self.cycle.message_event.set()
        response = problem_response(problem, new_request_id())
        head = STATUS_LINE[response.status] + header_lines((*response.headers, *CLOSE))
        self._in_request = True  # further input is discarded
        self.transport.write(head + b"\r\n" + response.body)
        self.transport.close()


def bounded_by(bounds: HttpBounds, express: ExpressHandler | None = None) -> type[BoundedHttp]:
    """The protocol with these limits, and with the application's fast path if it has one."""
    return type("BoundedHttp", (BoundedHttp,), {"bounds": bounds, "express": express})
