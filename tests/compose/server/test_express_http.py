"""The short way through the server, on a connection that is no more than a list of what was written."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from taskstream.compose.server.bounded_http import QUIET_S, HttpBounds, bounded_by

SHORT = b"PUT /short HTTP/1.1\r\nContent-Length: 2\r\n%b\r\n{}"
LONG = b"GET /long HTTP/1.1\r\n\r\n"
DATE = (b"date", b"today")


class Wire:
    """A transport."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.write = self._write

    def _write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, _name: str, default=None):
        return default

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def can_write_eof(self) -> bool:
        return False


class Lane:
    """Takes /short and keeps the replies, to be sent by the test."""

    def __init__(self) -> None:
        self.owed = []

    def begin(self, _method, url, _headers):
        return self if url == b"/short" else None

    def complete(self, body, reply):
        assert body == b"{}"
        self.owed.append(reply)

    def pay(self) -> None:
        self.owed.pop(0).send(200, b"content-length: 0\r\nx-way: short\r\n")


class Broken(Lane):
    def complete(self, _body, _reply):
        raise RuntimeError("ours")


async def application(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def connected(lane: Lane):
    config = uvicorn.Config(
        application, http=bounded_by(HttpBounds(), lane), ws="none", lifespan="off", log_config=None
    )
    config.load()
    state = ServerState()
    state.default_headers = [DATE]
    http = config.http_protocol_class(config=config, server_state=state, app_state={})
    wire = Wire()
    http.connection_made(wire)
    return http, wire


def on_a_connection(lane: Lane, story) -> None:
    async def told():
        await story(*connected(lane))

    asyncio.run(told())


async def a_moment() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_an_answer_is_written_when_it_is_sent_and_the_connection_stays():
    lane = Lane()

    async def story(http, wire):
        for _ in range(2):
            http.data_received(SHORT % b"")
            assert wire.written == b""
            assert not http.idle
            lane.pay()
            assert wire.written == b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 0\r\nx-way: short\r\n\r\n"
            assert http.idle
            assert not wire.closed
            wire.written = b""

    on_a_connection(lane, story)


def test_a_request_may_come_byte_by_byte():
    lane = Lane()

    async def story(http, wire):
        for byte in SHORT % b"":
            assert lane.owed == []
            http.data_received(bytes([byte]))
        lane.pay()
        assert wire.written.count(b"200 OK") == 1

    on_a_connection(lane, story)


@pytest.mark.parametrize(
    "request_", [SHORT % b"Connection: close\r\n", (SHORT % b"").replace(b"1.1", b"1.0")], ids=["asked for", "HTTP/1.0"]
)
def test_the_last_answer_says_so_and_closes(request_):
    lane = Lane()

    async def story(http, wire):
        http.data_received(request_)
        lane.pay()
        assert b"\r\nconnection: close\r\n" in wire.written
        assert wire.closed

    on_a_connection(lane, story)


@pytest.mark.parametrize("drained_first", [True, False])
def test_a_draining_server_makes_it_the_last_answer(drained_first):
    lane = Lane()

    async def story(http, wire):
        if drained_first:
            http.drain()
        http.data_received(SHORT % b"")
        if not drained_first:
            http.shutdown()
            assert not wire.closed
        lane.pay()
        assert b"\r\nconnection: close\r\n" in wire.written
        assert wire.closed

    on_a_connection(lane, story)


def test_answers_keep_the_order_of_their_requests_whatever_way_they_take():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"" + LONG + SHORT % b"")
        await a_moment()
        assert wire.written == b""
        lane.pay()
        await a_moment()
        first, *others = wire.written.split(b"HTTP/1.1 200 OK")[1:]
        assert b"x-way: short" in first
        assert len(others) == 2  # by the application: when they came, an answer was still owed

    on_a_connection(lane, story)


def test_an_answer_to_a_connection_that_is_gone_is_dropped():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        http.connection_lost(None)
        lane.pay()
        assert wire.written == b""

    on_a_connection(lane, story)


def test_what_follows_and_is_no_http_ends_the_connection_and_the_answer_is_dropped():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        http.data_received(b"\x00\x01\r\n\r\n")
        assert wire.written.startswith(b"HTTP/1.1 400")
        refusal = wire.written
        lane.pay()
        assert wire.written == refusal

    on_a_connection(lane, story)


def test_an_error_of_ours_is_not_told_as_one_of_the_request():
    async def story(http, wire):
        with pytest.raises(RuntimeError, match="ours"):
            http.data_received(SHORT % b"")
        assert wire.written == b""

    on_a_connection(Broken(), story)


def test_a_stop_leaves_a_quiet_connection_a_moment_for_what_may_be_on_its_way():
    lane = Lane()

    async def story(http, wire):
        http.shutdown()
        assert not wire.closed
        http._since_s -= 2 * QUIET_S
        http.shutdown()
        assert wire.closed

    on_a_connection(lane, story)
