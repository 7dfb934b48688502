"""Decoding lists of values into columns gives what fastavro decodes one by one, for any mix of versions."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.schemas.catalog import named, newest, released
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.codec.packed_values import LARGEST_BATCH
from taskstream.schemas.codec.record_codec import RecordReader, RecordWriter
from taskstream.schemas.errors import BatchTooLarge, Unresolvable
from tests.examples import examples
from tests.schemas.codec.records import (
    IDS,
    NAMES,
    Ids,
    altered,
    as_newest,
    comparable,
    encode,
    minimal,
    records,
    rows_of,
)

READERS = {name: (ColumnReader(IDS, name), RecordReader(IDS, name)) for name in NAMES}
V2 = newest("ProgressReported")


@pytest.mark.parametrize("schema", released(), ids=lambda schema: schema.title)
@given(data=st.data())
@examples(40)
def test_every_schema_is_read_as_fastavro_reads_it(schema, data):
    given_records = data.draw(st.lists(records(schema), max_size=6))
    writer = RecordWriter(IDS, schema)
    wires = [writer.write(record) for record in given_records]
    columns, one = READERS[schema.name]

    decoded = columns.read(wires)

    assert decoded.rejected == []
    assert decoded.kept.tolist() == list(range(len(wires)))
    assert rows_of(decoded.batch) == [comparable(one.read(wire)) for wire in wires]
    assert rows_of(decoded.batch) == [as_newest(record, schema.name) for record in given_records]


@given(data=st.data())
@examples(40)
def test_versions_mixed_in_one_list_keep_their_order(data):
    writers = {title: RecordWriter(IDS, named(title)) for title in ("ProgressReported.v1", "ProgressReported.v2")}
    titles = data.draw(st.lists(st.sampled_from(sorted(writers)), max_size=8))
    given_records = [data.draw(records(named(title))) for title in titles]
    wires = [writers[title].write(record) for title, record in zip(titles, given_records, strict=True)]
    columns, one = READERS["ProgressReported"]

    rows = rows_of(columns.read(wires).batch)

    assert rows == [comparable(one.read(wire)) for wire in wires]
    assert rows == [as_newest(record, "ProgressReported") for record in given_records]


@given(data=st.data(), block=st.integers(-9, 9))
@examples(40)
def test_arrays_are_read_in_whatever_blocks_they_were_written(data, block):
    schema = newest("SeriesState")
    given_records = data.draw(st.lists(records(schema), min_size=1, max_size=3))
    wires = [encode(schema, IDS.id_of(schema), record, block) for record in given_records]
    columns, one = READERS["SeriesState"]

    rows = rows_of(columns.read(wires).batch)

    assert rows == [comparable(record) for record in given_records]
    assert rows == [comparable(one.read(wire)) for wire in wires]


@given(data=st.data(), name=st.sampled_from(NAMES))
@examples(40)
def test_only_the_wanted_columns_are_made_and_they_hold_the_same(data, name):
    schema = newest(name)
    wanted = data.draw(st.frozensets(st.sampled_from([each["name"] for each in schema.definition["fields"]])))
    given_records = data.draw(st.lists(records(schema), min_size=1, max_size=4))
    writer = RecordWriter(IDS, schema)

    decoded = ColumnReader(IDS, name, wanted).read([writer.write(record) for record in given_records])

    assert set(decoded.batch.schema.names) == wanted
    assert decoded.batch.num_rows == (len(given_records) if wanted else 0)
    if wanted:
        assert rows_of(decoded.batch) == [
            {key: value for key, value in comparable(record).items() if key in wanted} for record in given_records
        ]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_list_is_an_empty_batch(name):
    decoded = READERS[name][0].read([])

    assert decoded.batch.num_rows == 0
    assert decoded.batch.schema == READERS[name][0].schema
    assert decoded.kept.tolist() == []


def test_every_batch_has_the_declared_schema_with_its_nulls_and_times():
    schema = READERS["ProgressReported"][0].schema

    assert schema.field("received_at").type == pa.timestamp("us", "UTC")
    assert schema.field("progress").type == pa.int32()
    assert not schema.field("task_id").nullable
    assert schema.field("agent_time").nullable


def test_an_unknown_subtask_name_is_decoded():
    record = minimal(V2) | {"subtask_name": "DEFROST_QUANTUM_DISK"}
    wire = RecordWriter(IDS, V2).write(record)
    columns, one = READERS["ProgressReported"]

    assert one.read(wire)["subtask_name"] == "DEFROST_QUANTUM_DISK"
    assert columns.read([wire]).batch["subtask_name"].to_pylist() == ["DEFROST_QUANTUM_DISK"]


FUTURE_FIELDS = [
    {"name": "retries", "type": ["null", "long"], "default": None},
    {"name": "note", "type": ["string", "null"], "default": ""},
    {"name": "sizes", "type": {"type": "array", "items": "long"}, "default": []},
    {"name": "ratio", "type": "float", "default": 0},
    {"name": "flag", "type": "boolean", "default": False},
    {"name": "since", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0},
]


@pytest.mark.parametrize("field", FUTURE_FIELDS, ids=lambda field: field["name"])
@given(data=st.data())
@examples(30)
def test_a_version_newer_than_this_program_is_decoded_without_its_new_field(field, data):
    v3 = altered(V2, 3, field)
    ids = Ids({77: v3})
    new = data.draw(records(v3))
    old = data.draw(records(V2))
    wires = [encode(v3, 77, new, block=-2), RecordWriter(ids, V2).write(old)]

    rows = rows_of(ColumnReader(ids, "ProgressReported").read(wires).batch)

    assert rows == [as_newest(new, "ProgressReported"), comparable(old)]
    assert rows == [comparable(RecordReader(ids, "ProgressReported").read(wire)) for wire in wires]


@pytest.mark.parametrize(
    ("field", "written_as"),
    [
        ("replicatesize", "int"),
        ("migrate_speed", "int"),
        ("migrate_speed", "long"),
        ("migrate_speed", "float"),
        ("migrate_speed", ["null", "long"]),
        ("migrate_speed", ["double", "null"]),
        ("agent_time", "string"),
        ("remain_time", ["int", "null"]),
    ],
)
@given(data=st.data())
@examples(30)
def test_a_narrower_type_is_read_as_the_wider_one(field, written_as, data):
    written = altered(V2, 3, **{field: written_as})
    ids = Ids({77: written})
    wire = encode(written, 77, data.draw(records(written)))

    rows = rows_of(ColumnReader(ids, "ProgressReported").read([wire]).batch)

    assert rows == [comparable(RecordReader(ids, "ProgressReported").read(wire))]


def test_a_version_without_an_optional_field_is_read_with_null():
    written = altered(V2, 3, without="remain_time")
    ids = Ids({77: written})

    decoded = ColumnReader(ids, "ProgressReported").read([encode(written, 77, minimal(written))])

    assert decoded.batch["remain_time"].to_pylist() == [None]


def test_the_same_schema_with_another_namespace_and_doc_is_decoded():
    definition = {"doc": "another doc", **V2.definition, "namespace": "elsewhere"}
    written = type(V2)(V2.name, 9, json.dumps(definition))
    ids = Ids({77: written})
    wire = encode(written, 77, minimal(V2))

    assert ColumnReader(ids, V2.name).read([wire]).rejected == []
    assert comparable(RecordReader(ids, V2.name).read(wire)) == comparable(minimal(V2))


def test_none_is_rejected_as_empty_and_the_other_values_are_decoded():
    wire = RecordWriter(IDS, V2).write(minimal(V2))

    decoded = READERS["ProgressReported"][0].read([wire, None, wire])

    assert decoded.kept.tolist() == [0, 2]
    assert [(each.index, each.reason) for each in decoded.rejected] == [(1, "empty")]


def test_an_unknown_wanted_column_is_refused_by_the_constructor():
    with pytest.raises(Unresolvable, match="no field colour"):
        ColumnReader(IDS, "ProgressReported", frozenset({"colour"}))


def test_more_than_arrow_can_index_is_refused_and_not_garbled():
    piece = np.zeros(1 << 26, np.uint8).tobytes()

    with pytest.raises(BatchTooLarge, match="split the list"):
        READERS["ProgressReported"][0].read([piece] * (LARGEST_BATCH // len(piece) + 1))
