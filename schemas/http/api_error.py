"""The error form that both HTTP faces answer in: the API's two members, and beside them those of RFC 9457.

Each kind of refusal stands here once, with its status, its code and whether trying again can help. It knows no HTTP
server: it makes a status, headers and a body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of refusal. `code` is for programs; `title` is the same for every error of the kind."""

    status: int
    code: str
    title: str
    retriable: bool = False


MALFORMED = ErrorKind(400, "APIGW.0201", "The request is malformed")
INVALID_FIELD = ErrorKind(400, "TASKSTREAM.0400", "A field breaks a rule of the API")
UNAUTHENTICATED = ErrorKind(401, "APIGW.0301", "The credentials are missing or wrong")
FORBIDDEN = ErrorKind(403, "APIGW.0302", "The credentials do not allow this")
NOT_FOUND = ErrorKind(404, "TASKSTREAM.0404", "There is no such thing here")
METHOD_NOT_ALLOWED = ErrorKind(405, "TASKSTREAM.0405", "This method is not served here")
REQUEST_TIMEOUT = ErrorKind(408, "TASKSTREAM.0408", "The request did not arrive in time", retriable=True)
TOO_LARGE = ErrorKind(413, "TASKSTREAM.0413", "The body is too large")
UNSUPPORTED_MEDIA = ErrorKind(415, "TASKSTREAM.0415", "This kind of body is not read here")
THROTTLED = ErrorKind(429, "APIGW.0308", "Too many requests", retriable=True)
HEADERS_TOO_LARGE = ErrorKind(431, "TASKSTREAM.0431", "The headers are too large")
UNAVAILABLE = ErrorKind(503, "TASKSTREAM.0503", "Not possible at the moment", retriable=True)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that breaks a rule: where it is, and the rule with its bound."""

    field: str
    rule: str


class ApiError(Exception):
    """A refusal on its way to the caller; the only exception that becomes an answer."""

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        *,
        fields: tuple[FieldError, ...] = (),
        retry_after_s: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.answer = ErrorAnswer(kind, detail, fields, retry_after_s, headers)


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error ready to be sent: `kind.status`, `wire_headers(...)` and `body(...)`."""

    kind: ErrorKind
    detail: str
    fields: tuple[FieldError, ...] = ()
    retry_after_s: int | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())

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

    def wire_headers(self, request_id: str) -> list[tuple[str, str]]:
        """The headers of the answer, without its length."""
        pairs = [("content-type", "application/json"), ("x-request-id", request_id), *self.headers]
        if self.retry_after_s is not None:
            pairs.append(("retry-after", str(self.retry_after_s)))
        return pairs
