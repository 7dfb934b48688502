"""What a signature covers: the canonical request of the vendor's SDKs, split at what a later request has of its own.

It knows no secret, no clock and no file of keys.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Mapping
from typing import Final, NamedTuple

from taskstream.schemas.http.api_error import UNAUTHENTICATED, ApiError
from taskstream.schemas.http.request import HttpRequest

ALGORITHM: Final = "SDK-HMAC-SHA256"
DATE: Final = "x-sdk-date"
OF_EACH_REQUEST: Final = frozenset({b"authorization", DATE.encode()})
"""The headers whose values may differ between requests that share a `SignedHead`."""
_ENCODED_ESCAPE: Final = re.compile(rb"%25[0-9A-Fa-f]{2}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FORM: Final = re.compile(r"SDK-HMAC-SHA256 Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})")


class RequestSignature(NamedTuple):
    """The signature of a request: a replayed request has the same one."""

    names: list[str]
    """The headers that it covers, in lower case. Any other header may have been added by somebody else."""
    digest: str
    """64 hexadecimal digits."""
    access: str = ""
    """The id of the access key."""

    @property
    def key(self) -> str:
        """What identifies the request, in the place of an idempotency key; a caller's own key has no space."""
        return f"signature {self.digest}"


class SignedHead:
    """What the signature of a request covers, without the body's hash and the value of X-Sdk-Date."""

    __slots__ = ("_after_date", "_before_date", "_before_digest", "signature")

    def __init__(self, request: HttpRequest, signature: RequestSignature) -> None:
        """signature: of this request, see `request_signature`.

        Raises:
            ApiError: X-Sdk-Date is not signed, or a signed header is missing.
        """
        names = signature.names
        if DATE not in names:
            raise ApiError(UNAUTHENTICATED, "the header X-Sdk-Date must be signed")
        pieces = [b""]
        for name in names:
            line = _canonical_header(request, name)
            if name == DATE:
                pieces[-1] += DATE.encode() + b":"
                pieces.append(b"\n")
            else:
                pieces[-1] += line
        pieces[-1] += b"\n" + ";".join(names).encode() + b"\n"
        method, query = request.method.upper().encode(), _canonical_query(request.query.decode("latin-1"))
        self.signature = signature
        self._before_digest = request.headers.get("authorization", "")[: -len(signature.digest)]
        self._before_date = [
            b"\n".join((method, path, query, pieces[0])) for path in _canonical_paths(request.path, names)
        ]
        self._after_date = pieces[1:]

    def repeated(self, authorization: str) -> RequestSignature | None:
        """The signature in this header of a later request; None if it differs in more than the digest."""
        before = self._before_digest
        if not authorization.startswith(before) or not _DIGEST.fullmatch(authorization, len(before)):
            return None
        return RequestSignature(self.signature.names, authorization[len(before) :], self.signature.access)

    def strings_to_sign(self, date: str, body_hash: bytes) -> list[bytes]:
        """The texts of which the digest must sign one.

        There are two where the path may have been encoded twice, see `_canonical_paths`. date: the value of X-Sdk-Date.
        body_hash: SHA-256 in 64 hex digits.
        """
        value = date.encode("latin-1").strip()
        found = []
        for before in self._before_date:
            canonical = hashlib.sha256(value.join((before, *self._after_date)) + body_hash).hexdigest()
            found.append(f"{ALGORITHM}\n{date}\n{canonical}".encode())
        return found


def request_signature(headers: Mapping[str, str]) -> RequestSignature | None:
    """The signature that the request carries; None when it is not signed. It is not checked here."""
    matched = _FORM.fullmatch(headers.get("authorization", ""))
    return RequestSignature(matched[2].split(";"), matched[3], matched[1]) if matched is not None else None


def body_hash(request: HttpRequest, body: bytes) -> bytes:
    """SHA-256 of the body in hex digits.

    Raises:
        ApiError: X-Sdk-Content-Sha256 is another hash.
    """
    digest = hashlib.sha256(body).hexdigest().encode()
    declared = request.headers.raw.get(b"x-sdk-content-sha256")
    if declared is not None and body and not hmac.compare_digest(declared, digest):
        raise ApiError(
            UNAUTHENTICATED, "X-Sdk-Content-Sha256 is not the hash of the body; unsigned bodies are not accepted"
        )
    return digest


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
    if not query:
        return b""
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    encode = urllib.parse.quote
    return "&".join(f"{encode(name, safe='~')}={encode(value, safe='~')}" for name, value in pairs).encode()


def _canonical_header(request: HttpRequest, name: str) -> bytes:
    value = request.headers.get(name)
    if value is None:
        raise ApiError(UNAUTHENTICATED, f"the signed header {name[:100]!r} is missing")
    return name.encode("latin-1") + b":" + value.encode("latin-1").strip() + b"\n"
