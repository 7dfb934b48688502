"""Accepts the connections of a TLS server: a connection counts from its first packet on, and its handshake has a limit.

A server of asyncio or uvloop creates a connection's protocol when the handshake is done, so that the protocol's own
limits come too late for a client that begins many handshakes and completes none. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping

_OUT_OF_FILES_PAUSE_S = 1.0
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class TlsAcceptor:
    """Accepts connections of `listener` from `start` to `close`.

    established: [client address] the connections whose handshake is done, kept by the protocol. connections,
    per_address: open at the same time, in all and of one client address, handshakes included; a connection beyond is
    closed at once. `per_address` 0: no limit. handshake_s: how long a handshake may take.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        new_protocol: Callable[[], asyncio.Protocol],
        established: Mapping[str, int],
        connections: int,
        per_address: int,
        handshake_s: float,
    ) -> None:
        self._listener = listener
        self._context = context
        self._new_protocol = new_protocol
        self._established = established
        self._connections = connections
        self._per_address = per_address
        self._handshake_s = handshake_s
        self._handshakes: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def handshakes(self) -> int:
        """How many handshakes are in progress."""
        return self._handshakes.total()

    def start(self) -> None:
        """Begin to accept; call this in the event loop."""
        self._listener.settimeout(0)
        self._begin(self._accept())

    def close(self) -> None:
        """Accept no more, and end the handshakes in progress."""
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(self._listener)
            except OSError as error:  # the client was gone already, or this process has too many files open
                await asyncio.sleep(_OUT_OF_FILES_PAUSE_S if error.errno in _OUT_OF_FILES else 0)
                continue
            if self._has_room(str(peer[0])):
                self._begin(self._shake_hands(accepted, str(peer[0])))
            else:
                accepted.close()

    def _has_room(self, address: str) -> bool:
        in_all = sum(self._established.values()) + self._handshakes.total()
        of_address = self._established.get(address, 0) + self._handshakes[address]
        return in_all < self._connections and not 0 < self._per_address <= of_address

    async def _shake_hands(self, accepted: socket.socket, address: str) -> None:
        self._handshakes[address] += 1
        try:
            with contextlib.suppress(OSError):  # TLS errors and timeouts are among them; the connection is closed
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._new_protocol, accepted, ssl=self._context, ssl_handshake_timeout=self._handshake_s
                )
        finally:
            self._handshakes[address] -= 1
            if not self._handshakes[address]:
                del self._handshakes[address]
