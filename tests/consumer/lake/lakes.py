"""Lakes for tests: rows of reports, a filesystem that fails at its n-th change, and what a plain reader finds."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import fs

DAY_US = 86_400_000_000
SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("project_id", pa.string(), nullable=False),
        pa.field("received_at", pa.timestamp("us", "UTC"), nullable=False, metadata={"description": "when"}),
    ]
)


class Crash(BaseException):
    """The process has ended, as by SIGKILL: nothing catches it."""


class FailingFileSystem(fs.LocalFileSystem):
    """Fails at the change with this number, before it or after it, and at each one from then on."""

    def __init__(self, at: int, *, after: bool) -> None:
        super().__init__()
        self.at, self.after = at, after
        self.changes = 0

    @property
    def type_name(self) -> str:
        """None that is known: it has folders, and neither locks nor a disk to wait for."""
        return "failing"

    def changed(self, change, *arguments, **more):
        self.changes += 1
        if self.changes > self.at or (self.changes == self.at and not self.after):
            raise Crash
        result = change(*arguments, **more)
        if self.changes == self.at:
            raise Crash
        return result

    def create_dir(self, *arguments, **more):
        return self.changed(super().create_dir, *arguments, **more)

    def move(self, *arguments, **more):
        return self.changed(super().move, *arguments, **more)

    def delete_file(self, *arguments, **more):
        return self.changed(super().delete_file, *arguments, **more)

    def open_output_stream(self, *arguments, **more):
        return self.changed(super().open_output_stream, *arguments, **more)


def rows(begin: int, end: int, *, projects: int = 2, days: int = 2, partition: int = 0) -> pa.Table:
    """Records of these offsets."""
    offsets = list(range(begin, end))
    return pa.table(
        {
            "partition": [partition] * len(offsets),
            "offset": offsets,
            "project_id": [f"p{each % projects}" for each in offsets],
            "received_at": [20_000 * DAY_US + each % days * DAY_US for each in offsets],
        },
        schema=SCHEMA,
    )


def found(folder: Path) -> list[int]:
    """The offsets that DuckDB finds in the lake's files, by the glob of a reader who knows nothing of us."""
    if not list(folder.glob("progress/*/*/*.parquet")):
        return []
    query = f"select \"offset\" from read_parquet('{folder}/progress/**/*.parquet') order by all"
    return [each for (each,) in duckdb.sql(query).fetchall()]
