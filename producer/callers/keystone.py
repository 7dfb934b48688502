"""Tokens of a Keystone v3 identity service: asked once, remembered for a while, by the token's hash alone."""

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
from taskstream.schemas.http.api_error import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, ApiError, ErrorAnswer
from taskstream.schemas.http.caller import Caller, CallerRequest, Role

NEGATIVE_CACHE_S: Final = 10.0
CACHE_TOKENS: Final = 10_000
THREADS: Final = 8
ANSWER_S: Final = 5.0
"""How long a request waits for the service, however many others do."""
RETRY_AFTER_S: Final = 2
_UNKNOWN: Final = ErrorAnswer(UNAUTHENTICATED, "the identity service does not know this token")
_UNSCOPED: Final = ErrorAnswer(FORBIDDEN, "the token has no project; ask for one that is scoped to a project")
Outcome = Caller | ErrorAnswer


class Identity(Protocol):
    """Knows tokens; `taskstream.producer.callers.identity_service.IdentityService` is the real one. It may block."""

    def validate(self, token: str) -> TokenFacts | None:
        """What the token stands for, or None. Raises IdentityUnavailable."""
        ...


class KeystoneTokens:
    """Answers for X-Auth-Token by asking the identity service.

    `roles` says what each of the service's roles may do here. A token is never remembered past its end, several
    requests with the same token ask once, and what is refused is remembered shortly, so that guessing is no load.
    """

    def __init__(
        self,
        identity: Identity,
        roles: Mapping[str, frozenset[Role]] = DEFAULT_ROLES,
        cache_s: float = CACHE_S,
        clock_s: Callable[[], float] = time.time,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._identity = identity
        self._roles = roles
        self._cache_s = cache_s
        self._clock_s = clock_s
        self._answer_s = answer_s
        self._known: dict[bytes, tuple[Outcome, float]] = {}  # what is known, and until when
        self._asking: dict[bytes, asyncio.Task[Outcome]] = {}
        self._threads = ThreadPoolExecutor(THREADS, "identity")

    async def authenticate(self, request: CallerRequest) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        token = request.headers.get("x-auth-token")
        if not token:
            return None
        key = hashlib.sha256(token.encode()).digest()
        known = self._known.get(key)
        fresh = known is not None and known[1] > self._clock_s()
        outcome = known[0] if known is not None and fresh else await self._ask_once(key, token)
        if isinstance(outcome, ErrorAnswer):
            raise ApiError(outcome.kind, outcome.detail)
        return outcome

    async def _ask_once(self, key: bytes, token: str) -> Outcome:
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(key, token))
            self._asking[key] = asking
            asking.add_done_callback(lambda done: self._asked(key, done))
        try:
            return await asyncio.shield(asking)  # who goes away does not take the answer from the others
        except IdentityUnavailable as error:
            raise ApiError(UNAVAILABLE, str(error), retry_after_s=RETRY_AFTER_S) from error

    def _asked(self, key: bytes, done: asyncio.Task[Outcome]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # if everybody went away, nobody else looks at it

    async def _ask(self, key: bytes, token: str) -> Outcome:
        in_thread = asyncio.get_running_loop().run_in_executor(self._threads, self._identity.validate, token)
        try:
            facts = await asyncio.wait_for(in_thread, self._answer_s)  # one that has not begun is not begun then
        except TimeoutError as error:
            raise IdentityUnavailable(f"the identity service did not answer within {self._answer_s:g} s") from error
        now_s = self._clock_s()
        outcome = self._outcome(facts, now_s)
        kept_s = self._cache_s if isinstance(outcome, Caller) else NEGATIVE_CACHE_S
        end_s = facts.expires_at_s if facts is not None and isinstance(outcome, Caller) else float("inf")
        self._known.pop(key, None)
        while len(self._known) >= CACHE_TOKENS:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[key] = (outcome, min(end_s, now_s + kept_s))
        return outcome

    def _outcome(self, facts: TokenFacts | None, now_s: float) -> Outcome:
        if facts is None or facts.expires_at_s <= now_s:
            return _UNKNOWN
        if facts.project_id is None or "/" in facts.project_id:
            return _UNSCOPED
        return Caller(facts.project_id, frozenset(role for name in facts.roles for role in self._roles.get(name, ())))
