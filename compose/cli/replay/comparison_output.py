"""What `replay diff` and `replay rebuild` share: options, the comparison, and the tables of its result."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from typing import Any

import click
import pyarrow as pa

from taskstream.compose.cli.output.formats import counts_text, print_json, print_rows, write_parquet
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.replay.comparison import Compared, Comparison, OnEvents
from taskstream.consumer.replay.difference import DifferenceExcuse, difference_rows
from taskstream.consumer.state.series_table import Settings
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

group_option = click.option("--group", "group_name", help="The workers' consumer group.  [default: PREFIX.worker]")
limit_option = click.option(
    "--limit",
    default=100,
    type=click.IntRange(min=1),
    help="Maximum rows of the table; -o json and -o parquet print all.",
)


def comparison_of(
    kafka: KafkaClient, topics: Topics, ids: SchemaIds, fold: Settings, keep_s: float, advance: OnEvents
) -> Comparison:
    """A comparison as of now; `advance` receives the numbers of records that were folded."""
    return Comparison(kafka.config(), topics, ids, fold, keep_s, round(time.time() * 1_000_000), advance)


def partition_summary(compared: Compared) -> dict[str, Any]:
    """The result of one partition in counts."""
    verdict = compared.verdict
    return {
        "partition": compared.partition,
        "events_from": compared.begin,
        "offset": compared.pinned,
        "complete": compared.complete,
        "offset_moved": not compared.exact,
        "events": compared.events,
        "unreadable": dict(compared.unreadable),
        "same": verdict.same,
        "differ": len(verdict.differing),
        "missing": len(verdict.missing),
        "surplus": len(verdict.surplus),
        "not_compared": {str(each): count for each, count in verdict.excused.items() if count},
    }


def differences_of(compared: Compared, limit: int | None) -> list[dict[str, Any]]:
    """The differences of a partition, at most `limit`; there can be as many as series."""
    differences = itertools.islice(difference_rows(compared.fold, compared.found, compared.verdict), limit)
    return [{"partition": compared.partition} | each for each in differences]


def print_comparison(summaries: list[dict[str, Any]], found: list[dict[str, Any]], output: str, limit: int) -> None:
    """Print the summaries and the differences; `output` is table, json or parquet (differences only)."""
    if output == "json":
        print_json({"partitions": summaries, "differences": found})
    elif output == "parquet":
        write_parquet(pa.Table.from_pylist(_rows(found), schema=_DIFFERENCES))
    else:
        print_rows(
            [
                each | {"unreadable": _counts(each, "unreadable"), "not_compared": _counts(each, "not_compared")}
                for each in summaries
            ],
            output,
        )
        print_rows(_rows(found)[:limit], output)


def _counts(summary: Mapping[str, Any], name: str) -> str:
    return counts_text(summary[name]) or "-"


def _rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per column that differs."""
    rows = []
    for each in found:
        series = {name: value for name, value in each.items() if name != "columns"}
        columns = each["columns"] or {None: {"state": None, "fold": None}}
        for name, values in columns.items():
            shown = {side: json.dumps(value, default=str) if name else None for side, value in values.items()}
            rows.append(series | {"column": name} | shown)
    return rows


def print_totals(summaries: list[dict[str, Any]]) -> None:
    """Print what limits the comparison, and its totals, on standard error."""
    for each in summaries:
        if not each["complete"]:
            echo(
                f"incomplete: partition {each['partition']} was folded from offset {each['events_from']}; series that "
                "began before it are not compared",
                err=True,
            )
    moving = sum(each["not_compared"].get(str(DifferenceExcuse.MOVING), 0) for each in summaries)
    if any(each["offset_moved"] for each in summaries):
        echo(f"workers are running: series were compared once they stopped changing; {moving:,} did not stop", err=True)
    same = sum(each["same"] for each in summaries)
    differ = sum(each["differ"] + each["missing"] + each["surplus"] for each in summaries)
    echo(f"{same:,} series are equal to the fold of the events, {differ:,} differ", err=True)


_DIFFERENCES = pa.schema(
    [
        ("partition", pa.int32()),
        *((name, pa.string()) for name in ("project_id", "task_id", "subtask_name")),
        *((name, pa.string()) for name in ("difference", "column", "state", "fold")),
    ]
)
