"""Files that `replay copy` never wrote: each is refused in one sentence, within bounded memory."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taskstream.consumer.errors import ArchiveUnusable, ExportUnusable
from taskstream.consumer.export.resumable_export import Export
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.replay.archive import SCHEMA, ArchiveReader, ArchiveWriter, Origin

ORIGIN = Origin("t", 2, {0: OffsetRange(0, 3), 1: OffsetRange(0, 0)})
RECORDS = [RawRecord("t", 0, number, 1_000, b"k", b"v" * 100, [("h", b"x"), ("h", None)]) for number in range(3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.parquet"


def write(path: Path, records: list[RawRecord] = RECORDS) -> bytes:
    with ArchiveWriter(path, ORIGIN) as archive:
        archive.write_records(records)
    return path.read_bytes()


def read(path: Path) -> list[RawRecord]:
    with ArchiveReader(path) as archive:
        archive.origin()
        return [record for batch in archive.batches(2_000) for record in batch]


def write_columns(path: Path, rows: int, **columns: pa.Array) -> None:
    """A file with these columns in place of ordinary ones."""
    ordinary = {
        "topic": pa.array(["t"] * rows),
        "partition": pa.array([0] * rows, pa.int32()),
        "offset": pa.array(range(rows), pa.int64()),
        "timestamp_ms": pa.array([1_000] * rows, pa.int64()),
        "key": pa.array([b"k"] * rows, pa.binary()),
        "value": pa.array([b"v"] * rows, pa.binary()),
        "headers": pa.array([[]] * rows, SCHEMA.field("headers").type),
    } | columns
    fields = [pa.field(name, ordinary[name].type, SCHEMA.field(name).nullable) for name in SCHEMA.names]
    schema = pa.schema(fields, metadata=SCHEMA.metadata)
    with pq.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(pa.Table.from_arrays(list(ordinary.values()), schema=schema))
        writer.add_key_value_metadata({"taskstream.origin": '{"topic": "t", "partitions": 2, "spans": {"0": [0, 3]}}'})


def test_the_helper_writes_what_can_be_read(path):
    write_columns(path, 3)
    assert [record.offset for record in read(path)] == [0, 1, 2]


@pytest.mark.slow
def test_a_small_file_that_decodes_to_gigabytes_is_refused(path):
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array([b"\0" * (4 << 20)]))
    write_columns(path, 2_000, value=value)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ArchiveUnusable, match="need more than 1024 MiB"):
        read(path)
    assert read_again(path.with_name("good.parquet")) == RECORDS, "the limit is gone with the file"


def read_again(path: Path) -> list[RawRecord]:
    write(path)
    return read(path)


@pytest.mark.parametrize("partition", [-1, 2, 2**31 - 1])
def test_a_partition_that_the_topic_has_not_is_named(path, partition):
    write(path, [RECORDS[0]._replace(partition=partition)])
    with pytest.raises(ArchiveUnusable, match=f"partition {partition}, and 2 partitions"):
        read(path)


def test_a_header_name_that_is_no_text_is_refused(path):
    offsets, data = pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
    names = pa.StringArray.from_buffers(1, offsets, data)
    structs = pa.StructArray.from_arrays(
        [names, pa.array([b"x"])], fields=list(SCHEMA.field("headers").type.value_type)
    )
    headers = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), structs, SCHEMA.field("headers").type)
    write_columns(path, 1, headers=headers)
    with pytest.raises(ArchiveUnusable, match="is damaged"):
        read(path)


@pytest.mark.parametrize(
    "origin", ["", "{}", "[" * 100_000, '{"topic": "t", "partitions": "x", "spans": {}}', '{"topic":1,"spans":[]}']
)
def test_an_origin_that_is_none_is_refused(path, origin):
    with pq.ParquetWriter(path, SCHEMA) as writer:
        writer.add_key_value_metadata({"taskstream.origin": origin})
    with pytest.raises(ArchiveUnusable, match="does not name the topic"):
        read(path)


def test_whatever_bytes_are_changed_it_is_read_or_refused(path):
    whole = write(path)
    choose = random.Random(13)
    refused = 0
    for _ in range(500):
        changed = bytearray(whole)
        for _ in range(choose.randint(1, 8)):
            changed[choose.randrange(len(changed))] = choose.randrange(256)
        path.write_bytes(changed[: choose.choice([len(changed), choose.randrange(len(changed))])])
        try:
            read(path)
        except ArchiveUnusable:
            refused += 1
    assert refused > 300


@pytest.mark.parametrize("suffix", [".partial"])
def test_a_copy_follows_no_link(path, tmp_path, suffix):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_name(path.name + suffix).symlink_to(victim)
    with pytest.raises(ArchiveUnusable, match="symbolic link"):
        write(path)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("suffix", [".partial"])
def test_an_export_follows_no_link(path, tmp_path, suffix):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_name(path.name + suffix).symlink_to(victim)
    with pytest.raises(ExportUnusable, match="symbolic link"):
        Export(path, {}).run(dict, lambda _spans: pytest.fail("it read the topic"))
    assert victim.read_text() == "precious"
