"""The folders of a lake: every row in one of them, and readers find the same keys in their names."""

from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from taskstream.consumer.lake.day_and_project import NO_VALUE, by_day_and_project
from tests.consumer.lake.lakes import DAY_US

PROJECTS = ["plain", "0012", "a b", "ä/ö=ü", "50%", "..", "null", "a'b\"c", "x*?[1]", "\x01\x00", "🎉", "n" * 180]


def table(projects: list[str], times: list[int]) -> pa.Table:
    columns = {
        "offset": pa.array(range(len(projects))),
        "project_id": pa.array(projects),
        "received_at": pa.array(times).cast(pa.timestamp("us", "UTC")),
    }
    return pa.table(columns)


def test_a_day_is_that_of_utc_and_ends_at_midnight():
    given = table(["p"] * 4, [-1, 0, DAY_US - 1, DAY_US])

    assert {folder: rows["offset"].to_pylist() for folder, rows in by_day_and_project(given, "received_at")} == {
        "day=1969-12-31/project=p": [0],
        "day=1970-01-01/project=p": [1, 2],
        "day=1970-01-02/project=p": [3],
    }


def test_rows_of_a_folder_keep_their_order():
    given = table(["b", "a", "b", "a", "b"], [5, 4, 3, 2, 1])

    folders = dict(by_day_and_project(given, "received_at"))

    assert [rows["offset"].to_pylist() for rows in folders.values()] == [[0, 2, 4], [1, 3]]


@pytest.mark.parametrize("time", [-(2**63), 2**63 - 1, 253_402_300_800_000_000])
def test_a_time_of_no_calendar_has_no_day(time):
    ((folder, _),) = by_day_and_project(table(["p"], [time]), "received_at")

    assert folder == f"day={NO_VALUE}/project=p"


@pytest.mark.parametrize("project", ["", "n" * 201, "%" * 70])
def test_a_project_that_makes_no_folder_has_none(project):
    ((folder, _),) = by_day_and_project(table([project], [0]), "received_at")

    assert folder == f"day=1970-01-01/project={NO_VALUE}"


def test_no_rows_are_in_no_folder():
    assert list(by_day_and_project(table([], []), "received_at")) == []


def test_readers_find_the_project_in_the_folder_as_it_is_in_the_rows(tmp_path):
    for folder, rows in by_day_and_project(table(PROJECTS, [0] * len(PROJECTS)), "received_at"):
        (tmp_path / folder).mkdir(parents=True)
        pq.write_table(rows, tmp_path / folder / "part-1.parquet")

    duck = duckdb.sql(
        f"select project_id, project from read_parquet('{tmp_path}/**/*.parquet', hive_types_autocast = false)"
    ).fetchall()
    keys = ds.partitioning(pa.schema([("day", pa.date32()), ("project", pa.string())]), flavor="hive")
    arrow = ds.dataset(tmp_path, partitioning=keys).to_table(columns=["project_id", "project"]).to_pylist()
    polars = pl.scan_parquet(f"{tmp_path}/", hive_schema={"day": pl.Date, "project": pl.String}).collect()

    assert sorted(duck) == sorted((each, each) for each in PROJECTS)
    assert sorted(each["project"] for each in arrow) == sorted(PROJECTS)
    assert all(each["project"] == each["project_id"] for each in arrow)
    assert sorted(polars["project"].to_list()) == sorted(PROJECTS)
    assert polars["project"].to_list() == polars["project_id"].to_list()
