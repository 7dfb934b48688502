"""Sign-ins that have begun and are not complete: bounded, used once, each bound to the browser that began it.

It makes no secrets and reads no clock.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

VALID_S: Final = 600.0
"""How long a person has to sign in at the provider."""
PER_SOURCE: Final = 32
"""Of one address: one more ends the oldest of that address."""
IN_ALL: Final = 4_096
"""One more ends the oldest of all. Each has at most about 3 kB."""


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """What the response of the provider is checked with."""

    binding: str
    """The cookie of the browser that began it."""
    nonce: str
    verifier: str
    return_query: str
    """Where the browser goes then."""
    source: str
    """The client's address; empty: no limit per address."""
    begun_s: float


class PendingSignIns:
    """By the hash of their state."""

    def __init__(self, per_source: int = PER_SOURCE, in_all: int = IN_ALL) -> None:
        self._per_source = per_source
        self._in_all = in_all
        self._pending: OrderedDict[bytes, PendingSignIn] = OrderedDict()  # the oldest first
        self._of_source: dict[str, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def begin(self, state: str, pending: PendingSignIn) -> None:
        """Keep it until it is taken or too old, or until one more than the limit begins."""
        while self._pending:
            oldest, first = next(iter(self._pending.items()))
            if len(self._pending) < self._in_all and pending.begun_s - first.begun_s <= VALID_S:
                break
            self._remove(oldest)
        if pending.source:
            own = self._of_source.setdefault(pending.source, [])
            if len(own) >= self._per_source:
                self._remove(own[0])
            self._of_source.setdefault(pending.source, []).append(_key(state))
        self._pending[_key(state)] = pending

    def take(self, state: str, binding: str, now_s: float) -> PendingSignIn | None:
        """The sign-in with this state, which is over then; None: there is none, or another browser began it."""
        pending = self._pending.get(_key(state))
        if pending is None:
            return None
        self._remove(_key(state))
        is_same_browser = hmac.compare_digest(pending.binding.encode(), binding.encode())
        return pending if is_same_browser and 0 <= now_s - pending.begun_s <= VALID_S else None

    def _remove(self, key: bytes) -> None:
        pending = self._pending.pop(key)
        if pending.source:
            own = self._of_source[pending.source]
            own.remove(key)
            if not own:
                del self._of_source[pending.source]


def _key(state: str) -> bytes:
    return hashlib.sha256(state.encode(errors="surrogatepass")).digest()
