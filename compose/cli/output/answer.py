"""What a replay found, on standard output: a table for people, JSON, or Parquet. It knows nothing of what they tell."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

import click
import pyarrow as pa
import pyarrow.parquet as pq

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "parquet"]),
    default="table",
    help="For people, for programs, or as one Parquet file on standard output.",
)


def print_json(value: object) -> None:
    """Print it, times in ISO 8601."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_text))


def write_parquet(table: pa.Table) -> None:
    """Write it to standard output, which must not be a terminal."""
    if sys.stdout.isatty():
        raise click.UsageError("-o parquet is not for a terminal: send it to a file, > FILE.parquet")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    sys.stdout.buffer.write(sink.getvalue())
    sys.stdout.buffer.flush()


def counted(counts: Mapping[str, int]) -> str:
    """Counts in words: 3 wrong_magic_byte, 1 truncated."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count)


def first_of(rows: Sequence[Mapping[str, object]], most: int) -> list[Mapping[str, object]]:
    """The first rows; how many are left out is told on the error stream."""
    if len(rows) > most:
        click.echo(f"{len(rows) - most:,} more lines: see them with --limit or -o json", err=True)
    return list(rows[:most])


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
