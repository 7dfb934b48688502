"""Who is calling, as both HTTP faces need to know it. How that is found out lives elsewhere; here is the promise."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class Role(enum.StrEnum):
    """What a caller may do."""

    REPORT = "report"
    """Send progress reports for tasks of its own project."""
    READ = "read"
    """Read tasks of its own project."""
    OPERATE = "operate"
    """Read the tasks of every project."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose credentials were checked: the project they act for and what they may do there."""

    project_id: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Whether the caller has this role."""
        return role in self.roles


@dataclass(frozen=True, slots=True)
class CallerRequest:
    """What an authenticator may look at: the request as it came, headers with lower-case names."""

    method: str
    path: str
    """As on the wire, before percent-decoding."""
    query: str
    headers: Mapping[str, str]
    body: bytes


class Authenticator(Protocol):
    """Tells who calls. Several may stand in a row; each answers only for credentials of its own kind."""

    async def authenticate(self, request: CallerRequest) -> Caller | None:
        """The caller, or None when the request carries no credentials of this kind.

        Raises:
            ApiError: the credentials are of this kind and bad (401), or cannot be checked now (503).
        """
        ...
