"""Tokens of a Keystone v3 identity service, cached by the token's hash for a limited time."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from taskstream.producer.callers.identity_service import TokenFacts
from taskstream.producer.callers.keystone_settings import CACHE_S, DEFAULT_ROLES
from taskstream.producer.errors import IdentityUnavailable
from taskstream.schemas.http.api_error import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, ApiError, ProblemDetails
from taskstream.schemas.http.caller import Caller, Role
from taskstream.schemas.http.request import HttpRequest

NEGATIVE_CACHE_S: Final = 10.0
CACHE_TOKENS: Final = 10_000
THREADS: Final = 8
RESPONSE_S: Final = 5.0
"""The longest that a request waits for the service, whatever the number of waiting requests."""
RETRY_AFTER_S: Final = 2
_UNKNOWN: Final = ProblemDetails(UNAUTHENTICATED, "the identity service does not know this token")
_UNSCOPED: Final = ProblemDetails(FORBIDDEN, "the token has no project; use a token that is scoped to a project")
Outcome = Caller | ProblemDetails


class Identity(Protocol):
    """Validates tokens; may block. `taskstream.producer.callers.identity_service.IdentityService` is the real one."""

    def validate(self, token: str) -> TokenFacts | None:
        """What the service knows about the token, or None. Raises IdentityUnavailable."""
        ...


class KeystoneTokens:
    """Authenticates X-Auth-Token with the identity service.

    `roles` maps the service's roles to ours. A token is never cached beyond its expiry. Concurrent requests with the
    same token share one request to the service. A refused token is cached for NEGATIVE_CACHE_S, so that guessing tokens
    puts little load on the service.
    """

    def __init__(
        self,
        identity: Identity,
        roles: Mapping[str, frozenset[Role]] = DEFAULT_ROLES,
        cache_s: float = CACHE_S,
        clock_s: Callable[[], float] = time.time,
        response_s: float = RESPONSE_S,
    ) -> None:
        self._identity = identity
        self._roles = roles
        self._cache_s = cache_s
        self._clock_s = clock_s
        self._response_s = response_s
        self._cache: dict[bytes, tuple[Outcome, float]] = {}  # by token hash: the outcome, and its expiry
        self._pending: dict[bytes, asyncio.Task[Outcome]] = {}
        self._threads = ThreadPoolExecutor(THREADS, "identity")

    async def authenticate(self, request: HttpRequest, _body: bytes, /) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        token = request.headers.get("x-auth-token")
        if not token:
            return None
        key = hashlib.sha256(token.encode()).digest()
        cached = self._cache.get(key)
        fresh = cached is not None and cached[1] > self._clock_s()
        outcome = cached[0] if cached is not None and fresh else await self._validate_once(key, token)
        if isinstance(outcome, ProblemDetails):
            raise ApiError(outcome.kind, outcome.detail)
        return outcome

    async def _validate_once(self, key: bytes, token: str) -> Outcome:
        pending = self._pending.get(key)
        if pending is None:
            pending = asyncio.ensure_future(self._validate(key, token))
            self._pending[key] = pending
            pending.add_done_callback(lambda done: self._validated(key, done))
        try:
            return await asyncio.shield(pending)  # one caller that disconnects must not cancel it for the others
        except IdentityUnavailable as error:
            raise ApiError(UNAVAILABLE, str(error), retry_after_s=RETRY_AFTER_S) from error

    def _validated(self, key: bytes, done: asyncio.Task[Outcome]) -> None:
        del self._pending[key]
        if not done.cancelled():
            done.exception()  # retrieved even when every caller has disconnected

    async def _validate(self, key: bytes, token: str) -> Outcome:
        in_thread = asyncio.get_running_loop().run_in_executor(self._threads, self._identity.validate, token)
        try:
            facts = await asyncio.wait_for(in_thread, self._response_s)  # cancels a call that no thread has begun
        except TimeoutError as error:
            raise IdentityUnavailable(f"the identity service did not respond within {self._response_s:g} s") from error
        now_s = self._clock_s()
        outcome = self._outcome(facts, now_s)
        cached_s = self._cache_s if isinstance(outcome, Caller) else NEGATIVE_CACHE_S
        end_s = facts.expires_at_s if facts is not None and isinstance(outcome, Caller) else float("inf")
        self._cache.pop(key, None)
        while len(self._cache) >= CACHE_TOKENS:
            del self._cache[next(iter(self._cache))]  # the oldest
        self._cache[key] = (outcome, min(end_s, now_s + cached_s))
        return outcome

    def _outcome(self, facts: TokenFacts | None, now_s: float) -> Outcome:
        if facts is None or facts.expires_at_s <= now_s:
            return _UNKNOWN
        if facts.project_id is None or "/" in facts.project_id:
            return _UNSCOPED
        return Caller(facts.project_id, frozenset(role for name in facts.roles for role in self._roles.get(name, ())))
