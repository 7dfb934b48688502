"""`taskstream tasks`: what the view knows, on a terminal or for programs. It asks the view's HTTP API alone."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.live import Live

from taskstream.compose.cli.options.view_options import view_options
from taskstream.compose.cli.output.rows import print_rows
from taskstream.compose.cli.tasks.task_tables import page_of, picture_of, table_of
from taskstream.compose.cli.tasks.task_text import row_of
from taskstream.compose.errors import ViewError, ViewRefused
from taskstream.compose.task_watch import Snapshot, WatchedTasks, passes_by
from taskstream.compose.view_client import StreamEvent, StreamLost, ViewClient
from taskstream.consumer.state.series import Health, Trend

Command = TypeVar("Command", bound=Callable[..., Any])
MANY: Final = 1_000_000
_LINES_AROUND: Final = 6
"""Lines of the terminal that `watch` needs beside the tasks."""
_output = click.option("-o", "--output", type=click.Choice(["table", "json", "ndjson"]), default="table")
_sort = click.option(
    "--sort", default="health", metavar="COLUMN", help="As GET /tasks sorts; -COLUMN: falling. health: worst first."
)


@click.group()
def tasks() -> None:
    """What the view knows of the migrations: list, show, watch.

    Exit codes: 0 done, 1 the view was not reached, refused, or has no such task, 2 wrong usage.
    """


def _filters(command: Command) -> Command:
    """Give the command `wanted`: the filters of GET /tasks."""

    @functools.wraps(command)
    def filtered(
        *args: Any,
        project: str | None,
        health: tuple[str, ...],
        trend: tuple[str, ...],
        subtask: tuple[str, ...],
        text: str | None,
        **kwargs: Any,
    ) -> Any:
        several = {"health": ",".join(health), "trend": ",".join(trend), "subtask": ",".join(subtask)}
        return command(*args, wanted={"project": project, "q": text, **several}, **kwargs)

    healths = click.Choice([each.name for each in Health], case_sensitive=False)
    trends = click.Choice([each.name for each in Trend], case_sensitive=False)
    decorated: Any = filtered
    for option in (
        click.option("-q", "text", metavar="TEXT", help="Part of the task's id."),
        click.option("--subtask", multiple=True, metavar="NAME", help="Current subtask; as often as needed."),
        click.option("--trend", multiple=True, type=trends, help="As often as needed."),
        click.option("--health", multiple=True, type=healths, help="As often as needed."),
        click.option("--project", help="One project; with the role operate, any."),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators give back what they are given, options added


@tasks.command("list")
@view_options
@_filters
@_sort
@click.option("--limit", default=100, type=click.IntRange(1, MANY), help="How many at most.")
@_output
def list_tasks(client: ViewClient, wanted: Mapping[str, str | None], sort: str, limit: int, output: str) -> None:
    """List tasks, the worst first; a line on the error stream says when there are more."""
    with client, _told_plainly():
        found = client.tasks(wanted, sort, limit)
        if output == "ndjson":
            for task in found:
                click.echo(json.dumps(task))
            return
        held = list(found)
        if output == "json":
            click.echo(json.dumps(held, indent=2))
            return
        now_ms = _now_ms()
        console = Console()
        if console.is_terminal:
            console.print(table_of(held, now_ms, console.width))
        else:
            print_rows([row_of(each, now_ms) for each in held], "table")
        count = client.fleet(wanted)["tasks"] if len(held) == limit else len(held)
        if count > len(held):
            click.echo(f"{len(held):,} of {count:,}; --limit {count} shows all", err=True)


@tasks.command()
@click.argument("task_id", metavar="TASK")
@view_options
@click.option("--project", help="Whose task, where several projects have one with this id.")
@_output
def show(client: ViewClient, task_id: str, project: str | None, output: str) -> None:
    """Show everything that is known of one task: subtasks, rates, ETA, signals."""
    with client, _told_plainly():
        task = client.task(task_id, project)
    if output == "table":
        console = Console()
        console.print(page_of(task, _now_ms()), soft_wrap=not console.is_terminal)
    else:
        click.echo(json.dumps(task, indent=2 if output == "json" else None))


@tasks.command()
@view_options
@_filters
@_sort
@click.option("--limit", type=click.IntRange(1, MANY), show_default="what fits the terminal", help="How many at most.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "ndjson"]), default="table", help="ndjson: an event a line."
)
def watch(client: ViewClient, wanted: Mapping[str, str | None], sort: str, limit: int | None, output: str) -> None:
    """Watch tasks as they change; a lost connection is told and taken up again. Ctrl-C ends it.

    On a terminal a live table. Elsewhere, and with -o ndjson, events: each task as it is at first and after each
    change ("event": "task"), one that is gone or no longer like that ("left"), and "lost" while the view is away.
    """
    console = Console()
    live = output == "table" and console.is_terminal

    def most() -> int:
        fits = max(5, console.height - _LINES_AROUND) if live else MANY
        return min(fits, limit or MANY)

    def fetch() -> Snapshot:
        return Snapshot(list(client.tasks(wanted, sort, most())), client.fleet(wanted))

    with client, _told_plainly():
        try:
            client.fleet(wanted)  # a view that cannot be asked at all is told at once
            happenings = client.stream(wanted, _pause)
            if live:
                _watch_live(console, WatchedTasks(fetch, time.monotonic), happenings)
            else:
                _watch_lines(happenings, fetch)
        except KeyboardInterrupt:
            return


def _watch_live(console: Console, watched: WatchedTasks, happenings: Iterator[StreamEvent | StreamLost]) -> None:
    watched.refresh()
    with Live(
        get_renderable=lambda: picture_of(watched, _now_ms(), console.width),
        console=console,
        screen=True,
        refresh_per_second=4,
    ):
        for happening in happenings:
            watched.take(happening)


def _watch_lines(happenings: Iterator[StreamEvent | StreamLost], fetch: Callable[[], Snapshot]) -> None:
    """The first event of each connection, or a reset, brings all tasks; what follows are changes alone."""
    owed = True
    for happening in happenings:
        if isinstance(happening, StreamLost):
            _event("lost", {"reason": happening.reason, "next_try_s": round(happening.wait_s, 1)})
        elif owed or happening.name == "reset":
            try:
                for task in fetch().tasks:
                    _event("task", task)
            except ViewError as error:
                if not passes_by(error):
                    raise
                owed = True
            else:
                owed = False
        elif happening.name in ("task", "left"):
            _event(happening.name, happening.data)


def _event(name: str, data: Mapping[str, Any]) -> None:
    click.echo(json.dumps({"event": name, **data}))


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return True


@contextlib.contextmanager
def _told_plainly() -> Iterator[None]:
    """A parameter that the view refuses is wrong usage; other failures of asking are the command line's to tell."""
    try:
        yield
    except ViewRefused as error:
        if error.status == 400:
            raise click.UsageError(str(error)) from error
        raise


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
