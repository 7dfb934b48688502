"""The parts of a request, and the bounds that both servers check."""

from __future__ import annotations

import asyncio

import pytest

from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.request import Disconnected, HttpRequest


def request(method="GET", path=b"/", query=b"", headers=(), messages=()):
    waiting = list(messages)

    async def receive():
        return waiting.pop(0)

    return HttpRequest(method, path, query, headers, receive)


@pytest.mark.parametrize("given", [b"x", b"!~", b"x" * 128])
def test_a_visible_request_id_of_the_caller_is_kept(given):
    made = request(headers=[(b"x-request-id", given)])
    assert made.given_request_id == made.request_id == given.decode()


@pytest.mark.parametrize("given", [b"", b"a b", b"a\n", b"\xc3\xa9", b"x" * 129])
def test_any_other_request_id_is_replaced_by_a_random_one(given):
    made = request(headers=[(b"x-request-id", given)])
    assert made.given_request_id is None
    assert len(made.request_id) == 32


def test_a_random_request_id_stays_the_same():
    made = request()
    assert made.request_id == made.request_id
    assert made.request_id != request().request_id


def test_of_a_repeated_header_the_last_value_counts():
    headers = request(headers=[(b"a", b"1"), (b"a", b"2"), (b"b", b"3")]).headers
    assert dict(headers) == {"a": "2", "b": "3"}


def test_segments_are_percent_decoded_and_may_hold_a_slash():
    assert request(path=b"/tasks/a%2Fb%C3%A9").segments == ("tasks", "a/bé")


def test_a_segment_that_is_not_utf8_is_malformed():
    with pytest.raises(ApiError, match="not valid UTF-8"):
        _ = request(path=b"/tasks/%ff").segments


def test_a_method_that_is_not_allowed_is_405_and_names_those_that_are():
    with pytest.raises(ApiError) as refused:
        request("PUT").require_method("GET", "HEAD")
    assert (refused.value.problem.kind.status, refused.value.problem.headers) == (405, ((b"allow", b"GET, HEAD"),))


def part(body: bytes, *, more: bool) -> dict:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([part(b"x" * 10, more=False)], id="whole"),
        pytest.param([part(b"x" * 4, more=True), part(b"x" * 6, more=False)], id="in parts"),
    ],
)
def test_a_body_of_exactly_the_limit_is_read_and_a_longer_one_is_not(messages):
    assert asyncio.run(request(messages=messages).body(10)) == b"x" * 10
    with pytest.raises(ApiError, match="larger than 9 bytes"):
        asyncio.run(request(messages=messages).body(9))


@pytest.mark.parametrize("length", [b"11", b"1" * 19])
def test_a_declared_length_beyond_the_limit_is_refused_before_anything_is_read(length):
    with pytest.raises(ApiError, match="larger than 10 bytes"):
        asyncio.run(request(headers=[(b"content-length", length)]).body(10))


@pytest.mark.parametrize("before", [[], [part(b"x", more=True)]])
def test_a_caller_that_disconnects_ends_the_request(before):
    with pytest.raises(Disconnected):
        asyncio.run(request(messages=[*before, {"type": "http.disconnect"}]).body(10))
