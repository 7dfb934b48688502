"""`taskstream calibration`: how often the intervals of expected ends held. It uses only the view's HTTP API."""

from __future__ import annotations

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
def calibration(client: ViewClient, project: str | None, output: str) -> None:
    """Print how often the 80 percent intervals of expected ends held, by project and subtask.

    A claim is an end that was foretold when half, or three quarters, of the bytes were there; it is judged when the
    subtask is complete. "held" is by the interval that the series itself computed. From 20 claims on, intervals are
    multiplied by a factor; "corrected" is what each claim would have had by the factor that the others give.

    Exit codes: 0 done, 1 the view is unreachable or refused the request, 2 wrong usage.
    """
    with client:
        found = client.calibration(project)
    if output == "json":
        print_rows(found, output)
    elif found:
        print_rows([_line(each) for each in found], output)
    else:
        echo("no subtask with an expected end is complete yet", err=True)


def _line(each: dict[str, object]) -> dict[str, object]:
    claims = int(str(each["claims"]))
    return {
        "project": terminal_text(str(each["project_id"])),
        "subtask": terminal_text(str(each["subtask_name"])),
        "claims": claims,
        "held": f"{100 * int(str(each['held'])) / claims:.0f} %",
        "corrected": f"{100 * int(str(each['held_corrected'])) / claims:.0f} %",
        "factor": each["factor"],
    }
