"""Tokens of a Keystone v3 identity service: asked once, remembered for a while, by the token's hash alone."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Final, Protocol

from producer.callers.identity import TokenFacts
from producer.errors import IdentityUnavailable
from schemas.api_error import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, ApiError
from schemas.caller import Caller, Request, Role

CACHE_S: Final = 300.0
"""A revoked token lives on that long, as with keystonemiddleware."""
NEGATIVE_CACHE_S: Final = 10.0
CACHE_TOKENS: Final = 10_000
THREADS: Final = 8
RETRY_AFTER_S: Final = 2
DEFAULT_ROLES: Final[Mapping[str, frozenset[Role]]] = MappingProxyType(
    {
        "reader": frozenset({Role.READ}),
        "member": frozenset({Role.REPORT, Role.READ}),
        "admin": frozenset({Role.REPORT, Role.READ, Role.OPERATE}),
    }
)


class Identity(Protocol):
    """Knows tokens; `producer.callers.identity.IdentityService` is the real one. It may block."""

    def validate(self, token: str) -> TokenFacts | None:
        """What the token stands for, or None. Raises IdentityUnavailable."""
        ...


class KeystoneTokens:
    """Answers for X-Auth-Token by asking the identity service.

    `roles` says what each of the service's roles may do here. A token is never remembered past its end, several
    requests with the same token ask once, and what is unknown is remembered shortly, so that guessing is no load.
    """

    def __init__(
        self,
        identity: Identity,
        roles: Mapping[str, frozenset[Role]] = DEFAULT_ROLES,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._roles = roles
        self._clock_s = clock_s
        self._known: dict[bytes, tuple[Caller | None, float]] = {}  # who, and until when
        self._asking: dict[bytes, asyncio.Future[Caller | None]] = {}
        self._threads = ThreadPoolExecutor(THREADS, "identity")

    async def authenticate(self, request: Request) -> Caller | None:
        """See `schemas.caller.Authenticator`."""
        token = request.headers.get("x-auth-token")
        if not token:
            return None
        key = hashlib.sha256(token.encode()).digest()
        known = self._known.get(key)
        if known is None or known[1] <= self._clock_s():
            caller = await self._ask_once(key, token)
        else:
            caller = known[0]
        if caller is None:
            raise ApiError(UNAUTHENTICATED, "the identity service does not know this token")
        return caller

    async def _ask_once(self, key: bytes, token: str) -> Caller | None:
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(key, token))
            self._asking[key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        try:
            return await asyncio.shield(asking)
        except IdentityUnavailable as error:
            raise ApiError(UNAVAILABLE, str(error), retry_after_s=RETRY_AFTER_S) from error

    async def _ask(self, key: bytes, token: str) -> Caller | None:
        facts = await asyncio.get_running_loop().run_in_executor(self._threads, self._identity.validate, token)
        now_s = self._clock_s()
        self._known.pop(key, None)
        while len(self._known) >= CACHE_TOKENS:
            del self._known[next(iter(self._known))]  # the oldest
        if facts is None or facts.expires_at_s <= now_s:
            self._known[key] = (None, now_s + NEGATIVE_CACHE_S)
            return None
        if facts.project_id is None or "/" in facts.project_id:
            raise ApiError(FORBIDDEN, "the token has no project; ask for one that is scoped to a project")
        granted = frozenset(role for name in facts.roles for role in self._roles.get(name, ()))
        caller = Caller(facts.project_id, granted)
        self._known[key] = (caller, min(facts.expires_at_s, now_s + CACHE_S))
        return caller
