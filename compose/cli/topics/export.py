"""`taskstream export`: its options made into a range and a file, and the account of it told."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.errors import BadRange, ExportUnusable
from taskstream.consumer.export.resumable_export import PIECE_ROWS, Export, ExportProgress
from taskstream.consumer.export.topic_batches import MOST, TopicBatches, topic_of
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.ranges import bound_of
from taskstream.schemas.errors import Unresolvable
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

INCOMPLETE = 3


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--topic", "noun", default="progress", help="progress, state, rates or signals.")
@click.option("--from", "start", default="earliest", metavar="BOUND", help="Where the range begins.")
@click.option("--to", "end", default="latest", metavar="BOUND", help="Where it ends; that record is not in it.")
@click.option("--column", "columns", multiple=True, metavar="FIELD", help="Only this field, as often as needed.")
@click.option(
    "-o",
    "--output",
    "path",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="FILE.parquet, .arrow, .csv or .ndjson.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file, at once and only when the new one is whole.")
@click.option("--restart", is_flag=True, help="Begin anew where an earlier run was cut off.")
@click.option("--piece-rows", default=PIECE_ROWS, type=click.IntRange(1), help="Rows written and noted at once.")
def export(
    *,
    kafka: KafkaClient,
    prefix: str,
    ids: SchemaIds,
    noun: str,
    start: str,
    end: str,
    columns: tuple[str, ...],
    path: Path,
    overwrite: bool,
    restart: bool,
    piece_rows: int,
) -> None:
    """Export a part of a topic to one file with typed columns.

    A BOUND is a time (2026-11-23T08:00, UTC unless it says otherwise), a duration back from now (PT15M), earliest,
    latest, or @FILE of lines TOPIC,PARTITION,OFFSET. The end is pinned when the export begins. One that was cut off
    goes on when the same command is given again: FILE.partial and FILE.partial.json are what it has so far.

    Exit codes: 0 all of it, 1 failed, 2 wrong usage, 3 the file is whole but records could not be read or are gone.
    """
    try:
        topic = topic_of(Topics(prefix), noun)
        now_ms = round(time.time() * 1000)
        bounds = bound_of(start, now_ms), bound_of(end, now_ms)
        request = {"topic": topic.name, "from": start, "to": end, "columns": sorted(columns) or None}
        job = Export(path, request, piece_rows=piece_rows, overwrite=overwrite, restart=restart)

        def batches_of(spans: Mapping[int, OffsetRange]) -> TopicBatches:
            return TopicBatches(kafka.config(), topic, ids, spans, columns or None, min(MOST, piece_rows))

        batches_of({})  # a field that is none is told before anything is read or written
        note = job.run(lambda: Cluster(kafka.config()).pinned(topic.name, *bounds), batches_of, _tell_progress)
    except (BadRange, ExportUnusable, Unresolvable) as error:
        raise click.UsageError(str(error)) from error
    _tell(note, path, resumed=job.resumed)


def _tell_progress(batches: TopicBatches, note: ExportProgress) -> None:
    for each in batches.unreadable:
        click.echo(f"unreadable: {each.partition}:{each.offset} {each.reason}: {each.detail}", err=True)
    batches.unreadable.clear()
    done = sum(note.positions[each] - span.begin for each, span in note.spans.items())
    whole = sum(span.end - span.begin for span in note.spans.values())
    click.echo(f"{note.rows:,} rows, {done:,} of {whole:,} offsets", err=True)


def _tell(note: ExportProgress, path: Path, *, resumed: bool) -> None:
    gone = sum(span.gone for span in note.spans.values())
    words = [f"{path}: {note.rows:,} rows" + (", gone on with after a stop" if resumed else "")]
    if note.tombstones:
        words.append(f"{note.tombstones:,} tombstones left out")
    if note.rejected:
        words.append(
            "could not be read: " + ", ".join(f"{count:,} {reason}" for reason, count in note.rejected.items())
        )
    if gone:
        words.append(f"{gone:,} offsets of the range are no longer on the topic")
    click.echo("; ".join(words), err=True)
    if note.rejected or gone:
        sys.exit(INCOMPLETE)
