"""Requests signed with an access key, as the vendor's official SDK signs them (SDK-HMAC-SHA256).

The secret is never sent. The signature covers the method, the path, the query, the named headers and the body's hash.
"""

from __future__ import annotations

import datetime as dt
import hmac
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from taskstream.producer.callers.credentials_file import credentials_file, json_lines
from taskstream.producer.callers.signature_uses import SignatureUses
from taskstream.producer.callers.signed_head import (
    ALGORITHM,
    DATE,
    RequestSignature,
    SignedHead,
    body_hash,
    request_signature,
)
from taskstream.producer.callers.token_file import project_id, roles
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.api_error import FORBIDDEN, UNAUTHENTICATED, ApiError
from taskstream.schemas.http.caller import Caller
from taskstream.schemas.http.request import HttpRequest

SKEW_S: Final = 900.0
"""How far the caller's clock may be off, and so how long an intercepted signature can be replayed. `SignatureUses`
bounds the number of replays, and each replay yields the same event, see `RequestSignature`."""
_READ_METHODS: Final = frozenset({"GET", "HEAD"})
_DATE: Final = re.compile(r"[0-9]{8}T(?:[01][0-9]|2[0-3])[0-9]{4}Z")
"""The form that every SDK sends; some versions of `fromisoformat` take hour 24 as the next day's 0."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One access key. Its repr leaves the secrets out."""

    caller: Caller
    secret: bytes = field(repr=False)
    security_token: str | None = field(repr=False, default=None)
    """Of temporary credentials: their requests carry it as X-Security-Token."""
    _keyed: hmac.HMAC = field(init=False, repr=False, compare=False)
    """Has read the secret: a copy of it signs in two thirds of the time of a new one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keyed", hmac.new(self.secret, digestmod="sha256"))

    def signature(self, string_to_sign: bytes) -> str:
        """64 hex digits."""
        keyed = self._keyed.copy()
        keyed.update(string_to_sign)
        return keyed.hexdigest()


_UNKNOWN: Final = AccessKey(Caller("", frozenset()), b"unknown")
"""An unknown key takes as long as a wrong signature."""


class SignedCaller(NamedTuple):
    """Who signed a request."""

    caller: Caller
    signature: RequestSignature
    head: SignedHead


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
        signed = self.signed(request, body)
        return signed.caller if signed is not None else None

    def signed(self, request: HttpRequest, body: bytes, head: SignedHead | None = None) -> SignedCaller | None:
        """Who signed the request; None when it is not signed.

        head: of an earlier request, whose headers differ from this one's in the values of OF_EACH_REQUEST only.

        Raises:
            ApiError: as `authenticate`.
        """
        header = request.headers.get("authorization")
        if header is None or not header.startswith(ALGORITHM):
            return None
        signature = head.repeated(header) if head is not None else None
        if signature is None:
            head, signature = None, request_signature(request.headers)
            if signature is None:
                raise ApiError(UNAUTHENTICATED, "the Authorization header is not a valid SDK-HMAC-SHA256 signature")
        self._check_time(request)
        key = self._file.current().get(signature.access, _UNKNOWN)
        head = head or SignedHead(request, signature)
        matches = False
        for each in head.strings_to_sign(request.headers[DATE], body_hash(request, body)):
            matches |= hmac.compare_digest(key.signature(each), signature.digest)
        if not matches or key is _UNKNOWN:
            raise ApiError(UNAUTHENTICATED, "the signature does not match")
        _check_scope(request, key)
        if request.method not in _READ_METHODS and not self._uses.count(signature.digest, self._clock_s()):
            raise ApiError(UNAUTHENTICATED, "this signature was used too often; sign the request anew")
        return SignedCaller(key.caller, signature, head)

    def _check_time(self, request: HttpRequest) -> None:
        try:
            signed_at = _time(request.headers.get(DATE, ""))
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


def _time(date: str) -> dt.datetime:
    """Raises ValueError: the date has another form."""
    if _DATE.fullmatch(date):
        return dt.datetime.fromisoformat(date)
    return dt.datetime.strptime(date, "%Y%m%dT%H%M%S%z")


def _check_scope(request: HttpRequest, key: AccessKey) -> None:
    """A key is valid for its own project only, and temporary credentials only with their security token."""
    project = request.headers.get("x-project-id")
    if project is not None and project != key.caller.project_id:
        raise ApiError(FORBIDDEN, "this access key does not belong to the project in X-Project-Id")
    if key.security_token is not None:
        token = request.headers.get("x-security-token", "")
        if not hmac.compare_digest(token.encode(), key.security_token.encode()):
            raise ApiError(UNAUTHENTICATED, "X-Security-Token is missing or wrong")
