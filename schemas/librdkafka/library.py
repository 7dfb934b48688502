"""The public functions of the librdkafka that confluent-kafka has loaded, called through ctypes.

It opens confluent-kafka's extension module, whose symbols include those of librdkafka. A call releases the
interpreter's lock. The header that declares the functions:
https://github.com/confluentinc/librdkafka/blob/v2.15.0/src/rdkafka.h
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from confluent_kafka import cimpl

POINTER, SIZE, INT, INT32, TEXT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int32, ctypes.c_char_p

PRODUCER, CONSUMER = 0, 1
"""rd_kafka_type_t."""
COPY = 0x2
"""RD_KAFKA_MSG_F_COPY."""
ANY_PARTITION = -1
DELIVERY_REPORTS = 0x1
"""RD_KAFKA_EVENT_DR."""
PURGE_QUEUED = 0x1
NO_TIMESTAMP = 0
"""RD_KAFKA_TIMESTAMP_NOT_AVAILABLE."""

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "rd_kafka_version": (INT, []),
    "rd_kafka_name": (TEXT, [POINTER]),
    "rd_kafka_type": (INT, [POINTER]),
    "rd_kafka_conf_new": (POINTER, []),
    "rd_kafka_conf_destroy": (None, [POINTER]),
    "rd_kafka_conf_set": (INT, [POINTER, TEXT, TEXT, POINTER, SIZE]),
    "rd_kafka_conf_set_events": (None, [POINTER, INT]),
    "rd_kafka_new": (POINTER, [INT, POINTER, POINTER, SIZE]),
    "rd_kafka_destroy": (None, [POINTER]),
    "rd_kafka_brokers_add": (INT, [POINTER, TEXT]),
    "rd_kafka_purge": (INT, [POINTER, INT]),
    "rd_kafka_topic_new": (POINTER, [POINTER, TEXT, POINTER]),
    "rd_kafka_topic_destroy": (None, [POINTER]),
    "rd_kafka_produceva": (POINTER, [POINTER, POINTER, SIZE]),
    "rd_kafka_error_code": (INT, [POINTER]),
    "rd_kafka_error_string": (TEXT, [POINTER]),
    "rd_kafka_error_destroy": (None, [POINTER]),
    "rd_kafka_queue_new": (POINTER, [POINTER]),
    "rd_kafka_queue_destroy": (None, [POINTER]),
    "rd_kafka_queue_get_main": (POINTER, [POINTER]),
    "rd_kafka_queue_get_partition": (POINTER, [POINTER, TEXT, INT32]),
    "rd_kafka_queue_forward": (None, [POINTER, POINTER]),
    "rd_kafka_queue_poll": (POINTER, [POINTER, INT]),
    "rd_kafka_queue_io_event_enable": (None, [POINTER, INT, TEXT, SIZE]),
    "rd_kafka_event_destroy": (None, [POINTER]),
    "rd_kafka_event_message_array": (SIZE, [POINTER, POINTER, SIZE]),
    "rd_kafka_consume_batch_queue": (ctypes.c_ssize_t, [POINTER, INT, POINTER, SIZE]),
    "rd_kafka_message_destroy": (None, [POINTER]),
    "rd_kafka_message_errstr": (TEXT, [POINTER]),
    "rd_kafka_message_timestamp": (ctypes.c_int64, [POINTER, POINTER]),
    "rd_kafka_message_headers": (INT, [POINTER, POINTER]),
    "rd_kafka_header_get_all": (INT, [POINTER, SIZE, POINTER, POINTER, POINTER]),
}


class LibRdKafka:
    """`call[name]` is a function of the library; `address(name)` is where its code is, for compiled loops.

    Raises:
        OSError: the extension module cannot be opened as a library.
        AttributeError: it does not have one of the functions.
    """

    def __init__(self) -> None:
        opened = ctypes.CDLL(cimpl.__file__)
        self.call: dict[str, Callable[..., Any]] = {}
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(opened, name)
            function.restype, function.argtypes = result, arguments
            self.call[name] = function

    def address(self, name: str) -> int:
        """The address of a function's code."""
        return ctypes.cast(self.call[name], POINTER).value or 0  # type: ignore[arg-type] # a function of ctypes


@functools.cache
def librdkafka() -> LibRdKafka:
    """The one library of this process; see `LibRdKafka` for its errors."""
    return LibRdKafka()
