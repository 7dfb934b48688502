"""`taskstream demo`: one real migration, shown while it runs and compared at its end.

The migration itself is in `taskstream.compose.local.demo_migration`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table

from taskstream.compose.cli.options.kafka_options import cache_dir_option
from taskstream.compose.cli.options.sizes_and_durations import bytes_of as bytes_option
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.processes.stack_output import (
    addresses,
    print_difference,
    print_line,
    print_process_event,
)
from taskstream.compose.cli.stop_signals import end_on_signals
from taskstream.compose.errors import DemoError
from taskstream.compose.local.demo_migration import ComparedFigure, DemoMigration, bytes_of, compare, migrate
from taskstream.compose.local.local_stack import LocalStack, StackSettings
from taskstream.compose.local.ports import is_free
from taskstream.producer.agent import CopyJob

Show = Callable[[dict[str, Any] | None], None]
_LINE_EVERY_S = 5.0
_BUCKET_S = 2.0


@click.command()
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(sys.prefix),
    show_default="the virtual environment",
    help="The folder to migrate.",
)
@click.option("--bwlimit", default="25M", callback=bytes_option, help="The rate of the copy in bytes per second.")
@click.option(
    "--once",
    is_flag=True,
    envvar="ONCE",
    help="Exit at the end: with 0 if agent and view agree, else with 1. Always so without a terminal.",
)
@cache_dir_option
def demo(*, source: Path, bwlimit: int, once: bool, cache_dir: Path) -> None:
    """Migrate a folder through the whole pipeline on a local Kafka, and compare agent and view to the byte.

    An agent copies the folder and reports to an edge; a worker and the view process the reports. At the end the
    figures of the view are compared with those of the agent. A rate window is two seconds long, so that a copy of
    half a minute has a trend and an ETA.
    """
    console = Console()
    once = once or not console.is_terminal
    agreed = False
    with tempfile.TemporaryDirectory(prefix="taskstream-") as folder, end_on_signals() as kill_now:
        settings = StackSettings(
            data_dir=Path(folder) / "data",
            cache_dir=cache_dir,
            bucket_s=_BUCKET_S,
            kafka_port=_port(9092, once=once),
            edge_port=_port(8080, once=once),
            view_port=_port(8081, once=once),
            worker_metrics_port=_port(9464, once=once),
        )
        with LocalStack(
            settings, on_event=print_process_event, notify=print_line, on_difference=print_difference, kill_now=kill_now
        ) as stack:
            assert stack.token is not None, "the demo's stack makes its own token"
            job = CopyJob(source, Path(folder) / "copy", "demo-migration", bwlimit_bps=bwlimit, interval_s=0.5)
            migration = DemoMigration(job, stack.edge_url, stack.view_url, stack.token)
            print_line(f"migrating {source} to {job.destination} at {bwlimit / 1e6:g} MB/s, as task {job.task_id}")
            with _progress_output(console) as show:
                result = migrate(migration, show, stack.poll)
            figures = compare(migration, result, stack.poll)
            agreed = all(figure.agrees for figure in figures) and result.complete
            _print_comparison(console, figures, result.bytes, bytes_of(job.destination), agreed=agreed)
            if not once:
                echo(f"\nopen {stack.view_url} (token: {stack.token}); Ctrl-C stops it\n{addresses(stack)}")
                stack.run()
    if once and not agreed:
        raise DemoError("the view and the agent disagree")


def _port(usual: int, *, once: bool) -> int:
    """The usual port if it is free and the stack stays up after the copy, else 0: any free port."""
    return 0 if once or not is_free(usual) else usual


@contextmanager
def _progress_output(console: Console) -> Iterator[Show]:
    """A live table on a terminal; a line every few seconds elsewhere."""
    if not console.is_terminal:
        yield _lines()
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield lambda task: live.update(_table(task))


def _lines() -> Show:
    printed_s = 0.0

    def show(task: dict[str, Any] | None) -> None:
        nonlocal printed_s
        if task is not None and time.monotonic() - printed_s >= _LINE_EVERY_S:
            printed_s = time.monotonic()
            echo(
                f"{task['subtask_name']}: {task['progress']} %, {task['replicatesize']:,} of {task['totalsize']:,} "
                f"bytes, {_rate(task['rate_fast_bps'])}, {task['trend']}, {_ends(task)}, {task['health']}"
            )

    return show


def _table(task: dict[str, Any] | None) -> Table:
    table = Table(Column("subtask", no_wrap=True), "", "bytes", "of", "rate now", "rate", "trend", "ends in", "health")
    for each in (task or {}).get("subtasks", []):
        table.add_row(
            each["subtask_name"],
            ProgressBar(total=100, completed=each["progress"], width=20),
            f"{each['replicatesize']:,}",
            f"{each['totalsize']:,}",
            _rate(each["rate_fast_bps"]),
            _rate(each["rate_slow_bps"]),
            each["trend"],
            _ends(each),
            each["health"],
        )
    return table


def _rate(bps: float | None) -> str:
    return "-" if bps is None else f"{bps / 1e6:.1f} MB/s"


def _ends(task: dict[str, Any]) -> str:
    if task["ends_at_ms"] is None:
        return "-"
    middle, low, high = (_seconds(task, name) for name in ("ends_at_ms", "ends_from_ms", "ends_to_ms"))
    return f"{middle} s" if low is None else f"{middle} s ({low} to {high})"


def _seconds(task: dict[str, Any], name: str) -> int | None:
    return None if task[name] is None else max(0, round(task[name] / 1000 - time.time()))


def _print_comparison(
    console: Console, figures: list[ComparedFigure], copied: int, there: int, *, agreed: bool
) -> None:
    table = Table(Column("subtask", no_wrap=True), "", "agent", "view", "")
    for figure in figures:
        shown = "-" if figure.view is None else f"{figure.view:,}"
        table.add_row(figure.subtask, figure.what, f"{figure.agent:,}", shown, "=" if figure.agrees else "DIFFERS")
    console.print(table)
    console.print(f"copied {copied:,} bytes; the files at the destination have {there:,}")
    console.print("agent and view agree to the byte" if agreed else "agent and view DISAGREE")
