"""How the released schemas stand with a registry, and the one way in which they get into it."""

from __future__ import annotations

from dataclasses import dataclass

from taskstream.schemas.catalog import Schema, released
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.registry.registry_ids import subject_of
from taskstream.schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class Standing:
    """How one released schema stands with a registry."""

    title: str
    subject: str
    id: int | None
    """None: not registered."""
    level: str | None
    """The compatibility that the registry asks of the subject, such as BACKWARD."""
    incompatible_with: tuple[int, ...]
    """The registered versions that the registry holds it incompatible with; not asked when it is registered."""

    @property
    def accepted(self) -> bool:
        """Whether it is registered, or may be without breaking any version that is."""
        return not self.incompatible_with


def standings(registry: Registry, topics: Topics) -> list[Standing]:
    """How each released schema stands, held against every registered version of its subject and not only the last.

    Raises:
        RegistryFailed: the registry did not answer, or refused to.
    """
    return [_standing(registry, subject_of(topics, schema), schema) for schema in _held(topics)]


def register(registry: Registry, topics: Topics) -> list[Standing]:
    """Register every released schema that is not registered, oldest first; how each stands afterwards.

    Raises:
        RegistryFailed: the registry did not answer, or refused one; those before it are registered.
    """
    for schema in _held(topics):
        registry.register(subject_of(topics, schema), schema)
    return standings(registry, topics)


def _standing(registry: Registry, subject: str, schema: Schema) -> Standing:
    number = registry.find(subject, schema)
    versions = registry.versions(subject) if number is None else []
    refused = tuple(version for version in versions if not registry.accepts(subject, schema, version))
    return Standing(schema.title, subject, number, registry.level(subject), refused)


def _held(topics: Topics) -> list[Schema]:
    names = {topic.value for topic in topics.all}
    return [schema for schema in released() if schema.name in names]
