"""Schema ids as a registry gives them: looked up and remembered, never registered.

Subjects are named by the topic (`TopicNameStrategy`): the schema of a topic's values stands under `TOPIC-value`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from taskstream.schemas.catalog import Schema, released
from taskstream.schemas.errors import UnknownSchema
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.topics import Topics

UNKNOWN_REMEMBERED_S = 30.0
UNKNOWN_REMEMBERED = 1000
"""How many ids without a schema are remembered, and for how long: noise on a topic must not flood the registry."""


def subject_of(topics: Topics, schema: Schema) -> str:
    """Where the schema stands in a registry.

    Raises:
        UnknownSchema: none of the topics holds this record.
    """
    for topic in topics.all:
        if topic.value == schema.name:
            return f"{topic.name}-value"
    raise UnknownSchema(f"no topic of {topics.prefix} holds {schema.name}")


class RegistryIds:
    """`taskstream.schemas.ids.SchemaIds` from a registry, for the subjects of these topics."""

    def __init__(self, registry: Registry, topics: Topics, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._topics = topics
        self._clock = clock
        self._numbers: dict[Schema, int] = {}
        self._schemas: dict[int, Schema] = {}
        self._unknown: dict[int, float] = {}
        """Ids that no schema has, and until when that is believed."""

    def id_of(self, schema: Schema) -> int:
        """See `SchemaIds`."""
        if schema not in self._numbers:
            subject = subject_of(self._topics, schema)
            number = self._registry.find(subject, schema)
            if number is None:
                where = f"under {subject} at {self._registry.url}"
                raise UnknownSchema(f"{schema.title} is not registered {where}: run `taskstream schemas register`")
            self._numbers[schema] = number
        return self._numbers[schema]

    def schema_of(self, schema_id: int) -> Schema:
        """See `SchemaIds`. That an id is unknown is believed for half a minute."""
        if schema_id not in self._schemas and self._clock() >= self._unknown.get(schema_id, 0.0):
            self._look_up(schema_id)
        if schema_id not in self._schemas:
            raise UnknownSchema(f"no record has schema id {schema_id} at {self._registry.url}")
        return self._schemas[schema_id]

    def _look_up(self, schema_id: int) -> None:
        text = self._registry.fetch(schema_id)
        schema = None if text is None else recognised(text)
        if schema is not None:
            self._schemas[schema_id] = schema
            return
        if len(self._unknown) >= UNKNOWN_REMEMBERED:
            self._unknown.clear()
        self._unknown[schema_id] = self._clock() + UNKNOWN_REMEMBERED_S


def recognised(text: str) -> Schema | None:
    """The released schema that this Avro JSON is, however it is laid out; else one of version 0; None if no record."""
    try:
        definition = json.loads(text)
    except ValueError:
        return None
    if not isinstance(definition, dict) or definition.get("type") != "record":
        return None
    same = (schema for schema in released() if schema.definition == definition)
    return next(same, Schema(str(definition["name"]).rpartition(".")[2], 0, text))
