"""`taskstream size`: how many processes, and how much CPU, memory, disk and network, a fleet of tasks needs."""

from __future__ import annotations

from dataclasses import asdict

import click

from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.output.formats import output_option, print_json, print_rows
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.sizing import DeploymentSize, Workload, deployment_size

_LOAD = Workload(1, 1.0)


@click.command()
@click.option("--tasks", type=click.IntRange(1), required=True, help="Live tasks.")
@click.option(
    "--every",
    "every_s",
    type=Seconds(may_be_least=False),
    default="10s",
    help="The time between two reports of one task.",
)
@click.option(
    "--series-per-task",
    type=click.FloatRange(1),
    default=_LOAD.series_per_task,
    help="Subtasks of a task that are kept, a row each.",
)
@click.option(
    "--trace",
    "trace_characters",
    type=click.IntRange(0, 2_048),
    default=_LOAD.trace_characters,
    help="Characters of the process_trace of a report.",
)
@click.option(
    "--retention-days",
    type=click.FloatRange(0, min_open=True),
    default=_LOAD.retention_days,
    envvar="TASKSTREAM_RETENTION_DAYS",
    help="How long the topics keep reports and rates.",
)
@click.option(
    "--replication-factor",
    "replicas",
    type=click.IntRange(1),
    default=_LOAD.replicas,
    envvar="TASKSTREAM_REPLICATION_FACTOR",
    help="Replicas of each partition.",
)
@output_option
def size(
    *,
    tasks: int,
    every_s: float,
    series_per_task: float,
    trace_characters: int,
    retention_days: float,
    replicas: int,
    output: str,
) -> None:
    """Print the processes, CPU, memory, disk and network for a number of tasks.

    It multiplies figures that were measured; docs/operations.md lists them with its assumptions. Measure your own load
    before you rely on it: `taskstream simulate` makes one.
    """
    found = deployment_size(Workload(tasks, every_s, series_per_task, trace_characters, retention_days, replicas))
    if output == "json":
        print_json(asdict(found))
        return
    echo(f"{found.reports_per_s:,.0f} reports per second, {found.series:,} series, {found.partitions} partitions\n")
    print_rows(_processes(found), output)
    echo(
        f"\nKafka, all replicas: {found.disk_gb_per_day:,.1f} GB per day, "
        f"{found.disk_gb:,.0f} GB in {retention_days:g} days\n"
        f"Kafka, all brokers: {found.received_mb_per_s:,.1f} MB/s from clients, {found.replicated_mb_per_s:,.1f} MB/s "
        f"between brokers, {found.sent_mb_per_s:,.1f} MB/s to clients"
    )
    for each in found.warnings:
        echo(f"warning: {each}")


def _processes(found: DeploymentSize) -> list[dict[str, object]]:
    return [
        {
            "part": part,
            "processes": each.count,
            "cores_each": f"{each.cores_each:.2f}",
            "memory_each": f"{each.memory_mb_each:,.0f} MB",
        }
        for part, each in (("edge", found.edge), ("worker", found.worker), ("view", found.view))
    ]
