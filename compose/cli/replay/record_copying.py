"""What `replay copy` and `replay load` share: options, the copy with its progress bar, and the table of the result."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import click
import pyarrow as pa

from taskstream.compose.cli.output.formats import print_json, print_rows, time_text, write_parquet
from taskstream.compose.cli.output.progress_bar import progress_bar
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.stop_signals import stop_event
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.replay.archive import ArchiveWriter
from taskstream.consumer.replay.record_copy import (
    ArchivePart,
    NoTarget,
    PartitionCounts,
    RecordCopy,
    Target,
    TopicPart,
)
from taskstream.consumer.replay.topic_target import TimestampRules, timestamp_rules

rate_option = click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Maximum records per second."
)
by_key_option = click.option(
    "--by-key",
    is_flag=True,
    help="Write each record to the partition of its key.  [default: keep the partition number]",
)
execute_option = click.option(
    "--execute", is_flag=True, help="Write the records. Without this option, the command only reports what it would do."
)


def copy_records(
    target: AbstractContextManager[Target] | None, part: TopicPart | ArchivePart, total: int, rate: float | None
) -> tuple[bool, Mapping[int, PartitionCounts]]:
    """Copy `part` to `target`: whether all of it was copied, and the counts by partition.

    Without a target, the records are only counted, at full speed.

    Raises:
        KeyboardInterrupt: the copy to a file was stopped; no file is left.
    """
    with contextlib.ExitStack() as opened:
        stop = opened.enter_context(stop_event(signal.SIGINT))
        to: Target = opened.enter_context(target) if target else NoTarget()
        carrier = RecordCopy(to, rate if target else None)
        advance = opened.enter_context(progress_bar("copying" if target else "counting", total))
        shown = 0

        def show_progress() -> None:
            nonlocal shown
            advance(part.moved - shown)
            shown = part.moved

        complete = carrier.copy_all(part, stop.is_set, show_progress)
        if not complete and isinstance(target, ArchiveWriter):
            raise KeyboardInterrupt  # a part of the range must not get the file's name
    return complete, carrier.counts


def rules_of_target(kafka: KafkaClient, topic: str) -> TimestampRules:
    """What the target does with timestamps; prints a warning if it replaces them."""
    rules = timestamp_rules(kafka.config(), topic)
    if rules.replaces:
        echo(
            f"{topic} has message.timestamp.type=LogAppendTime: Kafka replaces the timestamps of the records", err=True
        )
    return rules


def warn_of_expired(counts: Mapping[int, PartitionCounts], topic: str, rules: TimestampRules, now_ms: int) -> None:
    """Print a warning if the oldest copied record is older than the target keeps records."""
    oldest_ms = min((each.first_ms for each in counts.values() if each.first_ms is not None), default=None)
    if oldest_ms is not None and rules.retention_ms is not None and oldest_ms < now_ms - rules.retention_ms:
        echo(
            f"{topic} has retention.ms={rules.retention_ms}: Kafka deletes the older ones of the records, whose oldest "
            f"is of {time_text(oldest_ms)}",
            err=True,
        )


def print_partitions(spans: Mapping[int, OffsetRange], counts: Mapping[int, PartitionCounts], output: str) -> None:
    """Print one row per partition; `output` is table, json or parquet."""
    rows = [_row(number, span, counts.get(number)) for number, span in sorted(spans.items())]
    if output == "json":
        print_json(rows)
    elif output == "parquet":
        write_parquet(pa.Table.from_pylist(rows, schema=_ROWS))
    else:
        print_rows(rows, output)


def print_totals(counts: Mapping[int, PartitionCounts], route: str, *, execute: bool) -> None:
    """Print the totals on standard error; `route` says from where to where."""
    count, size = sum(each.records for each in counts.values()), sum(each.bytes for each in counts.values())
    echo(f"{count:,} records, {size:,} bytes, {route}", err=True)
    if not execute:
        echo("dry run, nothing was written: --execute copies them", err=True)


def _row(number: int, span: OffsetRange, counts: PartitionCounts | None) -> dict[str, Any]:
    counts = counts or PartitionCounts()
    return {
        "partition": number,
        "from": span.begin,
        "to": span.end,
        "records": counts.records,
        "bytes": counts.bytes,
        "first": time_text(counts.first_ms),
        "last": time_text(counts.last_ms),
    }


_ROWS = pa.schema(
    [
        ("partition", pa.int32()),
        *((name, pa.int64()) for name in ("from", "to", "records", "bytes")),
        ("first", pa.string()),
        ("last", pa.string()),
    ]
)
