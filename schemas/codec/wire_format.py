"""Confluent's wire format: a zero byte, the schema id in four bytes (big-endian), then Avro. It knows no schema.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from __future__ import annotations

import enum
import struct

from taskstream.schemas.errors import Undecodable

MAGIC = 0
HEADER_SIZE = 5
_HEADER = struct.Struct(">BI")


class Reason(enum.StrEnum):
    """Why a value cannot be decoded or is not folded. The strings appear in the rejected topic's headers."""

    EMPTY = "empty"
    MAGIC = "wrong_magic_byte"
    UNKNOWN_SCHEMA = "unknown_schema_id"
    UNRESOLVABLE = "unresolvable_schema"
    """The writer's schema cannot be resolved to the newest schema of the record."""
    TRUNCATED = "truncated"
    TRAILING = "trailing_bytes"
    UTF8 = "invalid_utf8"
    INVALID = "invalid_avro"
    """A union branch, boolean, integer or length is outside the range that the schema allows."""
    OTHER_RECORD = "other_record"
    """The schema id belongs to another record than the topic holds."""
    OUT_OF_BOUNDS = "out_of_bounds"
    """The record can be decoded; a time, number, name or text in it is not one that a report can have."""
    TOO_MANY_TASKS = "too_many_tasks"
    """The report is of a new task, and its project has as many live tasks as its limit."""


def header(schema_id: int) -> bytes:
    """The five bytes before a record of this schema."""
    return _HEADER.pack(MAGIC, schema_id)


def split(wire: bytes) -> int:
    """The schema id in the header of a framed record.

    Raises:
        Undecodable: the value is empty, shorter than a header, or begins with another byte than zero.
    """
    if not wire:
        raise Undecodable(Reason.EMPTY, "the value is empty")
    if wire[0] != MAGIC:
        raise Undecodable(Reason.MAGIC, f"the first byte is 0x{wire[0]:02x}, not 0x00")
    if len(wire) < HEADER_SIZE:
        raise Undecodable(Reason.TRUNCATED, f"{len(wire)} bytes are fewer than the header's {HEADER_SIZE}")
    schema_id: int = _HEADER.unpack_from(wire)[1]
    return schema_id
