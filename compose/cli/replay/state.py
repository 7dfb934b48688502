"""`taskstream replay state`: the state as it was, folded from the events up to a moment."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import numpy as np
import pyarrow as pa

from taskstream.compose.cli.options.fold_options import BOUND, fold_options, interruptible, keep_option, meter
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.answer import counted, output_option, print_json, write_parquet
from taskstream.compose.cli.output.rows import print_rows
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest, Offsets, Since
from taskstream.consumer.replay.comparison import BATCH
from taskstream.consumer.replay.refold import EventFold
from taskstream.consumer.state.expiry import expired
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.state.silence import mark_silent, silent
from taskstream.consumer.state.state_records import state_batch
from taskstream.consumer.worker.gc_control import manual_gc
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@click.command
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--as-of", "as_of", type=BOUND, help="The events before this time, and silence as it was judged then.")
@click.option(
    "--until-offsets",
    type=BOUND,
    metavar="@FILE",
    help="The events before these offsets; lines TOPIC,PARTITION,OFFSET.",
)
@click.option("--project", "project_id", help="Only this project.")
@click.option("--task", "task_id", help="Only this task.")
@fold_options
@keep_option
@output_option
@click.option("--limit", default=200, type=click.IntRange(min=1), help="Lines of the table.")
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
    """Tell the state as it was at a time, or at given offsets, folded from the events.

    Its end is the first record whose timestamp is at or after the time. It reads, and writes nothing to Kafka.
    """
    if (as_of is None) == (until_offsets is None):
        raise click.UsageError("give one of --as-of and --until-offsets")
    if until_offsets is not None and not isinstance(until_offsets, Offsets):
        raise click.UsageError(
            "--until-offsets takes @FILE of lines TOPIC,PARTITION,OFFSET; for a time there is --as-of"
        )
    end = as_of or until_offsets or Latest()
    topic = Topics(prefix).progress.name
    refold = EventFold(ids, fold, KeySelection(project_id, task_id))
    with interruptible("nothing was written"):
        spans = Cluster(kafka.config()).pinned(topic, Earliest(), end)
        _tell_gone(topic, spans)
        with (
            manual_gc(),
            meter("folding", sum(each.end - each.begin for each in spans.values())) as told,
            BoundedReader(kafka.config(), topic, spans) as passage,
        ):
            for records in passage.batches(BATCH):
                refold.take(records.messages, records.partitions)
                refold.table.commit()
                told(len(records.messages))
    if refold.unreadable:
        click.echo(f"left out, as the worker does: {counted(refold.unreadable)}", err=True)
    _answer(refold, end, keep_s, output, limit)


def _tell_gone(topic: str, spans: dict[int, OffsetRange]) -> None:
    for partition, span in sorted(spans.items()):
        if span.begin > 0:
            click.echo(
                f"incomplete: {topic}-{partition} begins at offset {span.begin}; what was before is gone, and series "
                "that began there are told only in part",
                err=True,
            )


def _answer(refold: EventFold, end: Bound, keep_s: float, output: str, limit: int) -> None:
    table = refold.table
    if isinstance(end, Since):
        now_us = end.timestamp_ms * 1000
        table.drop(expired(table.rows, now_us, keep_s))
        mark_silent(table, silent(table.rows, now_us, table.settings.bucket_us), now_us)
    slots = np.flatnonzero(table.rows["live"])
    slots = slots[np.argsort(table.keys[slots].astype(str), kind="stable")]
    batch = state_batch(table, slots)
    if output == "parquet":
        write_parquet(pa.Table.from_batches([batch]))
    elif output == "json":
        print_json(batch.to_pylist())
    else:
        print_rows([_shown(row) for row in batch.slice(0, limit).to_pylist()], output)
        shown = f", the first {limit:,} shown (--limit)" if slots.size > limit else ""
        click.echo(f"{slots.size:,} series of {refold.events:,} events{shown}", err=True)


def _shown(row: dict[str, object]) -> dict[str, object]:
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
