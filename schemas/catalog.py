"""The released Avro schemas, read from the files in `schemas/avro`. It knows no schema registry.

A released schema never changes; a new version is a new file.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from taskstream.schemas.errors import UnknownSchema


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one Avro record: `name` is the record's name, `text` the schema as JSON.

    Version 0 marks a schema that a registry returned and that this program does not ship.
    """

    name: str
    version: int
    text: str

    @property
    def definition(self) -> dict[str, Any]:
        """The Avro JSON parsed into Python values; each call returns a new dict."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed

    @property
    def title(self) -> str:
        """Name and version, which is also the file's stem: `ProgressReported.v2`."""
        return f"{self.name}.v{self.version}" if self.version else f"{self.name} (not released here)"


@functools.cache
def released() -> tuple[Schema, ...]:
    """Every released schema, sorted by name and version."""
    found = []
    for entry in resources.files("taskstream.schemas").joinpath("avro").iterdir():
        if entry.name.endswith(".avsc"):
            name, version, _ = entry.name.split(".")
            found.append(Schema(name, int(version.removeprefix("v")), entry.read_text("utf-8")))
    return tuple(sorted(found, key=lambda schema: (schema.name, schema.version)))


@functools.cache
def newest(name: str) -> Schema:
    """The newest version of the record named `name`: readers resolve every version to it, writers write it.

    Raises:
        UnknownSchema: no released record has this name.
    """
    versions = [schema for schema in released() if schema.name == name]
    if not versions:
        known = ", ".join(sorted({schema.name for schema in released()}))
        raise UnknownSchema(f"there is no record named {name!r}; there are {known}")
    return versions[-1]


def named(title: str) -> Schema:
    """The released schema with this title, such as `ProgressReported.v2`.

    Raises:
        UnknownSchema: no released schema has this title.
    """
    for schema in released():
        if schema.title == title:
            return schema
    versions = [each.title for each in released() if each.name == title.partition(".")[0]]
    known = ", ".join(versions or [each.title for each in released()])
    raise UnknownSchema(f"there is no schema {title!r}; there {'is' if len(versions) == 1 else 'are'} {known}")
