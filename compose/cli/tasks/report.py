"""`taskstream report`: the report of a cut-over, for people and for documents. It uses only the view's HTTP API."""

from __future__ import annotations

import click

from taskstream.compose.cli.options.view_options import view_options
from taskstream.compose.cli.output.terminal import echo, echo_json
from taskstream.compose.cli.tasks.report_documents import csv_document, html_document, markdown_document
from taskstream.compose.cli.tasks.task_text import pipeline_text
from taskstream.compose.errors import ViewRefused
from taskstream.compose.remedies import message_of
from taskstream.compose.view_client import ViewClient


@click.command()
@view_options
@click.option("--project", help="Of these projects, separated by commas; other projects require the role operate.")
@click.option(
    "--by",
    metavar="TIME",
    help="How many tasks have ended by this time: 06:00 (the next one, UTC), 2026-11-27T06:00+01:00, or 8h."
    "  [default: 06:00]",
)
@click.option(
    "-o", "--output", type=click.Choice(["md", "html", "csv", "json"]), default="md", help="The output format."
)
def report(client: ViewClient, project: str | None, by: str | None, output: str) -> None:
    """Print what is done, how many tasks end by a time, and what is in the way.

    By project: bytes, tasks by health and stage, and how many tasks have ended by the time: the expected number and its
    80 percent interval, computed from the intervals of their ends as if tasks were independent. Then the ten tasks that
    end last, what stands still and since when, and what stopped or slowed down together. Times are UTC.

    md is Markdown, html a page that prints, csv a line for each project, json the response of GET /report.

    Exit codes: 0 done, 1 the view is unreachable or refused the request, 2 wrong usage.
    """
    with client:
        try:
            found = client.report(project, by)
        except ViewRefused as error:
            if error.status == 400:
                raise click.UsageError(message_of(error)) from error
            raise
    if output == "json":
        echo_json(found, indent=2)
        return
    text = {"md": markdown_document, "html": html_document, "csv": csv_document}[output](found)
    echo(text, nl=False)
    if (behind := pipeline_text(found)) is not None and output == "csv":
        echo(behind, err=True)
