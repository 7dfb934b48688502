"""One HTTP request as a server hands it over: method, path, query, headers, request id, body within bounds.

It knows ASGI and no route.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from taskstream.schemas.http.api_error import MALFORMED, METHOD_NOT_ALLOWED, NOT_FOUND, TOO_LARGE, ApiError
from taskstream.schemas.http.asgi import Message, Receive, Scope

CLOSE: Final = ((b"connection", b"close"),)
"""The headers of a response after which the server closes the connection."""
_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
_LENGTH_DIGITS: Final = 18


class Disconnected(Exception):
    """The caller closed the connection before the request was complete, so there is nobody to respond to."""


class HttpHeaders(Mapping[str, str]):
    """Headers by lower-case name, decoded when they are read. Of a repeated header the last value counts."""

    __slots__ = ("raw",)

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self.raw = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self.raw[name.encode("latin-1")].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self.raw)

    def __len__(self) -> int:
        return len(self.raw)


async def no_body() -> Message:
    """The `receive` of a request whose body is not read through it."""
    raise NotImplementedError("the body of this request is not read through `receive`")


class HttpRequest:
    """One request.

    `path` and `query` are bytes as on the wire, before percent-decoding; header names are in lower case.
    """

    __slots__ = ("_receive", "_request_id", "address", "given_request_id", "headers", "method", "path", "query")

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        receive: Receive = no_body,
        address: str = "",
    ) -> None:
        self._receive = receive
        self.address = address
        """The client's, as its connection shows it; empty where it is not known."""
        self.method = method
        self.path = path
        self.query = query
        self.headers = HttpHeaders(headers)
        given = self.headers.raw.get(b"x-request-id")
        self.given_request_id = given.decode("ascii") if given is not None and _REQUEST_ID.fullmatch(given) else None
        """X-Request-Id, if the caller sent one that is safe in a header and in a log: 1 to 128 visible characters."""
        self._request_id = self.given_request_id

    @classmethod
    def from_scope(cls, scope: Scope, receive: Receive) -> HttpRequest:
        """The request of an ASGI scope of the type `http`."""
        client = scope.get("client")
        address = client[0] if client else ""
        return cls(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], receive, address)

    def again(self, changed: Iterable[tuple[bytes, bytes]]) -> HttpRequest:
        """A later request with the same head but for the values of these headers; its body is not read through it."""
        if not changed and self._request_id is self.given_request_id:  # no random id was made: nothing is its own
            return self
        headers = {**self.headers.raw, **dict(changed)}
        return HttpRequest(self.method, self.path, self.query, headers.items(), address=self.address)

    @property
    def request_id(self) -> str:
        """The id that the caller gave, else a random one, made at the first use."""
        if self._request_id is None:
            self._request_id = new_request_id()
        return self._request_id

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments of the path, percent-decoded.

        Raises:
            ApiError: MALFORMED, when a segment is not UTF-8.
        """
        try:
            parts = self.path.decode("latin-1").removeprefix("/").split("/")
            return tuple(unquote_to_bytes(part).decode("utf-8") for part in parts)
        except UnicodeDecodeError as error:
            raise ApiError(MALFORMED, "the percent-decoded path is not valid UTF-8") from error

    def require_method(self, *allowed: str) -> None:
        """Check the method.

        Raises:
            ApiError: METHOD_NOT_ALLOWED, when the method is not one of these.
        """
        if self.method not in allowed:
            names = ", ".join(allowed)
            headers = ((b"allow", names.encode()),)
            raise ApiError(METHOD_NOT_ALLOWED, f"{self.method} is not allowed here; use {names}", headers=headers)

    def not_found(self) -> ApiError:
        """The error of a path that has no route."""
        return ApiError(NOT_FOUND, f"nothing is served at {self.path[:200].decode('latin-1')!r}; see /openapi.json")

    @property
    def declared_bytes(self) -> int | None:
        """The length of the body as the headers declare it; None: they do not. A length beyond 18 digits is 10^18."""
        declared = self.headers.raw.get(b"content-length")
        if declared is None:
            return None
        return int(declared) if len(declared) <= _LENGTH_DIGITS else 10**_LENGTH_DIGITS

    async def body(self, limit_bytes: int) -> bytes:
        """Read the whole body.

        Raises:
            ApiError: TOO_LARGE, when the body exceeds the limit; the rest is not read and the connection is closed.
            Disconnected: the caller closed the connection.
        """
        if (self.declared_bytes or 0) > limit_bytes:
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


def new_request_id() -> str:
    """A random request id: 32 hex digits."""
    return uuid.uuid4().hex


def too_large(limit_bytes: int) -> ApiError:
    """The error of a body that exceeds its limit."""
    return ApiError(TOO_LARGE, f"the body is larger than {limit_bytes} bytes", headers=CLOSE)
