"""What can go wrong with the contract, and the one form in which both HTTP faces tell an error.

SchemasError
 ├── Undecodable        these bytes are no record of ours (reason)
 ├── Unencodable        this record does not fit its schema
 ├── UnknownSchema      no schema goes by this name or id
 ├── Unresolvable       this schema cannot be read as the newest one of its name
 ├── BatchTooLarge      more bytes in one call than columns hold
 └── RegistryFailed     the schema registry did not answer, or refused
"""

from __future__ import annotations


class SchemasError(Exception):
    """Root of this room's errors; str() is one sentence for a person."""


class Undecodable(SchemasError):
    """These bytes are no record of ours; `reason` is one of `taskstream.schemas.codec.wire_format.Reason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Unencodable(SchemasError):
    """This record does not fit its schema."""


class UnknownSchema(SchemasError):
    """No schema goes by this name or id."""


class Unresolvable(SchemasError):
    """This schema cannot be read as the newest one of its name, or holds a type that no column does."""


class BatchTooLarge(SchemasError):
    """More bytes in one call than columns hold."""


class RegistryFailed(SchemasError):
    """The schema registry did not answer, or refused."""
