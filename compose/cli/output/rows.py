"""Rows of facts on the terminal: aligned for people, JSON for programs. It knows nothing of what they tell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="For people, or for programs.",
)


def print_rows(rows: Sequence[Mapping[str, object]], output: str) -> None:
    """Print rows of the same keys; the keys are the columns' names. No row prints nothing as a table, [] as JSON."""
    if output == "json":
        click.echo(json.dumps([dict(row) for row in rows], indent=2, ensure_ascii=False))
    elif rows:
        lines = [[name.replace("_", " ").upper() for name in rows[0]]]
        lines.extend([_shown(value) for value in row.values()] for row in rows)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
