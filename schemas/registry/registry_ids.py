"""Schema ids from a registry, looked up once and cached. It never registers a schema.

Subjects follow Confluent's `TopicNameStrategy`: the schema of a topic's values has the subject `TOPIC-value`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from taskstream.schemas.catalog import Schema, released
from taskstream.schemas.errors import UnknownSchema
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.topics import Topics

UNKNOWN_ID_TTL_S = 30.0
MAX_UNKNOWN_IDS = 1000
"""For how long, and how many, ids without a schema are cached: invalid records must not flood the registry."""


def subject_of(topics: Topics, schema: Schema) -> str:
    """The registry subject of the schema.

    Raises:
        UnknownSchema: no topic has this record as its value.
    """
    for topic in topics.all:
        if topic.value == schema.name:
            return f"{topic.name}-value"
    raise UnknownSchema(f"no topic with the prefix {topics.prefix} holds {schema.name}")


class RegistryIds:
    """`taskstream.schemas.ids.SchemaIds` from a registry, for the subjects of these topics. `clock` is in seconds."""

    def __init__(self, registry: Registry, topics: Topics, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._topics = topics
        self._clock = clock
        self._ids: dict[Schema, int] = {}
        self._schemas: dict[int, Schema] = {}
        self._unknown: dict[int, float] = {}
        """[id without a schema] When this cache entry expires, in seconds of the clock."""

    def id_of(self, schema: Schema) -> int:
        """See `SchemaIds`."""
        if schema not in self._ids:
            subject = subject_of(self._topics, schema)
            schema_id = self._registry.find_id(subject, schema)
            if schema_id is None:
                where = f"under {subject} at {self._registry.url}"
                raise UnknownSchema(f"{schema.title} is not registered {where}: run `taskstream schemas register`")
            self._ids[schema] = schema_id
        return self._ids[schema]

    def schema_of(self, schema_id: int) -> Schema:
        """See `SchemaIds`. An unknown id is looked up again after UNKNOWN_ID_TTL_S."""
        if schema_id not in self._schemas and self._clock() >= self._unknown.get(schema_id, 0.0):
            self._look_up(schema_id)
        if schema_id not in self._schemas:
            raise UnknownSchema(f"no record schema has id {schema_id} at {self._registry.url}")
        return self._schemas[schema_id]

    def _look_up(self, schema_id: int) -> None:
        text = self._registry.fetch_schema(schema_id)
        schema = None if text is None else parse_schema(text)
        if schema is not None:
            self._schemas[schema_id] = schema
            return
        if len(self._unknown) >= MAX_UNKNOWN_IDS:
            self._unknown.clear()
        self._unknown[schema_id] = self._clock() + UNKNOWN_ID_TTL_S


def parse_schema(text: str) -> Schema | None:
    """The schema in an Avro JSON text; None if it is not a record's.

    Returns the released schema whose JSON is equal, regardless of its formatting, else a schema of version 0.
    """
    try:
        definition = json.loads(text)
    except ValueError:
        return None
    if not isinstance(definition, dict) or definition.get("type") != "record":
        return None
    same = (schema for schema in released() if schema.definition == definition)
    return next(same, Schema(str(definition["name"]).rpartition(".")[2], 0, text))
