"""A TLS acceptor counts connections that have not shaken hands, and ends them in time; on asyncio's loop and on uvloop's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import uvloop

from taskstream.compose.server.tls_acceptor import TlsAcceptor
from tests.pipeline.edge.certificates import Authority
from tests.waiting import wait_until

NEVER_S = 3600.0


class Echo(asyncio.Protocol):
    """Sends back what comes, and counts itself as the HTTP protocol does."""

    def __init__(self, established: Counter[str]) -> None:
        self._established = established

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._established[transport.get_extra_info("peername")[0]] += 1

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._established[self._transport.get_extra_info("peername")[0]] -= 1


class Server:
    """An acceptor in a thread with an event loop of its own."""

    def __init__(self, pair, new_loop: Callable[[], asyncio.AbstractEventLoop], handshake_s: float) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        established: Counter[str] = Counter()
        self.acceptor = TlsAcceptor(self.listener, context, lambda: Echo(established), established, 5, 3, handshake_s)
        self.loop = new_loop()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.loop.call_soon(self.acceptor.start)
        self.loop.run_forever()
        self.loop.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        def stop() -> None:
            self.acceptor.close()
            self.loop.call_later(0.1, self.loop.stop)

        self.loop.call_soon_threadsafe(stop)
        self._thread.join()
        self.listener.close()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        client = socket.create_connection(self.listener.getsockname(), timeout=120, source_address=(source, 0))
        wait_until(lambda: self.acceptor.handshakes or is_closed(client))
        return client


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def server(request, authority) -> Iterator[Callable[[float], contextlib.AbstractContextManager[Server]]]:
    pair = authority.vouch_for("server")
    return lambda handshake_s: Server(pair, request.param, handshake_s)


def is_closed(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        return client.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except ConnectionError:
        return True
    finally:
        client.settimeout(120)


def shaken(client: socket.socket, authority: Authority) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(authority.file))
    return context.wrap_socket(client, server_hostname="127.0.0.1")


def test_handshakes_count_by_address_and_in_all(server, authority):
    with server(NEVER_S) as running, contextlib.ExitStack() as open_clients:

        def connect(source: str) -> socket.socket:
            return open_clients.enter_context(running.connect(source))

        silent = [connect("127.0.0.1") for _ in range(3)]
        wait_until(lambda: running.acceptor.handshakes == 3)
        assert connect("127.0.0.1").recv(1) == b""
        other = open_clients.enter_context(shaken(connect("127.0.0.2"), authority))
        other.sendall(b"x")
        assert other.recv(1) == b"x"
        silent.append(connect("127.0.0.2"))
        wait_until(lambda: running.acceptor.handshakes == 4)
        assert connect("127.0.0.3").recv(1) == b"", "five are open: one has shaken hands, four have not"
        assert not any(map(is_closed, silent))
        silent[0].close()
        wait_until(lambda: running.acceptor.handshakes == 3)
        again = open_clients.enter_context(shaken(connect("127.0.0.1"), authority))
        again.sendall(b"y")
        assert again.recv(1) == b"y"


def test_a_handshake_that_takes_too_long_is_ended_and_no_other_connection(server, authority):
    with (
        server(0.5) as running,
        shaken(running.connect("127.0.0.2"), authority) as good,
        running.connect() as silent,
    ):
        wait_until(lambda: is_closed(silent), limit_s=30)  # without the limit, the event loop waits for a minute
        good.sendall(b"x")
        assert good.recv(1) == b"x"


def test_garbage_and_a_client_that_leaves_are_no_error(server, authority, capfd):
    with server(NEVER_S) as running:
        with running.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
            wait_until(lambda: is_closed(client))
        running.connect().close()
        wait_until(lambda: running.acceptor.handshakes == 0)
        with shaken(running.connect(), authority) as good:
            good.sendall(b"x")
            assert good.recv(1) == b"x"
    assert "Traceback" not in capfd.readouterr().err
