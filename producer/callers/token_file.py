"""Tokens in a file, hashed: who holds which token, for which project, with which roles.

A token is random, so its plain SHA-256 is as good as the token is long; the file gives none away.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from taskstream.producer.callers.watched_file import WatchedFile
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Caller, CallerRequest, Role


class TokenFile:
    """Answers for X-Auth-Token from a file of JSON lines: `{"sha256": HEX, "project": ID, "roles": ["report"]}`.

    The file is read again when it changes, see `WatchedFile`.
    """

    def __init__(
        self, path: Path, on_problem: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = WatchedFile(path, parse_tokens, on_problem, clock)

    def load(self) -> None:
        """Read the file.

        Raises:
            CredentialsUnusable: it cannot be read, or a line is wrong.
        """
        self._file.load()

    async def authenticate(self, request: CallerRequest) -> Caller | None:
        """See `Authenticator`. A token that is not here may be another authenticator's."""
        token = request.headers.get("x-auth-token")
        return self._file.current().get(hashed(token)) if token else None

    def known(self, token: bytes) -> Caller | None:
        """The caller of a token as it stands on the wire."""
        return self._file.current().get(hashed(token.decode("latin-1"))) if token else None


def hashed(token: str) -> str:
    """What stands in the file for a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_line(token: str, project_id: str, roles: Iterable[Role]) -> str:
    """One line of a token file, without its newline."""
    return json.dumps({"sha256": hashed(token), "project": project_id, "roles": sorted(roles)})


def parse_tokens(lines: Iterable[str], source: str) -> dict[str, Caller]:
    """Callers by hash; `#` begins a comment line.

    Raises:
        CredentialsUnusable: a line is wrong; the message has its number and nothing of its content.
    """
    callers = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{source}, line {number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise CredentialsUnusable(f"{where}: not JSON") from error
        digest, caller = _entry(entry, where)
        callers[digest] = caller
    return callers


def _entry(entry: Any, where: str) -> tuple[str, Caller]:
    if not isinstance(entry, dict) or not {"sha256", "project", "roles"} <= entry.keys():
        raise CredentialsUnusable(f'{where}: needs {{"sha256": ..., "project": ..., "roles": [...]}}')
    digest = entry["sha256"]
    if not (isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise CredentialsUnusable(f"{where}: sha256 is not 64 hex digits in lower case")
    return digest, Caller(project_id(entry["project"], where), roles(entry["roles"], where))


def project_id(value: Any, where: str) -> str:
    """The value, if it can be a project's id: it begins the key of its events, up to the first slash.

    Raises:
        CredentialsUnusable: it cannot.
    """
    if not isinstance(value, str) or not value or "/" in value or not value.isprintable():
        raise CredentialsUnusable(f"{where}: a project is a printable string without a slash, not {value!r}")
    return value


def roles(value: Any, where: str) -> frozenset[Role]:
    """The roles of these names.

    Raises:
        CredentialsUnusable: one is unknown.
    """
    try:
        return frozenset(Role(name) for name in value)
    except (TypeError, ValueError) as error:
        known = ", ".join(Role)
        raise CredentialsUnusable(f"{where}: roles is a list of {known}, not {value!r}") from error
