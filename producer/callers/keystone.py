"""Tokens of a Keystone v3 identity service, cached by the token's hash for a limited time."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from taskstream.producer.callers.identity_service import TokenFacts
from taskstream.producer.callers.keystone_settings import CACHE_S, DEFAULT_ROLES, RESPONSE_S
from taskstream.producer.callers.validation_rooms import PER_SOURCE, ValidationPlace, ValidationRoom, ValidationRooms
from taskstream.producer.errors import IdentityUnavailable
from taskstream.schemas.http.api_error import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, ApiError, ProblemDetails
from taskstream.schemas.http.caller import Caller, Role
from taskstream.schemas.http.request import HttpRequest

NEGATIVE_CACHE_S: Final = 10.0
CACHE_TOKENS: Final = 10_000
"""Valid tokens, and as many refused ones beside them: refused tokens never evict valid ones."""
THREADS: Final = 6
"""Of each `ValidationRoom`."""
RETRY_AFTER_S: Final = 2
_UNKNOWN: Final = ProblemDetails(UNAUTHENTICATED, "the identity service does not know this token")
_UNSCOPED: Final = ProblemDetails(FORBIDDEN, "the token has no project; use a token that is scoped to a project")
Outcome = Caller | ProblemDetails
TokenHash = bytes
Entry = TypeVar("Entry")


class Identity(Protocol):
    """Validates tokens; may block. `taskstream.producer.callers.identity_service.IdentityService` is the real one."""

    def validate(self, token: str) -> TokenFacts | None:
        """What the service knows about the token, or None. Raises IdentityUnavailable."""
        ...


class KeystoneTokens:
    """Authenticates X-Auth-Token with the identity service.

    `roles` maps the service's roles to ours. A token is never cached beyond its expiry. Concurrent requests with the
    same token share one request to the service. A refused token is cached for NEGATIVE_CACHE_S, so that guessing tokens
    puts little load on the service. `per_source` bounds the unknown tokens of one client address that are validated at
    once, 0 means no bound; see `ValidationRooms`.
    """

    def __init__(
        self,
        identity: Identity,
        roles: Mapping[str, frozenset[Role]] = DEFAULT_ROLES,
        cache_s: float = CACHE_S,
        clock_s: Callable[[], float] = time.time,
        response_s: float = RESPONSE_S,
        per_source: int = PER_SOURCE,
    ) -> None:
        self._identity = identity
        self._roles = roles
        self._cache_s = cache_s
        self._clock_s = clock_s
        self._response_s = response_s
        self._callers: dict[TokenHash, tuple[Caller, float]] = {}
        """Until when each caller is cached. An entry stays after that: its token is known."""
        self._refused: dict[TokenHash, tuple[ProblemDetails, float]] = {}
        self._pending: dict[TokenHash, asyncio.Task[Outcome]] = {}
        self._rooms = ValidationRooms(per_source)
        self._threads = {room: ThreadPoolExecutor(THREADS, f"identity-{room.name}") for room in ValidationRoom}

    async def authenticate(self, request: HttpRequest, _body: bytes, /) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        token = request.headers.get("x-auth-token")
        if not token:
            return None
        key = hashlib.sha256(token.encode()).digest()
        cached = self._callers.get(key) or self._refused.get(key)
        fresh = cached is not None and cached[1] > self._clock_s()
        outcome = cached[0] if cached is not None and fresh else await self._validate_once(key, token, request.address)
        if isinstance(outcome, ProblemDetails):
            raise ApiError(outcome.kind, outcome.detail)
        return outcome

    def known(self, token: bytes) -> Caller | None:
        """The caller of a token given as on the wire, while it is cached; after None, `authenticate` decides."""
        cached = self._callers.get(hashlib.sha256(token.decode("latin-1").encode()).digest())
        return cached[0] if cached is not None and cached[1] > self._clock_s() else None

    async def _validate_once(self, key: TokenHash, token: str, address: str) -> Outcome:
        pending = self._pending.get(key)
        if pending is None:
            place = self._rooms.enter(address, known_token=key in self._callers)
            if place is None:
                detail = "too many tokens that were not seen before are being validated; send the request again later"
                raise ApiError(UNAVAILABLE, detail, retry_after_s=RETRY_AFTER_S)
            pending = asyncio.ensure_future(self._validate(key, token, place))
            self._pending[key] = pending
            pending.add_done_callback(lambda done: self._validated(key, place, done))
        try:
            return await asyncio.shield(pending)  # one caller that disconnects must not cancel it for the others
        except IdentityUnavailable as error:
            raise ApiError(UNAVAILABLE, str(error), retry_after_s=RETRY_AFTER_S) from error

    def _validated(self, key: TokenHash, place: ValidationPlace, done: asyncio.Task[Outcome]) -> None:
        del self._pending[key]
        self._rooms.leave(place)
        if not done.cancelled():
            done.exception()  # retrieved even when every caller has disconnected

    async def _validate(self, key: TokenHash, token: str, place: ValidationPlace) -> Outcome:
        try:
            async with asyncio.timeout(self._response_s):
                facts = await self._facts(token, place)
        except TimeoutError as error:
            raise IdentityUnavailable(f"the identity service did not respond within {self._response_s:g} s") from error
        now_s = self._clock_s()
        outcome = self._outcome(facts, now_s)
        self._callers.pop(key, None)
        self._refused.pop(key, None)
        if isinstance(outcome, Caller) and facts is not None:
            _store(self._callers, key, (outcome, min(facts.expires_at_s, now_s + self._cache_s)))
            self._rooms.was_valid(place)
        elif isinstance(outcome, ProblemDetails):
            _store(self._refused, key, (outcome, now_s + NEGATIVE_CACHE_S))
        return outcome

    async def _facts(self, token: str, place: ValidationPlace) -> TokenFacts | None:
        """What the service knows; cancelling it cancels a call that no thread has begun."""
        async with place.source.turns if place.source is not None else contextlib.nullcontext():
            threads = self._threads[place.room]
            return await asyncio.get_running_loop().run_in_executor(threads, self._identity.validate, token)

    def _outcome(self, facts: TokenFacts | None, now_s: float) -> Outcome:
        if facts is None or facts.expires_at_s <= now_s:
            return _UNKNOWN
        if facts.project_id is None or "/" in facts.project_id:
            return _UNSCOPED
        return Caller(facts.project_id, frozenset(role for name in facts.roles for role in self._roles.get(name, ())))


def _store(cache: dict[TokenHash, Entry], key: TokenHash, entry: Entry) -> None:
    """Add an entry to a cache of at most CACHE_TOKENS, in place of the oldest if it is full."""
    while len(cache) >= CACHE_TOKENS:
        del cache[next(iter(cache))]
    cache[key] = entry
