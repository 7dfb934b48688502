"""One record to wire bytes and back, by fastavro: the reference that the columnar codec is tested against.

Timestamps are integers here, microseconds since 1970 UTC, as in the columns.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from taskstream.schemas.catalog import Schema, newest
from taskstream.schemas.codec import wire_format
from taskstream.schemas.codec.read_plan import BOOLEAN, DOUBLE, INT, LONG, LONGS, Column, ReadPlan, columns_of, plan_for
from taskstream.schemas.codec.record_walk import INT_BOUND, LONG_BOUND, walk
from taskstream.schemas.errors import Unencodable
from taskstream.schemas.ids import SchemaIds


class RecordWriter:
    """Writes records of one schema."""

    def __init__(self, ids: SchemaIds, schema: Schema) -> None:
        self._header = wire_format.header(ids.id_of(schema))
        self._schema = parse_schema(plain(schema.definition))
        self._title = schema.title
        self._columns = columns_of(schema)
        self._names = frozenset(column.name for column in self._columns)

    def write(self, record: Mapping[str, Any]) -> bytes:
        """The record's wire bytes; a field that may be null may be left out.

        Raises:
            Unencodable: a field is missing, one is none of the schema's, or a value does not fit.
        """
        if strange := record.keys() - self._names:
            raise Unencodable(f"{self._title} has no field {', '.join(sorted(map(str, strange)))}")
        for column in self._columns:
            value = record.get(column.name)
            if not (column.nullable if value is None else _fits(column.kind, value)):
                raise Unencodable(f"{self._title}: {column.name} is {value!r}, and should be {_wanted(column)}")
        out = io.BytesIO()
        out.write(self._header)
        try:
            schemaless_writer(out, self._schema, record)
        except (ValueError, OverflowError) as error:  # half a surrogate pair; an integer that no double holds
            raise Unencodable(f"this record does not fit {self._title}: {error}") from error
        return out.getvalue()


class RecordReader:
    """Reads records of one name, whatever the version they were written in, as its newest version."""

    def __init__(self, ids: SchemaIds, name: str) -> None:
        self._ids = ids
        self._name = name
        self._columns = columns_of(newest(name))
        self._definition = plain(newest(name).definition, defaults=False)
        self._reader = parse_schema(plain(newest(name).definition))
        self._written: dict[int, _Written] = {}

    def read(self, framed: bytes | None) -> dict[str, Any]:
        """The record. None is read as no bytes.

        Raises:
            Undecodable: these bytes are no record of this name; the reason says why.
            RegistryFailed: the schema id had to be looked up and the registry did not answer.
        """
        framed = framed or b""
        written = self._written_in(wire_format.split(framed))
        walk(framed, written.plan)
        body = io.BytesIO(framed)
        body.seek(wire_format.HEADER_SIZE)
        record = schemaless_reader(body, written.schema, None if written.is_newest else self._reader)
        assert isinstance(record, dict), "what was walked is a record"
        return record

    def _written_in(self, schema_id: int) -> _Written:
        if schema_id not in self._written:
            schema, plan = plan_for(self._ids, schema_id, self._name, self._columns)
            definition = plain(schema.definition, defaults=False)
            self._written[schema_id] = _Written(plan, parse_schema(definition), definition == self._definition)
        return self._written[schema_id]


@dataclass(frozen=True, slots=True)
class _Written:
    """What is kept of a schema that records were written in."""

    plan: ReadPlan
    schema: Any
    is_newest: bool


def plain(definition: dict[str, Any], *, defaults: bool = True) -> dict[str, Any]:
    """What of a schema decides the bytes: without logical types, so that fastavro gives and takes integers.

    The name goes too: of which record a schema is has been looked at before, and its namespace is nobody's concern.
    The defaults are only needed for what we write and read to; a stranger's may be anything.
    """
    fields = []
    for each in definition["fields"]:
        field = {"name": each["name"], "type": _plain_type(each["type"])}
        fields.append(field | ({"default": each["default"]} if defaults and "default" in each else {}))
    return {"type": "record", "name": "Record", "fields": fields}


def _plain_type(avro_type: Any) -> Any:
    if isinstance(avro_type, list):
        return [_plain_type(branch) for branch in avro_type]
    if isinstance(avro_type, dict) and "logicalType" in avro_type:
        return avro_type["type"]
    return avro_type


def _fits(kind: int, value: Any) -> bool:
    """Whether fastavro would write this value as it is, and not as what it makes of it."""
    if kind == BOOLEAN:
        return isinstance(value, bool)
    if kind in (INT, LONG):
        bound = INT_BOUND if kind == INT else LONG_BOUND
        return isinstance(value, int) and not isinstance(value, bool) and -bound <= value < bound
    if kind == DOUBLE:
        return isinstance(value, (float, int)) and not isinstance(value, bool)
    if kind == LONGS:
        return isinstance(value, list) and all(_fits(LONG, each) for each in value)
    return isinstance(value, str)


_NOUNS = {
    INT: "a 32-bit integer",
    LONG: "a 64-bit integer",
    BOOLEAN: "true or false",
    DOUBLE: "a number",
    LONGS: "a list of 64-bit integers",
}


def _wanted(column: Column) -> str:
    noun = _NOUNS.get(column.kind, "a string")
    return f"{noun} or null" if column.nullable else noun
