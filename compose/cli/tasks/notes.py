"""`taskstream tasks ack|mute|unmute`: what an operator notes about a task. It uses only the view's HTTP API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.options.view_options import view_options
from taskstream.compose.cli.output.terminal import echo, echo_json
from taskstream.compose.cli.tasks.task_text import note_text
from taskstream.compose.errors import ViewRefused
from taskstream.compose.remedies import message_of
from taskstream.compose.view_client import ViewClient
from taskstream.consumer.kafka.ranges import ms_of_time
from taskstream.consumer.notes.task_note import NoteKind
from taskstream.schemas.terminal_text import terminal_text

Command = TypeVar("Command", bound=Callable[..., Any])
_project = click.option("--project", help="The project of the task, if several projects have a task with this id.")
_output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="The output format.")


def _note_options(command: Command) -> Command:
    decorated: Any = command
    for option in (
        _output,
        click.option("--by", help="Who you are.  [default: the project of the token]"),
        click.option(
            "--until", metavar="TIME", help="The end of the note, such as 2026-11-24T06:00; UTC without an offset."
        ),
        click.option("--for", "for_s", type=Seconds(1.0), help="How long the note holds, such as 2h; at most 7d."),
        click.option("--note", required=True, help="Why, in words."),
        _project,
        view_options,
        click.argument("task_id", metavar="TASK"),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added


@click.command()
@_note_options
def ack(**options: Any) -> None:
    """Acknowledge a task: somebody knows. It no longer counts among those that need somebody, and alerts go on.

    The role operate is required. A further note replaces this one.
    """
    _note(NoteKind.ACKNOWLEDGED, **options)


@click.command()
@_note_options
def mute(**options: Any) -> None:
    """Mute a task: what begins while the note holds alerts only if it still lasts at the end.

    The role operate is required. A further note replaces this one.
    """
    _note(NoteKind.MUTED, **options)


@click.command()
@click.argument("task_id", metavar="TASK")
@view_options
@_project
@_output
def unmute(client: ViewClient, task_id: str, project: str | None, output: str) -> None:
    """Withdraw the note of a task: an acknowledgement or a mute. The role operate is required."""
    with client:
        _print(_sent(client, task_id, project, None), output)


def _note(
    kind: NoteKind,
    client: ViewClient,
    task_id: str,
    project: str | None,
    note: str,
    for_s: float | None,
    until: str | None,
    by: str | None,
    output: str,
) -> None:
    if (for_s is None) == (until is None):
        raise click.UsageError("give the end of the note: either --for DURATION or --until TIME")
    with client:
        if for_s is not None:
            client.task(task_id, project)  # whose answer has the view's time
            until_ms = client.now_ms() + round(for_s * 1000)
        else:
            until_ms = _ms_of(str(until))
        _print(
            _sent(client, task_id, project, {"kind": kind.value, "note": note, "until_ms": until_ms, "by": by or ""}),
            output,
        )


def _sent(client: ViewClient, task_id: str, project: str | None, note: dict[str, Any] | None) -> dict[str, Any]:
    try:
        return client.note(task_id, project, note)
    except ViewRefused as error:
        if error.status == 400:
            raise click.UsageError(message_of(error)) from error
        raise


def _ms_of(text: str) -> int:
    try:
        return ms_of_time(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a time: write 2026-11-24T06:00", param_hint="--until") from error


def _print(noted: dict[str, Any], output: str) -> None:
    if output == "json":
        echo_json(noted, indent=2)
        return
    name = f"{terminal_text(noted['project_id'])}/{terminal_text(noted['task_id'])}"
    echo(f"{name}: {'no note' if noted['note'] is None else note_text(noted['note'])}")
