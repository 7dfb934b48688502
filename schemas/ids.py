"""Which number on the wire means which schema, when no registry is asked: the table beside the schemas."""

from __future__ import annotations

import json
from importlib import resources
from typing import Protocol

from taskstream.schemas.catalog import Schema, named
from taskstream.schemas.errors import UnknownSchema


class SchemaIds(Protocol):
    """Numbers for schemas and back. Answers are remembered: asking again costs nothing."""

    def id_of(self, schema: Schema) -> int:
        """The number to write before records of this schema.

        Raises:
            UnknownSchema: it has none.
            RegistryFailed: it could not be found out.
        """
        ...

    def schema_of(self, schema_id: int) -> Schema:
        """The schema that this number means; it may be a newer one than any released with this program.

        Raises:
            UnknownSchema: none has this number.
            RegistryFailed: it could not be found out.
        """
        ...


class TableIds:
    """The numbers in `avro/ids.json`, which are ours for ever."""

    def __init__(self) -> None:
        table: dict[str, str] = json.loads(
            resources.files("taskstream.schemas").joinpath("avro/ids.json").read_text("utf-8")
        )
        self._schemas = {int(number): named(title) for number, title in table.items()}
        self._numbers = {schema: number for number, schema in self._schemas.items()}

    def id_of(self, schema: Schema) -> int:
        """See `SchemaIds`."""
        try:
            return self._numbers[schema]
        except KeyError as error:
            raise UnknownSchema(f"{schema.title} has no id in avro/ids.json") from error

    def schema_of(self, schema_id: int) -> Schema:
        """See `SchemaIds`."""
        try:
            return self._schemas[schema_id]
        except KeyError as error:
            known = ", ".join(map(str, sorted(self._schemas)))
            raise UnknownSchema(f"no schema has id {schema_id}; known without a registry: {known}") from error
