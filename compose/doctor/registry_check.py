"""Checks that the released schemas are registered, and that records on the topics have ids of the source of ids."""

from __future__ import annotations

from collections.abc import Iterator

from taskstream.compose.doctor.finding import Finding, bad, good, unknown
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.records.written_ids import contradicting_ids
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.registry.registration import registration_statuses
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.topics import Topics


def check_schemas(registry: Registry, topics: Topics) -> Iterator[Finding]:
    """Whether every released schema is registered, and else whether the registry would accept it."""
    found = registration_statuses(registry, topics)
    for each in found:
        if not each.accepted:
            versions = ", ".join(map(str, each.incompatible_with))
            what = f"{each.title} is incompatible with version {versions} of {each.subject}"
            yield bad("schemas", what, "use a new --prefix, or delete the incompatible versions from the registry")
        elif each.id is None:
            what = f"{each.title} is not registered under {each.subject}"
            yield bad("schemas", what, "run `taskstream schemas register`")
    if all(each.accepted and each.id is not None for each in found):
        yield good("schemas", f"all {len(found)} are registered at {registry.url}")


def check_written_ids(kafka: KafkaClient, topics: Topics, ids: SchemaIds) -> Iterator[Finding]:
    """Whether the first and the newest records of each partition have ids of their topic's record."""
    found = contradicting_ids(kafka.config(), topics.all, ids)
    for each in found:
        remedy = "give the --schema-registry that the records were written with; another source needs a new --prefix"
        yield (unknown if each.found is None else bad)("schema ids", str(each), remedy)
    if not found:
        yield good("schema ids", "the records on the topics have ids of their schemas")
