"""A file of token hashes: for each token its project and its roles.

Tokens are random, so a plain SHA-256 is enough: it reveals nothing about the token.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from taskstream.producer.callers.watched_file import WatchedFile, json_lines
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Caller, Role
from taskstream.schemas.http.request import HttpRequest


class TokenFile:
    """Authenticates X-Auth-Token with a file of JSON lines: `{"sha256": HEX, "project": ID, "roles": ["report"]}`.

    The file is read again when it changes, see `WatchedFile`.
    """

    def __init__(
        self, path: Path, on_problem: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = WatchedFile(path, parse_tokens, on_problem, clock)

    def load(self) -> None:
        """Read the file.

        Raises:
            CredentialsUnusable: the file cannot be read, or a line is invalid.
        """
        self._file.load()

    async def authenticate(self, request: HttpRequest, _body: bytes, /) -> Caller | None:
        """See `Authenticator`. None for an unknown token, because another authenticator may know it."""
        token = request.headers.get("x-auth-token")
        return self._file.current().get(hashed(token)) if token else None

    def known(self, token: bytes) -> Caller | None:
        """The caller of a token given as on the wire."""
        return self._file.current().get(hashed(token.decode("latin-1"))) if token else None


def hashed(token: str) -> str:
    """The hash of a token, as in the file: 64 hex digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_line(token: str, project_id: str, roles: Iterable[Role]) -> str:
    """One line of a token file, without its newline."""
    return json.dumps({"sha256": hashed(token), "project": project_id, "roles": sorted(roles)})


def parse_tokens(lines: Iterable[str], source: str) -> dict[str, Caller]:
    """Callers by the hash of their token; `#` begins a comment line.

    Raises:
        CredentialsUnusable: a line is invalid; the message has its number and nothing of its content.
    """
    callers = {}
    for where, entry in json_lines(lines, source):
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
