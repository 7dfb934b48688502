"""No check at all: every token is valid. For a demonstration on one machine; no other machine may reach it."""

from __future__ import annotations

from taskstream.schemas.http.caller import Caller, Role
from taskstream.schemas.http.request import HttpRequest

PROJECT = "default"


class AllowAny:
    """Accepts every token, for the project `default` and with every role."""

    async def authenticate(self, request: HttpRequest, _body: bytes, /) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        return Caller(PROJECT, frozenset(Role), anonymous=True) if request.headers.get("x-auth-token") else None
