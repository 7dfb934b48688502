"""Encoding and decoding one record: a value that does not fit is refused with its field and value."""

from __future__ import annotations

import io
import math

import fastavro
import numpy as np
import pytest

from taskstream.schemas.catalog import named, newest
from taskstream.schemas.codec.record_codec import RecordReader, RecordWriter
from taskstream.schemas.codec.wire_format import HEADER_SIZE
from taskstream.schemas.errors import Unencodable
from taskstream.schemas.ids import TableIds
from tests.schemas.codec.records import IDS, minimal

V1, V2, STATE = named("ProgressReported.v1"), named("ProgressReported.v2"), newest("SeriesState")


def test_a_record_is_read_back_as_it_was_written():
    record = minimal(V2) | {"task_id": "tâche/1", "progress": 42, "migrate_speed": 1.5, "need_migration_test": True}

    assert RecordReader(IDS, V2.name).read(RecordWriter(IDS, V2).write(record)) == record


def test_a_v1_record_is_read_as_v2_with_nulls():
    read = RecordReader(IDS, V1.name).read(RecordWriter(IDS, V1).write(minimal(V1)))

    assert read == minimal(V2)


def test_a_nullable_field_may_be_absent():
    record = {name: value for name, value in minimal(V2).items() if value is not None}

    assert RecordWriter(IDS, V2).write(record) == RecordWriter(IDS, V2).write(minimal(V2))


def test_the_body_is_avro_that_fastavro_reads_with_the_released_schema():
    body = io.BytesIO(RecordWriter(IDS, V2).write(minimal(V2))[HEADER_SIZE:])

    assert fastavro.schemaless_reader(body, V2.definition)["received_at"].timestamp() == 0


@pytest.mark.parametrize(
    ("schema", "field", "value", "expected"),
    [
        (V2, "progress", 1 << 31, "a 32-bit integer"),
        (V2, "progress", -(1 << 31) - 1, "a 32-bit integer"),
        (V2, "progress", 99.5, "a 32-bit integer"),
        (V2, "progress", True, "a 32-bit integer"),
        (V2, "progress", "7", "a 32-bit integer"),
        (V2, "progress", None, "a 32-bit integer"),
        (V2, "totalsize", 1 << 63, "a 64-bit integer"),
        (V2, "totalsize", np.int64(1), "a 64-bit integer"),
        (V2, "remain_time", 1 << 63, "a 64-bit integer or null"),
        (V2, "migrate_speed", "1.5", "a number or null"),
        (V2, "migrate_speed", False, "a number or null"),
        (V2, "need_migration_test", 1, "true or false or null"),
        (STATE, "held", None, "true or false"),
        (V2, "task_id", b"t", "a string"),
        (V2, "agent_time", 3, "a string or null"),
        (STATE, "minute_bytes", [1, None], "a list of 64-bit integers"),
        (STATE, "minute_bytes", [1 << 63], "a list of 64-bit integers"),
        (STATE, "minute_bytes", 3, "a list of 64-bit integers"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_field(schema, field, value, expected):
    with pytest.raises(Unencodable, match=rf"{schema.title}: {field} is .*, and should be {expected}"):
        RecordWriter(IDS, schema).write(minimal(schema) | {field: value})


def test_a_lone_surrogate_is_refused():
    with pytest.raises(Unencodable, match="surrogates"):
        RecordWriter(IDS, V2).write(minimal(V2) | {"task_id": "\ud800"})


def test_an_integer_that_no_double_holds_is_refused():
    with pytest.raises(Unencodable, match="too large"):
        RecordWriter(IDS, V2).write(minimal(V2) | {"migrate_speed": 10**400})


def test_a_field_that_is_missing_is_refused():
    record = minimal(V2)
    del record["task_id"]

    with pytest.raises(Unencodable, match="task_id is None"):
        RecordWriter(IDS, V2).write(record)


def test_an_unknown_field_is_refused():
    with pytest.raises(Unencodable, match="no field colour"):
        RecordWriter(IDS, V2).write(minimal(V2) | {"colour": "red"})


@pytest.mark.parametrize("speed", [math.nan, math.inf, -0.0, 5e-324, 3])
def test_every_double_is_written(speed):
    read = RecordReader(IDS, V2.name).read(RecordWriter(IDS, V2).write(minimal(V2) | {"migrate_speed": speed}))

    assert str(read["migrate_speed"]) == str(float(speed))


def test_each_schema_id_is_looked_up_once():
    class Counting(TableIds):
        lookups = 0

        def schema_of(self, schema_id):
            Counting.lookups += 1
            return super().schema_of(schema_id)

    reader = RecordReader(Counting(), V2.name)
    wire = RecordWriter(IDS, V2).write(minimal(V2))

    assert [reader.read(wire) for _ in range(3)] == [minimal(V2)] * 3
    assert Counting.lookups == 1
