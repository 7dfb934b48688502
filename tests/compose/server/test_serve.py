"""A server with an application of a few lines, in a process of its own: what is overridden in uvicorn's server works.

`make check-lowest` runs this on the oldest uvicorn that pyproject.toml allows.
"""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import LIMIT_S, wait_until

SERVER = """
import asyncio, sys, threading
from taskstream.compose.cli.output.logs import log_to_standard_error
from taskstream.compose.server.bounded_http import HttpBounds
from taskstream.compose.server.serve import Serving, bind, serve

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            await send({"type": f"lifespan.{phase}.complete"})
        print("application ended", flush=True)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    if scope["path"] == "/drained":
        print("in flight", flush=True)
        await asyncio.to_thread(stopping.wait)
        await asyncio.sleep(0.5)  # the server notices it within 0.1 s
    if scope["path"] == "/broken":
        token = "a-secret-token"
        raise ValueError(f"it holds {token} and \\x1b[31m")
    if scope["path"] == "/unbounded":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"two "):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"three"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

stopping = threading.Event()

def on_drain():
    stopping.set()
    print("drain", flush=True)

log_to_standard_error()
serving = Serving(drain_delay_s=0.2, drain_timeout_s=20, bounds=HttpBounds(header_bytes=2000, request_s=float(sys.argv[1])))
listener = bind(serving)
print(listener.getsockname()[1], flush=True)
code = serve(app, listener, serving, on_drain)
print("exit code", code, flush=True)
sys.exit(code)
"""


class Server:
    def __init__(self, folder: Path, request_s: float) -> None:
        """request_s: the time that the server gives each request."""
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(request_s)], stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.port = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)


@pytest.fixture
def request_s() -> float:
    """More than a client of these tests needs, also one that stands still between the head and the body."""
    return LIMIT_S


@pytest.fixture
def server(tmp_path: Path, request_s: float) -> Iterator[Server]:
    running = Server(tmp_path, request_s)
    yield running
    running.process.kill()
    running.process.communicate()


def response(connection: http.client.HTTPConnection) -> tuple[int, bytes, str | None]:
    got = connection.getresponse()
    return got.status, got.read(), got.headers["connection"]


def test_requests_follow_each_other_on_one_connection_until_the_client_closes_it(server):
    connection = server.connect()
    connection.request("PUT", "/", b"first")
    assert response(connection) == (200, b"first", None)
    connection.request("PUT", "/", b"second", {"Connection": "close"})
    assert response(connection) == (200, b"second", "close")


def test_a_response_of_unknown_length_has_no_chunks_for_http_1_0_which_does_not_know_them(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as wire:
        wire.sendall(b"GET /unbounded HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        head, _, body = b"".join(iter(lambda: wire.recv(65536), b"")).partition(b"\r\n\r\n")
    assert (body, b"transfer-encoding" in head, b"connection: close" in head) == (b"one two three", False, True)
    connection = server.connect()
    connection.request("GET", "/unbounded")
    assert response(connection)[1] == b"one two three"


def test_requests_that_come_at_once_are_answered_in_their_order(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as wire:
        wire.sendall(
            b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\na"
            b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\nconnection: close\r\n\r\nb"
        )
        answers = b"".join(iter(lambda: wire.recv(65536), b""))
    assert [part[-1:] for part in answers.split(b"HTTP/1.1 200")[1:]] == [b"a", b"b"]


def test_headers_beyond_the_bound_are_refused_and_the_connection_is_closed(server):
    connection = server.connect()
    connection.request("GET", "/", headers={"X-Long": "x" * 3000})
    status, body, closes = response(connection)
    assert (status, closes) == (431, "close")
    assert b"2000 bytes" in body


@pytest.mark.slow
@pytest.mark.parametrize("request_s", [0.5])
def test_a_request_that_does_not_end_is_refused_in_time(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as wire:
        wire.sendall(b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nabc")
        assert wire.recv(65536).startswith(b"HTTP/1.1 408")


def test_an_error_of_ours_shows_its_place_in_the_log_and_nothing_else_anywhere(server):
    connection = server.connect()
    connection.request("PUT", "/broken", b"body")
    status, body, _ = response(connection)
    assert (status, body) == (500, b"Internal Server Error")
    wait_until(lambda: "in app" in server.log.read_text())
    log = server.log.read_text()
    assert "ValueError" in log
    assert not [word for word in ("secret", "it holds", "\x1b", "Traceback") if word in log]
    connection = server.connect()
    connection.request("PUT", "/", b"goes on")
    assert response(connection)[:2] == (200, b"goes on")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_is_in_flight_and_ends_the_application(server, number):
    connection, idle = server.connect(), server.connect()
    idle.request("PUT", "/", b"before")
    assert response(idle) == (200, b"before", None)
    connection.request("PUT", "/drained", b"in flight")
    assert server.line() == "in flight"
    server.process.send_signal(number)
    assert server.line() == "drain"
    assert response(connection) == (200, b"in flight", "close")
    assert [server.line(), server.line()] == ["application ended", "exit code 0"]
    assert server.process.wait(300) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
