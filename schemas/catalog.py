"""The released Avro schemas, as they lie beside this file.

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
    """One version of one record. `name` is the record's, `text` the Avro JSON.

    Version 0 is one that was not released with this program: a registry told it.
    """

    name: str
    version: int
    text: str

    @property
    def definition(self) -> dict[str, Any]:
        """The Avro JSON as Python values, fresh each time."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed

    @property
    def title(self) -> str:
        """Name and version, as the file is called."""
        return f"{self.name}.v{self.version}" if self.version else f"{self.name} (not released here)"


@functools.cache
def released() -> tuple[Schema, ...]:
    """Every released schema, by name and version."""
    found = []
    for entry in resources.files("taskstream.schemas").joinpath("avro").iterdir():
        if entry.name.endswith(".avsc"):
            name, version, _ = entry.name.split(".")
            found.append(Schema(name, int(version.removeprefix("v")), entry.read_text("utf-8")))
    return tuple(sorted(found, key=lambda schema: (schema.name, schema.version)))


@functools.cache
def newest(name: str) -> Schema:
    """The newest version of a record; what readers resolve to and writers write.

    Raises:
        UnknownSchema: no record goes by this name.
    """
    versions = [schema for schema in released() if schema.name == name]
    if not versions:
        known = ", ".join(sorted({schema.name for schema in released()}))
        raise UnknownSchema(f"there is no record named {name!r}; there are {known}")
    return versions[-1]


def named(title: str) -> Schema:
    """The schema of this title, such as `ProgressReported.v2`.

    Raises:
        UnknownSchema: no schema has this title.
    """
    for schema in released():
        if schema.title == title:
            return schema
    raise UnknownSchema(f"there is no schema {title!r}; there are {', '.join(each.title for each in released())}")
