"""Raw records in a Parquet file: one row per record, some thousand rows per row group.

A Parquet file ends with its footer, and its pages have checksums: a file that was cut off or changed is never read as
a whole one. One row group is held in memory. polars, DuckDB and pandas read the file as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taskstream.consumer.errors import ArchiveExists, ArchiveUnusable
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.regular_file import lock_alone, open_regular, unwritable
from taskstream.consumer.replay.memory_limit import memory_limit
from taskstream.schemas.errors import cause_of

FORMAT = "taskstream.records.1"
SCHEMA = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp_ms", pa.int64()),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field(
            "headers",
            pa.list_(
                pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())]),
            ),
            nullable=False,
        ),
    ],
    metadata={"taskstream.format": FORMAT},
)
GROUP_ROWS = 20_000
GROUP_BYTES = 32 << 20
BATCH_MEMORY_BYTES = 1 << 30
"""To decode a batch. What the writer holds at once is smaller by far, but for a single record of such a size."""
_ORIGIN = "taskstream.origin"


@dataclass(frozen=True, slots=True)
class Origin:
    """The topic and the offsets that a file's records were read from."""

    topic: str
    partitions: int
    """How many partitions the topic has."""
    spans: Mapping[int, OffsetRange]
    """[partition] The offsets that were selected."""


class ArchiveWriter:
    """`with ArchiveWriter(path, origin) as archive: archive.write_records(records)`.

    The file gets its name when the block ends. When the block ends with an error, no file is left.
    """

    def __init__(self, path: Path, origin: Origin, *, overwrite: bool = False) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._origin = origin
        self._overwrite = overwrite
        self._held: list[RawRecord] = []
        self._held_bytes = 0

    def __enter__(self) -> Self:
        if self._path.exists() and not self._overwrite:
            raise ArchiveExists(f"{self._path} exists")
        try:
            self._file = self._opened()
            self._writer = pq.ParquetWriter(
                self._file,
                SCHEMA,
                compression="zstd",
                use_dictionary=["topic", "key", "headers.list.element.name"],
                write_page_checksum=True,
            )
        except OSError as error:
            raise ArchiveUnusable(unwritable(self._path, error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
                self._writer.add_key_value_metadata({_ORIGIN: _text(self._origin)})
            self._writer.close()
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._partial.replace(self._path)
        except OSError as failure:
            raise ArchiveUnusable(unwritable(self._path, failure)) from failure
        finally:
            self._partial.unlink(missing_ok=True)
            self._file.close()

    def write_records(self, records: Sequence[RawRecord]) -> None:
        """Append these records; they are held until a row group is full.

        Raises:
            ArchiveUnusable: the file cannot be written.
        """
        for record in records:
            self._held.append(record)
            self._held_bytes += record.size
            if len(self._held) >= GROUP_ROWS or self._held_bytes >= GROUP_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write the held records as one row group."""
        if not self._held:
            return
        columns = list(zip(*self._held, strict=True))
        columns[-1] = tuple([{"name": name, "value": value} for name, value in each] for each in columns[-1])
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        try:
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        except OSError as error:
            raise ArchiveUnusable(unwritable(self._path, error)) from error
        self._held, self._held_bytes = [], 0

    def _opened(self) -> BinaryIO:
        """The partial file: empty, and locked against other writers."""
        file: BinaryIO = open_regular(self._partial, "ab")
        try:
            lock_alone(file, ArchiveUnusable(f"another copy is writing {self._path}: wait for it"))
        except ArchiveUnusable:
            file.close()
            raise
        file.truncate(0)
        return file


class ArchiveReader:
    """`with ArchiveReader(path) as archive: for records in archive.batches(most): ...`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            with memory_limit(BATCH_MEMORY_BYTES):
                self._file = pq.ParquetFile(self._path, page_checksum_verification=True)
                schema = self._file.schema_arrow
        except (OSError, MemoryError, pa.ArrowException, UnicodeDecodeError) as error:
            raise ArchiveUnusable(
                f"{self._path} is not a complete Parquet file: it is missing, cut off, or of another format "
                f"({cause_of(error)}): name one that `replay copy` wrote"
            ) from error
        if not schema.equals(SCHEMA):
            self._file.close()
            raise ArchiveUnusable(f"{self._path} is a Parquet file, but not one that `replay copy` wrote")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def records(self) -> int:
        """How many records the file has."""
        count: int = self._file.metadata.num_rows
        return count

    def origin(self) -> Origin:
        """The topic and the offsets that the records were read from.

        Raises:
            ArchiveUnusable: the file's metadata does not have them.
        """
        try:
            found = json.loads((self._file.metadata.metadata or {})[_ORIGIN.encode()])
            spans = {int(number): OffsetRange(*map(int, ends)) for number, ends in found["spans"].items()}
            return Origin(str(found["topic"]), int(found["partitions"]), spans)
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ArchiveUnusable(f"{self._path} does not name the topic of its records") from error

    def older_than(self, limit_ms: int, skip: int = 0) -> int:
        """How many records after the first `skip` ones have a timestamp before `limit_ms`, milliseconds since 1970.

        Raises:
            ArchiveUnusable: a page does not match its checksum, or cannot be read.
        """
        found, begin = 0, 0
        try:
            for batch in self._file.iter_batches(GROUP_ROWS, columns=["timestamp_ms"], use_threads=False):
                times = batch.column(0).slice(max(0, skip - begin))
                found += pc.sum(pc.less(times, limit_ms)).as_py() or 0
                begin += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            raise ArchiveUnusable(f"{self._path} is damaged: {cause_of(error)}") from error
        return found

    def batches(self, most: int) -> Iterator[list[RawRecord]]:
        """All records in the order in which they were written, up to `most` at once.

        Raises:
            ArchiveUnusable: a page does not match its checksum, or cannot be read.
        """
        batches = self._file.iter_batches(most, use_threads=False)
        partitions = self.origin().partitions
        while True:
            try:
                with memory_limit(BATCH_MEMORY_BYTES):
                    batch = next(batches, None)
                    if batch is None:
                        return
                    records = _records(batch)
            except MemoryError as error:  # pa.ArrowMemoryError is one
                raise ArchiveUnusable(
                    f"{self._path} is damaged: {most} of its records need more than {BATCH_MEMORY_BYTES >> 20} MiB"
                ) from error
            except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                raise ArchiveUnusable(f"{self._path} is damaged: {cause_of(error)}") from error
            for record in records:
                if not 0 <= record.partition < partitions:
                    where = f"a record of partition {record.partition}, and {partitions} partitions"
                    raise ArchiveUnusable(f"{self._path} is damaged: {where}")
            yield records


def _records(batch: pa.RecordBatch) -> list[RawRecord]:
    *columns, headers = (column.to_pylist() for column in batch.columns)
    pairs = ([(each["name"], each["value"]) for each in held] for held in headers)
    return [RawRecord(*row) for row in zip(*columns, pairs, strict=True)]


def _text(origin: Origin) -> str:
    spans = {str(number): [span.begin, span.end] for number, span in sorted(origin.spans.items())}
    return json.dumps({"topic": origin.topic, "partitions": origin.partitions, "spans": spans})
