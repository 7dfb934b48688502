"""Compressed responses: which clients get them, and which headers they have."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from taskstream.consumer.view.http.gzip_response import IN_PLACE_BYTES, LEAST_BYTES, accepts_gzip, compressed
from taskstream.schemas.http.response import content_response


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5, br", True),
        ("x-gzip", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("gzip;q=0.001", True),
        ("identity", False),
        ("br", False),
    ],
)
def test_which_clients_accept_gzip(header, accepted):
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize("size", [LEAST_BYTES, IN_PLACE_BYTES + 1])
def test_a_compressed_response_has_its_own_length_and_a_weak_tag(size):
    whole = content_response("id", b"a" * size, headers=[(b"etag", b'"x"')])
    sent = asyncio.run(compressed(whole, "gzip"))
    headers = dict(sent.headers)
    assert gzip.decompress(sent.body) == whole.body
    assert headers[b"content-length"] == b"%d" % len(sent.body)
    assert (headers[b"etag"], headers[b"content-encoding"], headers[b"vary"]) == (b'W/"x"', b"gzip", b"accept-encoding")


@pytest.mark.parametrize(("size", "accept"), [(LEAST_BYTES - 1, "gzip"), (LEAST_BYTES, "br")])
def test_a_response_that_stays_as_it_is_names_what_it_varies_by(size, accept):
    whole = content_response("id", b"a" * size)
    sent = asyncio.run(compressed(whole, accept))
    assert sent.body == whole.body
    assert dict(sent.headers)[b"vary"] == b"accept-encoding"
    assert b"content-encoding" not in dict(sent.headers)
