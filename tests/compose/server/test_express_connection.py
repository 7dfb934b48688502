"""The short way through the server, on a connection that is no more than a list of what was written."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvicorn
from uvicorn.server import ServerState

from taskstream.compose.server.bounded_http import BACKLOG_BYTES, MISSES, QUIET_S, HttpBounds, bounded_by

SHORT = b"PUT /short HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n%b\r\n{}"
LONG = b"GET /long HTTP/1.1\r\nHost: h\r\n\r\n"
TOKEN = b"X-Auth-Token: a\r\n"
DATE = (b"date", b"today")


class Wire:
    """A transport."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.paused = False
        self.unwritten = 0
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

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return self.unwritten

    def can_write_eof(self) -> bool:
        return False


class Lane:
    """Takes /short and keeps the replies, to be sent by the test."""

    def __init__(self) -> None:
        self.owed = []
        self.parsed = 0
        self.repeated = []
        self.knows = True

    def begin(self, _method, url, _headers):
        self.parsed += url == b"/short"
        return self if url == b"/short" else None

    def again(self, changed, body_bytes):
        if not self.knows:
            return None
        self.repeated.append((changed, body_bytes))
        return self

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
        assert len(others) == 1  # by the application; the third request waits for its response
        lane.pay()
        assert b"x-way: short" in wire.written.split(b"HTTP/1.1 200 OK")[3]

    on_a_connection(lane, story)


def test_a_request_that_repeats_the_head_before_it_is_not_parsed():
    lane = Lane()

    async def story(http, wire):
        for key in b"1", b"1", b"2":
            http.data_received(SHORT % b"Idempotency-Key: %b\r\n" % key)
            assert not http.idle
            lane.pay()
            assert http.idle
        http.data_received(SHORT % b"Idempotency-Key: 2\r\nOther: 1\r\n")
        lane.pay()
        assert (lane.parsed, lane.repeated) == (2, [([], 2), ([(b"idempotency-key", b"2")], 2)])
        assert wire.written.count(b"200 OK") == 4

    on_a_connection(lane, story)


def test_the_body_of_a_repeated_head_may_come_after_it():
    lane = Lane()

    async def story(http, wire):
        whole = SHORT % b""
        for split in -2, -1:
            http.data_received(whole)
            lane.pay()
            http.data_received(whole[:split])
            assert not http.idle
            http.data_received(whole[split:])
            lane.pay()
        http.data_received(whole[:-2])
        http.data_received(whole[-2:-1])  # in three pieces: it is parsed
        http.data_received(whole[-1:])
        lane.pay()
        assert (lane.parsed, len(lane.repeated)) == (2, 3)
        assert wire.written.count(b"200 OK") == 5

    on_a_connection(lane, story)


def test_a_repeated_head_whose_body_does_not_come_is_timed_out():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        lane.pay()
        http.data_received((SHORT % b"")[:-2])
        http.sweep(time.monotonic() + HttpBounds().request_s + 1)
        assert b"408 Request Timeout" in wire.written
        assert wire.closed

    on_a_connection(lane, story)


def test_a_repeated_head_of_a_caller_who_is_not_known_any_more_is_parsed():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        lane.pay()
        lane.knows = False
        http.data_received(SHORT % b"")
        lane.pay()
        assert (lane.parsed, lane.repeated) == (2, [])

    on_a_connection(lane, story)


def test_after_other_requests_and_pipelined_ones_the_parser_goes_on():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        lane.pay()
        http.data_received(SHORT % b"" + LONG + SHORT % b"")
        lane.pay()
        await a_moment()
        lane.pay()
        await a_moment()
        http.data_received(SHORT % b"")
        http.data_received(SHORT % b"")  # before the answer
        for _ in range(2):
            lane.pay()
            await a_moment()
        assert (wire.written.count(b"200 OK"), wire.written.count(b"x-way: short")) == (6, 5)

    on_a_connection(lane, story)


def test_a_draining_server_makes_the_answer_to_a_repeated_head_the_last():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        lane.pay()
        http.drain()
        http.data_received(SHORT % b"")
        lane.pay()
        assert b"\r\nconnection: close\r\n" in wire.written
        assert wire.closed

    on_a_connection(lane, story)


def test_a_connection_whose_heads_differ_compares_no_more():
    lane = Lane()

    async def story(http, _wire):
        for number in range(MISSES + 1):
            http.data_received(SHORT % b"Other: %d\r\n" % number)
            lane.pay()
        for _ in range(2):
            http.data_received(SHORT % b"")
            lane.pay()
        assert lane.repeated == []

    on_a_connection(lane, story)


def test_an_answer_to_a_connection_that_is_gone_is_dropped():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        http.connection_lost(None)
        lane.pay()
        assert wire.written == b""

    on_a_connection(lane, story)


def test_what_follows_and_is_not_http_is_refused_after_the_response_before_it():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        http.data_received(b"\x00\x01\r\n\r\n")
        assert wire.written == b""
        lane.pay()
        await a_moment()
        assert wire.written.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 400" in wire.written
        assert wire.closed

    on_a_connection(lane, story)


def test_requests_behind_one_wait_unparsed_and_reading_pauses():
    lane = Lane()

    async def story(http, wire):
        http.data_received((SHORT % b"") * 1000)
        assert len(lane.owed) == 1
        assert wire.paused
        for number in range(1000):
            assert wire.written.count(b"200 OK") == number
            lane.pay()
            await a_moment()
        assert wire.written.count(b"200 OK") == 1000
        assert not wire.paused

    on_a_connection(lane, story)


def test_a_client_that_sends_on_while_reading_is_paused_is_cut_off():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        for _ in range(BACKLOG_BYTES // 65536 + 1):
            http.data_received(b"x" * 65536)
        assert wire.closed

    on_a_connection(lane, story)


def test_while_the_socket_takes_no_bytes_no_further_request_is_begun():
    lane = Lane()

    async def story(http, wire):
        http.pause_writing()
        http.data_received((SHORT % b"") * 2)
        await a_moment()
        assert len(lane.owed) == 0
        http.resume_writing()
        assert len(lane.owed) == 1

    on_a_connection(lane, story)


def test_a_response_that_nobody_reads_ends_the_connection():
    async def story(http, wire):
        now_s = http._since_s
        wire.unwritten = 100
        http.sweep(now_s + 0)
        http.sweep(now_s + http.bounds.write_s)
        assert not wire.closed
        wire.unwritten = 99  # it reads, if slowly
        http.sweep(now_s + 1 + http.bounds.write_s)
        http.sweep(now_s + 1 + 2 * http.bounds.write_s)
        assert not wire.closed
        http.sweep(now_s + 2 + 2 * http.bounds.write_s)
        assert wire.closed

    on_a_connection(Lane(), story)


def test_a_client_that_ends_its_side_gets_its_response():
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % b"")
        assert http.eof_received()
        assert not wire.closed
        lane.pay()
        assert wire.written.count(b"200 OK") == 1
        assert wire.closed

    on_a_connection(lane, story)


@pytest.mark.parametrize(
    "more",
    [
        b"Host: other\r\n",
        b"Content-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\n",
        TOKEN * 2,
        b"Authorization: a\r\n" * 2,
    ],
)
def test_headers_that_two_readers_could_read_differently_are_refused(more):
    lane = Lane()

    async def story(http, wire):
        http.data_received(SHORT % more)
        assert wire.written.startswith(b"HTTP/1.1 400")
        assert lane.owed == []

    on_a_connection(lane, story)


def test_a_request_without_a_host_is_refused():
    lane = Lane()

    async def story(http, wire):
        http.data_received((SHORT % b"").replace(b"Host: h\r\n", b""))
        assert wire.written.startswith(b"HTTP/1.1 400")

    on_a_connection(lane, story)


def test_an_offer_of_another_protocol_is_ignored():
    lane = Lane()

    async def story(http, wire):
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        http.data_received(SHORT % offer + (SHORT % b""))
        for _ in range(2):
            lane.pay()
            await a_moment()
        assert wire.written.count(b"200 OK") == 2

    on_a_connection(lane, story)


def test_one_address_has_so_many_connections_and_no_more():
    async def told():
        config = uvicorn.Config(
            application,
            http=bounded_by(HttpBounds(connections_per_address=1)),
            ws="none",
            lifespan="off",
            log_config=None,
        )
        config.load()
        wires = [Wire() for _ in range(3)]
        made = [config.http_protocol_class(config=config, server_state=ServerState(), app_state={}) for _ in wires]
        made[0].connection_made(wires[0])
        made[1].connection_made(wires[1])
        assert wires[1].written.startswith(b"HTTP/1.1 503")
        made[1].connection_lost(None)
        made[0].connection_lost(None)
        made[2].connection_made(wires[2])
        assert not wires[2].closed

    asyncio.run(told())


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
