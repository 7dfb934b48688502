"""`taskstream export`: a range of a topic as one file with typed columns."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.offset_bound import late_option
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.remedies import message_of
from taskstream.consumer.errors import BadRange, ExportUnusable
from taskstream.consumer.export.file_formats import FORMATS, ArrowFile, Csv, Gzip
from taskstream.consumer.export.resumable_export import PIECE_ROWS, Export, ExportProgress
from taskstream.consumer.export.topic_batches import MOST, TopicBatches, topic_of
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.ranges import LATE, bound_of
from taskstream.schemas.errors import Unresolvable
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

INCOMPLETE = 3


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--topic", "noun", default="progress", help="progress, state, rates, signals or notes.")
@click.option("--from", "start", default="earliest", metavar="BOUND", help="Start of the range.")
@click.option("--to", "end", default="latest", metavar="BOUND", help="End of the range, exclusive.")
@late_option
@click.option(
    "--latest",
    is_flag=True,
    help="Only the last record of each key, if that is no tombstone. The range is read twice, and its keys are kept in "
    "memory.",
)
@click.option("--column", "columns", multiple=True, metavar="FIELD", help="Only this field. May be repeated.")
@click.option(
    "-o",
    "--output",
    "path",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write: FILE.parquet, .arrow, .csv or .ndjson; .csv.gz and .ndjson.gz are compressed.",
)
@click.option(
    "--csv-formulas",
    type=click.Choice(["escape", "keep"]),
    default="escape",
    help="Text in a .csv file that a spreadsheet would run as a formula, because it begins with = + - @, a tab or a "
    "carriage return: escape puts an apostrophe before it, keep leaves it.",
)
@click.option(
    "--csv-times",
    type=click.Choice(["iso", "spreadsheet"]),
    default="iso",
    help="Times in a .csv file, in UTC: iso is 2026-11-23 08:00:00.000000Z; spreadsheet is 2026-11-23 08:00:00.000, "
    "which spreadsheets take as a date.",
)
@click.option(
    "--compression",
    type=click.Choice(["lz4", "zstd", "none"]),
    default="lz4",
    help="Compression of the columns in a .arrow file. Some readers know none; arrow-js (JavaScript) reads no LZ4. A "
    ".parquet file always has Zstandard.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file when the export is complete.")
@click.option("--restart", is_flag=True, help="Discard a partial export instead of resuming it.")
@click.option(
    "--piece-rows",
    default=PIECE_ROWS,
    type=click.IntRange(1),
    help="Rows per piece; an interrupted export resumes after the last piece.",
)
def export(
    *,
    kafka: KafkaClient,
    prefix: str,
    ids: SchemaIds,
    noun: str,
    start: str,
    end: str,
    late: timedelta,
    latest: bool,
    columns: tuple[str, ...],
    path: Path,
    csv_formulas: str,
    csv_times: str,
    compression: str,
    overwrite: bool,
    restart: bool,
    piece_rows: int,
) -> None:
    """Export a range of a topic to one file with typed columns.

    A BOUND is a time (2026-11-23T08:00, in UTC unless it has an offset), a duration before now (15m), earliest,
    latest, or @FILE with lines TOPIC,PARTITION,OFFSET. The end is determined when the export begins. A range between
    times holds the records with these timestamps, also where timestamps do not rise within a partition (see --late).
    The timestamp of a report is its time of receipt.
    To resume an interrupted export, repeat the command; FILE.partial and FILE.partial.json hold what it has so far.

    Exit codes: 0 the whole range is exported, 1 failed, 2 wrong usage, 3 the file is complete, but records could not
    be read or are no longer on the topic.
    """
    try:
        topic = topic_of(Topics(prefix), noun)
        now_ms = round(time.time() * 1000)
        bounds = bound_of(start, now_ms), bound_of(end, now_ms)
        request: dict[str, Any] = {"topic": topic.name, "from": start, "to": end, "columns": sorted(columns) or None}
        if late != LATE:
            request["late_s"] = late.total_seconds()
        if latest:
            request["latest"] = True
        keep = csv_formulas == "keep"
        if keep:
            request["csv_formulas"] = csv_formulas
        spreadsheet = csv_times == "spreadsheet"
        if spreadsheet:
            request["csv_times"] = csv_times
        arrow = ArrowFile(None if compression == "none" else compression)
        text = Csv(keep_formulas=keep, spreadsheet_times=spreadsheet)
        formats = {**FORMATS, ".csv": text, ".csv.gz": Gzip(text), ".arrow": arrow}
        job = Export(path, request, piece_rows=piece_rows, overwrite=overwrite, restart=restart, formats=formats)

        def batches_of(spans: Mapping[int, OffsetRange]) -> TopicBatches:
            return TopicBatches(kafka.config(), topic, ids, spans, columns or None, min(MOST, piece_rows), latest)

        batches_of({})  # an unknown field is reported before anything is read or written
        note = job.run(lambda: Cluster(kafka.config()).pinned(topic.name, *bounds, late), batches_of, _print_progress)
    except (BadRange, ExportUnusable, Unresolvable) as error:
        raise click.UsageError(message_of(error)) from error
    _print_result(note, path, resumed=job.resumed)


def _print_progress(batches: TopicBatches, note: ExportProgress) -> None:
    for each in batches.unreadable:
        echo(f"unreadable: {each.partition}:{each.offset} {each.reason}: {each.detail}", err=True)
    batches.unreadable.clear()
    done = sum(note.positions[each] - span.begin for each, span in note.spans.items())
    whole = sum(span.end - span.begin for span in note.spans.values())
    echo(f"{note.rows:,} rows, {done:,} of {whole:,} offsets", err=True)


def _print_result(note: ExportProgress, path: Path, *, resumed: bool) -> None:
    gone = sum(span.gone for span in note.spans.values())
    words = [f"{path}: {note.rows:,} rows" + (", resumed after a stop" if resumed else "")]
    if note.tombstones:
        words.append(f"{note.tombstones:,} tombstones skipped")
    if note.rejected:
        words.append(
            "could not be read: " + ", ".join(f"{count:,} {reason}" for reason, count in note.rejected.items())
        )
    if gone:
        words.append(f"{gone:,} offsets of the range are no longer on the topic")
    echo("; ".join(words), err=True)
    if note.rejected or gone:
        sys.exit(INCOMPLETE)
