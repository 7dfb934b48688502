"""The errors of this room, as one tree. It knows no Kafka client and no HTTP library.

SchemasError
 ├── Undecodable        a value is not a record of the expected schema (reason)
 ├── Unencodable        a record does not fit its schema
 ├── UnknownSchema      no schema has this name or id
 ├── Unresolvable       a schema cannot be resolved to the newest one of its name
 ├── BatchTooLarge      a batch has more bytes than Arrow's offsets can address
 └── RegistryFailed     the schema registry did not answer, or refused the request
"""

from __future__ import annotations

import os


class SchemasError(Exception):
    """The root of this room's errors. The message is one sentence."""


class Undecodable(SchemasError):
    """A value is not a record of the expected schema; `reason` is one of `schemas.codec.wire_format.Reason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Unencodable(SchemasError):
    """A record does not fit its schema."""


class UnknownSchema(SchemasError):
    """No schema has this name or id."""


class Unresolvable(SchemasError):
    """A schema cannot be resolved to the newest one of its name, or has a type that no column supports."""


class BatchTooLarge(SchemasError):
    """A batch has more bytes than Arrow's 32-bit offsets can address."""


class RegistryFailed(SchemasError):
    """The schema registry did not answer, or refused the request."""


def cause_of(error: Exception) -> str:
    """Why a file cannot be used: the system's words for its error, without number and path; else the error's own."""
    if not isinstance(error, OSError):
        return str(error)
    own = error.strerror or str(error)
    # pyarrow's errors have the path and the number in their text, and the number beside it.
    return os.strerror(error.errno) if error.errno and "Detail: [errno" in own else own
