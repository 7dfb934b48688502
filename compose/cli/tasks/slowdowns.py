"""`taskstream slowdowns`: tasks that slowed down together. It uses only the view's HTTP API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from taskstream.compose.cli.options.view_options import view_options
from taskstream.compose.cli.output.formats import output_option, print_rows
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.view_client import ViewClient
from taskstream.schemas.terminal_text import terminal_text


@click.command()
@view_options
@click.option("--project", help="Of this project; other projects require the role operate.")
@output_option
def slowdowns(client: ViewClient, project: str | None, output: str) -> None:
    """Print which tasks slowed down together in the last 24 hours: they may share a bottleneck.

    A line is a project, a kind of subtask or the fleet, in which more rates fell within three minutes than chance
    gives. "chance" is the number of tasks that was to be expected. JSON lists the tasks.

    Exit codes: 0 done, 1 the view is unreachable or refused the request, 2 wrong usage.
    """
    with client:
        found = client.slowdowns(project)
    if output == "json":
        print_rows(found, output)
    elif found:
        print_rows([_line(each) for each in found], output)
    else:
        echo("no tasks slowed down together in the last 24 hours", err=True)


def _line(each: dict[str, Any]) -> dict[str, object]:
    return {
        "when": f"{datetime.fromtimestamp(each['begin_ms'] / 1000, UTC):%Y-%m-%dT%H:%MZ}",
        "shared": each["kind"],
        "name": terminal_text(each["name"] or "-"),
        "fell": each["fell"],
        "moving": each["moving"],
        "chance": f"{each['expected']:.2g}",
        "still_slow": each["still_slow"],
        "subtasks": ", ".join(
            f"{terminal_text(share['subtask_name'])} {share['fell']}/{share['moving']}"
            for share in each["subtasks"][:4]
        ),
    }
