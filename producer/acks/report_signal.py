"""A file descriptor that librdkafka makes readable when a producer has delivery reports: the event loop need not poll.

It calls public functions of the librdkafka that confluent-kafka has loaded, with the handle that a client object begins
with. Only versions that this was tested with are trusted; there is no signal with others. The functions: https://github.com/confluentinc/librdkafka/blob/v2.15.0/src/rdkafka.h
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any, Final

import confluent_kafka
from confluent_kafka import Producer, cimpl

TESTED: Final = {"2.13.2": (0x020D02FF, 144), "2.16.0": (0x021000FF, 176)}
"""Versions of confluent-kafka, each with the rd_kafka_version() that it brings, and the bytes of a client object."""
_PRODUCER: Final = 0
"""rd_kafka_type_t."""
_ONE: Final = (1).to_bytes(8, sys.byteorder)
"""What is written to the descriptor, an eventfd."""
_POINTER: Final = ctypes.c_void_p
_FUNCTIONS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "rd_kafka_version": (ctypes.c_int, []),
    "rd_kafka_type": (ctypes.c_int, [_POINTER]),
    "rd_kafka_queue_get_main": (_POINTER, [_POINTER]),
    "rd_kafka_queue_destroy": (None, [_POINTER]),
    "rd_kafka_queue_io_event_enable": (None, [_POINTER, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]),
}


class ReportSignal:
    """The descriptor `fd` of one open producer: `clear` it, then poll the producer. `close` it before the producer."""

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library = library
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
        queue = self._library.rd_kafka_queue_get_main(self._handle)
        self._library.rd_kafka_queue_io_event_enable(queue, fd, _ONE, len(_ONE))
        self._library.rd_kafka_queue_destroy(queue)


def report_signal(producer: object, version: str | None = None) -> ReportSignal | None:
    """The signal of an open producer; None: with this producer, version or platform there is none, and it is polled."""
    if not isinstance(producer, Producer) or not hasattr(os, "eventfd"):
        return None
    version = version or str(confluent_kafka.__version__)
    native_version, client_bytes = TESTED.get(version, (0, 0))
    if Producer.__basicsize__ != client_bytes:
        return None
    try:
        library = ctypes.CDLL(cimpl.__file__)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    if library.rd_kafka_version() != native_version:
        return None
    handle = _POINTER.from_address(id(producer) + object.__basicsize__).value
    if not handle or library.rd_kafka_type(handle) != _PRODUCER:
        return None
    return ReportSignal(library, handle)
