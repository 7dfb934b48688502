"""Validates the base URL that a client is given. It makes no request."""

from __future__ import annotations

from urllib.parse import urlsplit


def validated_endpoint(endpoint: str) -> str:
    """The base URL without a trailing slash.

    Raises:
        ValueError: it is not http(s)://host[:port][/prefix]. The message shows no user name or password.
    """
    parts = urlsplit(endpoint)
    if parts.username is not None:
        raise ValueError(f"the endpoint at {parts.hostname} contains a user name: remove it, and pass a token instead")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"the endpoint {endpoint!r} is not http(s)://host[:port][/prefix]")
    return endpoint.rstrip("/")
