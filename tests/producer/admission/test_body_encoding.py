"""Bodies behind gzip, and what a Content-Type may say."""

from __future__ import annotations

import gzip
import zlib

import pytest

from taskstream.producer.admission.body_encoding import inflated, media_type
from taskstream.schemas.http.api_error import ApiError


def test_a_gzip_body_is_read():
    assert inflated(gzip.compress(b"report"), 100) == b"report"


def test_several_gzip_members_are_one_body():
    assert inflated(gzip.compress(b"re") + gzip.compress(b"port"), 100) == b"report"


def test_the_limit_holds_after_inflation():
    assert len(inflated(gzip.compress(b"x" * 100), 100)) == 100
    with pytest.raises(ApiError, match="larger than 100 bytes"):
        inflated(gzip.compress(b"x" * 101), 100)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"plain", id="plain"),
        pytest.param(gzip.compress(b"x" * 50)[:-9], id="cut short"),
        pytest.param(zlib.compress(b"x"), id="zlib"),
        pytest.param(gzip.compress(b"x") + b"junk", id="junk behind it"),
    ],
)
def test_what_is_no_whole_gzip_is_malformed(body):
    with pytest.raises(ApiError) as refused:
        inflated(body, 100)
    assert refused.value.problem.kind.code == "APIGW.0201"


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON; charset=UTF-8",
        b'application/json;charset="utf8"',
        b"application/vnd.x+json",
    ],
)
def test_json_by_any_name_is_json(content_type):
    assert media_type(content_type) == "application/json"


def test_json_in_another_charset_is_not_read():
    with pytest.raises(ApiError, match="utf-16"):
        media_type(b"application/json; charset=utf-16")
