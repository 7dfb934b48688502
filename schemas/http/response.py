"""One HTTP response: how it is made, and how it is written to ASGI or as header lines. It knows no route."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from taskstream.schemas.http.api_error import ProblemDetails
from taskstream.schemas.http.asgi import Send

JSON_CONTENT: Final = b"application/json"
CHALLENGE: Final = (b"www-authenticate", b'X-Auth-Token realm="taskstream", SDK-HMAC-SHA256 realm="taskstream"')
"""Of a 401, which must name the schemes that the server accepts (RFC 9110, 15.5.2)."""


class HttpResponse(NamedTuple):
    """A whole response; header names are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""


def content_response(
    request_id: str,
    body: bytes,
    content_type: bytes = JSON_CONTENT,
    *,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> HttpResponse:
    """A response with its type, its length, the request's id, and these further headers."""
    return HttpResponse(
        status,
        [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            *headers,
        ],
        body,
    )


def problem_response(problem: ProblemDetails, request_id: str) -> HttpResponse:
    """The response that reports an error."""
    headers = problem.headers
    if problem.kind.status == 401:
        headers = (*headers, CHALLENGE)
    if problem.retry_after_s is not None:
        headers = (*headers, (b"retry-after", b"%d" % problem.retry_after_s))
    return content_response(request_id, problem.body(request_id), status=problem.kind.status, headers=headers)


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The headers as HTTP/1.1 writes them, each line with its end."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


async def send_response(response: HttpResponse, send: Send, *, head_only: bool = False) -> None:
    """Write a whole response to ASGI; `head_only` leaves the body out, as a HEAD request wants it."""
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": b"" if head_only else response.body})
