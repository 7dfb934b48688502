"""A TLS listener counts what has not shaken hands, and ends it in time."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from taskstream.compose.server.tls_listener import TlsListener
from tests.waiting import wait_until


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def listener(clock: Clock) -> Iterator[TlsListener]:
    plain = socket.socket()
    plain.bind(("127.0.0.1", 0))
    plain.listen()
    with TlsListener(plain, connections=3, per_address=2, handshake_s=10, clock_s=clock) as made:
        yield made


def connect(listener: TlsListener, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(listener.getsockname(), source_address=(source, 0))


def test_a_connection_of_an_address_beyond_its_limit_is_closed(listener):
    with connect(listener), connect(listener), connect(listener) as third, connect(listener, "127.0.0.2"):
        first, second = listener.accept()[0], listener.accept()[0]
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        assert third.recv(1) == b""
        other = listener.accept()[0]
        assert listener.handshakes == 3
        for each in (first, second, other):
            each.close()
        assert listener.handshakes == 0


def test_a_connection_beyond_the_limit_of_all_is_closed(listener):
    sources = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3"]
    clients = [connect(listener, source) for source in sources]
    accepted = [listener.accept()[0] for _ in range(3)]
    with pytest.raises(ConnectionAbortedError):
        listener.accept()
    accepted[0].close()
    with connect(listener, "127.0.0.3"):
        accepted.append(listener.accept()[0])
    for each in clients + accepted:
        each.close()


def test_a_handshake_that_takes_too_long_is_ended_and_no_other_connection(listener, clock):
    with connect(listener) as slow, connect(listener) as quick:
        accepted = {each.getpeername(): each for each in (listener.accept()[0], listener.accept()[0])}
        listener.established(accepted[quick.getsockname()].fileno())
        clock.now_s = 10.5
        listener.sweep()
        assert listener.handshakes == 0
        assert slow.recv(1) == b""
        accepted[quick.getsockname()].sendall(b"x")
        assert quick.recv(1) == b"x"
        for each in accepted.values():
            each.close()


def test_a_client_that_is_gone_already_is_no_error(listener, clock):
    connect(listener).close()
    accepted = listener.accept()[0]
    clock.now_s = 10.5
    wait_until(lambda: not listener.sweep() and not listener.handshakes)
    accepted.close()
