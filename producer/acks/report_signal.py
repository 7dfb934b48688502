"""A file descriptor that librdkafka makes readable when a producer has delivery reports: the event loop need not poll.

It needs a version of confluent-kafka that is known; with others there is no signal.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import confluent_kafka
from confluent_kafka import Producer

from taskstream.schemas.librdkafka.client_handle import KNOWN, handle_in, native_version
from taskstream.schemas.librdkafka.library import PRODUCER, librdkafka

_ONE: Final = (1).to_bytes(8, sys.byteorder)
"""What is written to the descriptor, an eventfd."""


class ReportSignal:
    """The descriptor `fd` of one open producer: `clear` it, then poll the producer. `close` it before the producer."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._send_to(self.fd)

    def clear(self) -> None:
        """Make the descriptor unreadable until the next report. A report that comes before the poll is in the poll."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return

    def close(self) -> None:
        """End the signals, and close the descriptor."""
        if self.fd >= 0:
            self._send_to(-1)
            os.close(self.fd)
            self.fd = -1

    def _send_to(self, fd: int) -> None:
        call = librdkafka().call
        queue = call["rd_kafka_queue_get_main"](self._handle)
        call["rd_kafka_queue_io_event_enable"](queue, fd, _ONE, len(_ONE))
        call["rd_kafka_queue_destroy"](queue)


def report_signal(producer: object, version: str | None = None) -> ReportSignal | None:
    """The signal of an open producer; None: with this producer, version or platform there is none, and it is polled."""
    if not isinstance(producer, Producer) or not hasattr(os, "eventfd"):
        return None
    known = KNOWN.get(version or str(confluent_kafka.__version__))
    if known is None or Producer.__basicsize__ != known.client_bytes:
        return None
    try:
        native = native_version()
    except (OSError, AttributeError):
        return None
    handle = handle_in(producer, PRODUCER) if native == known.native else None
    return None if handle is None else ReportSignal(handle)
