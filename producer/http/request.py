"""One HTTP request as it comes in: its headers, its body within bounds, its id. It knows ASGI and no endpoint."""

from __future__ import annotations

import re
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from taskstream.producer.admission.limits import TOKEN_CHARS
from taskstream.schemas.http.api_error import HEADERS_TOO_LARGE, MALFORMED, TOO_LARGE, ApiError
from taskstream.schemas.http.caller import CallerRequest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLOSE: Final = (("connection", "close"),)
_SANE_ID: Final = re.compile(rb"[!-~]{1,128}")


class WireHeaders(Mapping[str, str]):
    """Headers by lower-case name, decoded when they are asked for. Of a repeated header the last one counts."""

    __slots__ = ("raw",)

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self.raw = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self.raw[name.encode("latin-1")].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self.raw)

    def __len__(self) -> int:
        return len(self.raw)


class EdgeResponse(NamedTuple):
    """What goes back."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""


class Disconnected(Exception):
    """The caller went away before the request was complete; there is nobody to answer."""


class EdgeRequest:
    """One request."""

    __slots__ = ("_receive", "headers", "method", "own_request_id", "path", "query", "request_id")

    def __init__(
        self, method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], receive: Receive
    ) -> None:
        self._receive = receive
        self.method = method
        self.path = path
        """As on the wire, before percent-decoding."""
        self.query = query
        self.headers = WireHeaders(headers)
        own = self.headers.raw.get(b"x-request-id")
        self.own_request_id = own.decode("ascii") if own is not None and _SANE_ID.fullmatch(own) else None
        """X-Request-Id, if the caller sent one that can be repeated in a header and a log."""
        self.request_id = self.own_request_id or ""
        """The caller's own, or empty: then one is made when it is needed."""

    def name(self) -> str:
        """The request's id; made up now if the caller sent none."""
        if not self.request_id:
            self.request_id = uuid.uuid4().hex
        return self.request_id

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body.

        Raises:
            ApiError: TOO_LARGE past the limit; the connection is then closed, the rest is not read.
            Disconnected: the caller went away.
        """
        declared = self.headers.raw.get(b"content-length")
        if (declared is not None and len(declared) > 18) or int(declared or 0) > limit_bytes:
            raise too_large(limit_bytes)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > limit_bytes:
                raise too_large(limit_bytes)
            return body
        return await self._rest(body, limit_bytes)

    async def _rest(self, first: bytes, limit_bytes: int) -> bytes:
        parts, size, more = [first], len(first), True
        while more:
            if size > limit_bytes:
                raise too_large(limit_bytes)
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        return b"".join(parts)

    def to_authenticate(self, body: bytes) -> CallerRequest:
        """What an authenticator may look at.

        Raises:
            ApiError: HEADERS_TOO_LARGE for a token beyond the specification's bound.
        """
        token = self.headers.raw.get(b"x-auth-token")
        if token is not None and len(token) > TOKEN_CHARS:
            raise ApiError(HEADERS_TOO_LARGE, f"X-Auth-Token has {len(token)} characters; {TOKEN_CHARS} is the most")
        try:
            path, query = self.path.decode("ascii"), self.query.decode("ascii")
        except UnicodeDecodeError as error:
            raise ApiError(MALFORMED, "the address has bytes that are not ASCII; percent-encode them") from error
        return CallerRequest(self.method, path, query, self.headers, body)


def wants_validation(query: bytes) -> bool:
    """Whether the query says `validate=true`: then everything is checked and nothing is produced.

    Raises:
        ApiError: MALFORMED, for another value than true or false: what was meant is not for us to guess.
    """
    asked = urllib.parse.parse_qs(query.decode("latin-1"), keep_blank_values=True).get("validate", ["false"])[-1]
    if asked not in {"true", "false"}:
        raise ApiError(MALFORMED, "validate in the query must be true or false")
    return asked == "true"


def too_large(limit_bytes: int) -> ApiError:
    """The refusal of a body past its bound."""
    return ApiError(TOO_LARGE, f"the body is larger than {limit_bytes} bytes", headers=CLOSE)
