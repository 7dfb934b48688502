"""An OpenID Connect provider as its client sees it: discovery, the exchange of a code, the check of the ID token.

Calls block. It keeps the discovery document and no token. It knows no browser and no role. It needs the extra `oidc`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from taskstream.consumer.errors import ProviderUnavailable, SignInRefused
from taskstream.consumer.view.oidc.web_address import is_secure_address

ALGORITHMS: Final = tuple(f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512))
"""The signatures that an ID token may have: made with a private key that only the provider has."""
LEEWAY_S: Final = 60
"""How far the clocks of the provider and of the view may differ."""
TIMEOUT_S: Final = 4.0
"""The longest wait for a connection, for the next bytes, and for a whole response."""
DISCOVERY_S: Final = 600.0
"""How long the discovery document is kept. Keys are not kept: each sign-in reads them."""
RETRY_S: Final = 2.0
"""After a failed discovery, the next request is not sent before this time has passed."""
LONGEST_RESPONSE: Final = 1_000_000
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_SHOWN_CHARS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """A provider, and this view as its client."""

    issuer: str
    """As the provider writes it in its discovery document and its tokens."""
    client_id: str
    redirect_url: str
    """Where the provider sends the browser back; it must be registered there."""
    secret: Callable[[], str] = field(default=lambda: "", repr=False)
    """Gives the client's secret, empty for a client without one. It is called for each exchange."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    ca_file: str | None = None
    """The only certificate authority to trust, in PEM; None: those of the system."""


class OidcProvider:
    """Requests to the provider. Several threads may share an instance. `clock`: monotonic; `now_s`: since 1970."""

    def __init__(
        self,
        settings: ProviderSettings,
        now_s: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._settings = settings
        self._now_s = now_s
        self._clock = clock
        self._timeout_s = timeout_s
        self._http = urllib3.PoolManager(
            maxsize=8,
            timeout=urllib3.Timeout(total=timeout_s),
            retries=False,
            ca_certs=settings.ca_file,
            cert_reqs="CERT_REQUIRED",
        )
        self._discovering = threading.Lock()
        self._document: Mapping[str, Any] = {}
        self._document_until_s = 0.0
        self._failure = ""
        self._failure_until_s = 0.0

    def authorization_url(self, state: str, nonce: str, verifier: str) -> str | None:
        """Where the browser signs in; None: call `discover` first. It does not block."""
        document = self._document
        if not document or self._clock() > self._document_until_s:
            return None
        url: str = prepare_grant_uri(
            document["authorization_endpoint"],
            client_id=self._settings.client_id,
            response_type="code",
            redirect_uri=self._settings.redirect_url,
            scope=list(self._settings.scopes),
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    def discover(self) -> None:
        """Read the discovery document, unless it is known. Threads that need it at the same time read it once.

        Raises:
            ProviderUnavailable: it cannot be read, or is not this issuer's.
        """
        with self._discovering:
            if self._document and self._clock() <= self._document_until_s:
                return
            if self._failure and self._clock() < self._failure_until_s:
                raise ProviderUnavailable(self._failure)
            try:
                self._document = self._read_document()
            except ProviderUnavailable as error:
                self._failure, self._failure_until_s = str(error), self._clock() + RETRY_S
                raise
            self._failure, self._document_until_s = "", self._clock() + DISCOVERY_S

    def claims(self, code: str, nonce: str, verifier: str) -> Mapping[str, Any]:
        """The claims of the ID token that the code is exchanged for, after all checks (OpenID Connect Core, 3.1.3.7).

        Raises:
            ProviderUnavailable: the provider does not respond, or refuses this view as a client.
            SignInRefused: it refuses the code, or its ID token is not valid.
        """
        self.discover()
        tokens = self._exchange(code, verifier)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise ProviderUnavailable(f"{self._settings.issuer} sent no ID token; its client needs the scope openid")
        keys = self._keys()
        try:
            kid = jws.extract_compact(id_token.encode()).headers().get("kid")
            token = _verified(id_token, [key for key in keys if kid is None or key.kid == kid])
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self._settings.issuer},
                    "aud": {"essential": True, "value": self._settings.client_id},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._settings.client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(now=int(self._now_s()), leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise SignInRefused(f"the ID token of {self._settings.issuer} is not valid: {_words(error)}") from error
        return dict(claims)

    def _read_document(self) -> Mapping[str, Any]:
        issuer = self._settings.issuer
        status, document = self._request("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if status != 200:
            raise ProviderUnavailable(f"{issuer} has no discovery document: status {status}; is it the issuer's URL?")
        if document.get("issuer") != issuer:
            named = _shown(document.get("issuer"))
            raise ProviderUnavailable(
                f"the discovery document of {issuer} names the issuer {named}: configure that one"
            )
        for name in _ENDPOINTS:
            if not isinstance(document.get(name), str) or not is_secure_address(document[name]):
                raise ProviderUnavailable(f"{name} of {issuer} is not an https URL: {_shown(document.get(name))}")
        return document

    def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        settings, secret = self._settings, self._settings.secret()
        url = self._document["token_endpoint"]
        body = prepare_token_request(
            "authorization_code", redirect_uri=settings.redirect_url, code=code, code_verifier=verifier
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        client = ClientAuth(settings.client_id, secret, self._client_authentication(secret))
        url, headers, body = client.prepare("POST", url, headers, body)
        status, answer = self._request("POST", url, headers, body)
        if status == 200:
            return answer
        error, description = _shown(answer.get("error")), _shown(answer.get("error_description"))
        if answer.get("error") == "invalid_grant":
            raise SignInRefused("the provider refuses the code, which is used, expired or not of this sign-in")
        raise ProviderUnavailable(f"{settings.issuer} gives this view no token: status {status}, {error} {description}")

    def _client_authentication(self, secret: str) -> str:
        """How this client names itself at the token endpoint (OpenID Connect Core, 9)."""
        if not secret:
            return "none"
        supported = self._document.get("token_endpoint_auth_methods_supported")
        posts = isinstance(supported, list) and "client_secret_basic" not in supported
        return "client_secret_post" if posts else "client_secret_basic"

    def _keys(self) -> list[Key]:
        issuer = self._settings.issuer
        status, document = self._request("GET", self._document["jwks_uri"])
        if status != 200:
            raise ProviderUnavailable(f"the keys of {issuer} cannot be read: status {status}")
        keys = document.get("keys")
        found: list[Key] = []
        for each in keys if isinstance(keys, list) else ():
            try:
                if each["kty"] != "oct" and each.get("use", "sig") == "sig":
                    found.extend(KeySet.import_key_set({"keys": [each]}).keys)
            except (JoseError, ValueError, TypeError, AttributeError, KeyError):
                continue  # a key of a kind that is not understood is not used (RFC 7517, 5)
        return found

    def _request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of a response; an empty object for a response that has none."""
        until_s = self._clock() + self._timeout_s
        try:
            response = self._http.request(
                method, url, body=body, headers=headers, preload_content=False, redirect=False
            )
            try:
                content = b""
                while piece := response.read1(65_536):
                    content += piece
                    if len(content) > LONGEST_RESPONSE or self._clock() > until_s:
                        what = "too much" if len(content) > LONGEST_RESPONSE else "too slowly"
                        raise ProviderUnavailable(f"{urlsplit(url).netloc} sends {what}")
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ProviderUnavailable(
                f"{self._settings.issuer} does not respond: {type(error).__name__} at {urlsplit(url).netloc}"
            ) from error
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            if response.status == 200:
                raise ProviderUnavailable(f"{urlsplit(url).netloc} sends no JSON object: is it the issuer's address?")
            document = {}
        return response.status, document


def _verified(id_token: str, keys: list[Key]) -> jwt.Token:
    """The token, whose signature one of these keys verifies."""
    failure: Exception = ValueError("none of the provider's keys has its key id")
    for key in keys:
        try:
            return jwt.decode(id_token, key, algorithms=ALGORITHMS)
        except (JoseError, ValueError) as error:
            failure = error
    raise failure


def _words(error: Exception) -> str:
    """What is wrong, without a value of the token."""
    return _shown(str(error)) if isinstance(error, JoseError | ValueError) else type(error).__name__


def _shown(value: object) -> str:
    """A stranger's value for a message: short, and printable characters only."""
    text = "" if value is None else str(value)
    return "".join(each if each.isprintable() else " " for each in text[:_SHOWN_CHARS])
