"""The sessions of people who signed in with the provider: bounded, in memory, by the hash of their secret.

It makes no secrets and reads no clock.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from taskstream.schemas.http.caller import Caller

PER_PERSON: Final = 16
"""One more ends the oldest of that person."""
IN_ALL: Final = 10_000
"""One more ends the oldest of all."""


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A browser in which somebody is signed in."""

    subject: str
    """The provider's id of the person."""
    caller: Caller
    expires_at_s: float
    """Seconds since 1970."""


class BrowserSessions:
    """A session is found with its secret, which is the cookie; it is not kept."""

    def __init__(self, per_person: int = PER_PERSON, in_all: int = IN_ALL) -> None:
        self._per_person = per_person
        self._in_all = in_all
        self._sessions: OrderedDict[bytes, BrowserSession] = OrderedDict()  # the oldest first

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, secret: str, session: BrowserSession) -> None:
        """Keep it until it ends, or until one more than the limit is opened."""
        own = [key for key, each in self._sessions.items() if each.subject == session.subject]
        if len(own) >= self._per_person:
            del self._sessions[own[0]]
        if len(self._sessions) >= self._in_all:
            self._sessions.popitem(last=False)
        self._sessions[_hashed(secret)] = session

    def find(self, secret: str, now_s: float) -> BrowserSession | None:
        """The session with this secret; None: it ended, has expired, or never was."""
        session = self._sessions.get(_hashed(secret))
        if session is not None and now_s >= session.expires_at_s:
            del self._sessions[_hashed(secret)]
            return None
        return session

    def end(self, secret: str) -> None:
        """End the session with this secret, if there is one."""
        self._sessions.pop(_hashed(secret), None)


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
