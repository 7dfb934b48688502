"""How each file format grows by one piece at a time, and how the pieces become one file. It knows no topic.

A piece is whole once it is written: a file cut off behind any of its pieces can be continued.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from consumer.export.text import flat, json_lines

_MAGIC_SIZE = 4


class Format(Protocol):
    """One file format."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """Write one piece at the end of the file; the first one may be without rows."""
        ...

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """Make one file of the pieces, in its place; `pieces` tells where each of them ends."""
        ...


class Parquet:
    """Row groups. Each piece has a footer of its own, and the last footer of the file names the row groups of all.

    Parquet's footer holds absolute places, so what lies between the row groups is skipped by every reader.
    """

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        with pq.ParquetWriter(file, table.schema, compression="zstd", compression_level=1) as writer:
            writer.write_table(table, row_group_size=max(table.num_rows, 1))

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """See `Format`."""
        with pa.memory_map(str(path)) as whole:
            footers = [pq.read_metadata(pa.BufferReader(_head(whole, end))) for end in pieces]
        footer = footers[0]
        for each in footers[1:]:
            footer.append_row_groups(each)
        written = io.BytesIO()
        footer.write_metadata_file(written)
        with path.open("ab") as file:
            file.write(written.getbuffer()[_MAGIC_SIZE:])


class ArrowFile:
    """Arrow's IPC file. The pieces are IPC streams; at the end they are copied behind each other into a file."""

    def append(self, file: BinaryIO, table: pa.Table) -> None:
        """See `Format`."""
        with pa.ipc.new_stream(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(table)

    def finish(self, path: Path, pieces: Sequence[int]) -> None:
        """See `Format`."""
        copy = path.with_name(path.name + ".file")
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.OSFile(str(path)) as whole:
            with pa.ipc.open_stream(whole) as first:
                schema = first.schema
            with pa.ipc.new_file(str(copy), schema, options=options) as writer:
                for begin in [0, *pieces[:-1]]:
                    whole.seek(begin)
                    with pa.ipc.open_stream(whole) as stream:
                        for batch in stream:
                            writer.write_batch(batch)
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


def _head(whole: pa.MemoryMappedFile, size: int) -> pa.Buffer:
    whole.seek(0)
    return whole.read_buffer(size)
