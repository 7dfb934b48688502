"""The files of the page as responses, with headers that keep hostile strings from being run as code."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final

from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.http.response import HttpResponse, content_response

_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
SECURITY: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class PageFiles:
    """The files in `page/`, read once."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, bytes, str]] = {}  # by name: content, content type, entity tag

    def load(self) -> None:
        """Read the files."""
        for entry in resources.files("taskstream.consumer.view").joinpath("page").iterdir():
            content_type = _TYPES.get("." + entry.name.rpartition(".")[2])
            if content_type is not None:
                body = entry.read_bytes()
                self._files[entry.name] = (body, content_type, f'"{hashlib.sha256(body).hexdigest()[:16]}"')

    def response(self, name: str, request: HttpRequest) -> HttpResponse:
        """The file, or 304 if the client has its current version.

        Raises:
            ApiError: NOT_FOUND.
        """
        if name not in self._files:
            raise request.not_found()
        body, content_type, tag = self._files[name]
        headers = (*SECURITY, (b"etag", tag.encode()), (b"cache-control", b"no-cache"))
        if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
            return content_response(request.request_id, b"", content_type, status=304, headers=headers)
        return content_response(request.request_id, body, content_type, headers=headers)
