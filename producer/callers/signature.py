"""Requests signed with an access key, as the vendor's official SDK signs them (SDK-HMAC-SHA256).

The secret never travels; what was signed is the method, the path, the query, the named headers and the body's hash.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from taskstream.producer.callers.signature_uses import SignatureUses
from taskstream.producer.callers.token_file import project_id, roles
from taskstream.producer.callers.watched_file import WatchedFile
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.api_error import FORBIDDEN, UNAUTHENTICATED, ApiError
from taskstream.schemas.http.caller import Caller, CallerRequest

ALGORITHM: Final = "SDK-HMAC-SHA256"
SKEW_S: Final = 900.0
"""How far the caller's clock may be off. So long a signature that was listened to can be used again: so often as
`SignatureUses` lets it, and for the same event, see `signed_key`."""
_OWN_KEYS: Final = frozenset({"idempotency-key", "x-request-id"})
_READING: Final = frozenset({"GET", "HEAD"})
_FORM: Final = re.compile(r"SDK-HMAC-SHA256 Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One access key. The secret is kept out of its repr."""

    caller: Caller
    secret: bytes = field(repr=False)
    security_token: str | None = field(repr=False, default=None)
    """Of temporary credentials: sent as X-Security-Token."""


class SignatureKeys:
    """Answers for `Authorization: SDK-HMAC-SHA256 ...` with keys from a file of JSON lines.

    A line is `{"access": AK, "secret": SK, "project": ID, "roles": ["report"]}`. The file is read again when it
    changes.
    """

    def __init__(
        self,
        path: Path,
        on_problem: Callable[[str], None],
        clock_s: Callable[[], float] = time.time,
        skew_s: float = SKEW_S,
    ) -> None:
        self._file = WatchedFile(path, parse_keys, on_problem)
        self._clock_s = clock_s
        self._skew_s = skew_s
        self._uses = SignatureUses(2 * skew_s)  # a clock ahead of ours signs for later

    def load(self) -> None:
        """Read the file.

        Raises:
            CredentialsUnusable: it cannot be read, or a line is wrong.
        """
        self._file.load()

    async def authenticate(self, request: CallerRequest) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        header = request.headers.get("authorization")
        if header is None or not header.startswith(ALGORITHM):
            return None
        matched = _FORM.fullmatch(header)
        if matched is None:
            raise ApiError(UNAUTHENTICATED, "the Authorization header has not the form of a signature")
        access, names, signature = matched.groups()
        self._check_time(request)
        key = self._file.current().get(access)
        secret = key.secret if key is not None else b"nobody's"  # unknown and wrong take the same time
        expected = sign(request, names.split(";"), secret)
        if not hmac.compare_digest(expected, signature) or key is None:
            raise ApiError(UNAUTHENTICATED, "the signature does not match")
        _check_scope(request, key)
        if request.method not in _READING and not self._uses.count(signature, self._clock_s()):
            raise ApiError(UNAUTHENTICATED, "this signature was used too often; sign anew")
        return key.caller

    def _check_time(self, request: CallerRequest) -> None:
        try:
            told = dt.datetime.strptime(request.headers.get("x-sdk-date", ""), "%Y%m%dT%H%M%S%z")
        except ValueError as error:
            raise ApiError(UNAUTHENTICATED, "X-Sdk-Date is missing or not of the form 20261123T074534Z") from error
        if abs(self._clock_s() - told.timestamp()) > self._skew_s:
            what = f"X-Sdk-Date is more than {self._skew_s:g} s away from our clock; is the caller's clock right?"
            raise ApiError(UNAUTHENTICATED, what)


def signed_key(headers: Mapping[str, str]) -> str | None:
    """What names the event of a signed request: its signature, so that whoever repeats it makes the same event.

    None if it is not signed, or if a key of the caller's own is signed with it.
    """
    matched = _FORM.fullmatch(headers.get("authorization", ""))
    if matched is None or not _OWN_KEYS.isdisjoint(matched[2].split(";")):
        return None
    return f"signature {matched[3]}"  # a caller's own key has no space


def sign(request: CallerRequest, signed_headers: list[str], secret: bytes) -> str:
    """The signature that the request must carry, as `huaweicloudsdkcore.signer` computes it.

    Raises:
        ApiError: what must be signed is not, or a signed header is missing, or the body's hash is not the body's.
    """
    if not {"host", "x-sdk-date"} <= set(signed_headers):
        raise ApiError(UNAUTHENTICATED, "the headers Host and X-Sdk-Date must be signed")
    canonical = b"\n".join(
        [
            request.method.upper().encode(),
            _canonical_path(request.path),
            _canonical_query(request.query),
            b"".join(_canonical_header(request, name) for name in signed_headers),
            ";".join(signed_headers).encode(),
            _body_hash(request),
        ]
    )
    date = request.headers["x-sdk-date"]
    to_sign = f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical).hexdigest()}"
    return hmac.new(secret, to_sign.encode(), hashlib.sha256).hexdigest()


def parse_keys(lines: Iterable[str], source: str) -> dict[str, AccessKey]:
    """Keys by their access part; `#` begins a comment line.

    Raises:
        CredentialsUnusable: a line is wrong; the message has its number and no secret.
    """
    keys = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{source}, line {number}"
        try:
            entry: Any = json.loads(line)
        except ValueError as error:
            raise CredentialsUnusable(f"{where}: not JSON") from error
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(name), str) and entry[name] for name in ("access", "secret")
        ):
            raise CredentialsUnusable(
                f'{where}: needs {{"access": ..., "secret": ..., "project": ..., "roles": [...]}}'
            )
        caller = Caller(project_id(entry.get("project"), where), roles(entry.get("roles"), where))
        keys[entry["access"]] = AccessKey(caller, entry["secret"].encode(), entry.get("security_token"))
    return keys


def _check_scope(request: CallerRequest, key: AccessKey) -> None:
    """A signature is good for its own project, and temporary credentials only with their token."""
    project = request.headers.get("x-project-id")
    if project is not None and project != key.caller.project_id:
        raise ApiError(FORBIDDEN, "this access key does not belong to the project in X-Project-Id")
    if key.security_token is not None:
        token = request.headers.get("x-security-token", "")
        if not hmac.compare_digest(token.encode(), key.security_token.encode()):
            raise ApiError(UNAUTHENTICATED, "X-Security-Token is missing or wrong")


def _canonical_path(path: str) -> bytes:
    segments = urllib.parse.unquote_to_bytes(path).split(b"/")
    encoded = "/".join(urllib.parse.quote(segment, safe="~") for segment in segments)
    return (encoded if encoded.endswith("/") else encoded + "/").encode()


def _canonical_query(query: str) -> bytes:
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    encode = urllib.parse.quote
    return "&".join(f"{encode(name, safe='~')}={encode(value, safe='~')}" for name, value in pairs).encode()


def _canonical_header(request: CallerRequest, name: str) -> bytes:
    value = request.headers.get(name)
    if value is None:
        raise ApiError(UNAUTHENTICATED, f"the header {name[:100]!r} is signed and not there")
    return name.encode("latin-1") + b":" + value.encode("latin-1").strip() + b"\n"


def _body_hash(request: CallerRequest) -> bytes:
    digest = hashlib.sha256(request.body).hexdigest().encode()
    told = request.headers.get("x-sdk-content-sha256")
    if told is not None and request.body and not hmac.compare_digest(told.encode("latin-1"), digest):
        raise ApiError(UNAUTHENTICATED, "X-Sdk-Content-Sha256 is not the body's hash; unsigned bodies are not taken")
    return digest
