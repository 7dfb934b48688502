"""`taskstream agent`: the command line of the reference agent. The copy itself is in `taskstream.producer.agent`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Display

from taskstream.compose.cli.options.sizes_and_durations import bytes_of, seconds_of
from taskstream.compose.cli.options.token_options import token_of, token_options
from taskstream.compose.cli.output.formats import output_option
from taskstream.compose.cli.output.terminal import echo, echo_json
from taskstream.compose.cli.stop_signals import INTERRUPTED, stop_event
from taskstream.compose.remedies import message_of
from taskstream.producer.agent import CopyJob, CopyProgress, CopyResult, copy_tree
from taskstream.producer.client.endpoint import ProxyUnusable
from taskstream.producer.client.progress_client import ProgressClient
from taskstream.producer.errors import CopyJobError, DestinationUnusable

_PROBLEMS_SHOWN = 20
_TOKEN_VARIABLE = "TASKSTREAM_AGENT_COPY_TOKEN"  # noqa: S105 (the name of a variable)


@click.group()
def agent() -> None:
    """Programs that run on a server that is being migrated."""


@agent.command()
@click.argument("source", metavar="SRC", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("destination", metavar="DST", type=click.Path(file_okay=False, path_type=Path))
@click.option("--task-id", required=True, help="The id of the migration task that the copy is reported as.")
@click.option("--endpoint", required=True, metavar="URL", help="The edge: http(s)://host[:port][/prefix].")
@token_options(_TOKEN_VARIABLE)
@click.option(
    "--proxy", metavar="URL", help="Send the reports through this HTTP proxy: http(s)://host[:port]. No other is used."
)
@click.option(
    "--bwlimit",
    metavar="BYTES",
    callback=bytes_of,
    help="The maximum rate in bytes per second: 500K, 20M, 1G (K is 1,000; Ki is 1,024).",
)
@click.option("--interval", metavar="TIME", callback=seconds_of, default="1s", help="The time between two reports.")
@click.option(
    "--deliver-within",
    metavar="TIME",
    callback=seconds_of,
    default="60s",
    help="How long to retry the last reports after the end of the copy.",
)
@click.option(
    "--fsync",
    is_flag=True,
    help="Flush each file to disk before renaming it into place: slow, but safe against a crash.",
)
@output_option
@click.option("--json", "output", flag_value="json", hidden=True, help="As `-o json`, its name in 0.2.")
@click.pass_context
def copy(
    context: click.Context,
    *,
    source: Path,
    destination: Path,
    task_id: str,
    endpoint: str,
    token_file: Path | None,
    token: str | None,
    proxy: str | None,
    bwlimit: int | None,
    interval: float,
    deliver_within: float,
    ca_file: Path | None,
    fsync: bool,
    output: str,
) -> None:
    """Copy the directory tree SRC to DST and report the copy as a migration.

    \b
    taskstream agent copy /srv/www /mnt/target/www --task-id t-1 \\
        --endpoint http://127.0.0.1:8080 --token-file token --bwlimit 20M

    The copy preserves contents, modes, times, symbolic links, empty directories and holes, and owners where the
    user may set them. Hard links are copied as separate files. Sockets, pipes, devices, access control lists and
    extended attributes are not copied. Files that exist only in DST are kept.

    To resume an interrupted copy, repeat the command: a file with equal size and time is not copied again; a file
    that was interrupted is compared and continued. After a crash of the machine, equal size and time are reliable
    only for files copied with --fsync.

    The reports name four subtasks: ATTACH_AGENT_IMAGE (the scan of SRC), MIGRATE_LINUX_FILE (the copy),
    SYNC_LINUX_FILE (files that changed during the copy), CONFIGURE_LINUX_FILE (modes and times of directories).
    A slow or unreachable edge does not stop the copy.

    Exit codes: 0 everything is copied and acknowledged by the edge, 1 something is not, 2 wrong usage,
    130 interrupted.
    """  # noqa: D301 (a lone backspace makes click keep the lines that follow)
    secret = token_of(token_file, token, _TOKEN_VARIABLE)
    try:
        client = ProgressClient(endpoint, secret, ca_file=ca_file, proxy=proxy)
    except ProxyUnusable as error:
        raise click.BadParameter(str(error), param_hint="--proxy") from error
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--endpoint") from error
    job = CopyJob(
        source=source,
        destination=destination,
        task_id=task_id,
        bwlimit_bps=bwlimit,
        interval_s=interval,
        deliver_within_s=deliver_within,
        fsync=fsync,
    )
    with client, stop_event() as stop, _progress_bars() as show:
        try:
            result = copy_tree(job, client, on_progress=show, warn=_warn, stop=stop)
        except DestinationUnusable as error:
            raise click.ClickException(message_of(error)) from error
        except CopyJobError as error:
            raise click.UsageError(message_of(error)) from error
    if output == "json":
        echo_json(_as_json(result))
    else:
        echo(_as_text(result))
    _explain(result, interrupted=stop.is_set())
    if stop.is_set() and result.stopped:
        context.exit(INTERRUPTED)
    context.exit(0 if result.complete else 1)


@contextmanager
def _progress_bars() -> Iterator[Callable[[CopyProgress], None]]:
    """One progress bar per subtask on standard error, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Display(*columns, TransferSpeedColumn(), console=console, disable=not console.is_terminal) as display:
        bars: dict[str, TaskID] = {}

        def show(progress: CopyProgress) -> None:
            if progress.subtask not in bars:
                bars[progress.subtask] = display.add_task(progress.subtask)
            total = max(1, progress.bytes_total)
            done = total if progress.complete else progress.bytes_done
            display.update(bars[progress.subtask], total=total, completed=done)

        yield show


def _warn(line: str) -> None:
    echo(f"report: {line}", err=True)


def _explain(result: CopyResult, *, interrupted: bool) -> None:
    for problem in result.problems[:_PROBLEMS_SHOWN]:
        echo(f"not copied: {problem.path}: {problem.reason}", err=True)
    more = len(result.problems) - _PROBLEMS_SHOWN
    if more > 0:
        echo(f"not copied: {more:,} more; -o json lists all", err=True)
    if result.reports.undelivered:
        echo(f"the edge has not acknowledged the end of: {', '.join(result.reports.undelivered)}", err=True)
    if result.stopped:
        why = "interrupted" if interrupted else result.stopped
        echo(f"{why}: repeat the command to resume; files that are copied stay", err=True)


def _as_text(result: CopyResult) -> str:
    reports = result.reports
    lines = [
        f"copied {result.files:,} files, {result.bytes:,} bytes in {result.seconds:.1f} s",
        f"       {result.files_already_there:,} files, {result.bytes_already_there:,} bytes of them already there",
        f"       {result.directories:,} directories, {result.links:,} links; {result.specials:,} special files skipped",
        f"       {len(result.problems):,} not copied",
    ]
    lines += [
        f"       {subtask.name:<20} {subtask.progress:>3} %  {subtask.replicatesize:,} of {subtask.totalsize:,} bytes"
        for subtask in result.subtasks
    ]
    lines.append(
        f"reports: {reports.acknowledged:,} acknowledged, {reports.retried:,} retried, {reports.failed:,} failed"
    )
    return "\n".join(lines)


def _as_json(result: CopyResult) -> dict[str, object]:
    return {**asdict(result), "complete": result.complete}
