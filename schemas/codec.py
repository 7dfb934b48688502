"""One record to wire bytes and back, by fastavro: the reference that the columnar codec is tested against.

Timestamps are integers here, microseconds since 1970 UTC, as in the columns.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas import wire
from schemas.catalog import Schema, newest
from schemas.errors import Undecodable, Unencodable, UnknownSchema
from schemas.ids import SchemaIds


class RecordWriter:
    """Writes records of one schema."""

    def __init__(self, ids: SchemaIds, schema: Schema) -> None:
        self._header = wire.header(ids.id_of(schema))
        self._schema = parse_schema(plain(schema.definition))
        self._title = schema.title

    def write(self, record: Mapping[str, Any]) -> bytes:
        """The record's wire bytes.

        Raises:
            Unencodable: a field is missing, or its value does not fit.
        """
        out = io.BytesIO()
        out.write(self._header)
        try:
            schemaless_writer(out, self._schema, record)
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
            raise Unencodable(f"this record does not fit {self._title}: {error}") from error
        return out.getvalue()


class RecordReader:
    """Reads records of one name, whatever the version they were written in, as its newest version."""

    def __init__(self, ids: SchemaIds, name: str) -> None:
        self._ids = ids
        self._name = name
        self._newest = newest(name)
        self._reader = parse_schema(plain(self._newest.definition))
        self._writers: dict[int, Any] = {}

    def read(self, framed: bytes) -> dict[str, Any]:
        """The record.

        Raises:
            Undecodable: these bytes are no record of this name; the reason says why.
        """
        schema_id = wire.split(framed)
        writer = self._writer(schema_id)
        body = io.BytesIO(framed)
        body.seek(wire.HEADER_SIZE)
        try:
            record = schemaless_reader(body, writer, None if writer is self._reader else self._reader)
        except UnicodeDecodeError as error:
            raise Undecodable(wire.Reason.UTF8, str(error)) from error
        except (EOFError, IndexError, ValueError, OverflowError, TypeError, MemoryError) as error:
            reason = wire.Reason.TRUNCATED if isinstance(error, EOFError) else wire.Reason.INVALID
            raise Undecodable(reason, f"{type(error).__name__} {error}".strip()) from error
        if trailing := len(framed) - body.tell():
            raise Undecodable(wire.Reason.TRAILING, f"{trailing} bytes follow the record")
        if not isinstance(record, dict):
            raise Undecodable(wire.Reason.INVALID, f"schema {schema_id} holds no record")
        return record

    def _writer(self, schema_id: int) -> Any:
        if schema_id not in self._writers:
            try:
                schema = self._ids.schema_of(schema_id)
            except UnknownSchema as error:
                raise Undecodable(wire.Reason.UNKNOWN_SCHEMA, str(error)) from error
            if schema.name != self._name:
                raise Undecodable(wire.Reason.OTHER_RECORD, f"{schema.name} where {self._name} is expected")
            self._writers[schema_id] = (
                self._reader if schema == self._newest else parse_schema(plain(schema.definition))
            )
        return self._writers[schema_id]


def plain(definition: dict[str, Any]) -> dict[str, Any]:
    """The same schema without logical types, so that fastavro gives and takes integers."""
    return {
        **definition,
        "fields": [{**each, "type": _plain_type(each["type"])} for each in definition["fields"]],
    }


def _plain_type(avro_type: Any) -> Any:
    if isinstance(avro_type, list):
        return [_plain_type(branch) for branch in avro_type]
    if isinstance(avro_type, dict) and "logicalType" in avro_type:
        return avro_type["type"]
    return avro_type
