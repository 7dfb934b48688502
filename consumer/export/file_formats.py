"""How each file format is written piece by piece, and how the pieces become one file. It knows no topic.

A written piece is complete: an export can be continued after any of its pieces.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from taskstream.consumer.export.text_columns import (
    csv_header,
    csv_lines,
    flat,
    json_lines,
    with_spreadsheet_times,
    without_formulas,
)

_PIECES = pa.ipc.IpcWriteOptions(compression="lz4")


class Writable(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take them all."""
        ...


class Format(Protocol):
    """One file format."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """Write one piece at the end of the file; the first one may have no rows."""
        ...

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """Replace the file of pieces by the finished file. `pieces`: the offset in bytes at which each of them ends."""
        ...


class ArrowFile:
    """Arrow's IPC file. The pieces are IPC streams, which are copied into one file at the end.

    compression: of its buffers, "lz4", "zstd" or None. Some readers, such as arrow-js, know none.
    """

    def __init__(self, compression: str | None = "lz4") -> None:
        self._options = pa.ipc.IpcWriteOptions(compression=compression)

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        _append_stream(file, table)

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """See `Format`."""
        copy = path.with_name(path.name + ".file")
        tables = _tables(path, pieces)
        first = next(tables)
        with pa.ipc.new_file(str(copy), first.schema, options=self._options) as writer:
            for table in itertools.chain([first], tables):
                writer.write_table(table)
        copy.replace(path)


class Parquet:
    """Parquet, one row group per piece. The pieces are Arrow IPC streams: a Parquet file cannot be appended to."""

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
    """RFC 4180 with a header. Times are ISO 8601, null is empty, an empty string is two quotes, lists are [1,2].

    A text that begins with = + - @, a tab or a carriage return gets an apostrophe in front, unless `keep_formulas`: a
    spreadsheet would run it as a formula. With `spreadsheet_times`, times are 2026-11-23 08:00:00.000 in UTC: a
    spreadsheet takes no other form with fractions as a date.
    """

    def __init__(self, *, keep_formulas: bool = False, spreadsheet_times: bool = False) -> None:
        self._keep_formulas = keep_formulas
        self._spreadsheet_times = spreadsheet_times

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        self.write(file, table, first=file.tell() == 0)

    def write(self, file: Writable, table: pa.Table, *, first: bool) -> None:
        """Write the lines of a table, after the header if they are the first."""
        if first:
            file.write(csv_header(table.schema))
        for batch in table.to_batches():
            if batch.num_rows:
                shown = with_spreadsheet_times(flat(batch)) if self._spreadsheet_times else flat(batch)
                file.write(csv_lines(shown if self._keep_formulas else without_formulas(shown)))

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """The pieces are the file."""


class Ndjson:
    """One JSON object per line."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        self.write(file, table)

    def write(self, file: Writable, table: pa.Table, *, first: bool = False) -> None:  # noqa: ARG002 (as Csv's)
        """Write the lines of a table."""
        for batch in table.to_batches():
            if batch.num_rows:
                file.write(json_lines(batch))

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """The pieces are the file."""


class Gzip:
    """A text format, compressed. Each piece is a member of the gzip file, which readers take as one (RFC 1952, 2.2)."""

    def __init__(self, text: Csv | Ndjson) -> None:
        self._text = text

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        first = file.tell() == 0
        with gzip.GzipFile(fileobj=file, mode="wb", filename="", compresslevel=1, mtime=0) as member:
            self._text.write(member, table, first=first)

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """The pieces are the file."""


FORMATS: Mapping[str, Format] = {
    ".parquet": Parquet(),
    ".arrow": ArrowFile(),
    ".csv": Csv(),
    ".ndjson": Ndjson(),
    ".csv.gz": Gzip(Csv()),
    ".ndjson.gz": Gzip(Ndjson()),
}
"""[the end of the file's name]"""


def format_of(path: Path, formats: Mapping[str, Format] = FORMATS) -> Format | None:
    """The format of a file of this name; None: no format has it."""
    two = "".join(path.suffixes[-2:])
    return formats.get(two) or formats.get(path.suffix)


def _append_stream(file: BinaryIO, table: pa.Table) -> None:
    with pa.ipc.new_stream(file, table.schema, options=_PIECES) as writer:
        writer.write_table(table)


def _tables(path: Path, pieces: Sequence[int]) -> Iterator[pa.Table]:
    """The pieces, which are IPC streams; one is in memory at a time."""
    with pa.OSFile(str(path)) as whole:
        for begin in [0, *pieces[:-1]]:
            whole.seek(begin)
            with pa.ipc.open_stream(whole) as stream:
                yield stream.read_all()
