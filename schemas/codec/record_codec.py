"""Encodes and decodes one record at a time with fastavro: the reference for the tests of the columnar codec.

Timestamps are integers, microseconds since 1970 UTC, as in the columns. It knows no topics.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from taskstream.schemas.catalog import Schema, newest
from taskstream.schemas.codec import wire_format
from taskstream.schemas.codec.field_cutter import FieldCutter, cutter_for
from taskstream.schemas.codec.read_plan import BOOLEAN, DOUBLE, INT, LONG, LONGS, Column, ReadPlan, columns_of, plan_for
from taskstream.schemas.codec.record_validation import INT_BOUND, LONG_BOUND, validate_record
from taskstream.schemas.errors import Unencodable
from taskstream.schemas.ids import SchemaIds


class RecordWriter:
    """Encodes records of one schema as Kafka values.

    Raises:
        UnknownSchema: the schema has no id.
        RegistryFailed: the schema's id had to be looked up and the registry did not answer.
    """

    def __init__(self, ids: SchemaIds, schema: Schema) -> None:
        self._header = wire_format.header(ids.id_of(schema))
        self._schema = parse_schema(plain(schema.definition))
        self._title = schema.title
        self._columns = columns_of(schema)
        self._names = frozenset(column.name for column in self._columns)

    def write(self, record: Mapping[str, Any]) -> bytes:
        """Encode the record with its header. A nullable field may be absent.

        Raises:
            Unencodable: a field is missing or unknown, or a value does not fit its type.
        """
        if unknown := record.keys() - self._names:
            raise Unencodable(f"{self._title} has no field {', '.join(sorted(map(str, unknown)))}")
        for column in self._columns:
            value = record.get(column.name)
            if not (column.nullable if value is None else _fits(column.kind, value)):
                raise Unencodable(f"{self._title}: {column.name} is {value!r}, and should be {_type_name(column)}")
        out = io.BytesIO()
        out.write(self._header)
        try:
            schemaless_writer(out, self._schema, record)
        except (ValueError, OverflowError) as error:  # a lone surrogate; an integer too large for a double
            raise Unencodable(f"the record does not fit {self._title}: {error}") from error
        return out.getvalue()


class RecordReader:
    """Decodes values of any version of the record `name` as its newest version.

    Raises:
        UnknownSchema: no released record has this name.
    """

    def __init__(self, ids: SchemaIds, name: str) -> None:
        self._ids = ids
        self._name = name
        self._columns = columns_of(newest(name))
        self._definition = plain(newest(name).definition, defaults=False)
        self._reader = parse_schema(plain(newest(name).definition))
        self._written: dict[int, _WriterSchema] = {}

    def read(self, framed: bytes | None) -> dict[str, Any]:
        """Decode one value. None (a tombstone) counts as an empty value.

        Raises:
            Undecodable: the value is not a record of this name; `reason` names the defect.
            RegistryFailed: the schema id had to be looked up and the registry did not answer.
        """
        framed = framed or b""
        written = self._writer_schema(wire_format.split(framed))
        if written.cutter is not None:
            framed = written.cutter.cut(framed)
        validate_record(framed, written.plan)
        body = io.BytesIO(framed)
        body.seek(wire_format.HEADER_SIZE)
        record = schemaless_reader(body, written.schema, None if written.is_newest else self._reader)
        assert isinstance(record, dict), "validated bytes decode to a record"
        return record

    def _writer_schema(self, schema_id: int) -> _WriterSchema:
        if schema_id not in self._written:
            schema, plan = plan_for(self._ids, schema_id, self._name, self._columns)
            whole = schema.definition
            kept = [each for each in whole["fields"] if each["name"] not in plan.cut]
            definition = plain({**whole, "fields": kept}, defaults=False)
            cutter = cutter_for(schema, plan) if plan.cut else None
            same = definition == self._definition
            self._written[schema_id] = _WriterSchema(plan, parse_schema(definition), same, cutter)
        return self._written[schema_id]


@dataclass(frozen=True, slots=True)
class _WriterSchema:
    """A schema that records were written in, prepared for decoding."""

    plan: ReadPlan
    schema: Any
    is_newest: bool
    cutter: FieldCutter | None


def plain(definition: dict[str, Any], *, defaults: bool = True) -> dict[str, Any]:
    """The schema without logical types, names and docs, so that fastavro reads and writes timestamps as integers.

    The record's name is replaced: callers compare it before, and namespaces may differ between versions. Defaults
    matter only for the schema that is written or resolved to; `defaults=False` drops those of a foreign schema, which
    may be invalid.
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
    """Whether fastavro encodes this value without converting it."""
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


_TYPE_NAMES = {
    INT: "a 32-bit integer",
    LONG: "a 64-bit integer",
    BOOLEAN: "true or false",
    DOUBLE: "a number",
    LONGS: "a list of 64-bit integers",
}


def _type_name(column: Column) -> str:
    name = _TYPE_NAMES.get(column.kind, "a string")
    return f"{name} or null" if column.nullable else name
