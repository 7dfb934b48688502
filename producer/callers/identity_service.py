"""A client of a Keystone v3 identity service that validates tokens with an account of its own. It caches nothing."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from taskstream.producer.callers.keystone_settings import KeystoneSettings
from taskstream.producer.errors import IdentityUnavailable

_TIMEOUT_PART: Final = 0.6
"""Of the time that a caller waits, for one request to the service: a token of our own may be asked for before."""
_NO_TOKEN: Final = frozenset({400, 404, 413, 414, 431})
"""Statuses that concern the validated token: it is unknown, revoked, expired, or too long."""


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What the service knows about a valid token."""

    project_id: str | None
    roles: frozenset[str]
    expires_at_s: float
    """Seconds since 1970 UTC."""


class IdentityService:
    """Requests to the service, blocking. Several threads may share an instance."""

    def __init__(self, settings: KeystoneSettings) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/").removesuffix("/v3")
        self._http = urllib3.PoolManager(
            maxsize=12,
            timeout=_TIMEOUT_PART * settings.response_s,
            retries=False,
            ca_certs=settings.ca_file,
            cert_reqs="CERT_REQUIRED",
        )
        self._own_token = ""
        self._renewing = threading.Lock()

    def validate(self, token: str) -> TokenFacts | None:
        """What the service knows about the token, or None when the token is not, or no longer, valid.

        Raises:
            IdentityUnavailable: the service did not respond, or refused our own account.
        """
        own = self._own_token or self._renewed("")
        response = self._show_token(own, token)
        if response.status == 401:  # our own token has expired
            response = self._show_token(self._renewed(own), token)
        if response.status in _NO_TOKEN:
            return None
        if response.status != 200:
            reason = ": our own account may not validate tokens" if response.status in {401, 403} else ""
            raise IdentityUnavailable(f"the identity service responded with {response.status}{reason}")
        return _facts(response)

    def _show_token(self, own_token: str, token: str) -> urllib3.BaseHTTPResponse:
        headers = {"X-Auth-Token": own_token, "X-Subject-Token": token}
        return self._request("GET", "/v3/auth/tokens?nocatalog=1", headers=headers)

    def _renewed(self, stale: str) -> str:
        """A token of our own that replaces the stale one; threads that find it stale at the same time log in once."""
        with self._renewing:
            if self._own_token == stale:
                self._own_token = self._log_in()
            return self._own_token

    def _log_in(self) -> str:
        settings = self._settings
        domain = {"name": settings.domain}
        user = {"name": settings.username, "password": settings.password, "domain": domain}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": settings.project, "domain": domain}}
        response = self._request("POST", "/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
        token = response.headers.get("X-Subject-Token")
        if response.status != 201 or not token:
            raise IdentityUnavailable(f"the identity service responded to our own log-in with {response.status}")
        return token

    def _request(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        try:
            try:
                return self._http.request(method, self._url + path, **options)
            except urllib3.exceptions.ProtocolError:  # the service closed an idle connection: use a new one
                return self._http.request(method, self._url + path, **options)
        except urllib3.exceptions.HTTPError as error:
            raise IdentityUnavailable(f"the identity service does not respond: {type(error).__name__}") from error


def _facts(response: urllib3.BaseHTTPResponse) -> TokenFacts:
    try:
        token = response.json()["token"]
        expires = dt.datetime.fromisoformat(token["expires_at"]).timestamp()
        names = frozenset(role["name"] for role in token.get("roles", ()))
        return TokenFacts(token.get("project", {}).get("id"), names, expires)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IdentityUnavailable("the identity service responded with an invalid token document") from error
