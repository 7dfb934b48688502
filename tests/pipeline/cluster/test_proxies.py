"""The proxies of the chaos test do what they say, without a Kafka."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from taskstream.compose.local.ports import free_ports
from tests.pipeline.cluster.proxies import Harm, Proxies
from tests.waiting import wait_until


class Echo:
    """A server that sends back what it receives, and closes a connection when its client has."""

    def __init__(self, port: int) -> None:
        self.closed = 0
        self.received: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(100):
                    self.received.append(data)
                    connection.sendall(data)
            except OSError:
                pass
        self.closed += 1

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class Wire:
    """A client's connection through the proxy to an echo."""

    def __init__(self, port: int, echo: Echo, proxies: Proxies) -> None:
        self.echo = echo
        self._port = port
        self._proxies = proxies
        self.address = ("127.0.0.1", port)
        self.client = socket.create_connection(self.address, timeout=300)

    def kept_back(self) -> int:
        return self._proxies.kept_back(self._port)

    def harm(self, harm: Harm | None) -> None:
        self._proxies.harm([self._port], harm)

    def says(self, text: bytes) -> bytes:
        self.client.sendall(text)
        return self.client.recv(100)


@pytest.fixture
def wire() -> Iterator[Wire]:
    port, target = free_ports(2)
    with ExitStack() as at_end:
        echo = Echo(target)
        at_end.callback(echo.close)
        proxies = at_end.enter_context(Proxies({port: target}))
        made = Wire(port, echo, proxies)
        at_end.callback(made.client.close)
        assert made.says(b"first") == b"first"
        yield made


def test_a_muted_connection_keeps_what_was_sent_and_delivers_it_later(wire: Wire):
    wire.harm(Harm.MUTE)
    wire.client.sendall(b"held back")
    wire.client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        wire.client.recv(100)
    wire.client.settimeout(300)
    wire.harm(None)
    assert wire.client.recv(100) == b"held back"


def test_what_is_kept_back_is_overtaken_and_arrives_although_its_sender_has_gone(wire: Wire):
    wire.harm(Harm.LATE)
    wire.client.sendall(b"late")
    wire.client.close()
    wait_until(lambda: wire.kept_back() == 1)
    with socket.create_connection(wire.address, timeout=300) as other:
        other.sendall(b"new")
        assert other.recv(100) == b"new"
        assert wire.echo.received == [b"first", b"new"]
        wire.harm(None)
        wait_until(lambda: wire.echo.received == [b"first", b"new", b"late"])


def test_delayed_data_arrives(wire: Wire):
    wire.harm(Harm.DELAY)
    assert wire.says(b"late") == b"late"


def test_a_reset_reaches_both_sides(wire: Wire):
    wire.harm(Harm.RESET)
    with pytest.raises(ConnectionResetError):
        wire.client.recv(100)
    wait_until(lambda: wire.echo.closed == 1)


def test_a_half_closed_connection_is_dead_for_one_side_only(wire: Wire):
    wire.harm(Harm.HALF_CLOSE)
    wire.client.settimeout(0.2)

    def dead_for() -> str:
        if wire.echo.closed:
            return "broker"
        try:
            return "client" if wire.client.recv(100) == b"" else "nobody"
        except TimeoutError:
            return ""

    side = wait_until(dead_for)
    wire.harm(None)
    if side == "broker":  # the client is not told, and sends to nobody
        wire.client.sendall(b"lost")
        with pytest.raises(TimeoutError):
            wire.client.recv(100)
    else:
        assert side == "client"
        wire.client.sendall(b"still received")
        assert wire.echo.closed == 0


def test_a_client_that_ends_ends_its_broker_s_connection(wire: Wire):
    wire.client.close()
    wait_until(lambda: wire.echo.closed == 1)


def test_a_port_without_a_broker_refuses(wire: Wire):
    wire.echo.close()

    def is_refused() -> bool:
        with socket.create_connection(wire.address, timeout=300) as client:
            try:
                return client.recv(1) == b""
            except ConnectionResetError:
                return True

    assert is_refused()
