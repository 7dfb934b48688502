"""`taskstream replay state`: the state at an earlier time, folded from the events before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import click
import numpy as np
import pyarrow as pa

from taskstream.compose.cli.options.fold_options import fold_options, keep_option
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.offset_bound import BOUND
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import (
    counts_text,
    parquet_output_option,
    print_json,
    print_rows,
    write_parquet,
)
from taskstream.compose.cli.output.progress_bar import progress_bar
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.stop_signals import exit_when_interrupted
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.gc_control import manual_gc
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest, Offsets, Since
from taskstream.consumer.replay.comparison import BATCH
from taskstream.consumer.replay.refold import EventFold
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.state.silence import expired, mark_silent
from taskstream.consumer.state.state_records import state_batch
from taskstream.consumer.state.tasks.task_health import TaskHealth
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@click.command
@kafka_options
@schema_ids_option
@prefix_option
@click.option(
    "--as-of",
    "as_of",
    type=BOUND,
    help="Fold the events before the first one of this time, by their offsets, and judge silence as of then.",
)
@click.option(
    "--until-offsets",
    type=BOUND,
    metavar="@FILE",
    help="Fold the events before these offsets: lines TOPIC,PARTITION,OFFSET.",
)
@click.option("--project", "project_id", help="Only series of this project.")
@click.option("--task", "task_id", help="Only series of this task.")
@fold_options
@keep_option
@parquet_output_option
@click.option("--limit", default=200, type=click.IntRange(min=1), help="Maximum rows of the table.")
def state(
    *,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    as_of: Bound | None,
    until_offsets: Bound | None,
    project_id: str | None,
    task_id: str | None,
    fold: Settings,
    keep_s: float,
    output: str,
    limit: int,
) -> None:
    """Print the state at a time, or at given offsets, folded from the events.

    The fold ends before the first record whose timestamp is at or after the time. A task is silent by the rule of the
    workers; the normal pause between two subtasks is learnt from the tasks that are selected. The command writes
    nothing to Kafka.
    """
    if (as_of is None) == (until_offsets is None):
        raise click.UsageError("give either --as-of or --until-offsets")
    if until_offsets is not None and not isinstance(until_offsets, Offsets):
        raise click.UsageError(
            "--until-offsets requires @FILE with lines TOPIC,PARTITION,OFFSET; use --as-of for a time"
        )
    end = as_of or until_offsets or Latest()
    topic = Topics(prefix).progress.name
    with exit_when_interrupted("nothing was written"):
        cluster = Cluster(kafka.config())
        spans = cluster.pinned(topic, Earliest(), end)
        settings = replace(fold, partitions=len(cluster.partitions(topic)))
        refold = EventFold(ids, settings, KeySelection(project_id, task_id))
        _print_gaps(topic, spans)
        with (
            manual_gc(),
            progress_bar("folding", sum(each.end - each.begin for each in spans.values())) as advance,
            BoundedReader(kafka.config(), topic, spans) as reader,
        ):
            for records in reader.columns(BATCH):
                refold.fold(records)
                refold.table.commit()
                advance(len(records))
    if refold.unreadable:
        echo(f"skipped, as the worker does: {counts_text(refold.unreadable)}", err=True)
    _print_state(refold, end, keep_s, output, limit)


def _print_gaps(topic: str, spans: dict[int, OffsetRange]) -> None:
    for partition, span in sorted(spans.items()):
        if span.begin > 0:
            echo(
                f"incomplete: {topic}-{partition} begins at offset {span.begin}; earlier events are gone, and series "
                "that began before are incomplete",
                err=True,
            )


def _print_state(refold: EventFold, end: Bound, keep_s: float, output: str, limit: int) -> None:
    table = refold.table
    if isinstance(end, Since):
        now_us = end.timestamp_ms * 1000
        table.drop(expired(table.rows, now_us, keep_s))
        health = TaskHealth(table)
        health.refresh()
        slots = health.newly_silent(now_us)
        mark_silent(table, slots, now_us, health.judge(slots, now_us).limit_s)
    slots = np.flatnonzero(table.rows["live"])
    slots = slots[np.argsort(table.keys[slots].astype(str), kind="stable")]
    batch = state_batch(table, slots)
    if output == "parquet":
        write_parquet(pa.Table.from_batches([batch]))
    elif output == "json":
        print_json(batch.to_pylist())
    else:
        print_rows([_table_row(row) for row in batch.slice(0, limit).to_pylist()], output)
        shown = f", the first {limit:,} shown (--limit)" if slots.size > limit else ""
        echo(f"{slots.size:,} series from {refold.events:,} events{shown}", err=True)


def _table_row(row: dict[str, object]) -> dict[str, object]:
    names = ("project_id", "task_id", "subtask_name", "progress", "replicatesize", "totalsize", "trend")
    shown = {name: row[name] for name in names}
    shown["health"] = "SILENT" if row["silent_since"] is not None else row["health"]
    for name in ("rate_fast_bps", "eta_s"):
        value = row[name]
        shown[name] = round(value) if isinstance(value, float) else None
    last_seen = row["last_seen"]
    assert isinstance(last_seen, datetime)
    shown["last_seen"] = last_seen.astimezone(UTC).isoformat(timespec="milliseconds")
    return shown
