"""What the short way of parsing accepts, the full validation accepts with the same values, to the last bit."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskstream.producer.events.plain_report import PlainReport, plain_report
from taskstream.producer.events.report_validation import ProgressReport, parse_report, validated_report
from taskstream.schemas.subtasks import SUBTASKS
from tests.examples import examples

FIELDS = tuple(ProgressReport.model_fields)
GOOD = {
    "subtask_name": b'"CLONE_VM"',
    "progress": b"5",
    "replicatesize": b"1",
    "totalsize": b"2",
    "process_trace": b'"x"',
}
DIGITS = st.text("0123456789", min_size=1, max_size=40)
NUMBERS = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{whole}{fraction}{exponent}".encode(),
    st.sampled_from(["", "", "", "-", "+"]),
    st.integers(0, 2**70).map(str) | st.integers(0, 20_000).map(str) | DIGITS | st.just(""),
    st.just("") | st.just(".") | DIGITS.map(".{}".format),
    st.just("") | st.just("e") | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), DIGITS)
    | st.integers(-400, 400).map("e{}".format),
)  # fmt: skip
ESCAPES = st.sampled_from(
    ["\\n", "\\/", "\\u0041", "\\u0000", "\\ud83d\\ude00", "\\ud800", "\\udc00", "\\x", "\\u12", "\\"]
)
PIECES = st.one_of(
    ESCAPES.map(str.encode),
    st.text(max_size=5).map(lambda text: text.encode("utf-8", "surrogatepass").replace(b'"', b"").replace(b"\\", b"")),
    st.binary(max_size=2),
    st.sampled_from([b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x7f", b"\t"]),
)
STRINGS = st.one_of(
    st.lists(PIECES, max_size=4).map(lambda pieces: b'"' + b"".join(pieces) + b'"'),
    st.sampled_from(SUBTASKS).map(lambda name: f'"{name}"'.encode()),
    st.sampled_from([254, 255, 256, 2047, 2048, 2049]).flatmap(
        lambda size: st.sampled_from(["x", "\u00e9", "\U0001f600"]).map(lambda one: f'"{one * size}"'.encode())
    ),
)
OTHERS = st.sampled_from(
    [
        b"null",
        b"true",
        b"false",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"-0",
        b"-0.0",
        b"0e0",
        b"[]",
        b"{}",
        b'"5"',
        b"nul",
    ]
    + [b"[" * depth + b"]" * depth for depth in (100, 300)]
)
VALUES = NUMBERS | STRINGS | OTHERS
NAMES = st.sampled_from(
    [
        *(f'"{name}"'.encode() for name in FIELDS),
        b'"new"',
        b'"Progress"',
        b'"progr\\u0065ss"',
        b'""',
        b'"\xff"',
        b"progress",
    ]
)
BOUNDS = [
    *(str(bound + step).encode() for bound in (0, 100, 10_000, 2**31, 2**53, 2**63, 2**64) for step in (-2, -1, 0, 1)),
    *(f'"{"x" * size}"'.encode() for size in (0, 255, 256, 2048, 2049)),
    *(b"0.0", b"100.0", b"10000.0", b"10000.1", b"-0.1", b"true", b"null", b'"5"', b"[5]"),
]
SPACE = st.sampled_from([b"", b"", b"", b" ", b"\n\t\r ", b"\x0b", b"\xef\xbb\xbf", b"\0", b"x", b"//"])
BODIES = st.builds(
    lambda before, more, order, after: (
        before + b"{" + b",".join(name + b":" + value for name, value in order([*base(), *more])) + b"}" + after
    ),
    SPACE,
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.sampled_from([list, reversed]),
    SPACE,
)


def base() -> list[tuple[bytes, bytes]]:
    return [(f'"{name}"'.encode(), value) for name, value in GOOD.items()]


def one_changed(field: str, value: bytes) -> bytes:
    members = {**GOOD, field: value}
    return b"{" + b",".join(f'"{name}":'.encode() + each for name, each in members.items()) + b"}"


def assert_both_agree(body: bytes) -> None:
    short = plain_report(body)
    if short is not None:
        full = validated_report(body)
        assert not full.unknown_names
        # repr: 1 is not 1.0, and 0.0 is not -0.0
        assert [repr(getattr(short, name)) for name in FIELDS] == [repr(getattr(full, name)) for name in FIELDS]


@pytest.mark.parametrize("field", FIELDS)
def test_one_field_at_its_bounds(field):
    for value in BOUNDS:
        assert_both_agree(one_changed(field, value))


@examples(600)
@given(st.sampled_from(FIELDS), VALUES)
@example("total_cpu_usage", b"1" + b"0" * 400)
@example("migrate_speed", b"10000.0000000000000001")
@example("progress", b"5.0")
@example("replicatesize", b"9223372036854775808")
def test_one_field_with_any_value(field, value):
    assert_both_agree(one_changed(field, value))


@examples(600)
@given(BODIES)
@example(b"")
@example(b"null")
@example(b"[]")
def test_any_members_in_any_order_some_of_them_twice(body):
    assert_both_agree(body)


@examples(400)
@given(BODIES, st.data())
def test_a_body_with_one_byte_changed(body, data):
    at = data.draw(st.integers(0, len(body) - 1))
    assert_both_agree(body[:at] + data.draw(st.binary(max_size=2)) + body[at + 1 :])


def test_both_have_the_same_fields():
    assert PlainReport.__struct_fields__ == FIELDS


def test_a_report_with_all_fields_takes_the_short_way():
    body = {
        "subtask_name": "CLONE_VM", "progress": 5, "replicatesize": 1, "totalsize": 2, "process_trace": "",
        "migrate_speed": 1, "compress_rate": 1.5, "remain_time": 7, "total_cpu_usage": 1, "agent_cpu_usage": 1e15,
        "total_mem_usage": None, "agent_mem_usage": -1.0, "total_disk_io": 0, "agent_disk_io": 2,
        "need_migration_test": True, "agent_time": "now",
    }  # fmt: skip
    assert isinstance(parse_report(json.dumps(body).encode()), PlainReport)


def test_a_report_with_an_unknown_field_takes_the_full_way():
    report = parse_report(one_changed("new", b"[1]"))
    assert isinstance(report, ProgressReport)
    assert report.unknown_names == ("new",)
