"""Every column of an export carries its description, and its unit where it has one."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taskstream.consumer.export.field_metadata import described, unit_of
from taskstream.consumer.export.file_formats import ArrowFile, Parquet
from taskstream.consumer.export.topic_batches import POSITION_FIELDS
from taskstream.schemas.catalog import newest, released
from taskstream.schemas.codec.read_plan import columns_of


def schema_of(record: str) -> pa.Schema:
    fields = [pa.field(each.name, each.arrow, each.nullable) for each in columns_of(newest(record))]
    return described(pa.schema([*POSITION_FIELDS, *fields]), record)


@pytest.mark.parametrize("record", sorted({each.name for each in released()}))
def test_every_column_is_described(record):
    assert [each.name for each in schema_of(record) if not each.metadata[b"description"]] == []


def test_units_agree_with_the_descriptions():
    words = {"B": "byte", "%": "percent", "MB": "mb", "Mbit/s": "mbit/s", "s": "second"}
    fields = [field for field in schema_of("ProgressReported") if not pa.types.is_timestamp(field.type)]
    stated = {field.name: (unit_of(field), field.metadata[b"description"].decode().lower()) for field in fields}

    assert [name for name, (unit, doc) in stated.items() if unit is not None and words[unit] not in doc] == []
    assert stated["replicatesize"][0] == "B"
    assert stated["task_id"][0] is None


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_file_keeps_them(ending, tmp_path):
    table = schema_of("RateWindow").empty_table()
    path = tmp_path / f"rates.{ending}"
    form = Parquet() if ending == "parquet" else ArrowFile()
    with path.open("wb") as file:
        form.append(file, table)
        end = file.tell()
    form.finish(path, [end])

    with pa.OSFile(str(path)) as source:
        schema = pq.read_schema(source) if ending == "parquet" else pa.ipc.open_file(source).schema

    assert schema.field("rate_bps").metadata[b"unit"] == b"B/s"
    assert schema.field("window_start").metadata[b"unit"] == b"us since 1970-01-01 UTC"
    assert schema.field("rate_bps").metadata[b"description"] == b"bytes / width_s."


@pytest.mark.parametrize("compression", ["lz4", "zstd", None])
def test_an_arrow_file_has_the_compression_that_is_asked_for(compression, tmp_path):
    form, path = ArrowFile(compression), tmp_path / "rows.arrow"
    table = pa.table({"task_id": ["one task"] * 10_000})
    with path.open("wb") as file:
        form.append(file, table)
        end = file.tell()
    form.finish(path, [end])

    raw = path.read_bytes()
    frames = {"lz4": b"\x04\x22\x4d\x18", "zstd": b"\x28\xb5\x2f\xfd"}
    assert {name for name, magic in frames.items() if magic in raw} == {compression} - {None}
    with pa.OSFile(str(path)) as source:
        assert pa.ipc.open_file(source).read_all() == table
