"""One HTTP exchange of the view: what was asked, by whom, and the answer as it goes out. It knows ASGI and no route."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from taskstream.schemas.http.api_error import (
    FORBIDDEN,
    HEADERS_TOO_LARGE,
    INVALID_FIELD,
    MALFORMED,
    METHOD_NOT_ALLOWED,
    UNAUTHENTICATED,
    ApiError,
    ErrorAnswer,
    FieldError,
)
from taskstream.schemas.http.caller import Authenticator, Caller, CallerRequest, Role

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[str, str], ...]

LONGEST_TOKEN: Final = 16_384
LONGEST_QUERY: Final = 8_192
_SANE_ID: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class ViewResponse:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """One request, without its body: the view reads none."""

    method: str
    path: str
    """As on the wire, before percent-decoding."""
    query: str
    headers: dict[str, str]
    request_id: str = field(default="")

    @property
    def segments(self) -> tuple[str, ...]:
        """The path's parts, decoded.

        Raises:
            ApiError: MALFORMED, for bytes that are no text.
        """
        try:
            parts = self.path.removeprefix("/").split("/")
            return tuple(unquote_to_bytes(part).decode("utf-8") for part in parts)
        except UnicodeDecodeError as error:
            raise ApiError(MALFORMED, "the path is not UTF-8 once it is percent-decoded") from error

    def parameters(self, known: frozenset[str], ignored: frozenset[str] = frozenset()) -> dict[str, str]:
        """The query's parameters, each once at most; an empty one counts as not given.

        Raises:
            ApiError: INVALID_FIELD for one that is not known, or is given twice.
        """
        try:
            pairs = parse_qsl(self.query, keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError as error:
            raise ApiError(MALFORMED, f"the query cannot be read: {error}") from error
        found: dict[str, str] = {}
        for name, value in pairs:
            if name not in known | ignored:
                raise refused(name[:100], f"no such parameter; there are {', '.join(sorted(known))}")
            if name in found:
                raise refused(name, "is given twice")
            found[name] = value
        return {name: value for name, value in found.items() if value and name in known}

    def demand(self, *methods: str) -> None:
        """Let these methods pass.

        Raises:
            ApiError: METHOD_NOT_ALLOWED.
        """
        if self.method not in methods:
            allowed = ", ".join(methods)
            raise ApiError(METHOD_NOT_ALLOWED, f"{self.method} is not served here", headers=(("allow", allowed),))


def asked(scope: Scope) -> ViewRequest:
    """The request of an ASGI scope; its id is the caller's own if that can be repeated, else a new one."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    given = headers.get("x-request-id", "")
    request_id = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return ViewRequest(scope["method"], path, query, headers, request_id)


async def reader(request: ViewRequest, authenticator: Authenticator) -> Caller:
    """Who asks, if they may read.

    Raises:
        ApiError: UNAUTHENTICATED, FORBIDDEN, and what the authenticator raises.
    """
    if len(request.headers.get("x-auth-token", "")) > LONGEST_TOKEN:
        raise ApiError(HEADERS_TOO_LARGE, f"X-Auth-Token has more than {LONGEST_TOKEN} characters")
    if len(request.query) > LONGEST_QUERY:
        raise ApiError(MALFORMED, f"the query has more than {LONGEST_QUERY} characters")
    if not (request.path.isascii() and request.query.isascii()):
        raise ApiError(MALFORMED, "the address has bytes that are not ASCII; percent-encode them")
    caller = await authenticator.authenticate(
        CallerRequest(request.method, request.path, request.query, request.headers, b"")
    )
    if caller is None:
        raise ApiError(UNAUTHENTICATED, "no valid credentials; send a token in X-Auth-Token")
    if not (caller.may(Role.READ) or caller.may(Role.OPERATE)):
        raise ApiError(FORBIDDEN, "these credentials carry neither the role 'read' nor 'operate'")
    return caller


def refused(name: str, rule: str) -> ApiError:
    """The refusal of one parameter."""
    return ApiError(INVALID_FIELD, f"{name}: {rule}", fields=(FieldError(name, rule),))


def bounded(parameters: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number within its bounds.

    Raises:
        ApiError: INVALID_FIELD.
    """
    text = parameters.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise refused(name, f"must be a whole number from {least} to {most}")
    return int(text)


def json_answer(document: object, status: int = 200) -> ViewResponse:
    """A document as it is answered."""
    return ViewResponse(status, json.dumps(document, separators=(",", ":"), allow_nan=False).encode())


async def tell(answer: ViewResponse, request: ViewRequest, send: Send, *, more: Headers = ()) -> None:
    """Send a whole answer; of a HEAD its headers alone."""
    pairs = [
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        ("x-request-id", request.request_id),
        *answer.headers,
        *more,
    ]
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})


def error_answer(error: ErrorAnswer, request: ViewRequest) -> ViewResponse:
    """An error as it is answered."""
    own = {"content-type", "x-request-id"}
    headers = tuple(pair for pair in error.wire_headers(request.request_id) if pair[0] not in own)
    return ViewResponse(error.kind.status, error.body(request.request_id), headers=headers)
