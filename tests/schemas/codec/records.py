"""Records of any schema, drawn by hypothesis; a hand-written Avro encoder; and conversions between rows and batches.

The encoder shares no code with fastavro or the compiled loops, and can write an array in several blocks, with or
without their sizes, as Avro allows.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from taskstream.schemas.catalog import Schema, newest, released
from taskstream.schemas.codec.wire_format import header
from taskstream.schemas.ids import TableIds

IDS = TableIds()
NAMES = sorted({schema.name for schema in released()})

texts = st.text(max_size=40) | st.sampled_from(["", "\0", "é", "日本語", "😀" * 9, "\U0010ffff", "\ud7ff\ue000"])
longs = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([-(1 << 63), (1 << 63) - 1, -1, 0, 63, 64, -64, -65])
_PLAIN = {
    "int": st.integers(-(1 << 31), (1 << 31) - 1) | st.sampled_from([-(1 << 31), (1 << 31) - 1]),
    "long": longs,
    "double": st.floats(),
    "float": st.floats(width=32),
    "boolean": st.booleans(),
    "string": texts,
}


class Ids:
    """The released schemas' ids plus ids for test schemas, as a registry would return them."""

    def __init__(self, more: Mapping[int, Schema]) -> None:
        self._more = more

    def id_of(self, schema: Schema) -> int:
        return next((number for number, each in self._more.items() if each == schema), None) or IDS.id_of(schema)

    def schema_of(self, schema_id: int) -> Schema:
        return self._more.get(schema_id) or IDS.schema_of(schema_id)


def altered(schema: Schema, version: int, *added: dict[str, Any], without: str | None = None, **types: Any) -> Schema:
    """A schema of the same record with fields added in front, one left out, or other types for some."""
    definition = schema.definition
    fields = [each | ({"type": types[each["name"]]} if each["name"] in types else {}) for each in definition["fields"]]
    definition["fields"] = [*added, *(each for each in fields if each["name"] != without)]
    return Schema(schema.name, version, json.dumps(definition))


def records(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Any record of the schema, timestamps as integers."""
    return st.fixed_dictionaries({each["name"]: values(each["type"]) for each in schema.definition["fields"]})


def values(avro_type: Any) -> st.SearchStrategy[Any]:
    """Any value of an Avro type that our schemas use."""
    if isinstance(avro_type, list):
        return st.one_of([st.none() if branch == "null" else values(branch) for branch in avro_type])
    if isinstance(avro_type, dict) and avro_type["type"] == "array":
        return st.lists(longs, max_size=35)
    return _PLAIN[avro_type["type"] if isinstance(avro_type, dict) else avro_type]


def minimal(schema: Schema) -> dict[str, Any]:
    """A record of empty, zero, false and null values."""
    least = {"string": "", "boolean": False, "array": [], "double": 0.0, "float": 0.0}
    record: dict[str, Any] = {}
    for each in schema.definition["fields"]:
        kind = each["type"]
        kind = kind["type"] if isinstance(kind, dict) else kind
        record[each["name"]] = None if isinstance(kind, list) else least.get(kind, 0)
    return record


def encode(schema: Schema, schema_id: int, record: Mapping[str, Any], block: int = 0, **raw: bytes) -> bytes:
    """A framed record; arrays in blocks of abs(block) items, with block sizes if `block` is negative.

    A field in `raw` is replaced by the given bytes.
    """
    out = header(schema_id)
    for each in schema.definition["fields"]:
        name = each["name"]
        out += raw[name] if name in raw else _encode(each["type"], record[name], block)
    return out


def varint(value: int) -> bytes:
    """Avro's zigzag varint."""
    bits = value * 2 if value >= 0 else -value * 2 - 1
    out = bytearray()
    while bits > 127:
        out.append(bits % 128 + 128)
        bits //= 128
    return bytes([*out, bits])


def _encode(avro_type: Any, value: Any, block: int) -> bytes:
    if isinstance(avro_type, list):
        branch = next(place for place, each in enumerate(avro_type) if (each == "null") == (value is None))
        return varint(branch) + (b"" if value is None else _encode(avro_type[branch], value, block))
    kind = avro_type["type"] if isinstance(avro_type, dict) else avro_type
    if kind == "array":
        return _encode_array(value, block)
    if kind == "string":
        return varint(len(value.encode())) + value.encode()
    if kind == "boolean":
        return bytes([value])
    if kind in ("double", "float"):
        return struct.pack("<d" if kind == "double" else "<f", value)
    return varint(value)


def _encode_array(items: list[int], block: int) -> bytes:
    size = abs(block) or max(len(items), 1)
    out = b""
    for start in range(0, len(items), size):
        chunk = items[start : start + size]
        content = b"".join(map(varint, chunk))
        out += varint(-len(chunk)) + varint(len(content)) if block < 0 else varint(len(chunk))
        out += content
    return out + b"\0"


def batch_of(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """The rows as a batch; timestamps are integers in the rows."""
    columns = []
    for field in schema:
        kind = pa.int64() if pa.types.is_timestamp(field.type) else field.type
        columns.append(pa.array([row[field.name] for row in rows], kind).cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The batch as comparable rows; timestamps as integers."""
    batch.validate(full=True)
    columns = [each.cast(pa.int64()) if pa.types.is_timestamp(each.type) else each for each in batch.columns]
    lists = [column.to_pylist() for column in columns]
    return [comparable(dict(zip(batch.schema.names, row, strict=True))) for row in zip(*lists, strict=True)]


def comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its doubles as bytes, so that NaN equals itself and -0.0 differs from 0.0."""
    return {name: struct.pack("<d", value) if isinstance(value, float) else value for name, value in record.items()}


def as_newest(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The record as a reader of the newest version decodes it."""
    fields = newest(name).definition["fields"]
    return comparable({each["name"]: record.get(each["name"], each.get("default")) for each in fields})
