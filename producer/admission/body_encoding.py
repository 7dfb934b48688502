"""What the headers of a request say about its body: media type, charset, content encoding. It knows no endpoint."""

from __future__ import annotations

import functools
import zlib
from typing import Final

from taskstream.schemas.http.api_error import MALFORMED, UNSUPPORTED_MEDIA, ApiError
from taskstream.schemas.http.request import CLOSE, HttpRequest, too_large

JSON: Final = frozenset({"application/json"})
JSON_LINES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"}
)
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_GZIP: Final = 31  # zlib's window bits for a gzip header


def decoded_body(request: HttpRequest, body: bytes, limit_bytes: int) -> bytes:
    """The body without its content encoding.

    Raises:
        ApiError: UNSUPPORTED_MEDIA for an encoding other than gzip, TOO_LARGE when the inflated body exceeds the limit,
            MALFORMED when the body is not valid gzip.
    """
    encoding = request.headers.raw.get(b"content-encoding")
    if encoding is None:
        return body
    name = encoding.decode("latin-1").strip().lower()
    if name == "identity":
        return body
    if name not in {"gzip", "x-gzip"}:
        detail = f"the Content-Encoding {name[:100]!r} is not supported; send gzip or none"
        raise ApiError(UNSUPPORTED_MEDIA, detail, headers=((b"accept-encoding", b"gzip"),))
    return inflated(body, limit_bytes)


def inflated(body: bytes, limit_bytes: int) -> bytes:
    """The content of the gzip members; memory never holds more than the limit.

    Raises:
        ApiError: TOO_LARGE, MALFORMED.
    """
    parts: list[bytes] = []
    left = limit_bytes
    while body:
        inflater = zlib.decompressobj(_GZIP)
        try:
            parts.append(inflater.decompress(body, left + 1))
        except zlib.error as error:
            raise ApiError(MALFORMED, "the Content-Encoding is gzip, but the body is not valid gzip") from error
        left -= len(parts[-1])
        if left < 0:
            raise too_large(limit_bytes)
        if not inflater.eof:
            raise ApiError(MALFORMED, "the gzip body is truncated", headers=CLOSE)
        body = inflater.unused_data
    return b"".join(parts)


@functools.lru_cache(256)
def media_type(content_type: bytes) -> str:
    """The media type in lower case; every type with the suffix `+json` is `application/json`.

    Raises:
        ApiError: UNSUPPORTED_MEDIA for a charset other than UTF-8 or its subset ASCII.
    """
    media, *parameters = (part.strip().lower() for part in content_type.decode("latin-1").split(";"))
    charset = next((each[8:].strip('"') for each in parameters if each.startswith("charset=")), "utf-8")
    if charset not in _CHARSETS:
        raise ApiError(UNSUPPORTED_MEDIA, f"the charset {charset[:100]!r} is not supported; send UTF-8")
    return "application/json" if media.startswith("application/") and media.endswith("+json") else media


def require_media_type(request: HttpRequest, accepted: frozenset[str]) -> str:
    """The media type of the body, if it is one of these; without a Content-Type it is JSON.

    Raises:
        ApiError: UNSUPPORTED_MEDIA.
    """
    media = media_type(request.headers.raw.get(b"content-type", b"application/json"))
    if media not in accepted:
        detail = f"the Content-Type {media[:100]!r} is not supported; send {' or '.join(sorted(accepted)[:2])}"
        raise ApiError(UNSUPPORTED_MEDIA, detail)
    return media
