"""Iceberg tables that lose their writer at any moment, that other programs rearrange, and whose columns grow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from taskstream.consumer.errors import LakeUnusable
from taskstream.consumer.lake.iceberg_lake import STATE, IcebergLake, LakeTable
from taskstream.consumer.lake.iceberg_place import CATALOG_FILE, CATALOG_NAME, iceberg_place
from taskstream.consumer.lake.lake_writer import LakePiece
from tests.consumer.lake.lakes import SCHEMA, Crash, rows

TOPIC = "t.progress"
TABLES = {TOPIC: LakeTable(SCHEMA, "received_at")}


def opened(folder: Path, **more: Any) -> IcebergLake:
    return IcebergLake(iceberg_place(str(folder), None), TABLES, **more)


def catalog(folder: Path) -> Catalog:
    """As a reader opens it who knows nothing of us."""
    return load_catalog(CATALOG_NAME, uri=f"sqlite:///{folder}/{CATALOG_FILE}", warehouse=f"file://{folder}")


def loaded(folder: Path) -> Table:
    with catalog(folder) as found:
        return found.load_table(TOPIC)


def offsets(folder: Path) -> list[int]:
    return sorted(loaded(folder).scan().to_arrow()["offset"].to_pylist())


def piece(begin: int, end: int, table: pa.Table | None = None) -> LakePiece:
    return LakePiece(TOPIC, "progress", "received_at", rows(begin, end) if table is None else table, {0: end})


def filled(folder: Path, end: int) -> None:
    with opened(folder) as lake:
        lake.begin(TOPIC, "id", {0: 0})
        lake.add(piece(0, end))


def test_pieces_are_in_the_table_by_day_and_project_with_their_offsets(tmp_path):
    with opened(tmp_path) as lake:
        lake.begin(TOPIC, "id", {0: 0})
        assert lake.add(piece(0, 8)) == 2
        assert lake.add(piece(8, 10)) == 2

    assert offsets(tmp_path) == list(range(10))
    table = loaded(tmp_path)
    assert [str(each.transform) for each in table.spec().fields] == ["day", "identity"]
    assert table.schema().find_field("received_at").doc == "when"
    assert len(list(table.scan("project_id = 'p0' and received_at < '2024-10-05T00:00:00+00:00'").plan_files())) == 2
    with opened(tmp_path) as lake:
        assert lake.current.positions == {TOPIC: {0: 10}}
        assert lake.current.rows == {TOPIC: 10}
        assert lake.current.topic_ids == {TOPIC: "id"}


def test_offsets_without_records_are_committed_too(tmp_path):
    filled(tmp_path, 4)
    with opened(tmp_path) as lake:
        assert lake.add(piece(4, 9, rows(0, 0))) == 0

    with opened(tmp_path) as lake:
        assert lake.current.positions == {TOPIC: {0: 9}}
    assert offsets(tmp_path) == [0, 1, 2, 3]


@pytest.mark.parametrize("committed", [False, True])
def test_a_process_that_ends_around_the_commit_leaves_records_and_offsets_or_neither(tmp_path, committed):
    filled(tmp_path, 4)
    with opened(tmp_path) as lake:
        commit = lake._catalog.commit_table

        def crashing(*arguments):
            if committed:
                commit(*arguments)
            raise Crash

        lake._catalog.commit_table = crashing
        with pytest.raises(Crash):
            lake.add(piece(4, 6))

    with opened(tmp_path) as lake:
        assert lake.current.positions == {TOPIC: {0: 6 if committed else 4}}
        lake.add(piece(lake.current.positions[TOPIC][0], 8))
    assert offsets(tmp_path) == list(range(8))


def test_a_column_of_a_newer_release_is_null_in_older_records(tmp_path):
    filled(tmp_path, 2)
    newer = SCHEMA.insert(2, pa.field("label", pa.string(), nullable=False))
    table = rows(2, 4).add_column(2, newer.field("label"), pa.array(["a", "b"]))
    with opened(tmp_path) as lake:
        lake.add(piece(2, 4, table))
        lake.add(piece(4, 5))  # the older release again

    found = loaded(tmp_path).scan().to_arrow().sort_by("offset")
    assert found["label"].to_pylist() == [None, None, "a", "b", None]
    assert found["offset"].to_pylist() == [0, 1, 2, 3, 4]


def test_a_project_that_is_no_folder_name_is_one_like_others(tmp_path):
    projects = ["p/" * 500, "", "ü\x00 %"]
    filled(tmp_path, 4)
    with opened(tmp_path) as lake:
        lake.add(piece(4, 7, rows(4, 7).set_column(2, SCHEMA.field("project_id"), pa.array(projects))))

    assert loaded(tmp_path).scan().to_arrow().sort_by("offset").slice(4)["project_id"].to_pylist() == projects


def test_a_time_of_no_calendar_is_kept_but_where_it_is_the_day_of_the_record(tmp_path):
    far = pa.array([9 * 10**18, 0, -9 * 10**18], pa.timestamp("us", "UTC"))
    table = rows(0, 3)
    with opened(tmp_path) as lake:
        lake.begin(TOPIC, "id", {0: 0})
        lake.add(piece(0, 3, table.set_column(3, SCHEMA.field("received_at"), far)))
        lake.add(piece(3, 6, table.append_column("eta", far)))
        assert lake.current.unreadable == {TOPIC: 2}
        assert lake.current.rows == {TOPIC: 4}

    found = loaded(tmp_path).scan().to_arrow()
    assert sorted(found["eta"].cast(pa.int64()).drop_null().to_pylist()) == [-9 * 10**18, 0, 9 * 10**18]


def test_two_writers_of_one_folder_are_refused(tmp_path):
    with opened(tmp_path), pytest.raises(LakeUnusable, match="another process writes"), opened(tmp_path):
        pass


def test_of_two_writers_without_a_lock_the_second_one_fails(tmp_path):
    """Each has a folder of its own for the lock, and both the same catalogue."""
    filled(tmp_path / "a", 4)
    address = f"sqlite:///{tmp_path}/a/{CATALOG_FILE}"
    other = IcebergLake(iceberg_place(str(tmp_path / "b"), address), TABLES)
    with opened(tmp_path / "a") as first, other as second:
        first.add(piece(4, 6))
        with pytest.raises(LakeUnusable, match="another process writes"):
            second.add(piece(4, 7))

    assert offsets(tmp_path / "a") == list(range(6))


def test_a_commit_that_meets_that_of_another_program_is_repeated(tmp_path):
    filled(tmp_path, 4)
    with opened(tmp_path) as lake:
        commit, others = lake._catalog.commit_table, [True]

        def meeting(table, requirements, updates):
            if others and others.pop():
                with catalog(tmp_path) as another:
                    another.load_table(TOPIC).delete("offset = 3")
            return commit(table, requirements, updates)

        lake._catalog.commit_table = meeting
        lake.add(piece(4, 6))

    assert offsets(tmp_path) == [0, 1, 2, 4, 5]


def test_a_commit_that_is_refused_again_and_again_ends_the_writer(tmp_path):
    filled(tmp_path, 4)
    with opened(tmp_path) as lake:

        def refusing(*_):
            raise CommitFailedException("not now")

        lake._catalog.commit_table = refusing
        with pytest.raises(LakeUnusable, match="not now"):
            lake.add(piece(4, 6))

    assert offsets(tmp_path) == [0, 1, 2, 3]


def test_the_offsets_outlive_files_that_were_rewritten_and_snapshots_that_expired(tmp_path):
    filled(tmp_path, 4)
    with catalog(tmp_path) as found:
        table = found.load_table(TOPIC)
        table.overwrite(table.scan().to_arrow())
        newest = table.current_snapshot()
        assert newest is not None
        table.maintenance.expire_snapshots().by_ids(
            [each.snapshot_id for each in table.snapshots() if each.snapshot_id != newest.snapshot_id]
        ).commit()
        assert newest.summary
        assert newest.summary[STATE] is None

    with opened(tmp_path) as lake:
        assert lake.current.positions == {TOPIC: {0: 4}}
        lake.add(piece(4, 6))
    assert offsets(tmp_path) == list(range(6))


def test_a_table_that_was_rolled_back_goes_on_from_there(tmp_path):
    filled(tmp_path, 4)
    before = loaded(tmp_path).current_snapshot()
    with opened(tmp_path) as lake:
        lake.add(piece(4, 6))
    with catalog(tmp_path) as found:
        found.load_table(TOPIC).manage_snapshots().rollback_to_snapshot(before.snapshot_id).commit()

    with opened(tmp_path) as lake:
        assert lake.current.positions == {TOPIC: {0: 4}}
        lake.add(piece(4, 8))
    assert offsets(tmp_path) == list(range(8))


@pytest.mark.slow
def test_old_snapshots_expire_and_their_records_stay(tmp_path):
    with opened(tmp_path, keep_ms=-1, expire_at_once=3) as lake:
        lake.begin(TOPIC, "id", {0: 0})
        for begin in range(0, 8, 2):
            lake.add(piece(begin, begin + 2))
        assert len(loaded(tmp_path).snapshots()) == 4
        lake.merge()

    assert len(loaded(tmp_path).snapshots()) == 1
    assert offsets(tmp_path) == list(range(8))


@pytest.mark.parametrize("text", [None, "", "[]", "{}", json.dumps({"positions": {"a": 1}, "topic_id": "id"})])
def test_a_table_of_somebody_else_is_left_alone(tmp_path, text):
    with catalog(tmp_path) as found:
        found.create_namespace("t")
        found.create_table(TOPIC, SCHEMA, properties={} if text is None else {STATE: text})

    with pytest.raises(LakeUnusable, match=r"t\.progress"), opened(tmp_path):
        pass


@pytest.mark.parametrize("wrong", ["a#b", "a?b"])
def test_a_folder_that_no_uri_names_is_refused(tmp_path, wrong):
    with pytest.raises(LakeUnusable, match=r"\? or #"):
        iceberg_place(str(tmp_path / wrong), None)


@pytest.mark.parametrize("wrong", ["gs://b/l", "s3://a:b@b/l", "s3://b/l?colour=red"])
def test_a_place_that_is_neither_a_folder_nor_s3_is_refused(wrong):
    with pytest.raises(LakeUnusable, match="Iceberg tables are in a folder or in s3"):
        iceberg_place(wrong, "sqlite:///c.db")


def test_a_catalogue_that_cannot_be_opened_is_said(tmp_path):
    nowhere = iceberg_place(str(tmp_path), f"sqlite:///{tmp_path}/none/c.db")
    with pytest.raises(LakeUnusable, match="unable to open database file"), IcebergLake(nowhere, TABLES):
        pass
