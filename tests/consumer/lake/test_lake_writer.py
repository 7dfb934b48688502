"""A lake that loses its process between any two changes of its files has every record once when it is opened again."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from taskstream.consumer.errors import LakeUnusable
from taskstream.consumer.lake.compaction import FAN_IN
from taskstream.consumer.lake.lake_store import LakeStore, filesystem_of, published
from taskstream.consumer.lake.lake_writer import LakePiece, LakeWriter
from tests.consumer.lake.lakes import SCHEMA, Crash, FailingFileSystem, found, rows

PIECES = FAN_IN + 1
ROWS = 4


def piece(begin: int, end: int, table: pa.Table | None = None) -> LakePiece:
    return LakePiece("t.progress", "progress", "received_at", rows(begin, end) if table is None else table, {0: end})


def write_on(store: LakeStore) -> None:
    """From the lake's offset on, as the follower does."""
    writer = LakeWriter(store)
    if "t.progress" not in writer.current.positions:
        writer.begin("t.progress", "id", {0: 0})
    while (begin := writer.current.positions["t.progress"][0]) < PIECES * ROWS:
        writer.add(piece(begin, begin + ROWS))
        writer.merge()


def changes_of_a_whole_run(folder) -> int:
    filesystem = FailingFileSystem(10**9, after=False)
    with LakeStore(filesystem, str(folder)) as store:
        write_on(store)
    return filesystem.changes


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_change_of_a_file_loses_and_doubles_nothing(tmp_path, after):
    count = changes_of_a_whole_run(tmp_path / "whole")
    assert count > 50

    for at in range(1, count + 1):
        folder = tmp_path / str(at)
        with pytest.raises(Crash), LakeStore(FailingFileSystem(at, after=after), str(folder)) as store:
            write_on(store)
        seen = found(folder)
        assert len(seen) == len({*seen}), f"a reader sees a record twice after change {at}"
        with LakeStore(FailingFileSystem(10**9, after=False), str(folder)) as store:
            committed = store.current.rows.get("t.progress", 0)
            assert found(folder) == list(range(committed)), f"after change {at}"
            assert not list((folder / "_taskstream" / "staged").iterdir())
            write_on(store)
        assert found(folder) == list(range(PIECES * ROWS)), f"after change {at}"


def test_small_files_become_one(tmp_path):
    changes_of_a_whole_run(tmp_path)

    assert len(published(fs.LocalFileSystem(), str(tmp_path), "progress")) == 2 * 2, "merged, and one more, per folder"


def test_a_merged_file_has_the_columns_of_the_newest_and_null_where_an_older_release_had_none(tmp_path):
    newer = SCHEMA.append(pa.field("added", pa.string(), metadata={"description": "new"}))
    with LakeStore(fs.LocalFileSystem(), str(tmp_path)) as store:
        writer = LakeWriter(store)
        writer.begin("t.progress", "id", {0: 0})
        for number in range(FAN_IN):
            table = rows(number, number + 1, projects=1, days=1)
            if number >= 3:
                table = pa.table([*table.columns, ["yes"]], schema=newer)
            writer.add(piece(number, number + 1, table))
        assert writer.merge() == FAN_IN
    (path,) = published(fs.LocalFileSystem(), str(tmp_path), "progress")

    merged = pq.ParquetFile(path).read()

    assert merged["added"].to_pylist() == [None] * 3 + ["yes"] * (FAN_IN - 3)
    assert merged["offset"].to_pylist() == list(range(FAN_IN))
    assert merged.schema.field("added").metadata[b"description"] == b"new"
    assert merged.schema.field("received_at").metadata[b"description"] == b"when"


def test_a_folder_has_one_writer(tmp_path):
    place = filesystem_of(str(tmp_path))

    with LakeStore(*place), pytest.raises(LakeUnusable, match="another process writes the lake"):
        LakeStore(*place).__enter__()
    with LakeStore(*place):
        pass


def test_a_writer_that_another_one_has_passed_commits_nothing(tmp_path):
    """An object store has no locks."""
    with (
        LakeStore(FailingFileSystem(10**9, after=False), str(tmp_path)) as slow,
        LakeStore(fs.LocalFileSystem(), str(tmp_path)) as fast,
    ):
        write_on(fast)
        with pytest.raises(LakeUnusable, match="another process writes the lake"):
            write_on(slow)

    assert found(tmp_path) == list(range(PIECES * ROWS))


@pytest.mark.parametrize("content", ["", "{}", "[]", json.dumps({"positions": 1, "appears": []})])
def test_a_commit_that_is_none_is_named(tmp_path, content):
    (tmp_path / "_taskstream" / "commits").mkdir(parents=True)
    (tmp_path / "_taskstream" / "commits" / "0000000001.json").write_text(content)

    with pytest.raises(LakeUnusable, match=r"0000000001\.json does not describe a commit"):
        LakeStore(fs.LocalFileSystem(), str(tmp_path)).__enter__()


def test_files_that_an_administrator_deleted_stay_deleted(tmp_path):
    changes_of_a_whole_run(tmp_path)
    for each in tmp_path.glob("progress/*/project=p0/*.parquet"):
        each.unlink()

    with LakeStore(fs.LocalFileSystem(), str(tmp_path)):
        pass

    assert found(tmp_path) == [each for each in range(PIECES * ROWS) if each % 2]


@pytest.mark.parametrize("place", ["nonsense://x/y", "s3:///", "/dev/null/lake"])
def test_a_place_that_is_none_is_named(place):
    with pytest.raises(LakeUnusable, match=place.partition(":")[0]):
        LakeStore(*filesystem_of(place)).__enter__()
