"""The errors of both HTTP APIs, in the API's own form with the members of RFC 9457 beside it.

Each kind of error is defined here once, with its status, its code and whether a retry can succeed. This file knows no
HTTP server and no ASGI.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of error. `code` is for programs; `title` is the same for every error of the kind."""

    status: int
    code: str
    title: str
    retriable: bool = False


MALFORMED = ErrorKind(400, "APIGW.0201", "The request is malformed")
INVALID_FIELD = ErrorKind(400, "TASKSTREAM.0400", "A field breaks a rule of the API")
UNAUTHENTICATED = ErrorKind(401, "APIGW.0301", "The credentials are missing or wrong")
FORBIDDEN = ErrorKind(403, "APIGW.0302", "The credentials do not allow this")
NOT_FOUND = ErrorKind(404, "TASKSTREAM.0404", "The resource does not exist")
METHOD_NOT_ALLOWED = ErrorKind(405, "TASKSTREAM.0405", "The resource does not support this method")
REQUEST_TIMEOUT = ErrorKind(408, "TASKSTREAM.0408", "The request did not arrive in time", retriable=True)
TOO_LARGE = ErrorKind(413, "TASKSTREAM.0413", "The body is too large")
UNSUPPORTED_MEDIA = ErrorKind(415, "TASKSTREAM.0415", "The type or encoding of the body is not supported")
KEY_REUSED = ErrorKind(422, "TASKSTREAM.0422", "The idempotency key was used for another report")
THROTTLED = ErrorKind(429, "APIGW.0308", "Too many requests", retriable=True)
TOO_MANY_TASKS = ErrorKind(429, "TASKSTREAM.0429", "The project has too many live tasks", retriable=True)
HEADERS_TOO_LARGE = ErrorKind(431, "TASKSTREAM.0431", "The headers are too large")
UNAVAILABLE = ErrorKind(503, "TASKSTREAM.0503", "The service is temporarily unavailable", retriable=True)

KINDS = (
    MALFORMED,
    INVALID_FIELD,
    UNAUTHENTICATED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    KEY_REUSED,
    THROTTLED,
    TOO_MANY_TASKS,
    HEADERS_TOO_LARGE,
    UNAVAILABLE,
)
"""Every kind, for counters that exist from the start."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that breaks a rule: its name, and the rule with its bound."""

    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """One error as a value: what the body and the headers of its response are made of."""

    kind: ErrorKind
    detail: str
    fields: tuple[FieldError, ...] = ()
    retry_after_s: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Further headers of the response, with lower-case names."""

    def body(self, request_id: str) -> bytes:
        """JSON with `error_code` and `error_msg` (the API's) and the members of RFC 9457."""
        document: dict[str, object] = {
            "error_code": self.kind.code,
            "error_msg": self.detail,
            "type": "about:blank",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "instance": f"urn:request:{request_id}",
            "retriable": self.kind.retriable,
        }
        if self.fields:
            document["errors"] = [{"field": each.field, "rule": each.rule} for each in self.fields]
        return json.dumps(document).encode()


class ApiError(Exception):
    """Ends a request with an error response; no other exception becomes one. `problem` is the error as a value."""

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        *,
        fields: tuple[FieldError, ...] = (),
        retry_after_s: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.problem = ProblemDetails(kind, detail, fields, retry_after_s, headers)

    def with_headers(self, *headers: tuple[bytes, bytes]) -> ApiError:
        """The same error with further headers."""
        problem = self.problem
        return ApiError(
            problem.kind,
            problem.detail,
            fields=problem.fields,
            retry_after_s=problem.retry_after_s,
            headers=(*problem.headers, *headers),
        )


def invalid_field(name: str, rule: str) -> ApiError:
    """The error of one field or parameter that breaks a rule."""
    return ApiError(INVALID_FIELD, f"{name}: {rule}", fields=(FieldError(name, rule),))
