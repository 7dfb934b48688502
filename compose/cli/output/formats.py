"""The output formats of commands: an aligned table, JSON or Parquet, and the options that choose one."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from taskstream.compose.cli.output.terminal import echo, echo_json
from taskstream.schemas.terminal_text import terminal_text

if TYPE_CHECKING:
    import pyarrow as pa

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="The output format.",
)
parquet_output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "parquet"]),
    default="table",
    help="The output format; parquet writes one file to standard output.",
)


def print_rows(rows: Sequence[Mapping[str, object]], output: str) -> None:
    """Print rows of the same keys, as a table with the keys as headings or as JSON.

    No rows print nothing as a table, and [] as JSON.
    """
    if output == "json":
        echo_json([dict(row) for row in rows], indent=2)
    elif rows:
        lines = [[name.replace("_", " ").upper() for name in rows[0]]]
        lines.extend([_cell(value) for value in row.values()] for row in rows)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_json(value: object) -> None:
    """Print a value as JSON, times in ISO 8601."""
    echo_json(value, indent=2, default=_json_text)


def write_parquet(table: pa.Table) -> None:
    """Write a Parquet file to standard output.

    Raises:
        click.UsageError: standard output is a terminal.
    """
    import pyarrow as pa  # noqa: PLC0415 (slow to load; most commands print no Parquet)
    import pyarrow.parquet as pq  # noqa: PLC0415 (as above)

    if sys.stdout.isatty():
        raise click.UsageError("-o parquet cannot write to a terminal: redirect it to a file, > FILE.parquet")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    sys.stdout.buffer.write(sink.getvalue())
    sys.stdout.buffer.flush()


def first_rows(rows: Sequence[Mapping[str, object]], limit: int) -> list[Mapping[str, object]]:
    """The first `limit` rows; standard error gets the number of the others."""
    if len(rows) > limit:
        echo(f"{len(rows) - limit:,} more rows: show them with --limit or -o json", err=True)
    return list(rows[:limit])


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts as text: 1 truncated, 3 wrong_magic_byte."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count)


def time_text(moment_ms: int | None) -> str | None:
    """A Kafka timestamp in ISO 8601, UTC; one that no calendar has as milliseconds, and None as None."""
    if moment_ms is None:
        return None
    try:
        return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{moment_ms} ms"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return terminal_text(value)


def _json_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
