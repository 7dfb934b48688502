"""Registers the released schemas in a registry, and reports which are registered or compatible.

No other file writes to a registry.
"""

from __future__ import annotations

from dataclasses import dataclass

from taskstream.schemas.catalog import Schema, released
from taskstream.schemas.errors import UnknownSchema
from taskstream.schemas.ids import TableIds
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.registry.registry_ids import subject_of
from taskstream.schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class RegistrationStatus:
    """Whether one released schema is registered in a registry, or can be."""

    title: str
    subject: str
    id: int | None
    """None: not registered."""
    level: str | None
    """The subject's compatibility level, such as BACKWARD."""
    incompatible_with: tuple[int, ...]
    """The registered versions that are incompatible with the schema; empty for a schema that is registered."""
    contradicts: str | None = None
    """The other schema that has this id in the built-in table; None: the table gives the id to no other schema."""

    @property
    def accepted(self) -> bool:
        """Whether the schema is registered, or compatible with every registered version of its subject."""
        return not self.incompatible_with


def registration_statuses(registry: Registry, topics: Topics) -> list[RegistrationStatus]:
    """The status of each released schema, compared with every registered version of its subject.

    Raises:
        RegistryFailed: the registry did not answer, or refused the request.
    """
    return [_status(registry, subject_of(topics, schema), schema) for schema in _topic_schemas(topics)]


def register(registry: Registry, topics: Topics) -> list[RegistrationStatus]:
    """Register every released schema, in the order of the built-in table, and return the status of each afterwards.

    A schema that is registered already keeps its id. A registry that is empty and numbers from 1 thus gives the ids of
    the table.

    Raises:
        RegistryFailed: the registry did not answer, or refused a schema; the schemas before it are registered.
    """
    for schema in _topic_schemas(topics):
        registry.register(subject_of(topics, schema), schema)
    return registration_statuses(registry, topics)


def require_level(registry: Registry, topics: Topics, level: str) -> None:
    """Set the compatibility level of each subject that has another one.

    Raises:
        RegistryFailed: the registry did not answer, or refused the request.
    """
    for subject in dict.fromkeys(subject_of(topics, schema) for schema in _topic_schemas(topics)):
        if registry.compatibility_level(subject) != level:
            registry.set_compatibility_level(subject, level)


def _status(registry: Registry, subject: str, schema: Schema) -> RegistrationStatus:
    schema_id = registry.find_id(subject, schema)
    versions = registry.versions(subject) if schema_id is None else []
    refused = tuple(version for version in versions if not registry.is_compatible(subject, schema, version))
    level = registry.compatibility_level(subject)
    return RegistrationStatus(schema.title, subject, schema_id, level, refused, _other_in_table(schema, schema_id))


def _other_in_table(schema: Schema, schema_id: int | None) -> str | None:
    """The title of the schema that has the id in the built-in table, if it is another one."""
    try:
        found = None if schema_id is None else TableIds().schema_of(schema_id)
    except UnknownSchema:
        return None
    return None if found is None or found == schema else found.title


def _topic_schemas(topics: Topics) -> list[Schema]:
    """The released schemas whose record is the value of one of the topics, in the order of their ids in the table."""
    names = {topic.value for topic in topics.all}
    return sorted((schema for schema in released() if schema.name in names), key=TableIds().id_of)
