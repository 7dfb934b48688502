"""Validates the base URL that a client is given, and its proxy. It makes no request."""

from __future__ import annotations

from urllib.parse import urlsplit


class ProxyUnusable(ValueError):
    """The proxy's URL has another form."""


def validated_proxy(proxy: str) -> str:
    """The proxy's URL.

    Raises:
        ProxyUnusable: it is not http(s)://host[:port]. The message shows no user name or password.
    """
    parts = urlsplit(proxy)
    if parts.username is not None:
        raise ProxyUnusable(f"the proxy at {parts.hostname} has a user name: only proxies without one are supported")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ProxyUnusable(f"the proxy {proxy!r} is not http(s)://host[:port]")
    return proxy


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
