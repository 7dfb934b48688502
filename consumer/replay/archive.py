"""Records in a file, as they were on their topic: Parquet, one row a record, one row group a few thousand of them.

Parquet because its end is written last and its pages have checksums: half a file, or a changed one, never reads as a
whole one. What it needs in memory is one row group. polars, DuckDB and pandas read it as it is.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from taskstream.consumer.errors import ArchiveExists, ArchiveUnusable
from taskstream.consumer.kafka.carried_record import CarriedRecord
from taskstream.consumer.kafka.cluster import OffsetRange

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
_ORIGIN = "taskstream.origin"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the records of a file come from."""

    topic: str
    partitions: int
    """How many the topic has."""
    spans: Mapping[int, OffsetRange]
    """What part of each partition was asked for."""


class ArchiveWriter:
    """`with ArchiveWriter(path, origin) as archive: archive.take(records)`. The file gets its name at the end.

    Left by an error, nothing stays of it.
    """

    def __init__(self, path: Path, origin: Origin, *, overwrite: bool = False) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._origin = origin
        self._overwrite = overwrite
        self._held: list[CarriedRecord] = []
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
            raise ArchiveUnusable(f"{self._path} cannot be written: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.settle()
                self._writer.add_key_value_metadata({_ORIGIN: _text(self._origin)})
            self._writer.close()
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._partial.replace(self._path)
        except OSError as failure:
            raise ArchiveUnusable(f"{self._path} cannot be written: {failure}") from failure
        finally:
            self._partial.unlink(missing_ok=True)
            self._file.close()

    def take(self, records: Sequence[CarriedRecord]) -> None:
        """Write these, sooner or later.

        Raises:
            ArchiveUnusable: the disk does not take them.
        """
        for record in records:
            self._held.append(record)
            self._held_bytes += record.size
            if len(self._held) >= GROUP_ROWS or self._held_bytes >= GROUP_BYTES:
                self.settle()

    def settle(self) -> None:
        """Write what is held."""
        if not self._held:
            return
        columns = list(zip(*self._held, strict=True))
        columns[-1] = tuple([{"name": name, "value": value} for name, value in each] for each in columns[-1])
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        try:
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        except OSError as error:
            raise ArchiveUnusable(f"{self._path} cannot be written: {error}") from error
        self._held, self._held_bytes = [], 0

    def _opened(self) -> BinaryIO:
        """The file that will get the name, empty, and nobody else's."""
        file = self._partial.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise ArchiveUnusable(f"another copy is writing {self._path}: wait for it") from error
        file.truncate(0)
        return file


class ArchiveReader:
    """`with ArchiveReader(path) as archive: for records in archive.batches(most): ...`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._file = pq.ParquetFile(self._path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise ArchiveUnusable(
                f"{self._path} is no whole Parquet file: not there, cut off, or of another kind ({error})"
            ) from error
        if not self._file.schema_arrow.equals(SCHEMA):
            self._file.close()
            raise ArchiveUnusable(f"{self._path} is a Parquet file of something else than `replay copy` writes")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def records(self) -> int:
        """How many there are."""
        count: int = self._file.metadata.num_rows
        return count

    def origin(self) -> Origin:
        """Where the records come from.

        Raises:
            ArchiveUnusable: the file does not tell.
        """
        try:
            told = json.loads((self._file.metadata.metadata or {})[_ORIGIN.encode()])
            spans = {int(number): OffsetRange(*ends) for number, ends in told["spans"].items()}
            return Origin(str(told["topic"]), int(told["partitions"]), spans)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ArchiveUnusable(f"{self._path} does not tell which topic its records are of") from error

    def batches(self, most: int) -> Iterator[list[CarriedRecord]]:
        """All records in the order in which they were written, up to `most` at once.

        Raises:
            ArchiveUnusable: a page is not as it was written.
        """
        try:
            for batch in self._file.iter_batches(most, use_threads=False):
                *columns, headers = (column.to_pylist() for column in batch.columns)
                pairs = ([(each["name"], each["value"]) for each in held] for held in headers)
                yield [CarriedRecord(*row) for row in zip(*columns, pairs, strict=True)]
        except (OSError, pa.ArrowException) as error:
            raise ArchiveUnusable(f"{self._path} is damaged: {error}") from error


def _text(origin: Origin) -> str:
    spans = {str(number): [span.begin, span.end] for number, span in sorted(origin.spans.items())}
    return json.dumps({"topic": origin.topic, "partitions": origin.partitions, "spans": spans})
