"""No check at all: any token is anybody, for a demonstration on one machine. It must not be reachable from another."""

from __future__ import annotations

from taskstream.schemas.http.caller import Caller, CallerRequest, Role

PROJECT = "default"


class AllowAny:
    """Takes every token, for the project `default` and with every role."""

    async def authenticate(self, request: CallerRequest) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        return Caller(PROJECT, frozenset(Role)) if request.headers.get("x-auth-token") else None
