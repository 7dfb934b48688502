"""Confluent's framing: a zero byte, the schema id in four bytes (big-endian), then Avro. It knows no schema."""

from __future__ import annotations

import enum
import struct

from taskstream.schemas.errors import Undecodable

MAGIC = 0
HEADER_SIZE = 5
_HEADER = struct.Struct(">BI")


class Reason(enum.StrEnum):
    """Why bytes are no record of ours: the words in the rejected topic's headers and in the metrics."""

    EMPTY = "empty"
    MAGIC = "wrong_magic_byte"
    UNKNOWN_SCHEMA = "unknown_schema_id"
    UNRESOLVABLE = "unresolvable_schema"
    """A schema of this record that cannot be read as the newest one known here."""
    TRUNCATED = "truncated"
    TRAILING = "trailing_bytes"
    UTF8 = "invalid_utf8"
    INVALID = "invalid_avro"
    """A union branch, a boolean, a number or a length that the schema does not allow."""
    OTHER_RECORD = "other_record"
    """A schema that we know, of another record than this topic holds."""


def header(schema_id: int) -> bytes:
    """The five bytes that stand before a record of this schema."""
    return _HEADER.pack(MAGIC, schema_id)


def split(wire: bytes) -> int:
    """The schema id of a framed record.

    Raises:
        Undecodable: nothing there, shorter than a header, or another magic byte.
    """
    if not wire:
        raise Undecodable(Reason.EMPTY, "the value has no bytes")
    if wire[0] != MAGIC:
        raise Undecodable(Reason.MAGIC, f"the first byte is 0x{wire[0]:02x} and should be 0x00")
    if len(wire) < HEADER_SIZE:
        raise Undecodable(Reason.TRUNCATED, f"{len(wire)} bytes cannot hold the header of {HEADER_SIZE}")
    schema_id: int = _HEADER.unpack_from(wire)[1]
    return schema_id
