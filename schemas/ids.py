"""Maps schema ids to schemas: the protocol, and the fixed table in `avro/ids.json`. It knows no registry."""

from __future__ import annotations

import json
from importlib import resources
from typing import Protocol

from taskstream.schemas.catalog import Schema, named
from taskstream.schemas.errors import UnknownSchema


class SchemaIds(Protocol):
    """Maps schemas to ids and ids to schemas. Results are cached: repeated calls do no I/O."""

    def id_of(self, schema: Schema) -> int:
        """The id to write before records of this schema.

        Raises:
            UnknownSchema: the schema has no id.
            RegistryFailed: the registry did not answer.
        """
        ...

    def schema_of(self, schema_id: int) -> Schema:
        """The schema with this id; it may be newer than any schema that this program ships.

        Raises:
            UnknownSchema: no schema has this id.
            RegistryFailed: the registry did not answer.
        """
        ...


class TableIds:
    """The ids in `avro/ids.json`, used without a registry. A released id never changes."""

    def __init__(self) -> None:
        table: dict[str, str] = json.loads(
            resources.files("taskstream.schemas").joinpath("avro/ids.json").read_text("utf-8")
        )
        self._schemas = {int(schema_id): named(title) for schema_id, title in table.items()}
        self._ids = {schema: schema_id for schema_id, schema in self._schemas.items()}

    def id_of(self, schema: Schema) -> int:
        """See `SchemaIds`."""
        try:
            return self._ids[schema]
        except KeyError as error:
            raise UnknownSchema(f"{schema.title} has no id in avro/ids.json") from error

    def schema_of(self, schema_id: int) -> Schema:
        """See `SchemaIds`."""
        try:
            return self._schemas[schema_id]
        except KeyError as error:
            known = ", ".join(map(str, sorted(self._schemas)))
            raise UnknownSchema(f"no schema has id {schema_id}; known without a registry: {known}") from error
