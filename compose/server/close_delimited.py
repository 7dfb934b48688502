"""A response of unknown length to an HTTP/1.0 client: it ends with the connection (RFC 9112, 6.3).

Such a client does not know chunks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from taskstream.schemas.http.asgi import Message


def send_close_delimited(cycle: RequestResponseCycle) -> Callable[[Message], Awaitable[None]]:
    """The `send` for this cycle, for use in place of its own, which chunks a response without a Content-Length."""
    send = cycle.send
    unbounded = False

    async def send_unchunked(message: Message) -> None:
        nonlocal unbounded
        if message["type"] == "http.response.start":
            unbounded = all(name != b"content-length" for name, _ in message["headers"])
            if unbounded:
                cycle.chunked_encoding = False
                cycle.keep_alive = False
        elif unbounded:
            cycle.expected_content_length = len(message["body"])  # uvicorn compares each part with what is left
        await send(message)  # type: ignore[arg-type] # uvicorn's types of the same messages

    return send_unchunked
