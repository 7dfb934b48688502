"""The schemas as a registry has them."""

from __future__ import annotations

from collections.abc import Iterator

from taskstream.compose.doctor.finding import Finding, bad, good
from taskstream.schemas.registry.registration import registration_statuses
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.topics import Topics


def schemas_in(registry: Registry, topics: Topics) -> Iterator[Finding]:
    """Whether every released schema is registered, or would be taken."""
    found = registration_statuses(registry, topics)
    for each in found:
        if not each.accepted:
            versions = ", ".join(map(str, each.incompatible_with))
            what = f"{each.title} does not fit version {versions} of {each.subject}"
            yield bad("schemas", what, "start a new --prefix, or change what is registered there")
        elif each.id is None:
            what = f"{each.title} is not registered under {each.subject}"
            yield bad("schemas", what, "run `taskstream schemas register`")
    if all(each.accepted and each.id is not None for each in found):
        yield good("schemas", f"all {len(found)} are registered at {registry.url}")
