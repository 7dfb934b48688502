"""How a connection is closed so that the other side can read why. It knows no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LINGER_S: Final = 2.0
LINGER_BYTES: Final = 16 * 1024 * 1024


class LingeringClose:
    """A transport whose `close` lets the other side read our answer while it still sends.

    To close a socket with unread bytes in it resets the connection, and the answer may be lost with it. So our side
    is closed, and what still comes is thrown away, for a bounded time and amount.
    """

    def __init__(self, transport: asyncio.Transport, nothing_to_come: Callable[[], bool]) -> None:
        self._transport = transport
        self._nothing_to_come = nothing_to_come
        self._left_bytes = LINGER_BYTES
        self.closing = False
        self.write = transport.write
        self.abort = transport.abort
        self.pause_reading = transport.pause_reading
        self.get_extra_info = transport.get_extra_info

    def resume_reading(self) -> None:
        """As the transport's, unless it is closing."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def is_closing(self) -> bool:
        """Whether nothing more is answered."""
        return self.closing or self._transport.is_closing()

    def close(self) -> None:
        """At once if nothing of a request is still to come, else when it came or was thrown away long enough."""
        if self.closing:
            return
        self.closing = True
        if self._nothing_to_come() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)

    def discard(self, size: int) -> None:
        """Count what came and was not read."""
        self._left_bytes -= size
        if self._left_bytes < 0:
            self._transport.abort()
