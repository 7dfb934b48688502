"""The listening socket of a TLS server: a connection counts from its first packet on, and its handshake has a limit.

asyncio creates a connection's protocol when the handshake is done, so that the protocol's own limits come too late for
a client that begins many handshakes and completes none. It knows no HTTP.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any


class AcceptedSocket(socket.socket):
    """One accepted connection; `on_close` is called once, when it is closed."""

    on_close: Callable[[], None] | None = None

    def close(self) -> None:
        """Close it, and call `on_close`."""
        on_close, self.on_close = self.on_close, None
        super().close()
        if on_close is not None:
            on_close()


class TlsListener(socket.socket):
    """Takes the place of `listener`, and accepts its connections within these limits.

    connections, per_address: open at the same time, in all and of one client address, handshakes included; a
    connection beyond is closed at once. `per_address` 0: no limit. handshake_s: how long a handshake may take.
    """

    def __init__(
        self,
        listener: socket.socket,
        connections: int,
        per_address: int,
        handshake_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self._connections = connections
        self._per_address = per_address
        self._handshake_s = handshake_s
        self._clock_s = clock_s
        self._open: Counter[str] = Counter()
        self._handshakes: dict[int, tuple[AcceptedSocket, float]] = {}
        """[file descriptor] the socket and when it was accepted, until its handshake is done."""

    @property
    def handshakes(self) -> int:
        """How many handshakes are in progress."""
        return len(self._handshakes)

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection, as `socket.accept`.

        Raises:
            ConnectionAbortedError: it was beyond a limit, and is closed; asyncio then waits for the next one.
        """
        plain, peer = super().accept()
        address = str(peer[0])
        if self._open.total() >= self._connections or 0 < self._per_address <= self._open[address]:
            plain.close()
            raise ConnectionAbortedError
        accepted = AcceptedSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        number = accepted.fileno()
        accepted.on_close = lambda: self._forget(number, address)
        self._open[address] += 1
        self._handshakes[number] = accepted, self._clock_s()
        return accepted, peer

    def established(self, number: int) -> None:
        """The handshake of the connection with this file descriptor is done."""
        self._handshakes.pop(number, None)

    def sweep(self) -> None:
        """End the connections whose handshake takes too long; asyncio then closes them."""
        now_s = self._clock_s()
        for number, (accepted, since_s) in list(self._handshakes.items()):
            if now_s - since_s > self._handshake_s:
                del self._handshakes[number]
                with contextlib.suppress(OSError):  # the client was quicker
                    accepted.shutdown(socket.SHUT_RDWR)

    def _forget(self, number: int, address: str) -> None:
        self._handshakes.pop(number, None)
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
