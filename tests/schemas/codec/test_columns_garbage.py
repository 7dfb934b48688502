"""Invalid values: both codecs give each the same reason, and the other values of the list are decoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.schemas.catalog import named, newest, released
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.codec.record_codec import RecordReader, RecordWriter
from taskstream.schemas.codec.wire_format import HEADER_SIZE, Reason, header
from taskstream.schemas.errors import Undecodable
from tests.examples import examples
from tests.schemas.codec.records import IDS, NAMES, Ids, altered, comparable, encode, minimal, records, rows_of, varint

WRITERS = {schema: RecordWriter(IDS, schema) for schema in released()}
READERS = {name: (ColumnReader(IDS, name), RecordReader(IDS, name)) for name in NAMES}
V1, V2, STATE = named("ProgressReported.v1"), named("ProgressReported.v2"), newest("SeriesState")


def verdict(name: str, wire: bytes | None) -> dict | str:
    """What the single-record codec returns: the record, or the reason of its error."""
    try:
        return comparable(READERS[name][1].read(wire))
    except Undecodable as error:
        return error.reason


def both_verdicts(name: str, wires: list[bytes | None]) -> list[dict | str]:
    """The verdict of both codecs on each value; asserts that they agree."""
    decoded = READERS[name][0].read(wires)
    rows = dict(zip(decoded.kept.tolist(), rows_of(decoded.batch), strict=True))
    reasons = {each.index: str(each.reason) for each in decoded.rejected}
    assert rows.keys() | reasons.keys() == set(range(len(wires)))
    columnar = [rows.get(place, reasons.get(place)) for place in range(len(wires))]
    assert columnar == [verdict(name, wire) for wire in wires]
    return columnar


@st.composite
def damaged(draw: st.DrawFn, wire: bytes) -> bytes | None:
    """A value with at most one random defect."""
    at = draw(st.integers(0, len(wire)))
    defect = draw(
        st.sampled_from(["none", "cut", "append", "flip", "insert", "magic", "id", "gone", "noise", "varint"])
    )
    if defect == "cut":
        return wire[:at]
    if defect == "append":
        return wire + draw(st.binary(min_size=1, max_size=9))
    if defect == "flip" and at < len(wire):
        return wire[:at] + bytes([wire[at] ^ (1 << draw(st.integers(0, 7)))]) + wire[at + 1 :]
    if defect == "insert":
        return wire[:at] + draw(st.binary(min_size=1, max_size=12)) + wire[at:]
    if defect == "magic":
        return bytes([draw(st.integers(1, 255))]) + wire[1:]
    if defect == "id":
        return header(draw(st.integers(0, 7) | st.integers(0, (1 << 32) - 1))) + wire[HEADER_SIZE:]
    if defect == "gone":
        return draw(st.sampled_from([None, b"", b"\0", wire[:4], wire[:HEADER_SIZE]]))
    if defect == "noise":
        return wire[:HEADER_SIZE] + draw(st.binary(max_size=60))
    if defect == "varint":
        number = draw(st.sampled_from([1 << 62, (1 << 63) - 1, -(1 << 63), -1, 1 << 31, -(1 << 31) - 1, 2]))
        return wire[:at] + varint(number) + wire[at:]
    return wire


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@examples(150)
def test_both_codecs_give_the_same_verdict_on_damaged_records(name, data):
    schemas = [schema for schema in released() if schema.name == name]
    wires = []
    for _ in range(data.draw(st.integers(1, 6))):
        schema = data.draw(st.sampled_from(schemas))
        wires.append(data.draw(damaged(WRITERS[schema].write(data.draw(records(schema))))))

    both_verdicts(name, wires)


@given(noise=st.binary(max_size=120), schema=st.sampled_from(released()))
@examples(200)
def test_both_codecs_give_the_same_verdict_on_noise(noise, schema):
    both_verdicts(schema.name, [noise, header(IDS.id_of(schema)) + noise])


TEN_BYTES = b"\xff" * 9
WRONG_FIELDS = [
    ("a string longer than the record", V2, "agent_time", b"\x02" + varint(40) + b"short", Reason.TRUNCATED),
    ("a string of negative length", V2, "task_id", varint(-1), Reason.INVALID),
    ("a string of a length beyond memory", V2, "task_id", varint((1 << 63) - 1), Reason.TRUNCATED),
    ("a string with a lone continuation byte", V2, "task_id", varint(1) + b"\x80", Reason.UTF8),
    ("a string with half a surrogate pair", V2, "task_id", varint(3) + b"\xed\xa0\x80", Reason.UTF8),
    ("a string with an overlong slash", V2, "task_id", varint(2) + b"\xc0\xaf", Reason.UTF8),
    ("a string with an overlong slash of three bytes", V2, "task_id", varint(3) + b"\xe0\x80\xaf", Reason.UTF8),
    ("a string beyond the last code point", V2, "task_id", varint(4) + b"\xf4\x90\x80\x80", Reason.UTF8),
    ("a string that ends within a character", V2, "task_id", varint(2) + b"\xe2\x82", Reason.UTF8),
    ("an int of 33 bits", V2, "progress", varint(1 << 31), Reason.INVALID),
    ("an int below 32 bits", V2, "progress", varint(-(1 << 31) - 1), Reason.INVALID),
    ("a long of 65 bits", V2, "totalsize", TEN_BYTES + b"\x02", Reason.INVALID),
    ("a long without end", V2, "totalsize", b"\xff" * 30, Reason.INVALID),
    ("a union branch that is not there", V2, "remain_time", varint(2), Reason.INVALID),
    ("a negative union branch", V2, "remain_time", varint(-1), Reason.INVALID),
    ("a boolean of 2", V2, "need_migration_test", varint(1) + b"\x02", Reason.INVALID),
    ("a boolean of 2 without a union", STATE, "held", b"\x02", Reason.INVALID),
    ("an array of more items than bytes", STATE, "minute_bytes", varint(1 << 40), Reason.TRUNCATED),
    ("an array's block of the lowest count", STATE, "minute_bytes", varint(-(1 << 63)) + varint(0), Reason.INVALID),
    ("an array's block of negative size", STATE, "minute_bytes", varint(-1) + varint(-1), Reason.INVALID),
    ("an array's block of another size", STATE, "minute_bytes", varint(-1) + varint(9) + b"\x00\x00", Reason.INVALID),
    ("an array's block of a size beyond memory", STATE, "minute_bytes", varint(-1) + varint((1 << 63) - 1) + b"\x00\x00", Reason.INVALID),
    ("an array with an item of 65 bits", STATE, "minute_bytes", varint(1) + TEN_BYTES + b"\x02\x00", Reason.INVALID),
]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "field", "raw", "reason"), [each[1:] for each in WRONG_FIELDS], ids=[each[0] for each in WRONG_FIELDS]
)
def test_an_invalid_field_has_its_reason(schema, field, raw, reason):
    good = WRITERS[schema].write(minimal(schema))
    bad = encode(schema, IDS.id_of(schema), minimal(schema), **{field: raw})

    assert both_verdicts(schema.name, [good, bad, good]) == [
        verdict(schema.name, good),
        reason,
        verdict(schema.name, good),
    ]


GOOD = WRITERS[V2].write(minimal(V2))
WRONG_FRAMES = [
    ("a tombstone", None, Reason.EMPTY),
    ("an empty value", b"", Reason.EMPTY),
    ("JSON", b'{"progress": 3}', Reason.MAGIC),
    ("one byte, not zero", b"\x01", Reason.MAGIC),
    ("half a header", GOOD[:3], Reason.TRUNCATED),
    ("a header alone", GOOD[:HEADER_SIZE], Reason.TRUNCATED),
    ("all but the last byte", GOOD[:-1], Reason.TRUNCATED),
    ("one byte more", GOOD + b"\0", Reason.TRAILING),
    ("an id that no schema has", header(4_000_000_000) + GOOD[HEADER_SIZE:], Reason.UNKNOWN_SCHEMA),
    ("another record", WRITERS[STATE].write(minimal(STATE)), Reason.OTHER_RECORD),
    ("a v1 record under v2's id", header(2) + WRITERS[V1].write(minimal(V1))[HEADER_SIZE:], Reason.TRUNCATED),
    ("a v2 record under v1's id", header(1) + GOOD[HEADER_SIZE:], Reason.TRAILING),
]


@pytest.mark.parametrize(
    ("wire", "reason"), [each[1:] for each in WRONG_FRAMES], ids=[each[0] for each in WRONG_FRAMES]
)
def test_a_value_that_is_not_a_record_has_its_reason(wire, reason):
    assert both_verdicts(V2.name, [GOOD, wire, GOOD]) == [verdict(V2.name, GOOD), reason, verdict(V2.name, GOOD)]


def test_a_varint_with_redundant_bytes_is_decoded():
    wire = encode(V2, 2, minimal(V2), progress=b"\x82\x80\x80\x80\x00")

    assert [each["progress"] for each in both_verdicts(V2.name, [wire])] == [1]


@pytest.mark.parametrize(
    "schema",
    [
        altered(V2, 3, without="task_id"),
        altered(V2, 3, progress="string"),
        altered(V2, 3, progress=["null", "int"]),
        altered(V2, 3, agent_time="bytes"),
        altered(V2, 3, {"name": "odd", "type": "colour"}),
    ],
    ids=["a missing field", "another type", "nullable", "an unsupported type", "a type that is none"],
)
def test_a_schema_that_cannot_be_resolved_is_a_reason(schema):
    ids = Ids({77: schema})
    wire = header(77) + GOOD[HEADER_SIZE:]

    (rejected,) = ColumnReader(ids, V2.name).read([wire]).rejected

    assert rejected.reason == Reason.UNRESOLVABLE
    assert "ProgressReported.v3" in rejected.detail
    with pytest.raises(Undecodable, match=Reason.UNRESOLVABLE):
        RecordReader(ids, V2.name).read(wire)


def test_an_unknown_id_is_looked_up_again():
    more = {}
    reader = ColumnReader(Ids(more), V2.name)
    wire = header(77) + GOOD[HEADER_SIZE:]
    assert [each.reason for each in reader.read([wire]).rejected] == [Reason.UNKNOWN_SCHEMA]

    more[77] = V2

    assert reader.read([wire]).rejected == []


def test_all_values_of_a_list_may_be_invalid():
    decoded = READERS[V2.name][0].read([b"", b"x", None])

    assert decoded.batch.num_rows == 0
    assert [each.index for each in decoded.rejected] == [0, 1, 2]
