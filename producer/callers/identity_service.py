"""Asks a Keystone v3 identity service, with credentials of our own, what a token stands for. It caches nothing."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from taskstream.producer.callers.keystone_settings import KeystoneSettings
from taskstream.producer.errors import IdentityUnavailable

TIMEOUT_S: Final = 3.0
_NO_TOKEN: Final = frozenset({400, 404, 413, 414, 431})
"""Answers about the token asked for: unknown, revoked, past its end, or too long to be one."""


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a good token stands for."""

    project_id: str | None
    roles: frozenset[str]
    expires_at_s: float
    """Seconds since 1970 UTC."""


class IdentityService:
    """Speaks to the service, blocking. It may be used from several threads."""

    def __init__(self, settings: KeystoneSettings, timeout_s: float = TIMEOUT_S) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/").removesuffix("/v3")
        self._http = urllib3.PoolManager(
            maxsize=8, timeout=timeout_s, retries=False, ca_certs=settings.ca_file, cert_reqs="CERT_REQUIRED"
        )
        self._own_token = ""
        self._renewing = threading.Lock()

    def validate(self, token: str) -> TokenFacts | None:
        """What the token stands for, or None if it is not, or no longer, a good one.

        Raises:
            IdentityUnavailable: the service did not answer, or refuses us.
        """
        own = self._own_token or self._renewed("")
        answer = self._ask(own, token)
        if answer.status == 401:  # it is our own token that has become too old
            answer = self._ask(self._renewed(own), token)
        if answer.status in _NO_TOKEN:
            return None
        if answer.status != 200:
            raise IdentityUnavailable(f"the identity service answered {answer.status}{_meaning(answer.status)}")
        return _facts(answer)

    def _ask(self, own_token: str, token: str) -> urllib3.BaseHTTPResponse:
        headers = {"X-Auth-Token": own_token, "X-Subject-Token": token}
        return self._request("GET", "/v3/auth/tokens?nocatalog=1", headers=headers)

    def _renewed(self, stale: str) -> str:
        """A token of our own in place of this one; threads that find it stale together log in once."""
        with self._renewing:
            if self._own_token == stale:
                self._own_token = self._log_in()
            return self._own_token

    def _log_in(self) -> str:
        mine = self._settings
        domain = {"name": mine.domain}
        user = {"name": mine.username, "password": mine.password, "domain": domain}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": mine.project, "domain": domain}}
        answer = self._request("POST", "/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
        token = answer.headers.get("X-Subject-Token")
        if answer.status != 201 or not token:
            raise IdentityUnavailable(f"the identity service answered our own log-in with {answer.status}")
        return token

    def _request(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        try:
            try:
                return self._http.request(method, self._url + path, **options)
            except urllib3.exceptions.ProtocolError:  # it closed a connection that had been idle: take a fresh one
                return self._http.request(method, self._url + path, **options)
        except urllib3.exceptions.HTTPError as error:
            raise IdentityUnavailable(f"the identity service does not answer: {type(error).__name__}") from error


def _meaning(status: int) -> str:
    return ": our account there may not validate tokens" if status in {401, 403} else ""


def _facts(answer: urllib3.BaseHTTPResponse) -> TokenFacts:
    try:
        token = answer.json()["token"]
        expires = dt.datetime.fromisoformat(token["expires_at"]).timestamp()
        names = frozenset(role["name"] for role in token.get("roles", ()))
        return TokenFacts(token.get("project", {}).get("id"), names, expires)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IdentityUnavailable("the identity service answered with something that is no token") from error
