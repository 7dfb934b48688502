"""`taskstream agent`: the reference agent on the command line. It reads options and prints; the copy knows neither."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Display

from taskstream.compose.cli.options.quantities import bytes_of, seconds_of
from taskstream.compose.cli.options.token_option import token_of
from taskstream.compose.cli.output.stopping import INTERRUPTED, stopped_by_signals
from taskstream.producer.agent import CopyJob, CopyProgress, CopyResult, copy_tree
from taskstream.producer.client.progress_client import ProgressClient
from taskstream.producer.errors import DestinationUnusable, SourceUnusable

_PROBLEMS_SHOWN = 20


@click.group()
def agent() -> None:
    """What runs on a server that is being migrated."""


@agent.command()
@click.argument("source", metavar="SRC", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("destination", metavar="DST", type=click.Path(file_okay=False, path_type=Path))
@click.option("--task-id", required=True, help="The migration task that this copy is reported as.")
@click.option("--endpoint", required=True, metavar="URL", help="Where reports go: http(s)://host[:port][/prefix].")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that holds the token; read anew for each report, so it may be rotated.",
)
@click.option(
    "--token",
    help="The token itself. Other users can see a command line: better give it as TASKSTREAM_AGENT_COPY_TOKEN.",
)
@click.option(
    "--bwlimit",
    metavar="BYTES",
    callback=bytes_of,
    help="Bytes a second at most: 500K, 20M, 1G (K is 1,000; Ki is 1,024).",
)
@click.option("--interval", metavar="TIME", callback=seconds_of, default="1s", help="Time from one report to the next.")
@click.option(
    "--deliver-within",
    metavar="TIME",
    callback=seconds_of,
    default="60s",
    help="How long to go on trying the last reports when the copy has ended.",
)
@click.option("--ca-file", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Trust this CA alone.")
@click.option(
    "--fsync", is_flag=True, help="Have each file on the disk before its name appears: slow, survives a crash."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
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
    bwlimit: int | None,
    interval: float,
    deliver_within: float,
    ca_file: Path | None,
    fsync: bool,
    as_json: bool,
) -> None:
    """Copy the tree SRC to DST and report it as a migration.

    \b
    taskstream agent copy /srv/www /mnt/target/www --task-id t-1 \\
        --endpoint http://127.0.0.1:8080 --token-file token --bwlimit 20M

    DST becomes like SRC: bytes, modes, times, symbolic links as links, empty folders, holes; owners too where
    the user may give files away. Hard links become files of their own. Sockets, pipes, devices, access lists and
    extended attributes are left out. What DST has and SRC has not stays.

    The same command again resumes: a file of equal size and time counts as copied, a file that was interrupted
    is compared and continued. After a crash of the machine itself only --fsync makes equal size and time a proof.

    The report is that of a migration's subtasks: ATTACH_AGENT_IMAGE (looking through SRC), MIGRATE_LINUX_FILE
    (the copy), SYNC_LINUX_FILE (what has changed meanwhile), CONFIGURE_LINUX_FILE (the folders' modes and
    times). A slow or absent edge never stops the copy.

    Exit codes: 0 everything is copied and the edge knows it; 1 something is not; 2 wrong usage; 130 interrupted.
    """  # noqa: D301 (click takes a lone backspace for: keep these lines)
    secret = token_of(token_file, token, "TASKSTREAM_AGENT_COPY_TOKEN")
    try:
        client = ProgressClient(endpoint, secret, ca_file=ca_file)
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
    with client, stopped_by_signals() as stop, _shown() as show:
        try:
            result = copy_tree(job, client, on_progress=show, warn=_warn, stop=stop)
        except DestinationUnusable as error:
            raise click.ClickException(str(error)) from error
        except SourceUnusable as error:
            raise click.UsageError(str(error)) from error
    click.echo(json.dumps(_as_json(result)) if as_json else _as_text(result))
    _explain(result, interrupted=stop.is_set())
    if stop.is_set() and result.stopped:
        context.exit(INTERRUPTED)
    context.exit(0 if result.complete else 1)


@contextmanager
def _shown() -> Iterator[Callable[[CopyProgress], None]]:
    """A bar on standard error while it is a terminal; nothing else."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Display(*columns, TransferSpeedColumn(), console=console, disable=not console.is_terminal) as display:
        bars: dict[str, TaskID] = {}

        def show(progress: CopyProgress) -> None:
            if progress.subtask not in bars:
                bars[progress.subtask] = display.add_task(progress.subtask)
            total = max(1, progress.bytes_total)
            done = total if progress.whole else progress.bytes_done
            display.update(bars[progress.subtask], total=total, completed=done)

        yield show


def _warn(line: str) -> None:
    click.echo(f"report: {line}", err=True)


def _explain(result: CopyResult, *, interrupted: bool) -> None:
    for problem in result.problems[:_PROBLEMS_SHOWN]:
        click.echo(f"not copied: {problem.path}: {problem.reason}", err=True)
    more = len(result.problems) - _PROBLEMS_SHOWN
    if more > 0:
        click.echo(f"not copied: {more:,} more (all of them with --json)", err=True)
    if result.reports.undelivered:
        click.echo(f"the edge does not know the end of: {', '.join(result.reports.undelivered)}", err=True)
    if result.stopped:
        why = "interrupted" if interrupted else result.stopped
        click.echo(f"{why}: run the same command again to resume; what is there will be kept", err=True)


def _as_text(result: CopyResult) -> str:
    reports = result.reports
    lines = [
        f"copied {result.files:,} files, {result.bytes:,} bytes in {result.seconds:.1f} s",
        f"       {result.files_already_there:,} files, {result.bytes_already_there:,} bytes of them were there already",
        f"       {result.directories:,} folders, {result.links:,} links; {result.specials:,} special files left out",
        f"       {len(result.problems):,} could not be copied",
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
