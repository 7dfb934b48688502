"""An HTTP address that a client of ours may be given: what is accepted as one. It asks nobody."""

from __future__ import annotations

from urllib.parse import urlsplit


def checked(endpoint: str) -> str:
    """The address without a slash at its end.

    Raises:
        ValueError: it is not http(s)://host[:port][/prefix]; what it shows holds no secret.
    """
    parts = urlsplit(endpoint)
    if parts.username is not None:
        raise ValueError(f"the endpoint at {parts.hostname} holds a user name: give the token apart from it")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"the endpoint {endpoint!r} is not http(s)://host[:port][/prefix]")
    return endpoint.rstrip("/")
