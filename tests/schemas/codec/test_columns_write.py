"""Encoding batches gives byte for byte what fastavro encodes one by one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.schemas.catalog import newest, released
from taskstream.schemas.codec.column_codec import ColumnReader, ColumnWriter
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.errors import Unencodable
from tests.examples import examples
from tests.schemas.codec.records import (
    IDS,
    NAMES,
    Ids,
    altered,
    batch_of,
    comparable,
    encode,
    minimal,
    records,
    rows_of,
)

COLUMNS = {schema: ColumnWriter(IDS, schema) for schema in released()}
ONE = {schema: RecordWriter(IDS, schema) for schema in released()}
STATE = newest("SeriesState")


@pytest.mark.parametrize("schema", released(), ids=lambda schema: schema.title)
@given(data=st.data())
@examples(40)
def test_every_schema_is_written_as_fastavro_writes_it(schema, data):
    given_records = data.draw(st.lists(records(schema), max_size=6))

    wires = COLUMNS[schema].write(batch_of(COLUMNS[schema].schema, given_records))

    assert wires == [ONE[schema].write(record) for record in given_records]
    assert wires == [encode(schema, IDS.id_of(schema), record) for record in given_records]


@pytest.mark.parametrize("schema", released(), ids=lambda schema: schema.title)
@given(data=st.data())
@examples(40)
def test_a_slice_of_a_batch_is_written_as_its_rows(schema, data):
    given_records = data.draw(st.lists(records(schema), min_size=1, max_size=6))
    start = data.draw(st.integers(0, len(given_records)))
    count = data.draw(st.integers(0, len(given_records)))
    batch = batch_of(COLUMNS[schema].schema, given_records)

    wires = COLUMNS[schema].write(batch.slice(start, count))

    assert wires == [ONE[schema].write(record) for record in given_records[start : start + count]]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@examples(40)
def test_what_is_written_is_read_back_bit_for_bit(name, data):
    given_records = data.draw(st.lists(records(newest(name)), max_size=5))
    writer = COLUMNS[newest(name)]

    decoded = ColumnReader(IDS, name).read(writer.write(batch_of(writer.schema, given_records)))

    assert rows_of(decoded.batch) == [comparable(record) for record in given_records]


@given(data=st.data())
@examples(20)
def test_a_batch_that_was_read_can_be_sliced_filtered_and_written(data):
    given_records = data.draw(st.lists(records(STATE), min_size=2, max_size=6))
    wires = [ONE[STATE].write(record) for record in given_records]
    keep = data.draw(st.lists(st.booleans(), min_size=len(wires) - 1, max_size=len(wires) - 1))
    read = ColumnReader(IDS, "SeriesState").read(wires).batch

    written = COLUMNS[STATE].write(read.slice(1).filter(pa.array(keep)))

    assert written == [wire for wire, kept in zip(wires[1:], keep, strict=True) if kept]


@pytest.mark.parametrize("schema", released(), ids=lambda schema: schema.title)
def test_an_empty_batch_is_an_empty_list(schema):
    assert COLUMNS[schema].write(batch_of(COLUMNS[schema].schema, [])) == []


def test_columns_that_are_wholly_null_are_written():
    schema = newest("ProgressReported")
    writer = COLUMNS[schema]
    rows = batch_of(writer.schema, [minimal(schema)] * 3)
    columns = [pa.nulls(3, each.type) if each.null_count else each for each in rows.columns]

    assert (
        writer.write(pa.RecordBatch.from_arrays(columns, schema=writer.schema))
        == [ONE[schema].write(minimal(schema))] * 3
    )


def test_a_union_with_null_last_is_encoded():
    schema = altered(newest("SignalRaised"), 9, eta=["long", "null"], limit_s=["double", "null"])
    ids = Ids({88: schema})
    writer = ColumnWriter(ids, schema)
    row = minimal(newest("SignalRaised")) | {"eta": -5}

    assert writer.write(batch_of(writer.schema, [row])) == [encode(schema, 88, row)]


def test_a_null_in_a_field_that_is_not_nullable_is_refused():
    writer = COLUMNS[STATE]
    batch = batch_of(writer.schema, [minimal(STATE) | {"task_id": None}])

    with pytest.raises(Unencodable, match="task_id has 1 nulls"):
        writer.write(batch)


def test_a_null_among_an_arrays_items_is_refused():
    writer = COLUMNS[STATE]
    batch = batch_of(writer.schema, [minimal(STATE) | {"minute_bytes": [1, None]}])

    with pytest.raises(Unencodable, match="minute_bytes has a null"):
        writer.write(batch)


def test_a_null_among_the_items_of_a_row_outside_the_slice_is_ignored():
    writer = COLUMNS[STATE]
    good = minimal(STATE) | {"minute_bytes": [3]}
    batch = batch_of(writer.schema, [minimal(STATE) | {"minute_bytes": [None]}, good])

    assert writer.write(batch.slice(1)) == [ONE[STATE].write(good)]


def test_a_batch_of_another_schema_is_refused():
    writer = COLUMNS[STATE]
    other = COLUMNS[newest("RateWindow")].schema

    with pytest.raises(Unencodable, match=r"SeriesState\.v4 is written from"):
        writer.write(batch_of(other, [minimal(newest("RateWindow"))]))
