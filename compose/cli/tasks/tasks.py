"""`taskstream tasks`: the view's tasks on a terminal or for programs. It uses only the view's HTTP API."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.live import Live

from taskstream.compose.cli.options.view_options import view_options
from taskstream.compose.cli.output.formats import print_rows
from taskstream.compose.cli.output.terminal import echo, echo_json
from taskstream.compose.cli.tasks.notes import ack, mute, unmute
from taskstream.compose.cli.tasks.task_tables import table_of, task_page, watch_screen
from taskstream.compose.cli.tasks.task_text import history_row, pipeline_text, row_of
from taskstream.compose.errors import ViewError, ViewRefused
from taskstream.compose.remedies import message_of
from taskstream.compose.task_watch import Snapshot, WatchedTasks, is_transient
from taskstream.compose.view_client import StreamEvent, StreamLost, ViewClient
from taskstream.consumer.notes.task_note import NoteKind
from taskstream.consumer.state.series import EtaReason, Health, Trend
from taskstream.schemas.durations import seconds_of_duration

Command = TypeVar("Command", bound=Callable[..., Any])
MANY: Final = 1_000_000
_LINES_AROUND: Final = 6
"""Lines of the terminal that `watch` uses for other text than tasks."""
_output = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "ndjson"]), default="table", help="The output format."
)
_sort = click.option(
    "--sort",
    default="health",
    metavar="COLUMN",
    help="A column of GET /tasks, or -COLUMN for descending order. health sorts the worst first.",
)


@click.group()
def tasks() -> None:
    """The tasks of the view: list, show, watch; ack, mute and unmute them.

    Exit codes: 0 done, 1 the view is unreachable, refused the request or has no such task, 2 wrong usage.
    """


def _filters(command: Command) -> Command:
    """Give the command `wanted`: the filters of GET /tasks."""

    @functools.wraps(command)
    def filtered(
        *args: Any,
        project: str | None,
        health: tuple[str, ...],
        trend: tuple[str, ...],
        eta_reason: tuple[str, ...],
        subtask: tuple[str, ...],
        text: str | None,
        note: tuple[str, ...],
        attention: bool,
        **kwargs: Any,
    ) -> Any:
        several = {"health": ",".join(health), "trend": ",".join(trend), "eta_reason": ",".join(eta_reason)}
        several["subtask"] = ",".join(subtask)
        several |= {"note": ",".join(note), "attention": "needed" if attention else ""}
        return command(*args, wanted={"project": project, "q": text, **several}, **kwargs)

    healths = click.Choice([each.name for each in Health], case_sensitive=False)
    trends = click.Choice([each.name for each in Trend], case_sensitive=False)
    reasons = click.Choice([each.name for each in EtaReason], case_sensitive=False)
    decorated: Any = filtered
    for option in (
        click.option("-q", "text", metavar="TEXT", help="Tasks whose id contains TEXT."),
        click.option("--subtask", multiple=True, metavar="NAME", help="Tasks in this subtask. May be repeated."),
        click.option(
            "--eta-reason",
            multiple=True,
            type=reasons,
            help="Tasks without an ETA for this reason; NONE: with an ETA. May be repeated.",
        ),
        click.option("--trend", multiple=True, type=trends, help="Tasks with this trend. May be repeated."),
        click.option("--health", multiple=True, type=healths, help="Tasks with this health. May be repeated."),
        click.option(
            "--note",
            multiple=True,
            type=click.Choice([each.value for each in NoteKind], case_sensitive=False),
            help="Tasks with such a note. May be repeated.",
        ),
        click.option("--attention", is_flag=True, help="Tasks in trouble that are neither acknowledged nor muted."),
        click.option("--project", help="Tasks of this project; other projects require the role operate."),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added


@tasks.command("list")
@view_options
@_filters
@_sort
@click.option("--limit", default=100, type=click.IntRange(1, MANY), help="Maximum number of tasks.")
@_output
def list_tasks(client: ViewClient, wanted: Mapping[str, str | None], sort: str, limit: int, output: str) -> None:
    """List tasks, the worst first. A line on standard error says if there are more."""
    with client, _wrong_parameters_as_usage():
        found = client.tasks(wanted, sort, limit)
        if output == "ndjson":
            for task in found:
                echo_json(task)
            return
        held = list(found)
        if output == "json":
            echo_json(held, indent=2)
            return
        now_ms = client.now_ms()
        console = Console()
        if console.is_terminal:
            console.print(table_of(held, now_ms, console.width))
        else:
            print_rows([row_of(each, now_ms) for each in held], "table")
        fleet = client.fleet(wanted)
        if (behind := pipeline_text(fleet)) is not None:
            echo(behind, err=True)
        count = fleet["tasks"] if len(held) == limit else len(held)
        if count > len(held):
            echo(f"{len(held):,} of {count:,} tasks; --limit {count} shows all", err=True)


@tasks.command()
@click.argument("task_id", metavar="TASK")
@view_options
@click.option("--project", help="The project of the task, if several projects have a task with this id.")
@click.option(
    "--history", metavar="SINCE", help="Show its rates since a time or a duration before now, such as 24h or 7d."
)
@click.option("--step", help="With --history: the length of one line, such as 1h.")
@_output
def show(
    client: ViewClient, task_id: str, project: str | None, history: str | None, step: str | None, output: str
) -> None:
    """Show one task: subtasks, rates, ETA, signals; or with --history its past rates."""
    if step is not None and history is None:
        raise click.UsageError("--step is of --history")
    with client, _wrong_parameters_as_usage():
        if history is not None:
            _print_history(client.rates(task_id, project, history, step or _step_of(history)), output)
            return
        task = client.task(task_id, project)
    if output == "table":
        console = Console()
        console.print(task_page(task, client.now_ms()), soft_wrap=not console.is_terminal)
    else:
        echo_json(task, indent=2 if output == "json" else None)


for each in (ack, mute, unmute):
    tasks.add_command(each)


def _step_of(history: str) -> str | None:
    """A line for each hour of days, else as the view chooses."""
    seconds = seconds_of_duration(history)
    return "1h" if seconds is not None and 86_400 <= seconds <= 30 * 86_400 else None


def _print_history(found: dict[str, Any], output: str) -> None:
    if output != "table":
        echo_json(found, indent=2 if output == "json" else None)
        return
    print_rows([history_row(each) for each in found["points"]], "table")
    if not found["points"]:
        echo("no rates were published in this time", err=True)
    if not found["is_whole"]:
        echo(f"only the newest {found['records_read']:,} records were read; older ones are left out", err=True)


@tasks.command()
@view_options
@_filters
@_sort
@click.option(
    "--limit",
    type=click.IntRange(1, MANY),
    show_default="as many as fit on the terminal",
    help="Maximum number of tasks.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "ndjson"]),
    default="table",
    help="The output format; ndjson prints one event per line.",
)
def watch(client: ViewClient, wanted: Mapping[str, str | None], sort: str, limit: int | None, output: str) -> None:
    """Watch tasks as they change. Ctrl-C stops the command.

    A terminal shows a live table. Otherwise, and with -o ndjson, the command prints events: "task" for each task at
    first and after each change, "left" for a task that is gone or no longer matches, "pipeline" when the workers fall
    behind the reports and when they have caught up, and "lost" when the connection to the view is lost. A lost
    connection is retried.
    """
    console = Console()
    live = output == "table" and console.is_terminal

    def maximum() -> int:
        fits = max(5, console.height - _LINES_AROUND) if live else MANY
        return min(fits, limit or MANY)

    def fetch() -> Snapshot:
        return Snapshot(list(client.tasks(wanted, sort, maximum())), client.fleet(wanted))

    with client, _wrong_parameters_as_usage():
        try:
            client.fleet(wanted)  # reports an unreachable view at once
            events = client.stream(wanted, _pause)
            if live:
                _watch_live(console, WatchedTasks(fetch, time.monotonic), events, client.now_ms)
            else:
                _watch_lines(events, fetch)
        except KeyboardInterrupt:
            return


def _watch_live(
    console: Console, watched: WatchedTasks, events: Iterator[StreamEvent | StreamLost], now_ms: Callable[[], int]
) -> None:
    watched.refresh()
    with Live(
        get_renderable=lambda: watch_screen(watched, now_ms(), console.width),
        console=console,
        screen=True,
        refresh_per_second=4,
    ):
        for event in events:
            watched.apply(event)


def _watch_lines(events: Iterator[StreamEvent | StreamLost], fetch: Callable[[], Snapshot]) -> None:
    """Print all tasks at the first event of each connection and at a reset; then only changes."""
    print_all, was_behind = True, False
    for event in events:
        if isinstance(event, StreamLost):
            _print_event("lost", {"reason": event.reason, "next_try_s": round(event.wait_s, 1)})
            continue
        if event.name == "beat":
            is_behind = pipeline_text(event.data) is not None
            if is_behind != was_behind:
                _print_event("pipeline", event.data["pipeline"])
            was_behind = is_behind
        if print_all or event.name == "reset":
            try:
                for task in fetch().tasks:
                    _print_event("task", task)
            except ViewError as error:
                if not is_transient(error):
                    raise
                print_all = True
            else:
                print_all = False
        elif event.name in ("task", "left"):
            _print_event(event.name, event.data)


def _print_event(name: str, data: Mapping[str, Any]) -> None:
    echo_json({"event": name, **data})


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return True


@contextlib.contextmanager
def _wrong_parameters_as_usage() -> Iterator[None]:
    """Raise UsageError for a parameter that the view refuses (400)."""
    try:
        yield
    except ViewRefused as error:
        if error.status == 400:
            raise click.UsageError(message_of(error)) from error
        raise
