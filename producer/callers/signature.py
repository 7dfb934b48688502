"""Requests signed with an access key, as the vendor's official SDK signs them (SDK-HMAC-SHA256).

The secret is never sent. The signature covers the method, the path, the query, the named headers and the body's hash.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from taskstream.producer.callers.credentials_file import credentials_file, json_lines
from taskstream.producer.callers.signature_uses import SignatureUses
from taskstream.producer.callers.token_file import project_id, roles
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.api_error import FORBIDDEN, UNAUTHENTICATED, ApiError
from taskstream.schemas.http.caller import Caller
from taskstream.schemas.http.request import HttpRequest

ALGORITHM: Final = "SDK-HMAC-SHA256"
SKEW_S: Final = 900.0
"""How far the caller's clock may be off, and so how long an intercepted signature can be replayed. `SignatureUses`
bounds the number of replays, and each replay yields the same event, see `RequestSignature`."""
_READ_METHODS: Final = frozenset({"GET", "HEAD"})
_ENCODED_ESCAPE: Final = re.compile(rb"%25[0-9A-Fa-f]{2}")
_FORM: Final = re.compile(r"SDK-HMAC-SHA256 Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One access key. Its repr leaves the secrets out."""

    caller: Caller
    secret: bytes = field(repr=False)
    security_token: str | None = field(repr=False, default=None)
    """Of temporary credentials: their requests carry it as X-Security-Token."""


class SignatureKeys:
    """Authenticates `Authorization: SDK-HMAC-SHA256 ...` with the keys in a file of JSON lines.

    A line is `{"access": AK, "secret": SK, "project": ID, "roles": ["report"]}`. The file is read again when it
    changes, see `credentials_file`.
    """

    def __init__(
        self,
        path: Path,
        on_problem: Callable[[str], None],
        clock_s: Callable[[], float] = time.time,
        skew_s: float = SKEW_S,
    ) -> None:
        self._file = credentials_file(path, parse_keys, on_problem)
        self._clock_s = clock_s
        self._skew_s = skew_s
        self._uses = SignatureUses(2 * skew_s)  # a caller whose clock is ahead signs for the future

    def load(self) -> None:
        """Read the file.

        Raises:
            CredentialsUnusable: the file cannot be read, or a line is invalid.
        """
        self._file.load()

    async def authenticate(self, request: HttpRequest, body: bytes, /) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        header = request.headers.get("authorization")
        if header is None or not header.startswith(ALGORITHM):
            return None
        matched = _FORM.fullmatch(header)
        if matched is None:
            raise ApiError(UNAUTHENTICATED, "the Authorization header is not a valid SDK-HMAC-SHA256 signature")
        access, names, signature = matched.groups()
        self._check_time(request)
        key = self._file.current().get(access)
        secret = key.secret if key is not None else b"unknown"  # an unknown key takes as long as a wrong signature
        expected = signatures(request, body, names.split(";"), secret)
        if not any(hmac.compare_digest(each, signature) for each in expected) or key is None:
            raise ApiError(UNAUTHENTICATED, "the signature does not match")
        _check_scope(request, key)
        if request.method not in _READ_METHODS and not self._uses.count(signature, self._clock_s()):
            raise ApiError(UNAUTHENTICATED, "this signature was used too often; sign the request anew")
        return key.caller

    def _check_time(self, request: HttpRequest) -> None:
        try:
            signed_at = dt.datetime.strptime(request.headers.get("x-sdk-date", ""), "%Y%m%dT%H%M%S%z")
        except ValueError as error:
            raise ApiError(
                UNAUTHENTICATED, "X-Sdk-Date is missing or does not have the form 20261123T074534Z"
            ) from error
        now_s = self._clock_s()
        if abs(now_s - signed_at.timestamp()) > self._skew_s:
            now = dt.datetime.fromtimestamp(now_s, dt.UTC)
            raise ApiError(
                UNAUTHENTICATED,
                f"X-Sdk-Date {signed_at:%Y%m%dT%H%M%SZ} differs from the server's clock {now:%Y%m%dT%H%M%SZ} "
                f"by more than {self._skew_s:g} s; set the caller's clock",
            )


class RequestSignature(NamedTuple):
    """The signature of a request: a replayed request has the same one."""

    names: list[str]
    """The headers that it covers, in lower case. Any other header may have been added by somebody else."""
    digest: str
    """64 hexadecimal digits."""

    @property
    def key(self) -> str:
        """What identifies the request, in the place of an idempotency key; a caller's own key has no space."""
        return f"signature {self.digest}"


def request_signature(headers: Mapping[str, str]) -> RequestSignature | None:
    """The signature that the request carries; None when it is not signed. It is not checked here."""
    matched = _FORM.fullmatch(headers.get("authorization", ""))
    return RequestSignature(matched[2].split(";"), matched[3]) if matched is not None else None


def signatures(request: HttpRequest, body: bytes, signed_headers: list[str], secret: bytes) -> list[str]:
    """The signatures of which the request must carry one, as the vendor's official SDKs compute them.

    Only X-Sdk-Date must be signed: the official Go SDK signs neither Host nor Content-Type. There are two signatures
    where the path may have been encoded twice, see `_canonical_paths`.

    Raises:
        ApiError: X-Sdk-Date is not signed, a signed header is missing, or X-Sdk-Content-Sha256 is wrong.
    """
    if "x-sdk-date" not in signed_headers:
        raise ApiError(UNAUTHENTICATED, "the header X-Sdk-Date must be signed")
    method = request.method.upper().encode()
    after_path = (
        _canonical_query(request.query.decode("latin-1")),
        b"".join(_canonical_header(request, name) for name in signed_headers),
        ";".join(signed_headers).encode(),
        _body_hash(request, body),
    )
    date = request.headers["x-sdk-date"]
    found = []
    for path in _canonical_paths(request.path, signed_headers):
        canonical = hashlib.sha256(b"\n".join((method, path, *after_path))).hexdigest()
        found.append(hmac.new(secret, f"{ALGORITHM}\n{date}\n{canonical}".encode(), hashlib.sha256).hexdigest())
    return found


def parse_keys(lines: Iterable[str], source: str) -> dict[str, AccessKey]:
    """Keys by their access key id; `#` begins a comment line.

    Raises:
        CredentialsUnusable: a line is invalid; the message has its number and no secret.
    """
    keys = {}
    for where, entry in json_lines(lines, source):
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(name), str) and entry[name] for name in ("access", "secret")
        ):
            raise CredentialsUnusable(
                f'{where}: needs {{"access": ..., "secret": ..., "project": ..., "roles": [...]}}'
            )
        caller = Caller(project_id(entry.get("project"), where), roles(entry.get("roles"), where))
        keys[entry["access"]] = AccessKey(caller, entry["secret"].encode(), entry.get("security_token"))
    return keys


def _check_scope(request: HttpRequest, key: AccessKey) -> None:
    """A key is valid for its own project only, and temporary credentials only with their security token."""
    project = request.headers.get("x-project-id")
    if project is not None and project != key.caller.project_id:
        raise ApiError(FORBIDDEN, "this access key does not belong to the project in X-Project-Id")
    if key.security_token is not None:
        token = request.headers.get("x-security-token", "")
        if not hmac.compare_digest(token.encode(), key.security_token.encode()):
            raise ApiError(UNAUTHENTICATED, "X-Security-Token is missing or wrong")


def _canonical_paths(path: bytes, signed_headers: list[str]) -> list[bytes]:
    """The forms in which this path may have been signed: encoded once; and encoded twice, as the Node.js SDK does it.

    A signature of one path must not be valid for another. A path that was encoded twice (`a%2520b` for the task `a b`)
    is also the form of another one that was encoded once (for the task `a%20b`). So without User-Agent among the signed
    headers, where the Node.js SDK never has it and the Python and Go SDKs always do, that form means the former only.
    """
    once = _encoded(urllib.parse.unquote_to_bytes(path))
    if b"%" not in path or "user-agent" in signed_headers:
        return [once]
    twice = _encoded(path)
    return [twice] if _ENCODED_ESCAPE.search(once) else [once, twice]


def _encoded(path: bytes) -> bytes:
    encoded = urllib.parse.quote(path, safe="/~")
    return (encoded if encoded.endswith("/") else encoded + "/").encode()


def _canonical_query(query: str) -> bytes:
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    encode = urllib.parse.quote
    return "&".join(f"{encode(name, safe='~')}={encode(value, safe='~')}" for name, value in pairs).encode()


def _canonical_header(request: HttpRequest, name: str) -> bytes:
    value = request.headers.get(name)
    if value is None:
        raise ApiError(UNAUTHENTICATED, f"the signed header {name[:100]!r} is missing")
    return name.encode("latin-1") + b":" + value.encode("latin-1").strip() + b"\n"


def _body_hash(request: HttpRequest, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest().encode()
    declared = request.headers.get("x-sdk-content-sha256")
    if declared is not None and body and not hmac.compare_digest(declared.encode("latin-1"), digest):
        raise ApiError(
            UNAUTHENTICATED, "X-Sdk-Content-Sha256 is not the hash of the body; unsigned bodies are not accepted"
        )
    return digest
