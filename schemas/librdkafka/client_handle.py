"""librdkafka's handle of a client of confluent-kafka: the first member of the client object.

That is no interface, so only the versions in KNOWN are trusted.
"""

from __future__ import annotations

import ctypes
from typing import Final, NamedTuple

from confluent_kafka import Consumer, Producer

from taskstream.schemas.librdkafka.library import librdkafka


class KnownVersion(NamedTuple):
    """What a version of confluent-kafka brings."""

    native: int
    """rd_kafka_version()."""
    client_bytes: int
    """The size of a client object."""


KNOWN: Final = {"2.13.2": KnownVersion(0x020D02FF, 144), "2.16.0": KnownVersion(0x021000FF, 176)}
"""Versions of confluent-kafka whose clients begin with the handle."""


def native_version() -> int:
    """rd_kafka_version() of the library that is loaded; see `LibRdKafka` for errors."""
    version: int = librdkafka().call["rd_kafka_version"]()
    return version


def handle_in(client: Consumer | Producer, kind: int) -> int | None:
    """The rd_kafka_t* of an open client of this rd_kafka_type_t; None: it is closed. Its version must be known."""
    handle = ctypes.c_void_p.from_address(id(client) + object.__basicsize__).value
    return handle if handle and librdkafka().call["rd_kafka_type"](handle) == kind else None
