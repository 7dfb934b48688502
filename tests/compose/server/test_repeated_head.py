"""A repeated head means what the parser would have read."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.compose.server.repeated_head import MAX_BODY_BYTES, MAX_BYTES, RepeatedHead
from tests.examples import examples

LINES = (
    b"PUT /v3/tasks/t/progress HTTP/1.1",
    b"Host: h",
    b"X-Auth-Token: secret",
    b"Idempotency-Key: one",
    b"X-Request-Id: r",
    b"traceparent:00-1",
    b"Content-Length: 2",
)
DIGEST = b"0a" * 32
SIGNED = (
    *LINES[:2],
    b"X-Sdk-Date: 20261123T090000Z",
    b"Authorization: SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature=" + DIGEST,
    b"Content-Length: 2",
)


class Parsed:
    """What the parser reads of one or more requests."""

    def __init__(self, data: bytes) -> None:
        self.url, self.headers, self.body, self.complete = b"", [], b"", 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.complete += 1


def request(lines, body=b"{}") -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def assert_as_parsed(first: bytes, second: bytes) -> None:
    head = RepeatedHead.of(first[: first.index(b"\r\n\r\n") + 4])
    found = None if head is None else head.repetition(second)
    if found is None or found.body is None:
        return
    before, now = Parsed(first), Parsed(second)
    assert (now.complete, now.method, now.url, now.body) == (1, before.method, before.url, found.body)
    own = {**dict(before.headers), **dict(found.changed), b"content-length": b"%d" % found.body_bytes}
    assert {**dict(now.headers), b"content-length": b"%d" % len(now.body)} == own
    assert [name for name, _ in now.headers] == [name for name, _ in before.headers]


VALUES = st.binary(max_size=8) | st.sampled_from(
    [b"", b" a", b"a b", b"a\t", b"2\r\nX: y", b"02", b"+2", b"2 ", b"x" * 256]
)
EDITS = st.tuples(st.integers(0, 300), st.binary(max_size=3), st.integers(0, 3))


@examples(500)
@given(st.lists(st.tuples(st.integers(1, len(LINES) - 1), VALUES), max_size=3), st.booleans())
def test_other_values_of_its_headers(changes, lower):
    lines = list(LINES)
    for index, value in changes:
        name, separator, _ = lines[index].partition(b":")
        lines[index] = (name.lower() if lower else name) + separator + b" " * (index != 5) + value
    assert_as_parsed(request(LINES), request(lines))


@examples(500)
@given(EDITS, st.sampled_from([LINES, SIGNED]))
def test_other_bytes_anywhere(edit, lines):
    at, put, without = edit
    whole = request(lines)
    assert_as_parsed(whole, whole[:at] + put + whole[at + without :])


@examples(300)
@given(
    st.lists(st.sampled_from([*LINES[1:], b"content-length: 3", b"Idempotency-Key: two", b"X: 1 "]), max_size=8),
    st.data(),
)
def test_other_heads(lines, data):
    first = request([LINES[0], *lines])
    assert_as_parsed_or_refused(first, data.draw(st.permutations([LINES[0], *lines])))


def assert_as_parsed_or_refused(first: bytes, lines) -> None:
    try:
        Parsed(first)
    except httptools.HttpParserError:
        return  # no connection repeats a head that the parser refused
    assert_as_parsed(first, request(lines))


def test_only_ids_and_the_length_may_differ():
    head = RepeatedHead.of(request(LINES, b""))
    lines = list(LINES)
    lines[3], lines[5], lines[6] = b"Idempotency-Key: two", b"traceparent:00-2", b"Content-Length: 12"
    changed = [(b"idempotency-key", b"two"), (b"traceparent", b"00-2")]
    assert head.repetition(request(lines, b"x" * 12)) == (changed, 12, b"x" * 12)
    assert head.repetition(request(lines, b"x" * 11)) == (changed, 12, None)
    assert head.repetition(request(lines, b"x" * 13)) is None
    lines[2] = b"X-Auth-Token: other"
    assert head.repetition(request(lines, b"x" * 12)) is None


def test_time_and_digest_of_a_signature_may_differ():
    head, lines = RepeatedHead.of(request(SIGNED, b"")), list(SIGNED)
    lines[2], lines[3] = b"X-Sdk-Date: 20261123T090001Z", SIGNED[3].replace(b"0a", b"1f")
    changed = [(b"x-sdk-date", b"20261123T090001Z"), (b"authorization", lines[3].removeprefix(b"Authorization: "))]
    assert sorted(head.repetition(request(lines)).changed) == sorted(changed)


@pytest.mark.parametrize(
    "line",
    [
        SIGNED[3].replace(b"=AK,", b"=AL,"),
        SIGNED[3].replace(b"host;", b""),
        SIGNED[3][:-1],
        SIGNED[3] + b"0",
        SIGNED[3][:-1] + b"A",
        SIGNED[3].replace(b"Authorization", b"authorization"),
        b"X-Auth-Token: secret",
    ],
)
def test_nothing_else_of_a_signature_may_differ(line):
    head, lines = RepeatedHead.of(request(SIGNED, b"")), list(SIGNED)
    lines[3] = line
    assert head.repetition(request(lines)) is None


@pytest.mark.parametrize(
    "lines",
    [
        LINES[:-1],
        [*SIGNED, SIGNED[3]],
        [*LINES, b"Idempotency-Key: again"],
        [*LINES, b" folded"],
        [*LINES, b"X: a\nb"],
        [*LINES, b"X: " + b"x" * MAX_BYTES],
        [*LINES[:-1], b"Content-Length: 1234567890"],
    ],
    ids=["no length", "signed twice", "twice", "folded", "line feed", "long", "long number"],
)
def test_a_head_that_is_not_simple_is_not_repeated(lines):
    assert RepeatedHead.of(request(lines, b"")) is None


def test_a_large_body_is_left_to_the_parser():
    head = RepeatedHead.of(request(LINES, b""))
    lines = [*LINES[:-1], b"Content-Length: %d" % (MAX_BODY_BYTES + 1)]
    assert head.repetition(request(lines, b"")) is None
