"""`taskstream rejected list`: the rejected records, counted by reason or one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
import pyarrow as pa

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.offset_bound import BOUND
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import (
    first_rows,
    parquet_output_option,
    print_json,
    print_rows,
    time_text,
    write_parquet,
)
from taskstream.compose.cli.output.progress_bar import progress_bar
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.stop_signals import exit_when_interrupted
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.ranges import Bound
from taskstream.consumer.rejects.rejects_reader import JudgedReject, RejectsReader
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.terminal_text import terminal_text
from taskstream.schemas.topics import Topics

_LONGEST_KEY = 60


@click.command("list")
@kafka_options
@schema_ids_option
@prefix_option
@click.option(
    "--from",
    "start",
    default="earliest",
    type=BOUND,
    metavar="BOUND",
    help="Start of the range, by the time of rejection.",
)
@click.option("--to", "end", default="latest", type=BOUND, metavar="BOUND", help="End of the range, exclusive.")
@click.option("--reason", "reasons", multiple=True, help="Only records with this reason. May be repeated.")
@click.option("--each", is_flag=True, help="Print one row per record instead of one per reason.")
@parquet_output_option
@click.option("--limit", default=100, type=click.IntRange(min=1), help="Maximum rows of the table.")
def list_rejected(
    *,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    start: Bound,
    end: Bound,
    reasons: tuple[str, ...],
    each: bool,
    output: str,
    limit: int,
) -> None:
    """Count the rejected records by reason, or list each.

    READABLE NOW is the number of waiting records that this version of taskstream can read. A BOUND is a time, a
    duration before now (15m), earliest, latest, or @FILE with lines TOPIC,PARTITION,OFFSET.
    """
    with exit_when_interrupted("nothing was written"):
        rejects = RejectsReader(kafka.config(), Topics(prefix), ids)
        spans = rejects.ranges(start, end)
        driven = rejects.redriven_offsets()
        with progress_bar("reading", sum(span.end - span.begin for span in spans.values())) as advance:
            found: dict[str, dict[str, Any]] = {}
            records: list[dict[str, Any]] = []
            for batch in rejects.judged(spans, driven):
                wanted = [judged for judged in batch if not reasons or judged.reject.reason in reasons]
                if each:
                    records += [_record_row(judged) for judged in wanted]
                else:
                    _count(wanted, found)
                advance(len(batch))
    rows = records if each else sorted(found.values(), key=lambda row: (-int(row["records"]), str(row["reason"])))
    if output == "json":
        print_json(rows)
    elif output == "parquet":
        write_parquet(pa.Table.from_pylist(rows, schema=_RECORDS if each else _REASONS))
    else:
        print_rows([_printable_row(row) for row in first_rows(rows, limit)], output)
        if not rows:
            echo("no rejected records", err=True)


def _count(batch: Iterable[JudgedReject], found: dict[str, dict[str, Any]]) -> None:
    for judged in batch:
        reject, at = judged.reject, _time(judged)
        row = found.setdefault(
            reject.reason,
            {"reason": reject.reason, "records": 0, "driven": 0, "waiting": 0, "readable_now": 0}
            | {"first": at, "last": at, "example": reject.location, "detail": reject.detail},
        )
        row["records"] += 1
        row["driven"] += judged.redriven
        row["waiting"] += not judged.redriven
        row["readable_now"] += judged.readable and not judged.redriven
        row["first"], row["last"] = min(row["first"], at), max(row["last"], at)


def _record_row(judged: JudgedReject) -> dict[str, Any]:
    reject = judged.reject
    return {
        "place": reject.location,
        "rejected": _time(judged),
        "reason": reject.reason,
        "key": (reject.record.key or b"").decode("utf-8", "replace")[:_LONGEST_KEY],
        "bytes": len(reject.record.value or b""),
        "origin": f"{reject.topic or '?'} {_known(reject.partition)}:{_known(reject.offset)}",
        "drives": reject.redrives,
        "driven": judged.redriven,
        "readable_now": judged.readable,
        "detail": reject.detail,
    }


def _known(number: int | None) -> str:
    return "?" if number is None else str(number)


def _time(judged: JudgedReject) -> str:
    return time_text(judged.reject.record.timestamp_ms) or "?"


def _printable_row(row: Mapping[str, object]) -> dict[str, object]:
    return {name: terminal_text(value) if isinstance(value, str) else value for name, value in row.items()}


_REASONS = pa.schema(
    [
        ("reason", pa.string()),
        *((name, pa.int64()) for name in ("records", "driven", "waiting", "readable_now")),
        *((name, pa.string()) for name in ("first", "last", "example", "detail")),
    ]
)
_RECORDS = pa.schema(
    [
        *((name, pa.string()) for name in ("place", "rejected", "reason", "key")),
        ("bytes", pa.int64()),
        ("origin", pa.string()),
        ("drives", pa.int64()),
        ("driven", pa.bool_()),
        ("readable_now", pa.bool_()),
        ("detail", pa.string()),
    ]
)
