"""What the headers of a request say of its body: the media type, the character set, gzip. It knows no endpoint."""

from __future__ import annotations

import functools
import zlib
from typing import Final

from taskstream.producer.http.request import CLOSE, EdgeRequest, too_large
from taskstream.schemas.http.api_error import MALFORMED, UNSUPPORTED_MEDIA, ApiError

JSON: Final = frozenset({"application/json"})
JSON_LINES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"}
)
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_GZIP: Final = 31  # zlib's window bits for a gzip header


def plain_body(request: EdgeRequest, body: bytes, limit_bytes: int) -> bytes:
    """The body without its content encoding.

    Raises:
        ApiError: UNSUPPORTED_MEDIA for an encoding that is not read here, TOO_LARGE when it inflates past the limit,
            MALFORMED when it is no gzip.
    """
    encoding = request.headers.raw.get(b"content-encoding")
    if encoding is None:
        return body
    name = encoding.decode("latin-1").strip().lower()
    if name == "identity":
        return body
    if name not in {"gzip", "x-gzip"}:
        headers = (("accept-encoding", "gzip"),)
        raise ApiError(UNSUPPORTED_MEDIA, f"the Content-Encoding is {name[:100]!r}; send gzip or none", headers=headers)
    return inflated(body, limit_bytes)


def inflated(body: bytes, limit_bytes: int) -> bytes:
    """What the gzip members hold; never more than the limit is held in memory."""
    parts: list[bytes] = []
    left = limit_bytes
    while body:
        inflater = zlib.decompressobj(_GZIP)
        try:
            parts.append(inflater.decompress(body, left + 1))
        except zlib.error as error:
            raise ApiError(MALFORMED, "the body is not the gzip that its Content-Encoding says") from error
        left -= len(parts[-1])
        if left < 0:
            raise too_large(limit_bytes)
        if not inflater.eof:
            raise ApiError(MALFORMED, "the gzip body is cut off", headers=CLOSE)
        body = inflater.unused_data
    return b"".join(parts)


@functools.lru_cache(256)
def media_type(content_type: bytes) -> str:
    """The media type, in lower case; JSON of every kind is `application/json`.

    Raises:
        ApiError: UNSUPPORTED_MEDIA, for a character set that JSON does not have.
    """
    media, *parameters = (part.strip().lower() for part in content_type.decode("latin-1").split(";"))
    charset = next((each[8:].strip('"') for each in parameters if each.startswith("charset=")), "utf-8")
    if charset not in _CHARSETS:
        raise ApiError(UNSUPPORTED_MEDIA, f"the charset is {charset[:100]!r}; JSON is UTF-8")
    return "application/json" if media.startswith("application/") and media.endswith("+json") else media


def demand_media(request: EdgeRequest, accepted: frozenset[str]) -> str:
    """The media type of the request, if it is one of these; without a Content-Type it counts as JSON.

    Raises:
        ApiError: UNSUPPORTED_MEDIA.
    """
    media = media_type(request.headers.raw.get(b"content-type", b"application/json"))
    if media not in accepted:
        what = f"the Content-Type is {media[:100]!r}; send {' or '.join(sorted(accepted)[:2])}"
        raise ApiError(UNSUPPORTED_MEDIA, what)
    return media
