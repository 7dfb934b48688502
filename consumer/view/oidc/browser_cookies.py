"""The cookies of a sign-in: their names, their flags, and how a request carries them. It knows no session."""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import urlsplit

from taskstream.schemas.http.request import HttpRequest

_SECRET: Final = re.compile(r"[\w-]{20,100}", re.ASCII)
"""What a cookie of ours has; another value counts as none."""


class BrowserCookies:
    """The cookies of a view at this public URL.

    Over https they are Secure, and have the prefix __Host- (a browser takes such a cookie from this host only) where
    the view has the host for itself. Cookies know no port, so their names differ by the address of the view.
    """

    def __init__(self, public_url: str) -> None:
        parts = urlsplit(public_url)
        self.path = f"{parts.path.rstrip('/')}/"
        """The path of the view's page."""
        default_port = ":443" if parts.scheme == "https" else ":80"
        self.origin = f"{parts.scheme}://{parts.netloc.lower().removesuffix(default_port)}"
        """As browsers write it in Origin."""
        self._secure = parts.scheme == "https"
        prefix = "__Host-" if self._secure and self.path == "/" else ""
        view = hashlib.sha256(public_url.encode()).hexdigest()[:8]
        self.session = f"{prefix}taskstream-session-{view}"
        """Has the secret of a session. Strict: the page is public, and only its own requests need the cookie."""
        self.binding = f"{prefix}taskstream-sign-in-{view}"
        """Binds a sign-in to its browser. Lax: the provider sends the browser back with it."""

    def set_session(self, secret: str, valid_s: float) -> tuple[bytes, bytes]:
        """The header that sets the cookie of a session."""
        return self._header(self.session, secret, valid_s, "Strict")

    def set_binding(self, value: str, valid_s: float) -> tuple[bytes, bytes]:
        """The header that sets the cookie of a sign-in."""
        return self._header(self.binding, value, valid_s, "Lax")

    def session_of(self, request: HttpRequest) -> str:
        """The secret of a session, empty if there is none."""
        return _value(request, self.session)

    def binding_of(self, request: HttpRequest) -> str:
        """The cookie of a sign-in, empty if there is none."""
        return _value(request, self.binding)

    def _header(self, name: str, value: str, valid_s: float, same_site: str) -> tuple[bytes, bytes]:
        secure = "; Secure" if self._secure else ""
        text = f"{name}={value}; Path={self.path}; Max-Age={valid_s:.0f}; HttpOnly; SameSite={same_site}{secure}"
        return b"set-cookie", text.encode("ascii")


def _value(request: HttpRequest, name: str) -> str:
    """Of cookies with the same name the first, which has the longest path (RFC 6265, 5.4)."""
    for each in request.headers.get("cookie", "").split(";"):
        found, _, value = each.strip().partition("=")
        if found == name:
            return value if _SECRET.fullmatch(value) else ""
    return ""
