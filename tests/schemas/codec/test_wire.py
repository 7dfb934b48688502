"""Confluent's framing, byte by byte."""

from __future__ import annotations

import pytest

from taskstream.schemas.codec.wire_format import Reason, header, split
from taskstream.schemas.errors import Undecodable


def test_a_header_is_a_zero_byte_and_the_id_big_endian():
    assert header(0x01020304) == b"\x00\x01\x02\x03\x04"


@pytest.mark.parametrize("schema_id", [0, 1, 100_001, (1 << 32) - 1])
def test_the_id_is_found_again(schema_id):
    assert split(header(schema_id) + b"body") == schema_id


@pytest.mark.parametrize(
    ("wire", "reason"),
    [(b"", Reason.EMPTY), (b"\x01abcd", Reason.MAGIC), (b"{}", Reason.MAGIC), (b"\x00\x00\x00\x01", Reason.TRUNCATED)],
)
def test_a_value_without_a_header_has_its_reason(wire, reason):
    with pytest.raises(Undecodable) as caught:
        split(wire)

    assert caught.value.reason == reason
