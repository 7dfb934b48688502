"""The page's files as answers, with the headers that keep hostile strings from becoming anything but text."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final

from taskstream.consumer.view.http.http import ViewRequest, ViewResponse

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SECURITY: Final = (
    (
        "content-security-policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        ),
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
)


class PageFiles:
    """The files in `page/`, read once when the view begins."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}

    def load(self) -> None:
        """Read them."""
        for entry in resources.files("taskstream.consumer.view").joinpath("page").iterdir():
            kind = _TYPES.get("." + entry.name.rpartition(".")[2])
            if kind is not None:
                body = entry.read_bytes()
                self._files[entry.name] = (body, kind, f'"{hashlib.sha256(body).hexdigest()[:16]}"')

    def answer(self, name: str, request: ViewRequest) -> ViewResponse | None:
        """The file as an answer, 304 if the browser has it; None if there is no such file."""
        if name not in self._files:
            return None
        body, kind, tag = self._files[name]
        headers = (*SECURITY, ("etag", tag), ("cache-control", "no-cache"))
        if request.headers.get("if-none-match") == tag:
            return ViewResponse(304, b"", kind, headers)
        return ViewResponse(200, body, kind, headers)
