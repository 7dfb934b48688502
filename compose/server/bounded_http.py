"""The HTTP/1.1 protocol of both servers: uvicorn's, with limits on headers, connections, time and memory, and draining.

Theory of operation. A connection processes one request at a time: what arrives behind it waits unparsed in `_backlog`,
and reading pauses, until the response is complete and the socket takes bytes again. So a client that pipelines, or that
never reads, costs one read of the socket; responses keep the order of their requests; and a malformed request is
answered after those before it. A request that the protocol refuses never reaches the application; the response has the
API's error form. A plain request whose head repeats the one before it on the connection skips the parser, see
`repeated_head.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from taskstream.compose.server.close_delimited import send_close_delimited
from taskstream.compose.server.express_connection import ExpressConnection, ExpressHandler, HeldRequest
from taskstream.compose.server.lingering_close import LingeringClose
from taskstream.compose.server.repeated_head import RepeatedHead
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
BACKLOG_BYTES: Final = 1024 * 1024
"""Unparsed bytes of one connection. One read gives 256 KiB at most, and reading pauses then; more is no HTTP client."""
_HEADERS_END: Final = b"\r\n\r\n"
MISSES: Final = 3
"""After so many requests that did not repeat the head before them, a connection compares no more heads."""
_ONCE: Final = (b"host", b"x-auth-token", b"authorization")
"""Headers that a request may have once: with two of them, a proxy and this server could each believe another one."""


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """A connection that exceeds one of these gets an error response and is closed; an idle one is closed only."""

    header_bytes: int = 32_768
    """Of one request, including its request line; a token alone may have 16,384 characters."""
    connections: int = 16_000
    """Open at the same time, per process."""
    connections_per_address: int = 0
    """Of one client address, open at the same time, per process; 0: no limit, for servers behind a proxy."""
    request_s: float = 10.0
    """From the first byte of a request to the last of its body."""
    idle_s: float = 75.0
    """Between two requests; longer than the usual timeout of load balancers, so that they close first."""
    write_s: float = 20.0
    """How long a response may wait for a client that reads nothing of it."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    bounds = HttpBounds()
    """Set on a subclass, like `express` and `addresses`: see `bounded_by`. uvicorn creates the instances."""
    express: ExpressHandler | None = None
    addresses: ClassVar[Counter[str]] = Counter()
    """[client address] its open connections, of this process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.draining = False
        self._backlog = b""
        self._feeding = False
        self._ended = False  # the client has sent all that it will
        self._in_request = False  # from the first byte to the last of the body
        self._in_headers = False
        self._header_bytes = 0  # of the pieces before the current one
        self._piece_bytes = 0  # of the piece that is being parsed
        self._body_left = 0  # of a body with a Content-Length
        self._past_parser = False  # the rest of the body does not go through the parser
        self._since_s = time.monotonic()  # start of the request, or of the idle time
        self._unwritten = 0  # bytes in the transport's buffer at the last sweep
        self._unwritten_since_s = 0.0
        self._held: HeldRequest | None = None  # a request on the fast path whose body is incomplete
        self._held_body = b""
        self._head = b""  # of the request that is being parsed, if it arrived in one piece
        self._repeated: tuple[RepeatedHead, HeldRequest] | None = None  # the parser is between requests while it is set
        self._part = b""  # a request that repeats the head, and whose body has not arrived yet
        self._misses = 0
        self._address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Accept the connection, or refuse it when there are too many."""
        self._transport = LingeringClose(transport, lambda: not self._in_request)
        super().connection_made(self._transport)  # type: ignore[arg-type] # has all that uvicorn uses
        self._responder = ExpressConnection(self._transport, self.server_state, self.on_response_complete)
        self._address = self.client[0] if self.client else ""
        self.addresses[self._address] += 1
        if len(self.connections) > self.bounds.connections:
            self._refuse(ProblemDetails(UNAVAILABLE, "too many connections", retry_after_s=2))
        elif 0 < self.bounds.connections_per_address < self.addresses[self._address]:
            detail = f"more than {self.bounds.connections_per_address} connections of one address"
            self._refuse(ProblemDetails(UNAVAILABLE, detail, retry_after_s=2))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self.addresses[self._address] -= 1
        if not self.addresses[self._address]:
            del self.addresses[self._address]
        self._backlog = self._part = b""
        self._repeated = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, as far as the response in progress allows; the parser calls the `on_` methods."""
        if self._repeated is not None and not self._backlog and self._responder.response_complete:
            if self._part:
                data = self._part + data
            if self._repeat(data):
                return
            if self._part:
                self._part, self._in_request = b"", False
            self._repeated = None
            self._misses += 1
        if self._transport.closing:
            self._transport.discard(len(data))
            return
        if self._backlog:
            self._backlog += data
            if len(self._backlog) > BACKLOG_BYTES:
                self.transport.abort()
                return
        else:
            self._backlog = data
        self._feed()

    def eof_received(self) -> bool:  # type: ignore[override] # what asyncio calls may say whether to stay open
        """The client has sent all that it will: responses that it still waits for are written, then it is closed."""
        self._ended = True
        streaming = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if streaming or self._transport.closing:
            return False
        return bool(self._backlog) or not self._response_complete

    def resume_writing(self) -> None:
        """The socket takes bytes again: requests that waited for that go on."""
        self.flow.resume_writing()
        self._feed()

    def on_message_begin(self) -> None:
        """The first byte of a request has arrived."""
        self._in_request = self._in_headers = True
        self._repeated = None
        self._header_bytes = 0
        self._body_left = 0
        self._since_s = time.monotonic()
        self._held = None
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; `_to_application` evaluates those that concern the server."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Pass the request on, if its headers are acceptable."""
        self._in_headers = False
        problem = self._problem_of_headers()
        if problem is not None:
            self._refuse(problem)
        elif not self._transport.closing and not self._hold():
            self._to_application()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        self._body_left -= len(body)
        if self._held is not None:
            self._held_body += body
        elif not self._transport.closing:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete; or it offers an upgrade, and the parser stops at the end of its headers."""
        self._past_parser = self._body_left > 0
        if not self._transport.closing and not self._past_parser:
            self._in_request = False
            if self._held is None:
                super().on_message_complete()
            else:
                self._responder.begin(keep_alive=self._keeps_alive())
                self.cycle = self._responder  # type: ignore[assignment] # has the attributes of a cycle that uvicorn reads

    def on_response_complete(self) -> None:
        """The response is complete: the next request is parsed if it is already there."""
        self.server_state.total_requests += 1
        self._since_s = time.monotonic()
        if self.transport.is_closing():
            return
        if self._backlog:
            if not self._feeding:  # else the loop in `_feed` goes on by itself
                self.loop.call_soon(self._feed)
        elif self._ended and not self._in_request:
            self.transport.close()
        else:
            self.flow.resume_reading()

    @property
    def idle(self) -> bool:
        """Whether neither a request nor a response is in progress."""
        return not self._in_request and self._response_complete and not self._backlog

    @property
    def _response_complete(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def _must_wait(self) -> bool:
        """Whether a request that is complete still waits for its response, or the response for the socket."""
        return not self._in_request and (not self._response_complete or self.flow.write_paused)

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
        unwritten = self._transport.unwritten_bytes
        if not self._unwritten or unwritten < self._unwritten:
            self._unwritten_since_s = now_s
        self._unwritten = unwritten
        waited_s = now_s - self._since_s
        if unwritten and now_s - self._unwritten_since_s > self.bounds.write_s:
            self.transport.abort()
        elif self._in_request and waited_s > self.bounds.request_s:
            if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
                self.transport.abort()
            else:
                self._refuse(
                    ProblemDetails(REQUEST_TIMEOUT, f"the request was not complete within {self.bounds.request_s:g} s")
                )
        elif self.idle and waited_s > self.bounds.idle_s:
            self.transport.close()

    def _feed(self) -> None:
        """Parse the backlog, request by request, until one must be answered first."""
        if self._feeding or self.parser is None:  # as after the connection was lost
            return
        self._feeding = True
        try:
            while self._backlog and not self._transport.closing and not self._must_wait:
                self._feed_piece()
        finally:
            self._feeding = False
        if self._transport.closing:
            self._backlog = b""
        elif self._backlog:
            self.flow.pause_reading()
        elif self._ended and not self._in_request and self._response_complete:
            self.transport.close()
        elif not self._must_wait and self.cycle is not None and not self.cycle.body:
            self.flow.resume_reading()

    def _feed_piece(self) -> None:
        """Parse what ends a request at the most: up to the end of its headers, or of its body."""
        backlog = self._backlog
        if self._body_left > 0:
            piece = backlog if len(backlog) <= self._body_left else backlog[: self._body_left]
        else:  # headers, or a body in chunks, which ends as headers do
            end = backlog.find(_HEADERS_END) + len(_HEADERS_END)
            piece = backlog if end < len(_HEADERS_END) or end == len(backlog) else backlog[:end]
        self._backlog = b"" if len(piece) == len(backlog) else backlog[len(piece) :]
        self._piece_bytes = len(piece)
        if self._body_left <= 0:
            self._head = b"" if self._in_request else piece
        try:
            if self._past_parser:
                self.on_body(piece)
                if not self._body_left:
                    self.on_message_complete()
            else:
                self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:  # an offer that HTTP/1.1 lets a server ignore (RFC 9110, 7.8)
            self._backlog = piece[upgrade.args[0] :] + self._backlog
        except httptools.HttpParserError:
            self._refuse(ProblemDetails(MALFORMED, "the request is not valid HTTP/1.1"))
        if self._in_headers:
            self._header_bytes += len(piece)
            if self._header_bytes > self.bounds.header_bytes:
                self._refuse(self._headers_too_large())
        if self._held is not None and not self._in_request:
            # Outside the parser, which would report any exception as a parse error.
            held, self._held = self._held, None
            if not self._transport.closing:
                if self._misses < MISSES and self._responder.keep_alive:
                    head = RepeatedHead.of(self._head)
                    self._repeated = None if head is None else (head, held)
                held.complete(self._held_body, self._responder)

    def _repeat(self, data: bytes) -> bool:
        """Process a request whose head repeats the last one, without the parser; False: nothing has been done."""
        if self._repeated is None or self.draining or self._transport.closing or self.flow.write_paused:
            return False
        head, held = self._repeated
        repetition = head.repetition(data)
        if repetition is None or (repetition.body is None and self._part):
            return False
        if repetition.body is None:  # clients send the headers and the body in two pieces
            self._part, self._in_request, self._since_s = data, True, time.monotonic()
            return True
        again = held.again(repetition.changed, repetition.body_bytes)
        if again is None:
            return False
        if self._part:
            self._part, self._in_request = b"", False
        self._responder.begin(keep_alive=True)
        again.complete(repetition.body, self._responder)
        return True

    def _problem_of_headers(self) -> ProblemDetails | None:
        """Why the request with these headers is refused."""
        headers = self.headers
        if self._header_bytes + self._piece_bytes > self.bounds.header_bytes:  # only then counting is worthwhile
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > self.bounds.header_bytes:
                return self._headers_too_large()
        names = [name for name, _ in headers]
        for name in _ONCE:
            if names.count(name) > 1:
                return ProblemDetails(MALFORMED, f"the header {name.decode()} is there more than once")
        if b"host" not in names and self.parser.get_http_version() == "1.1":
            return ProblemDetails(MALFORMED, "the header host is missing, which HTTP/1.1 requires")
        if b"transfer-encoding" in names and self.parser.should_upgrade():
            return ProblemDetails(MALFORMED, "an offer to upgrade needs a body with a Content-Length, or none")
        if b"content-length" in names:  # once: the parser refuses two, and one beside Transfer-Encoding
            self._body_left = int(headers[names.index(b"content-length")][1])
        return None

    def _hold(self) -> bool:
        """Take the fast path, if a response can be written at once."""
        if self.express is None or self.flow.write_paused:
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
        if self.parser.get_http_version() == "1.0":
            cycle: Any = self.cycle
            cycle.send = send_close_delimited(cycle)  # its task, which uses this, has not begun yet
        if self.draining:
            self.cycle.keep_alive = False

    def _keeps_alive(self) -> bool:
        keeps = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        return bool(keeps) and not self.draining

    def _headers_too_large(self) -> ProblemDetails:
        return ProblemDetails(HEADERS_TOO_LARGE, f"the headers are larger than {self.bounds.header_bytes} bytes")

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
    return type("BoundedHttp", (BoundedHttp,), {"bounds": bounds, "express": express, "addresses": Counter()})
