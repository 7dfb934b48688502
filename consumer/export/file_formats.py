"""How each file format grows by one piece at a time, and how the pieces become one file. It knows no topic.

A piece is whole once it is written: a file cut off behind any of its pieces can be continued.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from taskstream.consumer.export.text_columns import flat, json_lines

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Format(Protocol):
    """One file format."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """Write one piece at the end of the file; the first one may be without rows."""
        ...

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """Make one file of the pieces, in its place; `pieces` tells where each of them ends."""
        ...


class ArrowFile:
    """Arrow's IPC file. The pieces are IPC streams; at the end they are copied behind each other into a file."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        _append_stream(file, table)

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """See `Format`."""
        copy = path.with_name(path.name + ".file")
        tables = _tables(path, pieces)
        first = next(tables)
        with pa.ipc.new_file(str(copy), first.schema, options=_OPTIONS) as writer:
            for table in itertools.chain([first], tables):
                writer.write_table(table)
        copy.replace(path)


class Parquet:
    """Parquet, a row group a piece. The pieces are Arrow's IPC streams: a Parquet file cannot be continued."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        _append_stream(file, table)

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """See `Format`."""
        copy = path.with_name(path.name + ".file")
        tables = _tables(path, pieces)
        first = next(tables)
        with pq.ParquetWriter(str(copy), first.schema, compression="zstd", compression_level=1) as writer:
            for table in itertools.chain([first], tables):
                if table.num_rows:
                    writer.write_table(table, row_group_size=table.num_rows)
        copy.replace(path)


class Csv:
    """RFC 4180 with a header; times as ISO 8601, null as nothing, an empty string as two quotes, lists as [1,2]."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        batches = [flat(batch) for batch in table.to_batches()] or [flat(_empty(table.schema))]
        options = pa.csv.WriteOptions(include_header=file.tell() == 0)
        with pa.csv.CSVWriter(file, batches[0].schema, write_options=options) as writer:
            for batch in batches:
                writer.write_batch(batch)

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """Nothing is left to do."""


class Ndjson:
    """A JSON object a line."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        for batch in table.to_batches():
            if batch.num_rows:
                file.write(json_lines(batch))

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """Nothing is left to do."""


FORMATS: Mapping[str, Format] = {
    ".parquet": Parquet(),
    ".arrow": ArrowFile(),
    ".csv": Csv(),
    ".ndjson": Ndjson(),
}
"""By the ending of the file's name."""


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _append_stream(file: BinaryIO, table: pa.Table) -> None:
    with pa.ipc.new_stream(file, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)


def _tables(path: Path, pieces: Sequence[int]) -> Iterator[pa.Table]:
    """The pieces that are IPC streams, one in memory at a time."""
    with pa.OSFile(str(path)) as whole:
        for begin in [0, *pieces[:-1]]:
            whole.seek(begin)
            with pa.ipc.open_stream(whole) as stream:
                yield stream.read_all()
