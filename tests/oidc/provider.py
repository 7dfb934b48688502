"""A real OpenID Connect provider on loopback, made of Authlib's server: its consent page, codes, PKCE, keys and tokens.

It can be told to break the protocol, as no client of it may accept.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import flask
import werkzeug.serving
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeGrant, ClientMixin, OAuth2Error
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin, OpenIDCode, UserInfo
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from tests.pipeline.edge.certificates import Pair
from tests.waiting import LIMIT_S

CLIENT_ID = "taskstream-view"
CLIENT_SECRET = "the secret of the view"
CONSENT = """<!doctype html><html lang="en"><title>Provider</title><form method="post">
<label>Who <input name="sub"></label> <button>Sign in</button>
<button name="deny" value="yes">Deny</button></form></html>"""


@dataclass(frozen=True)
class Person:
    sub: str
    claims: Mapping[str, Any]


@dataclass
class Client(ClientMixin):
    """The only client."""

    redirect_uri: str = ""

    def get_client_id(self):
        return CLIENT_ID

    def get_default_redirect_uri(self):
        return self.redirect_uri

    def get_allowed_scope(self, scope):
        return scope

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(client_secret, CLIENT_SECRET)

    def check_endpoint_auth_method(self, method, _endpoint):
        return method == "client_secret_basic"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"


@dataclass
class IssuedCode(AuthorizationCodeMixin):
    code: str
    redirect_uri: str
    scope: str
    nonce: str | None
    person: Person
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return None

    def get_acr(self):
        return None

    def get_amr(self):
        return None


@dataclass
class Faults:
    """How the provider breaks the protocol."""

    claims: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token that are replaced; None: left out."""
    unsigned: bool = False
    """alg is none."""
    shared_key: bool = False
    """HS256 with the public key as the secret."""
    foreign_key: bool = False
    """Signed by another key, with the key id of the provider's."""
    status: int = 200
    """Of all responses."""
    discovery: dict[str, Any] = field(default_factory=dict)
    """Members of the discovery document that are replaced."""
    body: bytes | None = None
    """Of all responses."""
    dripping: bool = False
    """A blank now and then, and no end, until `held` is set."""
    held: threading.Event | None = None
    """No response before this is set."""


class OpenIDProvider:
    """`with OpenIDProvider() as provider`. `people` sign in with their names on its page. `pair`: it speaks HTTPS.

    `host` is how it is called: for a browser, localhost is another site than 127.0.0.1.
    """

    def __init__(self, pair: Pair | None = None, host: str = "127.0.0.1") -> None:
        self._host = host
        self._tls = None if pair is None else (str(pair.certificate), str(pair.key))
        self.people: dict[str, Mapping[str, Any]] = {}
        self.client = Client()
        self.faults = Faults()
        self.key = ECKey.generate_key("P-256", {"kid": "first"})
        self.codes: dict[str, IssuedCode] = {}
        self.requests: list[str] = []
        """The paths that were asked for."""
        self.port = 0

    @property
    def issuer(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """On the port that it had before."""
        self._server = werkzeug.serving.make_server(
            "127.0.0.1", self.port, self._application(), threaded=True, ssl_context=self._tls
        )
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """From then on, nobody listens there."""
        if self.faults.held is not None:
            self.faults.held.set()
        self._server.shutdown()
        self._thread.join(LIMIT_S)
        self._server.server_close()

    def rotate(self) -> None:
        """A new key; the old one is withdrawn."""
        self.key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4)})

    def _application(self) -> flask.Flask:
        app = flask.Flask("provider")
        app.logger.disabled = True
        server = AuthorizationServer(app, lambda name: self.client if name == CLIENT_ID else None, lambda *_: None)
        server.register_grant(grant_of(self), [CodeChallenge(required=True), tokens_of(self)])

        @app.before_request
        def broken():
            self.requests.append(flask.request.path)
            if self.faults.dripping:
                return flask.Response(drops(self.faults.held))
            if self.faults.held is not None:
                self.faults.held.wait(LIMIT_S)
            if self.faults.body is not None:
                return flask.Response(self.faults.body)
            return ("broken", self.faults.status) if self.faults.status != 200 else None

        @app.get("/.well-known/openid-configuration")
        def discovery():
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            } | self.faults.discovery

        @app.get("/keys")
        def keys():
            unknown = {"kty": "PQC", "kid": "of tomorrow"}
            return {"keys": [unknown, self.key.as_dict(private=False) | {"use": "sig"}]}

        @app.get("/authorize")
        def ask():
            try:
                server.get_consent_grant(end_user=None)
            except OAuth2Error as error:
                return server.handle_error_response(None, error)
            return CONSENT

        @app.post("/authorize")
        def consent():
            name = flask.request.form.get("sub", "")
            denied = "deny" in flask.request.form
            person = None if denied else Person(name, self.people[name])
            grant = server.get_consent_grant(end_user=person)
            return server.create_authorization_response(grant=grant, grant_user=person)

        @app.post("/token")
        def token():
            return server.create_token_response()

        return app


def drops(held: threading.Event) -> Iterator[bytes]:
    while not held.wait(0.02):
        yield b" "


def grant_of(provider: OpenIDProvider) -> type[AuthorizationCodeGrant]:
    class Grant(AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

        def save_authorization_code(self, code, request):
            data = request.payload.data
            provider.codes[code] = IssuedCode(
                code,
                data["redirect_uri"],
                data["scope"],
                data.get("nonce"),
                request.user,
                data.get("code_challenge"),
                data.get("code_challenge_method"),
            )

        def query_authorization_code(self, code, _client):
            return provider.codes.get(code)

        def delete_authorization_code(self, authorization_code):
            del provider.codes[authorization_code.code]

        def authenticate_user(self, authorization_code):
            return authorization_code.person

    return Grant


def tokens_of(provider: OpenIDProvider) -> OpenIDCode:
    class Tokens(OpenIDCode):
        def exists_nonce(self, _nonce, _request):
            return False

        def get_client_algorithm(self, _client):
            return "ES256"

        def get_client_claims(self, _client):
            return {"iss": provider.issuer}

        def get_encode_header(self, _client):
            return {"alg": "ES256", "kid": provider.key.kid}

        def resolve_client_private_key(self, _client):
            return provider.key

        def generate_user_info(self, user, _scope):
            return UserInfo(sub=user.sub, **user.claims)

        def encode_id_token(self, token, request):
            return broken_as(provider, super().encode_id_token(token, request))

    return Tokens(require_nonce=True)


def broken_as(provider: OpenIDProvider, id_token: str) -> str:
    faults = provider.faults
    if not (faults.claims or faults.unsigned or faults.shared_key or faults.foreign_key):
        return id_token
    claims = json.loads(jws.extract_compact(id_token.encode()).payload) | faults.claims
    claims = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "ES256", "kid": provider.key.kid}
    if faults.unsigned:
        return f"{encoded(header | {'alg': 'none'})}.{encoded(claims)}."
    if faults.shared_key:
        signed = f"{encoded(header | {'alg': 'HS256'})}.{encoded(claims)}"
        mac = hmac.digest(provider.key.as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{in_base64(mac)}"
    return jwt.encode(header, claims, ECKey.generate_key("P-256") if faults.foreign_key else provider.key)


def encoded(part: Mapping[str, Any]) -> str:
    return in_base64(json.dumps(part).encode())


def in_base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
