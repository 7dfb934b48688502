"""`taskstream replay rebuild`: replace the published state where it differs from the fold of the events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from taskstream.compose.cli.options.fold_options import fold_options, keep_option
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import parquet_output_option
from taskstream.compose.cli.output.progress_bar import progress_bar
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.replay.comparison_output import (
    comparison_of,
    differences_of,
    group_option,
    limit_option,
    partition_summary,
    print_comparison,
    print_totals,
)
from taskstream.compose.cli.stop_signals import exit_when_interrupted
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.errors import RebuildRefused
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.consumer_groups import ConsumerGroup
from taskstream.consumer.kafka.ranges import Earliest, Latest
from taskstream.consumer.replay.rebuild import Rebuild, refuse_lost, refuse_members
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.worker.topic_check import check_topics, current_mark
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@click.command
@kafka_options
@schema_ids_option
@prefix_option
@group_option
@click.option(
    "--until",
    type=click.Choice(["committed", "latest"]),
    default="committed",
    help="The position of the rebuilt state and of the group's offsets: the committed offsets, or the end of the "
    "events. Events between the two produce no rates and no signals.",
)
@fold_options
@keep_option
@parquet_output_option
@limit_option
@click.option(
    "--execute", is_flag=True, help="Write the state. Without this option, the command only reports what it would do."
)
def rebuild(
    *,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    group_name: str | None,
    until: str,
    fold: Settings,
    keep_s: float,
    output: str,
    limit: int,
    execute: bool,
) -> None:
    """Replace the state where it differs from the fold of the events, together with the workers' offsets.

    Stop all workers first. Each partition is written in one transaction: if the command is stopped or killed, each
    partition has its old state or its new one, and running the command again does the rest. Rows that cannot be
    compared are kept.
    """
    topics = Topics(prefix)
    summaries: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    with (
        exit_when_interrupted("each partition has its old state or its new one; run the command again for the rest"),
        ConsumerGroup(kafka.config(), group_name or f"{prefix}.worker") as group,
    ):
        fold = replace(fold, partitions=check_topics(kafka.config(), topics))
        refuse_members(group)
        spans = Cluster(kafka.config()).pinned(topics.progress.name, Earliest(), Latest())
        committed = group.committed(topics.progress.name, list(spans))
        stale = _stale(group.marks(topics.progress.name, list(spans)), current_mark(kafka.config(), topics))
        stale |= group.unmarked(topics.progress.name, list(spans))
        if until == "committed":
            _refuse_unknown(group.name, [each for each, span in spans.items() if committed[each] is None and span.end])
        writing = Rebuild(kafka.config(), topics, ids, group)
        if execute:
            writing.abort_unfinished()
        with progress_bar("folding", sum(each.end - each.begin for each in spans.values())) as advance:
            comparison = comparison_of(kafka, topics, ids, fold, keep_s, advance)
            for partition, span in sorted(spans.items()):
                offset = committed[partition]
                pin = span.end if until == "latest" or offset is None else offset
                compared = comparison.compare_stopped(partition, span.begin, pin)
                refuse_lost(compared, offset)
                changes = bool(compared.verdict.differences) or pin != offset or partition in stale
                if changes and execute:
                    writing.write_partition(compared)
                summaries.append(partition_summary(compared) | {"offset_was": offset, "written": changes and execute})
                found += differences_of(compared, limit - len(found) if output == "table" else None)
    print_comparison(summaries, found, output, limit)
    print_totals(summaries)
    if not execute:
        echo("dry run, nothing was written: --execute writes what differs", err=True)


def _stale(marks: dict[int, str], current: str) -> set[int]:
    """The partitions whose offset belongs to an earlier state topic: a worker would refuse it."""
    return {partition for partition, mark in marks.items() if "state=" in mark and not mark.endswith(current)}


def _refuse_unknown(group: str, partitions: list[int]) -> None:
    if partitions:
        raise RebuildRefused(
            f"group {group} has no offset for partitions {', '.join(map(str, sorted(partitions)))}: is it the right "
            "--group? With --until latest, the state is rebuilt up to the end of the events, and workers continue there"
        )
