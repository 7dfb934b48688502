"""Closes a connection so that the peer can still read the last response. It knows no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LINGER_S: Final = 2.0
LINGER_BYTES: Final = 16 * 1024 * 1024


class LingeringClose:
    """A transport whose `close` lets the peer read our response while it still sends.

    Closing a socket that has unread bytes resets the connection, which may discard the response. So `close` shuts down
    our sending side only, and discards what still arrives, up to LINGER_S and LINGER_BYTES.
    """

    def __init__(self, transport: asyncio.Transport, request_complete: Callable[[], bool]) -> None:
        self._transport = transport
        self._request_complete = request_complete
        self._left_bytes = LINGER_BYTES
        self.closing = False
        self.write = transport.write
        self.abort = transport.abort
        self.pause_reading = transport.pause_reading
        self.get_extra_info = transport.get_extra_info

    @property
    def unwritten_bytes(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self._transport.get_write_buffer_size()

    def resume_reading(self) -> None:
        """Resume reading, unless the transport is closing."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def is_closing(self) -> bool:
        """Whether no further response is written."""
        return self.closing or self._transport.is_closing()

    def close(self) -> None:
        """Close at once if no request is incomplete, else after a bounded time of discarding input."""
        if self.closing:
            return
        self.closing = True
        if self._request_complete() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)

    def discard(self, size: int) -> None:
        """Count discarded bytes; abort the connection beyond LINGER_BYTES."""
        self._left_bytes -= size
        if self._left_bytes < 0:
            self._transport.abort()
