"""Responses compressed with gzip for clients that accept it (RFC 9110, 12.5.3). It knows no route."""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import Final

from taskstream.schemas.http.response import HttpResponse

LEAST_BYTES: Final = 1_000
"""A smaller body fits into one packet as it is."""
IN_PLACE_BYTES: Final = 32_768
"""A larger one is compressed in a thread: zlib runs without Python's lock, and other requests go on."""
_LEVEL: Final = 1
_ZERO: Final = re.compile(r"q\s*=\s*0(\.0*)?")
VARY: Final = (b"vary", b"accept-encoding")


async def compressed(response: HttpResponse, accept_encoding: str | None) -> HttpResponse:
    """The response, compressed if the client accepts gzip and it is worthwhile. Each names what it varies by."""
    headers = [*response.headers, VARY]
    if len(response.body) < LEAST_BYTES or not accepts_gzip(accept_encoding):
        return response._replace(headers=headers)
    if len(response.body) <= IN_PLACE_BYTES:
        body = _gzip(response.body)
    else:
        body = await asyncio.to_thread(_gzip, response.body)
    headers = [_of_compressed(name, value, len(body)) for name, value in headers]
    return response._replace(headers=[*headers, (b"content-encoding", b"gzip")], body=body)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether this Accept-Encoding names gzip, or else `*`, with a weight above 0."""
    accepted = {}
    for part in (accept_encoding or "").lower().split(","):
        coding, _, weight = (each.strip() for each in part.partition(";"))
        accepted[coding] = _ZERO.fullmatch(weight) is None
    return accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", False)))


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


def _of_compressed(name: bytes, value: bytes, length: int) -> tuple[bytes, bytes]:
    """The header as the compressed body has it: its own length, and an entity tag that holds for other bytes too."""
    if name == b"content-length":
        return name, b"%d" % length
    return (name, b"W/" + value) if name == b"etag" else (name, value)
