"""Asks a Keystone v3 identity service, with credentials of our own, what a token stands for. It caches nothing."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import urllib3

from producer.errors import CredentialsUnusable, IdentityUnavailable

TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """Where the service is and who we are there. Secrets are kept out of its repr."""

    url: str
    """Up to and without `/v3`."""
    username: str
    password: str = field(repr=False)
    project: str
    domain: str = "Default"
    """The domain's name, of user and project."""
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a good token stands for."""

    project_id: str | None
    roles: frozenset[str]
    expires_at_s: float
    """Seconds since 1970 UTC."""


def read_identity_settings(path: Path) -> IdentitySettings:
    """The settings in a JSON file: url, username, password, project, and optionally domain and ca_file.

    Raises:
        CredentialsUnusable: it cannot be read, or a member is missing; the message has no secret.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        return IdentitySettings(**document)
    except (OSError, ValueError) as error:
        raise CredentialsUnusable(f"{path} cannot be read as JSON: {type(error).__name__}") from error
    except TypeError as error:
        raise CredentialsUnusable(
            f"{path} must have the members url, username, password, project, and may have domain and ca_file"
        ) from error


class IdentityService:
    """Speaks to the service, blocking. It may be used from several threads."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        self._http = urllib3.PoolManager(
            maxsize=8, timeout=TIMEOUT_S, retries=False, ca_certs=settings.ca_file, cert_reqs="CERT_REQUIRED"
        )
        self._own_token = ""

    def validate(self, token: str) -> TokenFacts | None:
        """What the token stands for, or None if it is not, or no longer, a good one.

        Raises:
            IdentityUnavailable: the service did not answer, or refuses us.
        """
        answer = self._ask(token) if self._own_token else None
        if answer is None or answer.status == 401:  # it is our own token that has become too old
            self._own_token = self._log_in()
            answer = self._ask(token)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise IdentityUnavailable(f"the identity service answered {answer.status}")
        return _facts(answer)

    def _ask(self, token: str) -> urllib3.BaseHTTPResponse:
        headers = {"X-Auth-Token": self._own_token, "X-Subject-Token": token}
        return self._request("GET", "/v3/auth/tokens?nocatalog=1", headers=headers)

    def _log_in(self) -> str:
        mine = self._settings
        domain = {"name": mine.domain}
        user = {"name": mine.username, "password": mine.password, "domain": domain}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": mine.project, "domain": domain}}
        answer = self._request("POST", "/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
        if answer.status != 201:
            raise IdentityUnavailable(f"the identity service refuses our own credentials with {answer.status}")
        return answer.headers["X-Subject-Token"]

    def _request(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(method, self._settings.url.rstrip("/") + path, **options)
        except urllib3.exceptions.HTTPError as error:
            raise IdentityUnavailable(f"the identity service does not answer: {type(error).__name__}") from error


def _facts(answer: urllib3.BaseHTTPResponse) -> TokenFacts:
    try:
        token = answer.json()["token"]
        expires = dt.datetime.fromisoformat(token["expires_at"]).timestamp()
        names = frozenset(role["name"] for role in token.get("roles", ()))
        return TokenFacts(token.get("project", {}).get("id"), names, expires)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IdentityUnavailable("the identity service answered with something that is no token") from error
