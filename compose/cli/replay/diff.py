"""`taskstream replay diff` and `rebuild`: the published state beside the fold of the events, told or mended."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from typing import Any

import click
import pyarrow as pa

from taskstream.compose.cli.options.fold_options import BOUND, fold_options, interruptible, keep_option, meter
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.answer import counted, output_option, print_json, write_parquet
from taskstream.compose.cli.output.rows import print_rows
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.errors import RebuildRefused
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.consumer_group import ConsumerGroup
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest
from taskstream.consumer.replay.comparison import Compared, Comparison, Told
from taskstream.consumer.replay.difference import DifferenceExcuse, told
from taskstream.consumer.replay.rebuild import Rebuild, refuse_lost, refuse_members
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.worker.topic_check import check_topics
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_group_option = click.option("--group", "group_name", help="The workers' consumer group.  [default: PREFIX.worker]")
_limit_option = click.option(
    "--limit", default=100, type=click.IntRange(min=1), help="Lines of the table; -o json and parquet have all."
)


@click.command
@kafka_options
@schema_ids_option
@prefix_option
@_group_option
@click.option("--from", "start", default="earliest", type=BOUND, metavar="BOUND", help="Where to begin folding.")
@fold_options
@keep_option
@output_option
@_limit_option
@click.option("--strict", is_flag=True, help="Exit code 1 also when some series could not be compared.")
def diff(
    *,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    group_name: str | None,
    start: Bound,
    fold: Settings,
    keep_s: float,
    output: str,
    limit: int,
    strict: bool,
) -> None:
    """Fold the events up to where the workers are, and tell where the published state differs from that.

    What a clock decided is not the fold's to say: silence is taken as published, and series that may have been dropped
    for their age (--keep) are counted and not compared. So are series that began before the events that are still
    there, and those that workers kept changing while we looked. Exit codes: 0 nothing differs, 1 something does.
    """
    topics = Topics(prefix)
    summaries: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    with interruptible("nothing was written"), ConsumerGroup(kafka.config(), group_name or f"{prefix}.worker") as group:
        check_topics(kafka.config(), topics)
        spans = Cluster(kafka.config()).pinned(topics.progress.name, start, Latest())
        with meter("folding", sum(each.end - each.begin for each in spans.values())) as moved:
            comparison = _comparison(kafka, topics, ids, fold, keep_s, moved)
            for partition, span in sorted(spans.items()):
                compared = comparison.following(partition, span.begin, group)
                summaries.append(_summary(compared))
                found += _differences(compared, limit - len(found) if output == "table" else None)
    _print(summaries, found, output, limit)
    _tell(summaries)
    if found or (strict and any(each["not_compared"] for each in summaries)):
        click.get_current_context().exit(1)


@click.command
@kafka_options
@schema_ids_option
@prefix_option
@_group_option
@click.option(
    "--until",
    type=click.Choice(["committed", "latest"]),
    default="committed",
    help="Where the state and the group's offsets shall be: where they are, or at the end of the events. What lies "
    "between gives no rates and no signals.",
)
@fold_options
@keep_option
@output_option
@_limit_option
@click.option("--execute", is_flag=True, help="Do it; else it is only told.")
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
    """Write the state anew where it differs from the fold of the events, and the workers' offsets with it.

    One transaction a partition: stopped or killed at any moment, each partition has its old state or its new one, and
    running it again does the rest. All workers must be stopped. Rows that the events cannot tell about stay.
    """
    topics = Topics(prefix)
    summaries: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    with (
        interruptible("each partition has its old state or its new one; run it again to do the rest"),
        ConsumerGroup(kafka.config(), group_name or f"{prefix}.worker") as group,
    ):
        check_topics(kafka.config(), topics)
        refuse_members(group)
        spans = Cluster(kafka.config()).pinned(topics.progress.name, Earliest(), Latest())
        committed = group.committed(topics.progress.name, list(spans))
        if until == "committed":
            _refuse_unknown(group.name, [each for each, span in spans.items() if committed[each] is None and span.end])
        writing = Rebuild(kafka.config(), topics, ids, group)
        if execute:
            writing.settle()
        with meter("folding", sum(each.end - each.begin for each in spans.values())) as moved:
            comparison = _comparison(kafka, topics, ids, fold, keep_s, moved)
            for partition, span in sorted(spans.items()):
                was = committed[partition]
                pin = span.end if until == "latest" or was is None else was
                compared = comparison.standing(partition, span.begin, pin)
                refuse_lost(compared, was)
                changes = bool(compared.verdict.differences) or pin != was
                if changes and execute:
                    writing.write(compared)
                summaries.append(_summary(compared) | {"offset_was": was, "written": changes and execute})
                found += _differences(compared, limit - len(found) if output == "table" else None)
    _print(summaries, found, output, limit)
    _tell(summaries)
    if not execute:
        click.echo("dry run, nothing was written: --execute writes what differs", err=True)


def _refuse_unknown(group: str, partitions: list[int]) -> None:
    if partitions:
        raise RebuildRefused(
            f"group {group} has no offset for partitions {', '.join(map(str, sorted(partitions)))}: is it the right "
            "--group? --until latest rebuilds up to the end of the events and lets the workers go on from there"
        )


def _comparison(
    kafka: KafkaClient, topics: Topics, ids: SchemaIds, fold: Settings, keep_s: float, moved: Told
) -> Comparison:
    return Comparison(kafka.config(), topics, ids, fold, keep_s, round(time.time() * 1_000_000), moved)


def _summary(compared: Compared) -> dict[str, Any]:
    verdict = compared.verdict
    return {
        "partition": compared.partition,
        "events_from": compared.begin,
        "offset": compared.pinned,
        "complete": compared.complete,
        "exact": compared.exact,
        "events": compared.events,
        "unreadable": dict(compared.unreadable),
        "same": verdict.same,
        "differ": len(verdict.differing),
        "missing": len(verdict.missing),
        "surplus": len(verdict.surplus),
        "not_compared": {str(each): count for each, count in verdict.excused.items() if count},
    }


def _differences(compared: Compared, most: int | None) -> list[dict[str, Any]]:
    """The differences of a partition, or the first of them; there can be as many as there are series."""
    differences = itertools.islice(told(compared.fold, compared.found, compared.verdict), most)
    return [{"partition": compared.partition} | each for each in differences]


def _print(summaries: list[dict[str, Any]], found: list[dict[str, Any]], output: str, limit: int) -> None:
    if output == "json":
        print_json({"partitions": summaries, "differences": found})
    elif output == "parquet":
        write_parquet(pa.Table.from_pylist(_lines(found), schema=_LINES))
    else:
        print_rows(
            [
                each | {"unreadable": _flat(each, "unreadable"), "not_compared": _flat(each, "not_compared")}
                for each in summaries
            ],
            output,
        )
        print_rows(_lines(found)[:limit], output)


def _flat(summary: Mapping[str, Any], name: str) -> str:
    return counted(summary[name]) or "-"


def _lines(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line a differing column."""
    lines = []
    for each in found:
        series = {name: value for name, value in each.items() if name != "columns"}
        columns = each["columns"] or {None: {"state": None, "fold": None}}
        for name, values in columns.items():
            shown = {side: json.dumps(value, default=str) if name else None for side, value in values.items()}
            lines.append(series | {"column": name} | shown)
    return lines


def _tell(summaries: list[dict[str, Any]]) -> None:
    for each in summaries:
        if not each["complete"]:
            click.echo(
                f"incomplete: partition {each['partition']} was folded from offset {each['events_from']}; series that "
                "began before are not compared",
                err=True,
            )
    moving = sum(each["not_compared"].get(str(DifferenceExcuse.MOVING), 0) for each in summaries)
    if not all(each["exact"] for each in summaries):
        click.echo(f"workers were at work: looked at until series stood still; {moving:,} did not", err=True)
    same = sum(each["same"] for each in summaries)
    differ = sum(each["differ"] + each["missing"] + each["surplus"] for each in summaries)
    click.echo(f"{same:,} series are as the events say, {differ:,} differ", err=True)


_LINES = pa.schema(
    [
        ("partition", pa.int32()),
        *((name, pa.string()) for name in ("project_id", "task_id", "subtask_name")),
        *((name, pa.string()) for name in ("difference", "column", "state", "fold")),
    ]
)
