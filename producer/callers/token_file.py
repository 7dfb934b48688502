"""A file of token hashes: for each token its project, its roles, and optionally a label and a time when it expires.

Tokens are random, so a plain SHA-256 is enough: it reveals nothing about the token.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taskstream.producer.callers.credentials_file import credentials_file, json_lines
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Caller, Role
from taskstream.schemas.http.request import HttpRequest

ID_CHARS = 8
"""How much of a token's hash names it to people."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A line of the file."""

    sha256: str
    caller: Caller
    label: str = ""
    """Whose it is, for people."""
    expires_at: datetime | None = None
    """With a time zone; None: never."""

    @property
    def id(self) -> str:
        """The beginning of the hash."""
        return self.sha256[:ID_CHARS]

    def is_expired(self, now_s: float) -> bool:
        """now_s: seconds since 1970."""
        return self.expires_at is not None and now_s >= self.expires_at.timestamp()

    def line(self) -> str:
        """As in the file, without the newline."""
        more: dict[str, str] = {"label": self.label} if self.label else {}
        if self.expires_at is not None:
            more["expires_at"] = self.expires_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        caller = self.caller
        return json.dumps(
            {"sha256": self.sha256, "project": caller.project_id, "roles": sorted(caller.roles)} | more,
            ensure_ascii=False,
        )


class TokenFile:
    """Authenticates X-Auth-Token with a file of JSON lines: `{"sha256": HEX, "project": ID, "roles": ["report"]}`.

    The file is read again when it changes, see `credentials_file`. `clock` gives monotonic seconds, `now_s` seconds
    since 1970.
    """

    def __init__(
        self,
        path: Path,
        on_problem: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._file = credentials_file(path, parse_tokens, on_problem, clock)
        self._now_s = now_s
        self._tokens: dict[str, StoredToken] = {}
        """Tokens that were sent and are in `_entries`: hashing one costs more than all else that is asked of it."""
        self._entries: dict[str, StoredToken] = {}

    def load(self) -> None:
        """Read the file.

        Raises:
            CredentialsUnusable: the file cannot be read, or a line is invalid.
        """
        self._file.load()

    async def authenticate(self, request: HttpRequest, _body: bytes, /) -> Caller | None:
        """See `Authenticator`. None for an unknown token, because another authenticator may know it."""
        token = request.headers.get("x-auth-token")
        return self._caller(token) if token else None

    def known(self, token: bytes) -> Caller | None:
        """The caller of a token given as on the wire."""
        return self._caller(token.decode("latin-1")) if token else None

    def _caller(self, token: str) -> Caller | None:
        entries = self._file.current()
        if entries is not self._entries:
            self._entries, self._tokens = entries, {}
        stored = self._tokens.get(token)
        if stored is None:
            stored = entries.get(hashed(token))
            if stored is None:
                return None
            self._tokens[token] = stored
        return None if stored.expires_at is not None and stored.is_expired(self._now_s()) else stored.caller


def hashed(token: str) -> str:
    """The hash of a token, as in the file: 64 hex digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_line(token: str, project_id: str, roles: Iterable[Role]) -> str:
    """One line of a token file, without its newline."""
    return StoredToken(hashed(token), Caller(project_id, frozenset(roles))).line()


def parse_tokens(lines: Iterable[str], source: str) -> dict[str, StoredToken]:
    """Tokens by their hash; `#` begins a comment line.

    Raises:
        CredentialsUnusable: a line is invalid; the message has its number and nothing of its content.
    """
    return {token.sha256: token for token in (_entry(entry, where) for where, entry in json_lines(lines, source))}


def _entry(entry: Any, where: str) -> StoredToken:
    if not isinstance(entry, dict) or not {"sha256", "project", "roles"} <= entry.keys():
        raise CredentialsUnusable(f'{where}: needs {{"sha256": ..., "project": ..., "roles": [...]}}')
    digest = entry["sha256"]
    if not (isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise CredentialsUnusable(f"{where}: sha256 is not 64 hex digits in lower case")
    caller = Caller(project_id(entry["project"], where), roles(entry["roles"], where))
    return StoredToken(digest, caller, label(entry.get("label", ""), where), _expiry(entry.get("expires_at"), where))


def label(value: Any, where: str) -> str:
    """The value, if it is a valid label.

    Raises:
        CredentialsUnusable: it is not.
    """
    if not isinstance(value, str) or not value.isprintable():
        raise CredentialsUnusable(f"{where}: a label must be a printable string, not {value!r}")
    return value


def _expiry(value: Any, where: str) -> datetime | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        found = None
    if found is None or found.tzinfo is None:
        raise CredentialsUnusable(
            f"{where}: expires_at must be a time with its zone, such as 2027-01-31T00:00:00Z, not {value!r}"
        )
    return found


def project_id(value: Any, where: str) -> str:
    """The value, if it is a valid project id: event keys begin with it, up to the first slash.

    Raises:
        CredentialsUnusable: it is not.
    """
    if not isinstance(value, str) or not value or "/" in value or not value.isprintable():
        raise CredentialsUnusable(f"{where}: a project must be a printable string without a slash, not {value!r}")
    return value


def roles(value: Any, where: str) -> frozenset[Role]:
    """The roles with these names.

    Raises:
        CredentialsUnusable: a name is unknown.
    """
    try:
        return frozenset(Role(name) for name in value)
    except (TypeError, ValueError) as error:
        known = ", ".join(Role)
        raise CredentialsUnusable(f"{where}: roles must be a list of {known}, not {value!r}") from error
