"""A field that the reader lacks may have any type: both codecs skip it, and reject a record that breaks in it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from taskstream.schemas.catalog import Schema, named
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.codec.record_codec import RecordReader, plain
from taskstream.schemas.codec.wire_format import Reason, header
from taskstream.schemas.errors import Undecodable
from tests.schemas.codec.records import Ids, altered, comparable, encode, minimal, rows_of, varint

V2 = named("ProgressReported.v2")
NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "label", "type": "string"}, {"name": "next", "type": ["null", "Node"]}],
}
UNKNOWN_FIELDS: list[tuple[Any, Any]] = [
    ({"type": "map", "values": "string"}, {"a": "b", "c": ""}),
    ({"type": "map", "values": {"type": "array", "items": "bytes"}}, {"a": [b"1", b""], "c": []}),
    (["null", "int", "string"], "text"),
    (["null", "int", "string"], None),
    ("bytes", b"\0\xff"),
    ("null", None),
    ({"type": "array", "items": "string"}, ["a", "b"]),
    (["null", {"type": "array", "items": "long"}], [1, 2]),
    ({"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}, "BLUE"),
    ({"type": "fixed", "name": "Digest", "size": 4}, b"abcd"),
    ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, b"\1\2"),
    (NODE, {"label": "a", "next": {"label": "b", "next": None}}),
]


def with_field(avro_type: Any) -> Schema:
    """A schema with a field of this type at its end."""
    definition = V2.definition
    definition["fields"].append({"name": "extra", "type": avro_type})
    return Schema(V2.name, 3, json.dumps(definition))


def written(avro_type: Any, value: Any) -> tuple[Ids, bytes]:
    """The ids with a schema that has a field of this type at its end, and a record of it."""
    schema = with_field(avro_type)
    out = io.BytesIO()
    schemaless_writer(
        out,
        parse_schema({"type": "record", "name": "Extra", "fields": [{"name": "e", "type": avro_type}]}),
        {"e": value},
    )
    return Ids({77: schema}), header(77) + encode(V2, 2, minimal(V2))[5:] + out.getvalue()


@pytest.mark.parametrize(("avro_type", "value"), UNKNOWN_FIELDS, ids=[str(each[0])[:50] for each in UNKNOWN_FIELDS])
def test_a_field_of_any_type_is_skipped(avro_type, value):
    ids, wire = written(avro_type, value)
    old = encode(V2, 2, minimal(V2))

    decoded = ColumnReader(ids, V2.name).read([wire, old, wire])

    assert decoded.rejected == []
    assert rows_of(decoded.batch) == [comparable(minimal(V2))] * 3
    assert comparable(RecordReader(ids, V2.name).read(wire)) == comparable(minimal(V2))


def test_a_field_before_those_that_are_read_is_cut_out():
    schema = altered(V2, 3, {"name": "tags", "type": {"type": "map", "values": "long"}})
    ids = Ids({77: schema})
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(plain(schema.definition)), {**minimal(V2), "task_id": "t-1", "tags": {"a": 1}})
    wire = header(77) + out.getvalue()

    assert rows_of(ColumnReader(ids, V2.name).read([wire]).batch)[0]["task_id"] == "t-1"
    assert RecordReader(ids, V2.name).read(wire)["task_id"] == "t-1"


NESTED = b"\0\2" * 200 + b"\0\0"
BROKEN: list[tuple[Any, bytes, Reason]] = [
    ({"type": "map", "values": "string"}, varint(1), Reason.TRUNCATED),
    ({"type": "map", "values": "string"}, varint(1 << 40) + b"\0\0", Reason.TRUNCATED),
    ({"type": "array", "items": "null"}, varint(1 << 62) + b"\0", Reason.TRUNCATED),
    ({"type": "array", "items": "string"}, varint(-1) + varint(9) + b"\0\0", Reason.INVALID),
    (["null", "int", "string"], varint(3), Reason.INVALID),
    ({"type": "enum", "name": "Colour", "symbols": ["RED"]}, varint(1), Reason.INVALID),
    ("bytes", varint(-1), Reason.INVALID),
    ("bytes", varint(0) + b"\0", Reason.TRAILING),
    (NODE, NESTED, Reason.INVALID),
]


@pytest.mark.parametrize(
    ("avro_type", "raw", "reason"), BROKEN, ids=[f"{each[2]} {str(each[0])[:40]}" for each in BROKEN]
)
def test_a_record_that_breaks_in_a_skipped_field_has_its_reason(avro_type, raw, reason):
    ids = Ids({77: with_field(avro_type)})
    good = encode(V2, 2, minimal(V2))
    bad = header(77) + good[5:] + raw

    decoded = ColumnReader(ids, V2.name).read([good, bad, good])

    assert [(each.index, each.reason) for each in decoded.rejected] == [(1, reason)]
    assert rows_of(decoded.batch) == [comparable(minimal(V2))] * 2
    with pytest.raises(Undecodable) as raised:
        RecordReader(ids, V2.name).read(bad)
    assert raised.value.reason == reason
