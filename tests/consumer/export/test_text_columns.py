"""Lines of CSV and JSON that readers which infer types read as what they are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.export.file_formats import Csv, Ndjson

ROWS = 21_000
"""More than any of the readers looks at before it decides."""
LATE = pa.table({"name": ["x"] * ROWS, "rate": [100.0] * (ROWS - 1) + [0.5]})


def written(form: Csv | Ndjson, table: pa.Table, path: Path) -> Path:
    with path.open("wb") as file:
        form.append(file, table)
    return path


@pytest.mark.parametrize(("form", "read"), [(Csv(), "read_csv"), (Ndjson(), "read_json")])
def test_duckdb_reads_a_fraction_that_comes_last(form, read, tmp_path):
    path = written(form, LATE, tmp_path / "rows")
    last = duckdb.sql(f"SELECT typeof(rate), rate FROM {read}('{path}') WHERE rate < 1").fetchall()
    assert last == [("DOUBLE", 0.5)]


@pytest.mark.parametrize(("form", "read"), [(Csv(), pl.read_csv), (Ndjson(), pl.read_ndjson)])
def test_polars_reads_a_fraction_that_comes_last(form, read, tmp_path):
    frame = read(written(form, LATE, tmp_path / "rows"))
    assert frame["rate"].dtype == pl.Float64
    assert frame["rate"][-1] == 0.5


doubles = st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1)


@given(doubles)
def test_every_double_comes_back_from_csv(values):
    table = pa.table({"name": ["a"] * len(values), "rate": pa.array(values, pa.float64())})
    file = io.BytesIO()
    Csv().append(file, table)
    options = pa.csv.ConvertOptions(column_types={"rate": pa.float64()})
    assert pa.csv.read_csv(io.BytesIO(file.getvalue()), convert_options=options)["rate"].to_pylist() == values


@given(doubles)
def test_every_finite_double_comes_back_from_json_as_a_double(values):
    table = pa.table({"rate": pa.array(values, pa.float64())})
    file = io.BytesIO()
    Ndjson().append(file, table)
    found = [json.loads(line)["rate"] for line in file.getvalue().splitlines()]
    assert found == [None if value in (None, float("inf"), float("-inf")) else value for value in values]
    assert {type(value) for value in found} <= {float, type(None)}


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), min_size=1))
def test_csv_is_as_pyarrow_writes_it_but_for_doubles(texts):
    count = len(texts)
    columns = {
        "text": pa.array(texts, pa.string()),
        "number": pa.array(range(count), pa.int64()),
        "time": pa.array(range(count), pa.timestamp("us", "UTC")),
        "flag": pa.array([True] * count),
    }
    table = pa.table(columns)
    ours, theirs = io.BytesIO(), io.BytesIO()
    Csv(keep_formulas=True).append(ours, table)
    pa.csv.write_csv(table, theirs)
    assert ours.getvalue() == theirs.getvalue()


def test_a_table_without_rows_is_a_header_and_pieces_have_one():
    file = io.BytesIO()
    Csv().append(file, LATE.slice(0, 0))
    Csv().append(file, LATE.slice(0, 1))
    assert file.getvalue() == b'"name","rate"\n"x",100.0\n'


def test_a_slice_of_a_table_is_written_and_nothing_else():
    file = io.BytesIO()
    Csv().append(file, LATE.slice(ROWS - 1))
    assert file.getvalue() == b'"name","rate"\n"x",0.5\n'


FAR_US = [2**63 - 1, -(2**63), 253_402_300_800_000_000, -62_135_596_800_000_001]
NEAR_US = [0, 253_402_300_799_999_999, -62_135_596_800_000_000]


def test_times_outside_of_the_years_1_to_9999_are_null_in_text(tmp_path):
    times = pa.array([*FAR_US, *NEAR_US], pa.int64()).cast(pa.timestamp("us", "UTC"))
    table = pa.table({"row": range(len(times)), "time": times})

    lines = written(Csv(), table, tmp_path / "rows.csv").read_text().splitlines()[1:]
    rows = [json.loads(line) for line in written(Ndjson(), table, tmp_path / "rows").read_text().splitlines()]

    assert lines[:4] == ["0,", "1,", "2,", "3,"]
    assert lines[4:] == [
        "4,1970-01-01 00:00:00.000000Z",
        "5,9999-12-31 23:59:59.999999Z",
        "6,0001-01-01 00:00:00.000000Z",
    ]
    assert [row["time"] for row in rows[:5]] == [None] * 4 + ["1970-01-01T00:00:00.000000Z"]


def test_a_spreadsheets_times_have_milliseconds_and_no_zone(tmp_path):
    time = pa.array([1_763_884_800_123_456, None], pa.int64()).cast(pa.timestamp("us", "UTC"))
    kafka = pa.array([1_763_884_800_123, None], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    path = written(Csv(spreadsheet_times=True), pa.table({"time": time, "kafka": kafka}), tmp_path / "rows.csv")

    lines = path.read_text().splitlines()[1:]

    assert lines == ['"2025-11-23 08:00:00.123","2025-11-23 08:00:00.123"', ","]
    types = duckdb.sql(f"SELECT DISTINCT typeof(time) FROM read_csv('{path}')").fetchall()
    assert types == [("TIMESTAMP",)]
