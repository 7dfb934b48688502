"""Who calls, and what they may do. The authenticators live elsewhere; their protocol is here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Protocol

from taskstream.schemas.http.api_error import FORBIDDEN, HEADERS_TOO_LARGE, MALFORMED, UNAUTHENTICATED, ApiError
from taskstream.schemas.http.request import HttpRequest

TOKEN_CHARS: Final = 16_384
"""The longest X-Auth-Token, from the specification."""


class Role(enum.StrEnum):
    """What a caller may do."""

    REPORT = "report"
    """Send progress reports for tasks of its own project."""
    READ = "read"
    """Read tasks of its own project."""
    OPERATE = "operate"
    """Read the tasks of every project, acknowledge them and mute them."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose credentials were checked: the project they act for and what they may do there."""

    project_id: str
    roles: frozenset[Role]
    anonymous: bool = False
    """Whether any credentials would have done: then the project says nothing about who calls."""
    name: str = ""
    """Whose credentials they are, for people; empty where only the project is known."""

    def may(self, role: Role) -> bool:
        """Whether the caller has this role."""
        return role in self.roles

    def require_role(self, *roles: Role) -> None:
        """Check that the caller has one of these roles.

        Raises:
            ApiError: FORBIDDEN.
        """
        if self.roles.isdisjoint(roles):
            names = " or ".join(repr(role.value) for role in roles)
            raise ApiError(FORBIDDEN, f"these credentials do not carry the role {names}")


class Authenticator(Protocol):
    """Finds out who calls, from credentials of one kind."""

    async def authenticate(self, request: HttpRequest, body: bytes, /) -> Caller | None:
        """The caller, or None when the request carries no credentials of this kind.

        `identify_caller` checks the path, the query and the length of the token before it calls this.

        Raises:
            ApiError: the credentials are of this kind and bad (401), or cannot be checked now (503).
        """
        ...


async def identify_caller(request: HttpRequest, body: bytes, authenticator: Authenticator) -> Caller:
    """Who calls.

    Raises:
        ApiError: HEADERS_TOO_LARGE for a token beyond TOKEN_CHARS, MALFORMED for a path or query that is not ASCII,
            UNAUTHENTICATED when the authenticator knows no caller, and what the authenticator raises.
    """
    token = request.headers.raw.get(b"x-auth-token")
    if token is not None and len(token) > TOKEN_CHARS:
        detail = f"X-Auth-Token has {len(token)} characters; the maximum is {TOKEN_CHARS}"
        raise ApiError(HEADERS_TOO_LARGE, detail)
    if not (request.path.isascii() and request.query.isascii()):
        raise ApiError(MALFORMED, "the path or the query has bytes that are not ASCII; percent-encode them")
    caller = await authenticator.authenticate(request, body)
    if caller is None:
        raise ApiError(
            UNAUTHENTICATED, "no valid credentials; send a token that is known and has not expired in X-Auth-Token"
        )
    return caller
