"""Web addresses of a sign-in: which may carry secrets, and where a browser may be sent back to. It opens nothing."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from taskstream.schemas.http.loopback import is_loopback

LONGEST_QUERY: Final = 2_000
_QUERY: Final = re.compile(rf"\?[!-~]{{0,{LONGEST_QUERY}}}")


def is_web_address(url: str) -> bool:
    """Whether it is an absolute http or https URL without a user, a query or a fragment."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return usable and url.isascii() and url.isprintable() and not {"@", "?", "#", " ", "\\", ";"} & set(url)


def is_secure_address(url: str) -> bool:
    """Whether a secret may be sent to this URL: over https, or to this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return (parts.scheme == "https" and bool(host)) or (parts.scheme == "http" and is_loopback(host))


def return_query(text: str) -> str:
    """The query of the page, with its question mark, to which a browser returns; empty for anything else.

    A browser returns to the view's own page with this query: no other host, path or scheme can be named.
    """
    return text if _QUERY.fullmatch(text) else ""
